"""Registration against a search in plain loops."""

import numpy as np
import pytest
from PIL import Image

from sperm_tf.data import registration


def register_by_loops(image: np.ndarray, other: np.ndarray, min_overlap: float) -> tuple[float, float]:
    best = (-1.0, 0.0)
    for down in range(1 - other.shape[0], image.shape[0]):
        for right in range(1 - other.shape[1], image.shape[1]):
            a = image[max(0, down) : other.shape[0] + down, max(0, right) : other.shape[1] + right]
            b = other[max(0, -down) :, max(0, -right) :][: a.shape[0], : a.shape[1]]
            a = a[: b.shape[0], : b.shape[1]]
            overlap = a.size / min(image.size, other.size)
            if overlap >= min_overlap:
                best = max(best, (float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())), overlap))
    return best


def test_registration_against_loops():
    rng = np.random.default_rng(0)
    for shape, other_shape in (((12, 15), (12, 15)), ((20, 9), (11, 16))):
        image, other = (rng.normal(size=s).astype(np.float32) for s in (shape, other_shape))
        found = registration.register(image, other)
        np.testing.assert_allclose(found[:2], register_by_loops(image, other, registration.MIN_OVERLAP), atol=1e-4)


def test_a_shifted_crop_correlates_fully():
    scene = np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)
    found = registration.register(scene[:40, :40], scene[8:48, 12:52])
    assert found.correlation > 0.999
    assert found.overlap == pytest.approx(0.8 * 0.7)


def test_less_overlap_has_to_agree_better():
    rng = np.random.default_rng(2)
    scene = rng.normal(size=(60, 60)).astype(np.float32)
    image, other = scene[:30, :30], scene[14:44, 13:43]
    found = registration.register(image, other)
    assert found.correlation > 0.999
    assert found.overlap == pytest.approx(16 / 30 * 17 / 30)
    noisy = other + rng.normal(size=other.shape).astype(np.float32)
    np.testing.assert_allclose(
        registration.register(image, noisy)[:2], register_by_loops(image, noisy, registration.MIN_OVERLAP), atol=1e-4
    )
    assert register_by_loops(image, noisy, registration.MIN_PART)[0] > 0.6


def test_too_small_an_overlap_does_not_count():
    scene = np.random.default_rng(2).normal(size=(60, 60)).astype(np.float32)
    assert registration.register(scene[:30, :30], scene[25:55, 25:55]).correlation < 0.5


def test_contrast_is_normalised_everywhere():
    grey = np.random.default_rng(3).normal(size=(200, 200))
    grey[:, :100] *= 15
    grey[:, 100:] *= 45
    normalised = registration.normalise_contrast((grey + 128).clip(0, 255).astype(np.uint8), reduction=2, sigma=5.0)
    assert normalised.shape == (100, 100)
    assert 0.7 < normalised[:, :40].std() / normalised[:, 60:].std() < 1.0  # 0.33 in the grey values


def scenes(count: int, grain: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    size, block = (480 // grain, 480 // grain), np.ones((grain, grain))
    return [np.kron(rng.integers(0, 256, size=size), block).astype(np.uint8) for _ in range(count)]


def test_coarse_search_finds_a_shifted_crop_only():
    first, second = scenes(2)
    greys = [first[:200, :200], second[:200, :200], first[36:236, 30:230], np.zeros((40, 200), np.uint8)]
    assert registration.coarse_pairs(greys, greys, borders=False) == [(0, 2), (2, 0)]


@pytest.mark.parametrize(("down", "right"), [(0, 96), (96, 0), (96, 96), (96, -96), (0, 144), (144, 0)])
def test_the_borders_find_what_the_middle_does_not(down, right):
    first, second = scenes(2)
    greys = [first[100:300, 100:300], second[:200, :200], first[100 + down : 300 + down, 100 + right : 300 + right]]
    assert registration.coarse_pairs(greys, greys, borders=False) == []
    assert {tuple(sorted(pair)) for pair in registration.coarse_pairs(greys, greys, borders=True)} == {(0, 2)}


def test_a_window_is_not_enough_where_the_rest_disagrees():
    first, second = scenes(2)
    other = second[:200, :200].copy()
    other[48:150, 48:150] = first[48:150, 48:150]
    greys = [first[:200, :200], other]
    assert registration.coarse_pairs(greys, greys, borders=True) == []
    noisy = first[:200, :200] // 2 + second[:200, :200] // 6
    assert (0, 1) in registration.coarse_pairs([greys[0], noisy], [greys[0], noisy], borders=False)


def test_a_few_images_are_registered_all(monkeypatch):
    greys = [scene[:120, :120] for scene in scenes(3)]
    assert list(registration.find_registrations(greys)) == [(0, 1), (0, 2), (1, 2)]
    monkeypatch.setattr(registration, "EXHAUSTIVE_SEARCH", 2)
    assert registration.find_registrations(greys) == {}


def test_small_images_are_not_searched():
    greys = [scene[:120, :77] for scene in scenes(2)]
    assert registration.find_registrations(greys) == {}
    assert list(registration.find_registrations(greys, [(0, 1)])) == [(0, 1)]


def test_an_image_that_is_turned_or_mirrored_shows_how_far_chance_reaches():
    first, second = (scene[:140, :160] for scene in scenes(2))
    for other in (np.rot90(first), first[::-1], first[:, ::-1], first.T):
        assert registration.turned_correlation(first, other) > 0.99
    assert registration.turned_correlation(first, first) < 0.5
    larger = np.asarray(Image.fromarray(np.ascontiguousarray(first[::-1])).resize((176, 154), Image.Resampling.BICUBIC))
    assert registration.turned_correlation(first, larger) > 0.9
    assert registration.turned_correlation(larger, first) > 0.9
    assert registration.turned_correlation(first, second) < 0.5


def test_a_pair_is_registered_at_its_best_scale():
    first, second = scenes(2, grain=15)
    larger = np.asarray(Image.fromarray(first).resize((528, 528), Image.Resampling.BICUBIC))  # by 1.1
    greys = [first[100:300, 100:300], second[:200, :200], larger[120:320, 120:320]]
    found = registration.find_registrations(greys, [(0, 2)])
    assert found[0, 2].scale == 0.91
    assert found[0, 2].correlation > 0.8
