"""Container images, written, read, pushed and pulled without an engine."""
