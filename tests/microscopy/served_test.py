"""What is predicted on is a PNG of the microscope's file, whichever way it comes in."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from sperm_tf.data.decode import decode_rgb, encode_png
from sperm_tf.microscopy import PlaneChoiceError, read_served, to_served, to_served_if_readable
from tests.microscopy.tiff_bytes import MIN_IS_BLACK, RGB, page, tiff

PIXELS = np.random.default_rng(9).integers(0, 256, (30, 40, 3), dtype=np.uint8)
TIFF = tiff(page(PIXELS, RGB, planar=True))
STACK = tiff(page(PIXELS[:, :, 0], MIN_IS_BLACK), page(PIXELS[:, :, 1], MIN_IS_BLACK))


def test_a_microscope_file_becomes_a_png_and_a_picture_stays():
    for convert in (to_served, to_served_if_readable):
        decoded = decode_rgb(convert(TIFF))
        assert decoded.source_format == "PNG"
        np.testing.assert_array_equal(decoded.pixels, PIXELS)
        for other in (encode_png(PIXELS), b"", b"no image"):
            assert convert(other) is other


def test_what_the_file_says_of_its_pixels_comes_with_the_picture():
    file = io.BytesIO()
    metadata = {"axes": "YX", "PhysicalSizeX": 0.065, "PhysicalSizeY": 0.065}
    values = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 54
    tifffile.imwrite(file, values, ome=True, metadata=metadata)
    picture = read_served(file.getvalue())
    assert picture.data == to_served(file.getvalue()) and picture.pixel_size_um == pytest.approx(0.065)
    assert picture.intensity_mapping == "0-65535 to 0-255 (16 bits a sample)"
    for other in (encode_png(PIXELS), STACK):
        assert (read_served(other).pixel_size_um, read_served(other).intensity_mapping) == (None, "")


def test_several_planes_are_never_the_first_one():
    with pytest.raises(PlaneChoiceError, match=r"stack\.tif: 'page=0', 'page=1'"):
        to_served(STACK, name="stack.tif")
    assert to_served_if_readable(STACK) is STACK
    np.testing.assert_array_equal(decode_rgb(to_served(STACK, plane=1)).pixels[:, :, 0], PIXELS[:, :, 1])


def test_predict_takes_them_as_paths_bytes_and_open_files(tmp_path):
    from sperm_tf.serving.files import read_file

    path = tmp_path / "crop.tif"
    path.write_bytes(TIFF)
    with path.open("rb") as file:
        for source in (path, str(path), TIFF, bytearray(TIFF), io.BytesIO(TIFF), file):
            content = read_file(source)
            assert content is not None
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), PIXELS)
    assert read_file(STACK) == STACK


def test_own_images_are_read_and_refused_by_name(tmp_path):
    from tfds_builders.own_images.image_list import list_images

    for label in ("normal", "round"):
        (tmp_path / label).mkdir()
        for at in range(6):
            (tmp_path / label / f"{at}.tif").write_bytes(STACK if at == 5 else TIFF)
    images = list_images(tmp_path)
    assert len(images.files) == 12
    with images.reader() as read:
        np.testing.assert_array_equal(decode_rgb(read("normal/0.tif")).pixels, PIXELS)
        with pytest.raises(PlaneChoiceError, match=r"one of the 2 planes of normal/5\.tif"):
            read("normal/5.tif")
