"""Affine registration against maps that are known."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import AffineTransform
from skimage.transform import warp as skimage_warp

from sperm_tf.data.affine_registration import AFFINE_CORRELATION, align, find_affine_registrations
from sperm_tf.data.affine_search import VIEWS, Warp, propose


def texture(seed: int, side: int = 180) -> np.ndarray:
    """Smooth random grey pixels in 0-255."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 4)
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


def affine_by_skimage(image, *, degrees, scale, shear, shift):
    """The image under scikit-image's affine transform about its middle, and the map from its pixels to the image's."""
    middle = (np.array(image.shape[::-1]) - 1) / 2  # scikit-image counts (x, y)
    about = AffineTransform(rotation=np.deg2rad(degrees), scale=scale, shear=np.deg2rad(shear), translation=shift)
    whole = AffineTransform(translation=-middle) + about + AffineTransform(translation=middle)
    warped = skimage_warp(image, whole, order=3, mode="edge", preserve_range=True)
    linear = about.params[:2, :2][::-1, ::-1]  # to (row, column)
    return np.clip(warped, 0, 255).astype(np.uint8), linear, np.array(shift)[::-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("degrees", "scale", "shear", "shift"),
    [(0, 1, 0, (0, 0)), (10, 1, 0, (4, -3)), (-6, 1.15, 0, (0, 5)), (3, 0.9, 8, (-6, 2)), (93, 1, 0, (0, 0))],
)
def test_the_map_of_scikit_image_is_found(degrees, scale, shear, shift):
    first = texture(0)
    second, linear, offset = affine_by_skimage(first, degrees=degrees, scale=scale, shear=shear, shift=shift)
    found = find_affine_registrations([first, second, texture(1)])[0, 1]
    assert found.correlation > 0.95
    np.testing.assert_allclose(found.warp.linear, linear, atol=0.02)
    np.testing.assert_allclose(found.warp.shift, offset, atol=1.0)
    assert found.scale == pytest.approx(np.sqrt(abs(np.linalg.det(linear))), abs=0.02)


def test_views_are_those_of_numpy():
    image = np.random.default_rng(0).integers(256, size=(5, 7))
    by_numpy = [np.rot90(view, turns) for view in (image, image[:, ::-1]) for turns in range(4)]
    for linear, view in zip(VIEWS.values(), by_numpy, strict=True):
        rows, columns = np.indices(view.shape)
        points = np.stack([rows.ravel(), columns.ravel()]) - (np.array(view.shape)[:, None] - 1) / 2
        places = (linear @ points + (np.array(image.shape)[:, None] - 1) / 2).round().astype(int)
        np.testing.assert_array_equal(image[tuple(places)].reshape(view.shape), view)


def test_view_and_angle_are_named():
    first = texture(0)
    second = ndimage.rotate(np.rot90(first, 3), 6, reshape=False, mode="nearest", order=1)
    found = find_affine_registrations([first, second, texture(1)])[0, 1]
    assert found.view == "rot270"
    assert abs(found.angle) == pytest.approx(6, abs=0.5)


def test_different_images_agree_under_no_map():
    found = find_affine_registrations([texture(seed) for seed in range(12)])
    assert all(registration.correlation < 0.7 for registration in found.values())


def test_small_images_are_enlarged_by_one_factor():
    smalls = [texture(seed, side=64)[:60, :62] for seed in range(3)]
    found = find_affine_registrations([*smalls, np.rot90(smalls[1])])
    assert found[1, 3].correlation > AFFINE_CORRELATION and found[1, 3].view == "rot90"
    assert all(other.correlation < AFFINE_CORRELATION for pair, other in found.items() if pair != (1, 3))


def test_pairs_that_others_name_are_laid_over_each_other_too():
    images = [texture(seed) for seed in range(6)]
    assert (0, 5) in find_affine_registrations(images, {(0, 5): "mirror"})


def test_nothing_to_see_agrees_with_nothing():
    blank = np.full((100, 120), 200, np.uint8)
    for images in ([], [blank], [blank, blank], [blank, texture(0)]):
        assert all(found.correlation < 0.5 for found in find_affine_registrations(images).values())
    assert align(np.zeros((40, 40), np.float32), np.zeros((40, 40), np.float32), Warp(np.eye(2), np.zeros(2)))[0] <= 0


def test_images_that_do_not_overlap_are_no_copies():
    image = np.random.default_rng(0).normal(size=(50, 50)).astype(np.float32)
    assert align(image, image, Warp(np.eye(2), np.array([140.0, 0]))).correlation == -1


def test_the_search_tries_other_maps_where_it_is_turned():
    first = texture(0)
    images = [first, np.rot90(first), texture(1)]
    best = {pair[:2]: pair.correlation for pair in propose(images)}
    control = {pair[:2]: pair.correlation for pair in propose(images, turned_by=45)}
    assert best[0, 1] > 0.9 > 0.6 > control.get((0, 1), 0)
