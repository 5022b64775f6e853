"""Importing this package registers the dataset `synthetic_fields`."""

from tfds_builders.synthetic_fields.synthetic_fields_dataset_builder import Builder, SyntheticFieldsConfig, config

__all__ = ["Builder", "SyntheticFieldsConfig", "config"]
