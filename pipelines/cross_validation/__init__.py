"""Cross-validation: fits of repeats and folds, planned, run and published."""
