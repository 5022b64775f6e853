"""Errors of this package."""


class WeightsError(ValueError):
    """Weights that cannot be had or do not fit the model."""
