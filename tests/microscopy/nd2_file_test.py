"""ND2 files made by hand; the order of the colours is that of the format's description, not of a camera's file."""

import numpy as np
import pytest

from sperm_tf.microscopy import MicroscopyError, PlaneChoiceError, list_planes, open_image, read_image
from tests.microscopy.nd2_bytes import nd2

pytest.importorskip("nd2")
RANDOM = np.random.default_rng(6)
RGB = RANDOM.integers(0, 256, (40, 50, 3), dtype=np.uint8)
GREY_16 = RANDOM.integers(0, 65536, (40, 50, 1), dtype=np.uint16)


def test_colours_and_calibration(tmp_path):
    data = nd2([RGB], bits=8, samples=3, calibration=0.1)
    path = tmp_path / "a.nd2"
    path.write_bytes(data)
    for source in (data, path):
        image = read_image(source)
        np.testing.assert_array_equal(image.pixels, RGB)
        assert (image.format, image.plane, image.pixel_size_source) == ("ND2", "image=0", "ND2 calibration")
        assert image.pixel_size_um == pytest.approx(0.1)


def test_pixels_that_are_not_calibrated_have_no_size():
    assert read_image(nd2([RGB], bits=8, samples=3)).pixel_size_um is None  # nd2 itself says 1 µm


def test_12_bits_are_mapped_by_the_significant_bits():
    image = read_image(nd2([GREY_16 >> 4], bits=12))
    np.testing.assert_array_equal(image.pixels[:, :, 1], GREY_16[:, :, 0] >> 8)
    assert image.intensity_mapping == "0-4095 to 0-255 (ND2 significant bits)"
    with pytest.raises(MicroscopyError, match="must state its range"):
        read_image(nd2([GREY_16 >> 4], bits=16))
    np.testing.assert_array_equal(read_image(nd2([GREY_16 >> 4], bits=16), bits=12).pixels, image.pixels)


@pytest.mark.parametrize("loop", [True, False], ids=["Z", "unknown loop"])
def test_focal_planes_and_channels_are_planes(loop):
    frames = [np.concatenate([np.roll(GREY_16, 2 * z + c) for c in range(2)], axis=2) for z in range(3)]
    data = nd2(frames, bits=16, channels=("a", "b"), loop=loop)
    axis = "Z" if loop else "frame"
    assert list_planes(data) == [f"{axis}={z} C={c}" for z in range(3) for c in range(2)]
    with pytest.raises(PlaneChoiceError, match="one of the 6 planes"):
        read_image(data)
    image = read_image(data, plane=f"{axis}=2 C=1")
    np.testing.assert_array_equal(image.pixels[:, :, 0], np.roll(GREY_16, 5)[:, :, 0] >> 8)


def test_channels_called_red_green_and_blue_are_one_image():
    data = nd2([RGB[:, :, ::-1].copy()], bits=8, channels=("Blue", "Green", "Red"))
    np.testing.assert_array_equal(read_image(data).pixels, RGB)
    with open_image(data) as reader:
        np.testing.assert_array_equal(reader.read_region(3, 7, 20, 30), RGB[3:23, 7:37])


def test_a_frame_that_is_missing_is_an_error():
    data = nd2([GREY_16, GREY_16, GREY_16], bits=16, left_out=(1,))
    np.testing.assert_array_equal(read_image(data, plane=2).pixels[:, :, 0], GREY_16[:, :, 0] >> 8)
    with pytest.raises(MicroscopyError, match=r"stack\.nd2 must hold all of its frames. Received: frame 1"):
        read_image(data, plane=1, name="stack.nd2")


def test_a_file_that_ends_early_is_refused():
    data = nd2([RGB], bits=8, samples=3)
    for kept in (0.1, 0.5, 0.99):
        with pytest.raises(MicroscopyError, match=r"cut\.nd2 must be a complete image file"):
            read_image(data[: int(len(data) * kept)], name="cut.nd2")
