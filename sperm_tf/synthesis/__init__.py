"""Drawn sperm with exact head masks."""
