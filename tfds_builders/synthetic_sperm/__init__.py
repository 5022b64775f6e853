"""Importing this package registers the dataset `synthetic_sperm`."""

from tfds_builders.synthetic_sperm.synthetic_sperm_dataset_builder import Builder, SyntheticSpermConfig, config

__all__ = ["Builder", "SyntheticSpermConfig", "config"]
