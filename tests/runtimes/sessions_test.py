import numpy as np
import pytest

from sperm_tf.runtimes import sessions


@pytest.mark.parametrize(("num_rows", "computed"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (9, 16), (16, 16)])
def test_batches_are_filled_to_few_sizes_and_rows_stay(num_rows, computed):
    sizes = []

    def compute(images):
        sizes.append(len(images))
        return {"sums": images.sum(axis=(1, 2, 3), dtype=np.int64)}

    images = np.random.default_rng(0).integers(0, 256, (num_rows, 4, 5, 3), np.uint8)
    found = sessions._in_few_sizes(compute)(images)
    assert sizes == [computed]
    np.testing.assert_array_equal(found["sums"], compute(images)["sums"])
