"""Command-line flags and quiet imports."""
