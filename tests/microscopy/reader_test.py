"""One reader for all formats: told by content, light to import, with errors that name file and remedy."""

import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.microscopy import MicroscopyError, is_microscope_format, list_planes, open_image, read_image
from tests.helpers import ROOT
from tests.microscopy.tiff_bytes import RGB, page, tiff

PIXELS = np.random.default_rng(7).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def by_pillow(image_format: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize("image_format", ["PNG", "BMP"])
def test_pictures_go_to_the_projects_decoder(image_format):
    data = by_pillow(image_format)
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert (image.format, image.pixel_size_um, image.plane) == (image_format, None, "image=0")
    assert list_planes(data) == ["image=0"] and not is_microscope_format(data)
    with open_image(data) as reader:
        np.testing.assert_array_equal(reader.read_region(3, 4, 5, 6), PIXELS[3:8, 4:10])


@pytest.mark.parametrize("image_format", ["JPEG", "GIF"])
def test_pictures_with_loss(image_format):
    image = read_image(by_pillow(image_format))
    assert image.format == image_format and image.pixels.shape == PIXELS.shape


def test_the_content_tells_the_format_and_not_the_name(tmp_path):
    for name, data, image_format in (("a.png", tiff(page(PIXELS, RGB)), "TIFF"), ("b.tif", by_pillow("PNG"), "PNG")):
        (tmp_path / name).write_bytes(data)
        for source in (tmp_path / name, str(tmp_path / name), data):
            image = read_image(source)
            assert image.format == image_format
            np.testing.assert_array_equal(image.pixels, PIXELS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"II*\0",
        b"MM\0*" + bytes(200),
        bytes(128) + b"DICM",
        b"ZISRAWFILE" + bytes(500),
        b"\xda\xce\xbe\x0a",
        b"II+\0" + b"\xff" * 50,
    ],
    ids=["empty", "text", "TIFF head", "TIFF of zeros", "DICOM head", "CZI head", "ND2 head", "BigTIFF noise"],
)
def test_what_is_no_image_is_an_error_that_names_the_file(data):
    for read in (read_image, list_planes):
        with pytest.raises(UndecodableImageError, match=r"broken\.bin"):
            read(data, name="broken.bin")


def test_noise_behind_a_valid_head_never_ends_otherwise():
    whole = tiff(page(PIXELS, RGB, rows=8))
    random = np.random.default_rng(8)
    for _ in range(200):
        damaged = bytearray(whole)
        for at in random.integers(4, 300, 3):
            damaged[at] = random.integers(256)
        try:
            image = read_image(bytes(damaged))
        except UndecodableImageError:
            continue
        assert image.pixels.dtype == np.uint8 and image.pixels.shape[2] == 3


def test_a_path_that_is_not_there_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.tif")


def test_files_are_closed(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(page(PIXELS, RGB)))
    before = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        read_image(path)
        with pytest.raises(MicroscopyError):
            read_image(path, plane=5)
    assert len(list(pathlib.Path("/proc/self/fd").iterdir())) == before


CODE = """
import sys
import sperm_tf.microscopy
heavy = {"tensorflow", "keras", "tifffile", "imagecodecs", "pydicom", "nd2", "pylibCZIrw"} & set(sys.modules)
assert not heavy, heavy
for name in ("tifffile", "imagecodecs", "pydicom", "nd2", "pylibCZIrw"):
    sys.modules[name] = None
from tests.microscopy.tiff_bytes import RGB, page, tiff
import numpy as np
for data, command in (
    (tiff(page(np.zeros((20, 20, 3), np.uint8), RGB)), "pip install tifffile imagecodecs"),
    (bytes(128) + b"DICM", "pip install pydicom"),
    (b"ZISRAWFILE", "pip install pylibCZIrw"),
    (b"\\xda\\xce\\xbe\\x0a", "pip install nd2"),
):
    try:
        sperm_tf.microscopy.read_image(data, name="a.file")
    except ImportError as error:
        assert "a.file needs" in str(error) and command in str(error), error
    else:
        raise AssertionError(command)
"""


def test_without_its_packages_the_module_imports_and_names_the_pip_command():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_file_that_asks_for_more_memory_than_there_is_is_refused_by_name(monkeypatch):
    def read(*region):
        raise MemoryError

    monkeypatch.setattr("sperm_tf.microscopy.tiff_file.TiffPlane.read", read)
    with pytest.raises(MicroscopyError, match=r"a.tif must fit into memory"):
        read_image(tiff(page(PIXELS, RGB)), name="a.tif")
