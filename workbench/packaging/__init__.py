"""What is deployed: model archives, the build context, and the image, with or without an engine."""
