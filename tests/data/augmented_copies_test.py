"""Copies that augmentation makes are found, of real and of drawn cells; and no other pair is."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from sperm_tf.data import identity
from sperm_tf.data.affine_search import VIEWS
from sperm_tf.synthesis.renderer import render
from tests.helpers import real_data_dir

NUM_CELLS = 30


def warp(image: np.ndarray, matrix) -> np.ndarray:
    """As augmentation libraries do it: bilinear interpolation about the middle, edges repeated."""
    matrix = np.asarray(matrix, float)
    middle = (np.array(image.shape[:2]) - 1) / 2
    offset = middle - matrix @ middle
    layers = [ndimage.affine_transform(image[..., c], matrix, offset, order=1, mode="nearest") for c in range(3)]
    return np.stack(layers, axis=-1)


def turn(degrees: float):
    angle = np.deg2rad(degrees)
    return [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]


def views_by_hand(image: np.ndarray) -> dict[str, np.ndarray]:
    mirrored = np.fliplr(image)
    turned = {f"rot{90 * turns}": np.rot90(image, turns) for turns in (1, 2, 3)}
    return turned | {"mirror": mirrored} | {f"mirror rot{90 * turns}": np.rot90(mirrored, turns) for turns in (1, 2, 3)}


def save_as_jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=80)
    return np.asarray(Image.open(buffer))


COPIES = {
    **{name: (lambda image, name=name: views_by_hand(image)[name], 29) for name in VIEWS if name != "upright"},
    "10 degrees": (lambda image: warp(image, turn(10)), 25),
    "-7 degrees, mirrored": (lambda image: warp(np.fliplr(image), turn(-7)), 25),
    "a fifth larger": (lambda image: warp(image, np.eye(2) / 1.2), 15),
    "a fifth smaller": (lambda image: warp(image, np.eye(2) * 1.2), 15),
    "sheared by 10 degrees": (lambda image: warp(image, [[1, 0], [np.tan(np.deg2rad(10)), 1]]), 15),
    "turned and shifted": (lambda image: np.roll(np.rot90(image), (6, -8), axis=(0, 1)), 25),
    "mirrored, saved as JPEG": (lambda image: save_as_jpeg(np.fliplr(image)), 25),
}


@pytest.fixture(scope="module")
def real_cells():
    with zipfile.ZipFile(real_data_dir() / "HuSHeM.zip") as archive:
        members = sorted(name for name in archive.namelist() if name.casefold().endswith((".bmp", ".png")))
        return [read(archive, name) for name in members[:: len(members) // NUM_CELLS][:NUM_CELLS]]


def read(archive, name):
    with archive.open(name) as file:
        return np.asarray(Image.open(file).convert("RGB"))


@pytest.fixture(scope="module")
def drawn_cells():
    return [render(index, label_set="head_shape", seed=3).image for index in range(NUM_CELLS)]


def find(images):
    hashes = np.stack([identity.difference_hash(image) for image in images])
    return identity.find_near_duplicates(hashes, [identity.to_grey(image) for image in images])


def check(originals, kind):
    copy, enough = COPIES[kind]
    pairs = find([*originals, *(copy(image) for image in originals)])
    found = [pair for pair in pairs if pair.second == pair.first + NUM_CELLS]
    assert len(found) >= enough
    if kind in VIEWS:
        assert {pair.affine.view for pair in found if pair.affine is not None} == {kind}
    others = [pair for pair in pairs if pair.second != pair.first + NUM_CELLS]
    assert not [pair for pair in others if pair.affine is not None], "two cells are called one"
    return others


@pytest.mark.slow
@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_real_cells_are_found_and_no_other_pair_is(kind, real_cells):
    check(real_cells, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rot90", "mirror", "10 degrees", "a fifth larger", "turned and shifted"])
def test_copies_of_drawn_cells_are_found_and_no_other_pair_is(kind, drawn_cells):
    assert all(pair.shows == "unclear" for pair in check(drawn_cells, kind)), "two cells are called one"
