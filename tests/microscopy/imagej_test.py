"""ImageJ TIFF: the unit in the description, display ranges, and stacks behind one page."""

import io

import numpy as np
import pytest
import tifffile

from sperm_tf.microscopy import list_planes, read_image
from tests.microscopy.tiff_bytes import (
    DESCRIPTION,
    MIN_IS_BLACK,
    RATIONAL,
    RESOLUTION_UNIT,
    SHORT,
    X_RESOLUTION,
    Y_RESOLUTION,
    page,
    text,
    tiff,
)

RANDOM = np.random.default_rng(2)
STACK = RANDOM.integers(0, 65536, (4, 40, 50), dtype=np.uint16)


def imagej(
    planes: np.ndarray, description: str, per_unit: tuple[int, int] = (10_000_000, 1_000_000), **options
) -> bytes:
    """As ImageJ writes: the planes one after the other behind the only page."""
    tags = {
        DESCRIPTION: text(f"ImageJ=1.53t\n{description}"),
        X_RESOLUTION: (RATIONAL, list(per_unit)),
        Y_RESOLUTION: (RATIONAL, list(per_unit)),
        RESOLUTION_UNIT: (SHORT, [1]),
    }
    data = tiff(page(planes[0], MIN_IS_BLACK, tags, order=">", **options), order=">")
    return data + planes[1:].astype(planes.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m", "microns"])
def test_micrometres_are_micrometres(unit):
    image = read_image(imagej(STACK[:1], f"unit={unit}\nmin=0.0\nmax=65535.0\n"))
    assert image.pixel_size_um == pytest.approx(0.1)
    assert image.pixel_size_source == "ImageJ unit and TIFF XResolution"
    assert image.format == "ImageJ TIFF"


@pytest.mark.parametrize(
    ("unit", "per_unit", "um"),
    [
        ("nm", (1, 100), 0.1),
        ("mm", (10_000, 1), 0.1),
        ("cm", (100_000, 1), 0.1),
        ("inch", (72, 1), None),
        ("pixel", (1, 1), None),
    ],
)
def test_other_units(unit, per_unit, um):
    image = read_image(imagej(STACK[:1], f"unit={unit}\nmin=0.0\nmax=65535.0\n", per_unit))
    assert image.pixel_size_um == (None if um is None else pytest.approx(um))


def test_a_stack_behind_one_page_has_all_of_its_planes():
    data = imagej(STACK, "images=4\nslices=4\nmin=0.0\nmax=65535.0\n", rows=13)
    assert list_planes(data) == [f"Z={at}" for at in range(4)]
    for at in range(4):
        expected = np.rint(STACK[at] / 257)
        np.testing.assert_array_equal(read_image(data, plane=at).pixels[:, :, 0], expected)


def test_the_display_range_maps_12_bits():
    image = read_image(imagej(STACK[:1] >> 4, "min=100.0\nmax=4000.0\n"))
    expected = np.rint(np.clip(((STACK[0] >> 4) - 100.0) / 3900, 0, 1) * 255)
    np.testing.assert_array_equal(image.pixels[:, :, 0], expected)
    assert image.intensity_mapping == "100-4000 to 0-255 (ImageJ display range)"


def test_a_composite_maps_each_channel_by_its_own_range():
    file = io.BytesIO()
    ranges = (0.0, 1000.0, 0.0, 65535.0)
    metadata = {"axes": "CYX", "mode": "composite", "Ranges": ranges}
    tifffile.imwrite(file, np.stack([STACK[0] // 66, STACK[1]]), imagej=True, metadata=metadata)
    data = file.getvalue()
    assert list_planes(data) == ["C=0", "C=1"]
    for at, scale in enumerate((1000, 65535)):
        values = (STACK[0] // 66, STACK[1])[at]
        expected = np.rint(np.clip(values / scale, 0, 1) * 255)
        np.testing.assert_array_equal(read_image(data, plane=at).pixels[:, :, 0], expected)


@pytest.mark.parametrize("labels", [["Red", "Green", "Blue"], None], ids=["named", "unnamed"])
def test_an_rgb_stack(labels):
    colours = (STACK[:3] >> 8).astype(np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(
        file, colours, imagej=True, metadata={"axes": "CYX", "Labels": labels} if labels else {"axes": "CYX"}
    )
    data = file.getvalue()
    assert list_planes(data) == (["image=0"] if labels else ["C=0", "C=1", "C=2", "C=RGB"])
    image = read_image(data, plane=None if labels else "C=RGB")
    np.testing.assert_array_equal(image.pixels, colours.transpose(1, 2, 0))
