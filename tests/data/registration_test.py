"""Registration against a search in plain loops."""

import numpy as np
import pytest
from PIL import Image
from skimage.registration import phase_cross_correlation
from skimage.registration._masked_phase_cross_correlation import cross_correlate_masked

from sperm_tf.data import registration
from tests.data.shifted import register_by_loops, scenes


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


def test_one_image_has_no_pair():
    (scene,) = scenes(1)
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
