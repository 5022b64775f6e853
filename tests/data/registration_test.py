"""Registration against a search in plain loops."""

import numpy as np

from sperm_tf.data import registration


def correlation_by_loops(image: np.ndarray, other: np.ndarray) -> float:
    best = -1.0
    for down in range(1 - other.shape[0], image.shape[0]):
        for right in range(1 - other.shape[1], image.shape[1]):
            a = image[max(0, down) : other.shape[0] + down, max(0, right) : other.shape[1] + right]
            b = other[max(0, -down) :, max(0, -right) :][: a.shape[0], : a.shape[1]]
            a = a[: b.shape[0], : b.shape[1]]
            if a.size >= registration.MIN_OVERLAP * min(image.size, other.size):
                best = max(best, float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())))
    return best


def test_overlap_correlation_against_loops():
    rng = np.random.default_rng(0)
    for shape, other_shape in (((12, 15), (12, 15)), ((20, 9), (11, 16))):
        image, other = (rng.normal(size=s).astype(np.float32) for s in (shape, other_shape))
        np.testing.assert_allclose(
            registration.overlap_correlation(image, other), correlation_by_loops(image, other), atol=1e-4
        )


def test_a_shifted_crop_correlates_fully():
    scene = np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)
    assert registration.overlap_correlation(scene[:40, :40], scene[8:48, 12:52]) > 0.999


def test_too_small_an_overlap_does_not_count():
    scene = np.random.default_rng(2).normal(size=(60, 60)).astype(np.float32)
    assert registration.overlap_correlation(scene[:30, :30], scene[25:55, 25:55]) < 0.5


def test_contrast_is_normalised_everywhere():
    grey = np.random.default_rng(3).normal(size=(200, 200))
    grey[:, :100] *= 15
    grey[:, 100:] *= 45
    normalised = registration.normalise_contrast((grey + 128).clip(0, 255).astype(np.uint8), reduction=2, sigma=5.0)
    assert normalised.shape == (100, 100)
    assert 0.7 < normalised[:, :40].std() / normalised[:, 60:].std() < 1.0  # 0.33 in the grey values


def test_coarse_search_finds_a_shifted_crop_only():
    rng = np.random.default_rng(4)
    scenes = [np.kron(rng.integers(0, 256, size=(60, 60)), np.ones((6, 6))).astype(np.uint8) for _ in range(2)]
    greys = [scenes[0][:200, :200], scenes[1][:200, :200], scenes[0][36:236, 30:230], np.zeros((40, 200), np.uint8)]
    assert registration.coarse_pairs(greys) == [(0, 2)]
