"""Checks of a served model."""
