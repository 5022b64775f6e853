"""Metrics of attribution maps."""
