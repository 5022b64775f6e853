import hashlib
import subprocess
import sys

import numpy as np
import pytest
from skimage import draw

from sperm_tf.synthesis.contour import HeadContour
from sperm_tf.synthesis.morphology import CLASS_NAMES, NON_SPERM_KINDS
from sperm_tf.synthesis.renderer import render

_DIGEST = """
import hashlib
from sperm_tf.synthesis.renderer import render
digest = hashlib.sha256()
for label_set, index in {cases}:
    sample = render(index, label_set=label_set, seed=7)
    digest.update(sample.image.tobytes() + sample.head_mask.tobytes())
print(digest.hexdigest())
"""
_CASES = [("head_shape", 0), ("head_shape", 3), ("quality", 1), ("quality", 5), ("quality", 123_456_789)]


def test_a_fresh_process_draws_the_same_bytes():
    here = hashlib.sha256()
    np.random.seed(1)  # global state must not matter
    for label_set, index in _CASES:
        sample = render(index, label_set=label_set, seed=7)
        here.update(sample.image.tobytes() + sample.head_mask.tobytes())
    fresh = subprocess.run(
        [sys.executable, "-c", _DIGEST.format(cases=_CASES)], capture_output=True, text=True, check=True
    )
    assert fresh.stdout.strip() == here.hexdigest()


@pytest.mark.parametrize("label_set", CLASS_NAMES)
def test_the_order_of_drawing_does_not_matter(label_set):
    forward = [render(index, label_set=label_set).image for index in range(6)]
    backward = [render(index, label_set=label_set).image for index in reversed(range(6))][::-1]
    for first, second in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(first, second)


def test_index_seed_and_label_set_each_give_another_image():
    images = [
        render(0, size=64).image,
        render(4, size=64).image,
        render(0, seed=1, size=64).image,
        render(0, seed=4, size=64).image,
        render(0, seed=2**32, size=64).image,
        render(0, label_set="quality", size=64).image,
    ]
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize(("label_set", "names"), CLASS_NAMES.items())
def test_labels_follow_the_index(label_set, names):
    for index in range(2 * len(names)):
        sample = render(index, label_set=label_set)
        assert type(sample.label) is int
        assert sample.label == index % len(names)
        assert sample.label_name == names[sample.label]


def test_head_shape_images_are_framed_as_hushem():
    for index in range(8):
        sample = render(index)
        assert sample.image.shape == (131, 131, 3)
        assert sample.image.dtype == np.uint8
        assert sample.head_mask.shape == (131, 131)
        assert sample.head_mask.dtype == np.bool_
        rows, columns = np.nonzero(sample.head_mask)
        center = np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2
        assert np.abs(center - 65).max() < 10


def test_quality_images_have_the_sizes_of_smids():
    shapes = [render(index, label_set="quality").image.shape for index in range(30)]
    sides = np.array([shape[:2] for shape in shapes])
    assert len(set(shapes)) > 15
    assert sides.min() >= 120
    assert sides.max() <= 260


@pytest.mark.parametrize("label_set", CLASS_NAMES)
def test_the_mask_is_the_outline(label_set):
    """Against scikit-image's polygon rasterization, and against the shoelace area in square micrometres."""
    checked = 0
    for index in range(24):
        sample = render(index, label_set=label_set)
        parameters = sample.parameters
        if sample.label_name == "non-sperm" or parameters["second_head"]:
            continue
        contour = HeadContour(parameters["head"])
        pixel_um = parameters["pixel_size_um"]
        cosine, sine = np.cos(parameters["angle"]), np.sin(parameters["angle"])
        points = (contour.points_um - contour.center_um) @ np.array([[cosine, sine], [-sine, cosine]])
        points = (points + parameters["center_um"]) / pixel_um
        height, width = sample.head_mask.shape
        corners = points[:, ::-1] + (height / 2 - 0.5, width / 2 - 0.5)
        expected = draw.polygon2mask((height, width), corners)
        assert np.count_nonzero(sample.head_mask != expected) <= 4
        assert sample.head_mask.sum() * pixel_um**2 == pytest.approx(contour.area_um2, rel=0.02)
        checked += 1
    assert checked >= 10


def test_the_stained_head_is_in_the_mask():
    for index in range(40):
        sample = render(index)
        grey = sample.image.mean(axis=2)
        inside, outside = grey[sample.head_mask], grey[~sample.head_mask]
        assert inside.mean() < np.median(outside) - 40
        # More than nine tenths of the head differ from the background by more than its noise.
        assert np.mean(inside < np.median(outside) - 15) > 0.9


def test_non_sperm_has_no_head_mask_and_many_kinds():
    samples = [render(index, label_set="quality", size=48) for index in range(2, 3 * 150, 3)]
    assert not any(sample.head_mask.any() for sample in samples)
    assert {sample.parameters["kind"] for sample in samples} == set(NON_SPERM_KINDS)


@pytest.mark.parametrize("label_set", CLASS_NAMES)
def test_a_larger_image_shows_the_same_scene(label_set):
    for index in range(18):
        small = render(index, label_set=label_set, size=131)
        large = render(index, label_set=label_set, size=262)
        assert small.parameters.get("head") == large.parameters.get("head")
        assert small.parameters["kind"] == large.parameters["kind"]
        halved = large.image.reshape(131, 2, 131, 2, 3).mean(axis=(1, 3, 4))
        assert np.corrcoef(halved.ravel(), small.image.mean(axis=2).ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": 0, "label_set": "smids"}, "label_set must be one of head_shape, quality. Received"),
        ({"index": -1}, "index must be a non-negative integer. Received: index=-1"),
        ({"index": 1.0}, "index must be a non-negative integer. Received: index=1.0"),
        ({"index": True}, "index must be a non-negative integer"),
        ({"index": 0, "seed": -3}, "seed must be a non-negative integer. Received: seed=-3"),
        ({"index": 0, "size": 8}, "size must be an integer of at least 16 pixels, or None. Received: size=8"),
        ({"index": 0, "size": 64.0}, "size must be an integer"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        render(**arguments)
