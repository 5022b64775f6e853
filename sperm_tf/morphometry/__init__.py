"""Morphometry of one spermatozoon from masks of its parts, in micrometres."""
