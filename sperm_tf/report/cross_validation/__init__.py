"""The HTML report of one cross-validation, for whoever leads the laboratory rather than writes software."""
