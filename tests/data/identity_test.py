"""Identity of pixels, difference hash, groups and exclusions."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.spatial.distance import pdist, squareform

from sperm_tf.data import identity, registration


def texture(seed: int, height: int = 200, width: int = 220, *, grain: int = 5) -> np.ndarray:
    """A smooth random RGB field: like a smear, it has structure at every place and repeats nowhere."""
    noise = np.random.default_rng(seed).integers(0, 256, size=(height // grain, width // grain, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def find(images):
    hashes = np.stack([identity.difference_hash(image) for image in images])
    return identity.find_near_duplicates(hashes, [identity.to_grey(image) for image in images])


def test_pixel_hash_is_of_shape_and_pixels():
    pixels = texture(0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert identity.pixel_sha256(np.asarray(Image.open(buffer))) == identity.pixel_sha256(pixels)
    assert identity.pixel_sha256(np.asfortranarray(pixels)) == identity.pixel_sha256(pixels)
    changed = pixels.copy()
    changed[3, 4, 1] ^= 1
    assert identity.pixel_sha256(changed) != identity.pixel_sha256(pixels)
    assert identity.pixel_sha256(pixels.reshape(220, 200, 3)) != identity.pixel_sha256(pixels)


def test_all_right_angle_views_have_one_identity():
    pixels = texture(0)
    views = identity.right_angle_views(pixels)
    assert len({view.tobytes() for view in views}) == 8
    assert {identity.view_sha256(view) for view in views} == {identity.view_sha256(pixels)}
    assert len({identity.pixel_sha256(view) for view in views}) == 8
    changed = pixels.copy()
    changed[3, 4, 1] ^= 1
    assert identity.view_sha256(changed) != identity.view_sha256(pixels)
    assert identity.view_sha256(texture(1)) != identity.view_sha256(pixels)


@pytest.mark.slow
def test_a_view_of_low_quality_is_found_by_its_hash(monkeypatch):
    monkeypatch.setattr(identity, "AFFINE_CORRELATION", 2.0)
    first = texture(1, grain=20)
    (pair,) = find([first, np.ascontiguousarray(first[::-1]), texture(2, grain=20)])
    assert (pair.first, pair.second) == (0, 1) and pair.distance > identity.CERTAIN_DISTANCE
    assert pair.affine is not None and pair.affine.view == "mirror rot180" and pair.shows == "cell"
    monkeypatch.setattr(identity, "TURNED_DISTANCE", -1)
    assert find([first, np.ascontiguousarray(first[::-1]), texture(2, grain=20)]) == []


def test_difference_hash_against_a_loop():
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 256, size=(100, 272, 1), dtype=np.uint8), 3, axis=2)
    padded = np.concatenate([grey[:1]] * 86 + [grey] + [grey[-1:]] * 86)[:, :, 0].astype(float)
    means = [[padded[17 * r : 17 * r + 17, 16 * c : 16 * c + 16].mean().round() for c in range(17)] for r in range(16)]
    expected = [means[r][c + 1] > means[r][c] for r in range(16) for c in range(16)]
    bits = identity.difference_hash(grey)
    assert bits.shape == (identity.NUM_HASH_BITS,)
    assert np.mean(bits != expected) < 0.02  # a mean that ends on .5 may be rounded either way


def test_hamming_distances_against_scipy():
    hashes = np.random.default_rng(0).random((40, 256)) < 0.5
    np.testing.assert_array_equal(identity.hamming_distances(hashes), squareform(pdist(hashes, "hamming") * 256))


@pytest.mark.slow
def test_near_duplicates_are_found_and_others_are_not():
    scene = texture(1, 300, 320)
    reencoded = io.BytesIO()
    Image.fromarray(scene[:200, :220]).save(reencoded, "JPEG", quality=70)
    images = [
        scene[:200, :220],
        np.asarray(Image.open(reencoded)),
        scene[40:240, 30:250],  # a shift that the hash does not survive
        texture(2),
    ]
    pairs = find(images)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    assert pairs[0].distance <= identity.CERTAIN_DISTANCE < identity.JOINT_DISTANCE < pairs[1].distance
    assert pairs[1].registration.correlation > 0.95


@pytest.mark.slow
def test_a_field_photographed_again_with_another_magnification_is_found():
    scene = texture(1, 300, 320, grain=12)
    larger = np.asarray(Image.fromarray(scene).resize((350, 328), Image.Resampling.BICUBIC))[60:260, 65:285]
    (pair,) = find([scene[50:250, 50:270], larger, texture(2)])
    assert (pair.first, pair.second) == (0, 1)
    assert pair.registration.scale < 1 and pair.registration.correlation > 0.9
    assert pair.shows == "cell"


@pytest.mark.slow
def test_larger_images_of_the_same_cells_give_the_same_pairs(monkeypatch):
    monkeypatch.setattr(identity, "CERTAIN_DISTANCE", 0)  # so that every measure is asked
    scene, noise, other = (texture(seed, 180, 200, grain=grain) for seed, grain in ((1, 20), (2, 4), (3, 20)))
    images = [scene, (0.6 * scene + 0.4 * noise).astype(np.uint8), other]
    (pair,) = find(images)
    assert pair.distinctness is not None
    (larger,) = find([np.kron(image, np.ones((2, 2, 1), np.uint8)) for image in images])
    assert (larger.registration, larger.distinctness) == (pair.registration, pair.distinctness)


@pytest.mark.slow
def test_crops_of_neighbours_show_one_field():
    scene = texture(1, 400, 400)
    (pair,) = find([scene[:200, :220], scene[90:290, 80:300], texture(2)])
    assert pair.registration.overlap == pytest.approx(0.55 * 140 / 220, abs=0.02)
    assert pair.shows == "field"


@pytest.mark.slow
def test_a_blurred_copy_is_known_by_what_its_mirror_images_lack(monkeypatch):
    scene, noise = texture(1, grain=20), texture(2, grain=4)
    blurred = np.asarray(Image.fromarray(scene).filter(ImageFilter.GaussianBlur(4)))
    blurred = (0.55 * blurred + 0.45 * noise).astype(np.uint8)
    images = [scene, blurred, texture(3, grain=20)]
    monkeypatch.setattr(identity, "CERTAIN_DISTANCE", 0)
    monkeypatch.setattr(identity, "JOINT_DISTANCE", 0)
    (pair,) = find(images)
    assert identity.DISTINCT_CORRELATION < pair.registration.correlation < identity.CERTAIN_CORRELATION
    turned = registration.turned_correlation(identity.to_grey(scene), identity.to_grey(blurred))
    assert pair.distinctness == pytest.approx(pair.registration.correlation - turned)
    assert pair.shows == "cell"
    monkeypatch.setattr(identity, "DISTINCTNESS", pair.distinctness + 0.01)
    assert find(images) == []


@pytest.mark.parametrize(
    ("distance", "overlap", "distinctness", "expected"),
    [
        (60, 0.3, None, "cell"),
        (61, 0.84, None, "field"),
        (61, 0.85, None, "cell"),
        (61, 0.85, 0.24, "cell"),
        (61, 0.85, 0.23, "unclear"),
    ],
)
def test_what_a_pair_shows(distance, overlap, distinctness, expected):
    found = registration.Registration(0.7, overlap)
    assert identity.NearDuplicate(0, 1, distance, found, distinctness).shows == expected


@pytest.mark.parametrize(
    ("distance", "correlation", "expected"),
    [(60, 0.1, True), (61, 0.64, False), (80, 0.65, True), (81, 0.65, False), (200, 0.75, True), (81, 0.74, False)],
)
def test_either_measure_or_both(distance, correlation, expected):
    assert identity.agrees(distance, correlation) is expected


def test_groups_join_chains():
    groups = identity.connected_groups(6, [(4, 1), (4, 5), (2, 3)])
    assert groups.tolist() == [0, 1, 2, 2, 1, 1]
    assert identity.connected_groups(5, [(0, 1), (3, 4)]).tolist() == [0, 0, 2, 3, 3]
    assert identity.connected_groups(3, []).tolist() == [0, 1, 2]


def test_identical_images_of_one_label_keep_the_first():
    exclusions = identity.resolve_identical(["a", "b", "a", "a"], ["x"] * 4)
    assert exclusions == [identity.Exclusion(2, "duplicate", 0), identity.Exclusion(3, "duplicate", 0)]


def test_identical_images_of_two_labels_keep_none():
    exclusions = identity.resolve_identical(["a", "b", "a", "a"], ["x", "x", "y", "y"])
    assert [(e.index, e.reason, e.related_index) for e in exclusions] == [
        (0, "conflicting_labels", 2),
        (2, "conflicting_labels", 0),
        (3, "conflicting_labels", 0),
    ]
