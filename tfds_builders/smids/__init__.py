"""Importing this package registers the dataset `smids`."""

from tfds_builders.smids.smids_dataset_builder import Builder

__all__ = ["Builder"]
