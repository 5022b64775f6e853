"""`smids` in TFDS's own test, on drawn images."""

import pytest
import tensorflow_datasets as tfds

from tests.tfds_builders.builder_case import check_builder
from tfds_builders.smids import smids_dataset_builder


@pytest.mark.slow
def test_the_clean_images():
    class SmidsCleanTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = smids_dataset_builder.Builder
        BUILDER_CONFIG_NAMES_TO_TEST = ("clean",)
        # Of 33 files one is no image, one is a copy, and two have identical pixels and two labels.
        SPLITS = {"fold_0": 6, "fold_1": 7, "fold_2": 6, "fold_3": 6, "fold_4": 4}  # noqa: RUF012

    check_builder(SmidsCleanTest)


@pytest.mark.slow
def test_the_original_images():
    class SmidsOriginalTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = smids_dataset_builder.Builder
        BUILDER_CONFIG_NAMES_TO_TEST = ("original",)
        SPLITS = {"fold_0": 7, "fold_1": 7, "fold_2": 6, "fold_3": 6, "fold_4": 6}  # noqa: RUF012

    check_builder(SmidsOriginalTest)
