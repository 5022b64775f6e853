"""Opening by a disk against its definition."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from sperm_tf.fields.regions import open_by_disk


def _open_by_definition(mask, radius):
    margin = int(np.ceil(radius)) + 1
    padded = np.pad(mask, margin, mode="edge")
    places = np.argwhere(padded | True)
    distance = cdist(places, places)
    is_set = padded.ravel()
    fits = is_set.copy() if is_set.all() else is_set & (distance[:, ~is_set].min(axis=1) > radius)
    covered = distance[:, fits].min(axis=1) <= radius if fits.any() else np.zeros(len(places), bool)
    return (covered & is_set).reshape(padded.shape)[margin:-margin, margin:-margin]


@pytest.mark.parametrize("radius", [1, 2.5, 4.2])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_opening_is_what_the_disks_cover_that_fit(radius, share):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(31, 38)), 2)
    mask = noise > np.quantile(noise, 1 - share)
    opened = open_by_disk(mask, radius)
    np.testing.assert_array_equal(opened, _open_by_definition(mask, radius))
    assert opened.any() or radius > 4


def test_an_empty_mask_stays_empty():
    assert not open_by_disk(np.zeros((20, 30), bool), 2).any()
