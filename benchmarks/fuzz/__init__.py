"""Mutated files and requests against the decoders, the readers of microscope files, the served graph and the server."""
