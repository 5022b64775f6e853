"""Class prevalence and counts of a slide."""
