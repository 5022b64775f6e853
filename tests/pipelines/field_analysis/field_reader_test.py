"""Fields as microscopes write them: pixels, pixel size, and why a file has none."""

import contextlib
import hashlib
import io
import zipfile

import numpy as np
import pytest
import tifffile

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.reader import CropReader
from pipelines.field_analysis import field_reader
from pipelines.field_analysis.field_reader import list_views, open_field
from sperm_tf.fields.pixels import ArrayPixels
from sperm_tf.fields.scale import ScaleError, common_pixel_size
from sperm_tf.microscopy import ImageReader
from tests import image_files

PIXELS = image_files.random_pixels(40, 60)


def _tiff(pixels, **arguments):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="rgb", **arguments)
    return file.getvalue()


@contextlib.contextmanager
def _open(folder, content, name):
    """The field of a file with this content, from the disk and from an archive."""
    (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "fields.zip", "w") as archive:
        archive.writestr(name, content)
    reader = CropReader(folder)
    with open_field(reader, Crop(name)) as image, open_field(reader, Crop(f"fields.zip!{name}")) as archived:
        yield image, archived
    reader.close()


def _pixels(image):
    return image.pixels.read_region(0, 0, *image.pixels.shape)


def test_a_picture_has_pixels_and_no_pixel_size(tmp_path):
    with _open(tmp_path, image_files.encode(PIXELS, "PNG"), "field.png") as images:
        for image in images:
            assert (image.status, image.pixel_size_um) == ("ok", None)
            np.testing.assert_array_equal(_pixels(image), PIXELS)


@pytest.mark.parametrize("limit", [10, 10_000_000])  # read by regions, and whole
def test_an_ome_tiff_states_its_pixel_size(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(field_reader, "MAX_WHOLE_PIXELS", limit)
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.065, "PhysicalSizeY": 0.065}
    content = _tiff(PIXELS, ome=True, metadata=metadata)
    with _open(tmp_path, content, "field.ome.tif") as images:
        for image in images:
            assert isinstance(image.pixels, ImageReader if limit == 10 else ArrayPixels)
            assert (image.status, image.pixel_size_um) == ("ok", pytest.approx(0.065))
            assert image.sha256 == hashlib.sha256(content).hexdigest()
            np.testing.assert_array_equal(_pixels(image), PIXELS)


def test_a_file_of_several_planes_says_which_there_are(tmp_path):
    with _open(tmp_path, _tiff(np.stack([PIXELS, PIXELS[::-1]])), "stack.tif") as images:
        for image in images:
            assert (image.status, image.pixels) == ("undecodable", None)
            assert "stack.tif" in image.message and "plane" in image.message


def test_a_file_that_is_not_handed_out_is_unreadable(tmp_path):
    with open_field(CropReader(tmp_path), Crop("gone.tif")) as image:
        assert (image.status, image.message, image.sha256) == ("unreadable", "", "")
    with open_field(CropReader(tmp_path), Crop("slides.zip!slide.tif", size=300_000_000)) as image:
        assert image.status == "unreadable"
        assert "slide.tif must have at most 250,000,000 bytes" in image.message and "tiled TIFF" in image.message


def test_a_picture_that_is_too_large_says_what_to_do(tmp_path):
    content = bytearray(image_files.encode(PIXELS, "PNG"))
    content[16:24] = (20_000).to_bytes(4, "big") * 2  # the header's size
    with _open(tmp_path, bytes(content), "slide.png") as images:
        for image in images:
            assert (image.status, image.pixels) == ("too_large", None)
            assert "slide.png must have at most 25,000,000 pixels" in image.message
            assert "20000x20000, 1.2 GB of memory. Save it as a tiled TIFF" in image.message


def test_a_large_field_is_measured_on_squares_of_it(monkeypatch):
    field = ArrayPixels(np.arange(100 * 240 * 3).astype(np.uint8).reshape(100, 240, 3))
    (view,) = list_views(field)
    np.testing.assert_array_equal(view, _pixels(field_reader.FieldImage("ok", field)))
    monkeypatch.setattr(field_reader, "MAX_WHOLE_PIXELS", 100)
    monkeypatch.setattr(field_reader, "_VIEW_PX", 80)
    views = list(list_views(field))
    np.testing.assert_array_equal(np.concatenate(views, axis=1), view)
    assert [part.shape for part in views] == [(100, 80, 3)] * 3


def test_files_of_one_run_state_one_pixel_size():
    assert common_pixel_size([]) is None
    assert common_pixel_size([0.1, 0.101, 0.1]) == 0.1
    with pytest.raises(ScaleError, match=r"state 0\.05 to 0\.1 um.*--pixel_size_um"):
        common_pixel_size([0.1, 0.05])
