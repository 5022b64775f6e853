"""The pipeline: from a dataset to a served, explained model, one directory a stage."""
