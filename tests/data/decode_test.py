"""Every kind of source image, and every kind of bytes that are none."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sperm_tf.data.decode import MAX_SIDE, MIN_SIDE, UndecodableImageError, decode_rgb
from tests import image_files

RGB = np.random.default_rng(0).integers(0, 256, size=(20, 24, 3), dtype=np.uint8)


def encode(image: Image.Image, image_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bit_depth: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG made by hand, for what Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("image_format", ["BMP", "PNG"])
def test_lossless_formats_keep_every_pixel(image_format):
    decoded = decode_rgb(encode(Image.fromarray(RGB), image_format))
    assert decoded.source_format == image_format
    assert decoded.pixels.dtype == np.uint8
    np.testing.assert_array_equal(decoded.pixels, RGB)


def test_a_jpeg_whose_missing_half_is_made_up_is_refused():
    whole = encode(Image.fromarray(np.kron(RGB, np.ones((4, 4, 1), np.uint8))), "JPEG")
    for tail in (b"", b"\0\0", b"behind the end"):
        with pytest.raises(UndecodableImageError, match="a JPEG must hold data for all of its pixels"):
            decode_rgb(whole[: len(whole) // 2] + b"\xff\xd9" + tail)
    for complete in (whole, whole + b"behind the end"):
        np.testing.assert_array_equal(decode_rgb(complete).pixels, np.asarray(Image.open(io.BytesIO(whole))))


def test_a_jpeg_with_further_pictures_behind_it_is_a_jpeg():
    first = Image.fromarray(np.kron(RGB, np.ones((4, 4, 1), np.uint8)))
    several = encode(first, "MPO", save_all=True, append_images=[first.rotate(180)])
    decoded = decode_rgb(several)
    assert decoded.source_format == "JPEG"
    np.testing.assert_array_equal(decoded.pixels, np.asarray(Image.open(io.BytesIO(several)).convert("RGB")))


def test_jpeg_is_decoded():
    decoded = decode_rgb(encode(Image.new("RGB", (24, 20), (200, 100, 50)), "JPEG", quality=95))
    assert decoded.source_format == "JPEG"
    np.testing.assert_allclose(decoded.pixels.reshape(-1, 3).mean(axis=0), (200, 100, 50), atol=3)


@pytest.mark.parametrize("kept", (0.1, 0.5, 0.9))
def test_a_png_whose_tail_is_zeros_is_refused(kept):
    """As an interrupted copy leaves it; Pillow alone makes pixels of the zeros."""
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    data = encode(Image.fromarray(pixels), "PNG")
    whole = round(len(data) * kept)
    with pytest.raises(UndecodableImageError, match="complete"):
        decode_rgb(data[:whole] + bytes(len(data) - whole))
    assert np.array_equal(decode_rgb(data).pixels, pixels)


def test_grey_is_replicated():
    grey = RGB[:, :, 0]
    decoded = decode_rgb(encode(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(decoded.pixels, np.stack([grey] * 3, axis=2))


def test_alpha_is_dropped_not_blended():
    alpha = np.zeros((20, 24, 1), np.uint8)
    decoded = decode_rgb(encode(Image.fromarray(np.concatenate([RGB, alpha], axis=2)), "PNG"))
    np.testing.assert_array_equal(decoded.pixels, RGB)


def test_palette_is_expanded():
    image = Image.fromarray(RGB).quantize(16)
    decoded = decode_rgb(encode(image, "PNG", transparency=3))
    np.testing.assert_array_equal(decoded.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (6, 4)])
def test_16_bits_are_reduced_to_their_upper_8(colour_type, channels):
    values = np.random.default_rng(1).integers(0, 65536, size=(20, 24, channels), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    decoded = decode_rgb(png(24, 20, 16, colour_type, rows))
    expected = np.broadcast_to((values >> 8).astype(np.uint8)[:, :, :3], (20, 24, 3))
    np.testing.assert_array_equal(decoded.pixels, expected)


@pytest.mark.parametrize(("bits", "is_read"), [(10, False), (12, False), (14, False), (16, True)])
def test_values_that_a_camera_left_in_the_lower_of_16_bits_are_refused(bits, is_read):
    values = np.random.default_rng(1).integers(0, 2**bits, size=(20, 24), dtype=np.uint16)
    data = png(24, 20, 16, 0, b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))
    if is_read:
        assert decode_rgb(data).pixels.max() > 250
        return
    with pytest.raises(UndecodableImageError, match=r"as of a camera with 10 to 14 bits\. Multiply its values"):
        decode_rgb(data)


def test_a_dark_image_of_8_bits_is_read():
    np.testing.assert_array_equal(decode_rgb(encode(Image.fromarray(RGB // 16), "PNG")).pixels, RGB // 16)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    decoded = decode_rgb(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded.source_format == "GIF"
    np.testing.assert_array_equal(decoded.pixels[0, 0], (255, 0, 0))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        encode(Image.fromarray(RGB), "PNG")[:-40],
        encode(Image.fromarray(RGB), "BMP")[:-1],
        encode(Image.fromarray(RGB), "JPEG")[:300],
        encode(Image.fromarray(RGB), "TIFF"),
        png(24, 20, 8, 2, b"\0"),
    ],
    ids=["empty", "text", "truncated PNG", "truncated BMP", "truncated JPEG", "other format", "missing rows"],
)
def test_bytes_that_hold_no_complete_image(data):
    with pytest.raises(UndecodableImageError, match="must be"):
        decode_rgb(data)


@pytest.mark.parametrize("name", [name for name in image_files.bad_files() if name.startswith("png_1")])
def test_deep_values_are_judged_by_a_high_percentile(name):
    data, _ = image_files.bad_files()[name]
    with pytest.raises(UndecodableImageError, match="a PNG with 16 bits must use them"):
        decode_rgb(data)


def test_a_dark_field_of_16_bits_is_read():
    data, pixels = image_files.lossless_files()["png_16_bit_dark_field"]
    np.testing.assert_array_equal(decode_rgb(data).pixels, pixels)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (MIN_SIDE - 1, 200), (6000, 5000), (MAX_SIDE + 1, 20)])
def test_size_limits(width, height):
    with pytest.raises(UndecodableImageError, match=f"Received: {width}x{height}"):
        decode_rgb(encode(Image.new("1", (width, height)), "PNG"))


def test_a_huge_image_is_refused_by_its_header(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were decoded"))
    for side in (6000, 20_000):
        with pytest.raises(UndecodableImageError):
            decode_rgb(png(side, side, 8, 2, b""))
