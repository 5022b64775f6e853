"""Registration against a search in plain loops."""

import itertools

import numpy as np
import pytest
from PIL import Image
from skimage.registration import phase_cross_correlation
from skimage.registration._masked_phase_cross_correlation import cross_correlate_masked

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


@pytest.mark.parametrize(("shape", "other_shape"), [((40, 44), (40, 44)), ((52, 38), (41, 60))])
def test_registration_against_scikit_image(shape, other_shape):
    """Its masked normalised correlation also takes the mean of each overlap away; these images have none."""
    scene = np.random.default_rng(5).normal(size=(80, 80)).astype(np.float32)
    noise = 0.5 * np.random.default_rng(6).normal(size=other_shape).astype(np.float32)
    image, other = scene[: shape[0], : shape[1]], scene[7 : 7 + other_shape[0], 5 : 5 + other_shape[1]] + noise
    found = registration.register(image, other)
    # A canvas of one size, as scikit-image wants it, with what lies outside of an image masked.
    canvas = tuple(np.maximum(shape, other_shape))
    padded, masks = np.zeros((2, *canvas)), np.zeros((2, *canvas), bool)
    for number, part in enumerate((image, other)):
        padded[number, : part.shape[0], : part.shape[1]] = part
        masks[number, : part.shape[0], : part.shape[1]] = True
    ratio = registration.MIN_OVERLAP * min(image.size, other.size) / np.prod(canvas)
    shift, _, _ = phase_cross_correlation(*padded, reference_mask=masks[0], moving_mask=masks[1], overlap_ratio=ratio)
    np.testing.assert_array_equal(shift, (7, 5))
    correlations = cross_correlate_masked(*padded, *masks, overlap_ratio=ratio)
    assert found.correlation == pytest.approx(correlations.max(), abs=0.02)
    rows, columns = (min(a - s, b) for a, b, s in zip(shape, other_shape, (7, 5), strict=True))
    assert found.overlap == pytest.approx(rows * columns / min(image.size, other.size))


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


SHIFTS = [
    (36, 30),
    (0, 96),
    (96, 0),
    (96, 96),
    (96, -96),
    (0, 140),
    (140, 3),
    (43, 104),
    (101, 47),
    (-45, 103),
    (25, 25),
]


@pytest.mark.parametrize(("down", "right"), SHIFTS)
def test_the_coarse_search_finds_crops_of_one_field(down, right):
    first, second = scenes(2, grain=15)
    top, left = 120, 120
    other = first[top + down : top + down + 200, left + right : left + right + 200]
    greys = [first[top : top + 200, left : left + 200], second[:200, :180], other]
    ((pair, overlap),) = registration.coarse_pairs(greys).items()
    assert pair == (0, 2)
    assert overlap == pytest.approx((1 - abs(down) / 200) * (1 - abs(right) / 200), abs=0.05)


def test_the_coarse_search_against_loops(monkeypatch):
    sizes = [(90, 90), (90, 90), (84, 120), (130, 80), (120, 84), (96, 96)]
    greys = [scene[:height, :width] for scene, (height, width) in zip(scenes(6, grain=15), sizes, strict=True)]
    images = [registration.normalise_contrast(grey, reduction=6, sigma=2.5) for grey in greys]
    expected = {
        (i, j): register_by_loops(images[i], images[j], registration.MIN_PART - 0.01)
        for i, j in itertools.combinations(range(6), 2)
    }
    correlations = sorted(correlation for correlation, _ in expected.values())
    for rank in (0, 7, 13):
        monkeypatch.setattr(registration, "COARSE_THRESHOLD", (correlations[rank] + correlations[rank + 1]) / 2)
        found = registration.coarse_pairs(greys)
        assert sorted(found) == [pair for pair, (value, _) in expected.items() if value > correlations[rank]]
        for pair, overlap in found.items():
            assert overlap == pytest.approx(expected[pair][1], abs=1e-3)


def test_one_image_has_no_pair():
    (scene,) = scenes(1)
    assert registration.coarse_pairs([]) == registration.coarse_pairs([scene]) == {}
    assert registration.find_registrations([]) == registration.find_registrations([scene]) == {}


def test_blank_images_agree_with_nothing():
    (scene,) = scenes(1)
    assert registration.find_registrations([np.full((170, 170), 200, np.uint8)] * 2 + [scene[:170, :170]]) == {}


def test_small_images_are_not_searched():
    (scene,) = scenes(1)
    for width in (77, 78):
        greys = [scene[:200, :width], scene[48:248, :width], scene[200:400, 200:400]]
        assert list(registration.find_registrations(greys)) == [(0, 1)] * (width == 78)
        assert (0, 1) in registration.find_registrations(greys, [(0, 1)])


@pytest.mark.parametrize("length", [300, 400])
def test_elongated_images_that_lie_across_each_other_share_too_little(length):
    first, second = scenes(2)
    found = registration.find_registrations([first[:90, :length], second[:length, :90]], [(0, 1)])
    assert found[0, 1].correlation == -1
    assert registration.turned_correlation(first[:90, :length], first[:90, :length]) < 0.5


def test_large_images_are_reduced_by_one_factor():
    greys = [scene[:side, :200] for scene, side in zip(scenes(3), (150, 170, 200), strict=True)]
    enlarged = [np.kron(grey, np.ones((2, 2), np.uint8)) for grey in greys]
    for given in (greys, enlarged):
        for grey, reduced in zip(greys, registration.to_usual_size(given), strict=True):
            np.testing.assert_array_equal(reduced, grey)
    assert registration.to_usual_size([]) == []


def test_an_image_that_is_turned_or_mirrored_shows_how_far_chance_reaches():
    first, second = (scene[:140, :160] for scene in scenes(2))
    for other in (np.rot90(first), first[::-1], first[:, ::-1], first.T):
        assert registration.turned_correlation(first, other) > 0.99
    assert registration.turned_correlation(first, first) < 0.5
    larger = np.asarray(Image.fromarray(np.ascontiguousarray(first[::-1])).resize((176, 154), Image.Resampling.BICUBIC))
    assert registration.turned_correlation(first, larger) > 0.9
    assert registration.turned_correlation(larger, first) > 0.9
    assert registration.turned_correlation(first, second) < 0.5
    assert 0.1 < registration.turned_correlation(first, first[::-1], enough=0.1) < 0.99


def test_a_pair_is_registered_at_its_best_scale():
    first, second = scenes(2, grain=15)
    larger = np.asarray(Image.fromarray(first).resize((528, 528), Image.Resampling.BICUBIC))  # by 1.1
    greys = [first[100:300, 100:300], second[:200, :200], larger[120:320, 120:320]]
    found = registration.find_registrations(greys, [(0, 2)])
    assert found[0, 2].scale == 0.91
    assert found[0, 2].correlation > 0.8
