"""Inputs that nobody sends who means well: bodies, headers, paths, and a client that counts."""
