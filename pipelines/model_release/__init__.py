"""Packing of released models, and their model cards."""
