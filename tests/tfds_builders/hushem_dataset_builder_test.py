"""`hushem` in TFDS's own test, on drawn images."""

import pytest
import tensorflow_datasets as tfds

from tests.tfds_builders.builder_case import check_builder
from tfds_builders.hushem import hushem_dataset_builder


@pytest.mark.slow
def test_the_builder():
    class HushemTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = hushem_dataset_builder.Builder
        SPLITS = {f"fold_{fold}": 8 for fold in range(5)}  # noqa: RUF012

    check_builder(HushemTest)
