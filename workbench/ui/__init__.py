"""The runs of a folder in a browser: a small server that reads, and writes nothing."""
