"""Fields as microscopes write them: pixels, pixel size, and why a file has none."""

import io

import numpy as np
import pytest
import tifffile

from pipelines.field_analysis.field_reader import read_field
from sperm_tf.fields.scale import ScaleError, common_pixel_size
from tests import image_files

PIXELS = image_files.random_pixels(40, 60)


def _tiff(pixels, **arguments):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="rgb", **arguments)
    return file.getvalue()


def test_a_picture_has_pixels_and_no_pixel_size():
    image = read_field(image_files.encode(PIXELS, "PNG"), name="field.png")
    assert (image.status, image.pixel_size_um) == ("ok", None)
    np.testing.assert_array_equal(image.pixels, PIXELS)


def test_an_ome_tiff_states_its_pixel_size():
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.065, "PhysicalSizeY": 0.065}
    image = read_field(_tiff(PIXELS, ome=True, metadata=metadata), name="field.ome.tif")
    assert (image.status, image.pixel_size_um) == ("ok", pytest.approx(0.065))
    np.testing.assert_array_equal(image.pixels, PIXELS)


def test_a_file_of_several_planes_says_which_there_are():
    image = read_field(_tiff(np.stack([PIXELS, PIXELS[::-1]])), name="stack.tif")
    assert (image.status, image.pixels) == ("undecodable", None)
    assert "stack.tif" in image.message and "plane" in image.message


def test_a_file_that_is_not_handed_out_is_unreadable():
    assert read_field(None).status == "unreadable"


def test_files_of_one_run_state_one_pixel_size():
    assert common_pixel_size([]) is None
    assert common_pixel_size([0.1, 0.101, 0.1]) == 0.1
    with pytest.raises(ScaleError, match=r"state 0\.05 to 0\.1 um.*--pixel_size_um"):
        common_pixel_size([0.1, 0.05])
