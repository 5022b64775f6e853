"""Importing this package registers the dataset `own_images`."""

from sperm_tf.data.image_files import DataDirError
from tfds_builders.own_images.image_list import ImageList, list_images
from tfds_builders.own_images.own_images_dataset_builder import Builder, OwnImagesConfig, config

__all__ = ["Builder", "DataDirError", "ImageList", "OwnImagesConfig", "config", "list_images"]
