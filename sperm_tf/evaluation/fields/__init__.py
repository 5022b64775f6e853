"""Found heads against annotated ones: matching, metrics, folds by session."""
