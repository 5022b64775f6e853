"""Out-of-fold predictions of a cross-validation, and their metrics."""
