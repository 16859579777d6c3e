"""The container images: built with buildah, run with podman."""
