"""Damaged TIFF files are errors, never half an image; regions need no more memory than they have pixels."""

import io
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from sperm_tf.microscopy import MicroscopyError, open_image, read_image
from tests.microscopy.tiff_bytes import LONG, MIN_IS_BLACK, RGB, SHORT, YCBCR, page, tiff

RANDOM = np.random.default_rng(3)
NOISE = RANDOM.integers(0, 256, (96, 128, 3), dtype=np.uint8)
SMOOTH = np.kron(RANDOM.integers(0, 256, (12, 16, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))


def by_pillow(pixels: np.ndarray, image_format: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **options)
    return file.getvalue()


def by_imagecodecs(codec: str):
    def encode(part: np.ndarray) -> bytes:
        import imagecodecs

        return getattr(imagecodecs, f"{codec}_encode")(part)

    return encode


CODECS = {
    "none": (1, RGB, lambda part: part.tobytes()),
    "LZW": (5, RGB, by_imagecodecs("lzw")),
    "Deflate": (8, RGB, lambda part: zlib.compress(part.tobytes())),
    "JPEG": (7, YCBCR, lambda part: by_pillow(part, "JPEG", subsampling=0)),
    "JPEG 2000": (34712, RGB, lambda part: by_pillow(part, "JPEG2000", no_jp2=True)),
    "Zstandard": (50000, RGB, by_imagecodecs("zstd")),
    "JPEG XR": (22610, RGB, by_imagecodecs("jpegxr")),
    "LZMA": (34925, RGB, by_imagecodecs("lzma")),
}


def make(codec: str, layout: dict, change=lambda data: data) -> bytes:
    compression, photometric, encode = CODECS[codec]
    tags = {530: (SHORT, [1, 1])} if codec == "JPEG" else {}
    return tiff(
        page(SMOOTH, photometric, tags, compression=compression, encode=lambda part: change(encode(part)), **layout)
    )


LAYOUTS = [{}, {"rows": 32}, {"tile": (32, 48)}]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["strip", "strips", "tiles"])
@pytest.mark.parametrize("codec", CODECS)
def test_a_file_that_ends_early_is_refused(codec, layout):
    data = make(codec, layout)
    whole = read_image(data).pixels
    if codec != "JPEG":
        np.testing.assert_array_equal(whole, SMOOTH)
    for kept in (0.4, 0.8, 0.999):
        with pytest.raises(MicroscopyError, match=r"cut\.tif"):
            read_image(data[: int(len(data) * kept)], name="cut.tif")


@pytest.mark.parametrize("layout", LAYOUTS, ids=["strip", "strips", "tiles"])
@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "none"])
@pytest.mark.parametrize("kept", [0.4, 0.8])
def test_segments_whose_tail_is_zeros_are_refused(codec, layout, kept):
    """As an interrupted copy leaves them."""

    def cut(segment: bytes) -> bytes:
        whole = int(len(segment) * kept)
        return segment[:whole] + bytes(len(segment) - whole)

    with pytest.raises(MicroscopyError, match=r"zeros\.tif"):
        read_image(make(codec, layout, cut), name="zeros.tif")


def test_a_jpeg_segment_without_its_middle_is_refused():
    with pytest.raises(MicroscopyError, match="ends before its last pixel"):
        read_image(make("JPEG", {"rows": 32}, lambda segment: segment[: len(segment) * 2 // 3] + segment[-2:]))


@pytest.mark.parametrize("codec", ["JPEG", "JPEG 2000"])
def test_a_picture_larger_than_its_segment_is_refused(codec):
    whole = CODECS[codec][2](np.tile(SMOOTH, (2, 2, 1)))
    with pytest.raises(MicroscopyError, match="segment 0 of 128x96 pixels holds 256x192"):
        read_image(make(codec, {}, lambda segment: whole))


@pytest.mark.parametrize("codec", ["none", "Deflate"])
def test_an_empty_segment_is_an_error_and_not_black(codec):
    data = make(codec, {"tile": (32, 48)})
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        tag = tif.pages[0].tags["TileByteCounts"]
        at = tag.valueoffset + 4
    emptied = data[:at] + bytes(4) + data[at + 4 :]
    with pytest.raises(MicroscopyError, match="segment 1 is empty"):
        read_image(emptied)
    with open_image(emptied) as reader:  # what does not need it can be read
        np.testing.assert_array_equal(reader.read_region(40, 0, 20, 40), SMOOTH[40:60, :40])


def test_what_is_not_supported_is_named():
    for compression, photometric, message in (
        (4, MIN_IS_BLACK, "TIFF compression 4"),
        (1, 8, "PhotometricInterpretation 8"),
        (8, YCBCR, "PhotometricInterpretation 6, compression 8"),
    ):
        pixels = SMOOTH[:, :, 0] if photometric == MIN_IS_BLACK else SMOOTH
        data = tiff(page(pixels, photometric, compression=compression))
        with pytest.raises(MicroscopyError, match=message):
            read_image(data)


def test_an_image_smaller_than_the_least_is_refused():
    with pytest.raises(MicroscopyError, match=r"at least 16 pixels a side\. Received: 15x40"):
        read_image(tiff(page(SMOOTH[:40, :15], RGB)))


def huge(side: int, tile: int = 512) -> tuple[bytes, np.ndarray]:
    """A square RGB image all of whose tiles are the same one, and that tile."""
    part = np.kron(RANDOM.integers(0, 256, (tile // 64, tile // 64, 3), dtype=np.uint8), np.ones((64, 64, 1), np.uint8))
    tags, _, tiled = page(part, RGB, {256: (LONG, [side]), 257: (LONG, [side])}, tile=(tile, tile), compression=8)
    segments = [zlib.compress(part.tobytes())] * (-(-side // tile)) ** 2
    return tiff((tags, segments, tiled), shared=True), part


def peak_of_reading(data: bytes) -> int:
    tracemalloc.start()
    try:
        with open_image(data) as reader:
            height, width = reader.shape
            for y0 in range(0, height, 1000):
                reader.read_region(y0, width - 5000, min(1000, height - y0), 5000)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_huge_image_is_read_by_regions_in_flat_memory():
    data, part = huge(20_000)
    with pytest.raises(MicroscopyError, match=r"at most 25000000 pixels\. Received: 20000x20000"):
        read_image(data)
    with open_image(data) as reader:
        assert reader.shape == (20_000, 20_000)
        region = reader.read_region(512 * 38, 512 * 20 - 100, 300, 200)
        np.testing.assert_array_equal(region[:, 100:], part[:300, :100])
        np.testing.assert_array_equal(region[:, :100], part[:300, -100:])
    assert peak_of_reading(data) <= 1.3 * peak_of_reading(huge(5_000)[0])


@pytest.mark.parametrize("layout", [{}, {"rows": 7}, {"tile": (16, 32)}], ids=["strip", "strips", "tiles"])
@pytest.mark.parametrize("planar", [False, True], ids=["together", "planes"])
@pytest.mark.parametrize("codec", ["none", "Deflate"])
def test_a_region_is_a_part_of_the_image(layout, planar, codec):
    compression, _, encode = CODECS[codec]
    data = tiff(page(NOISE, RGB, planar=planar, compression=compression, encode=encode, **layout))
    with open_image(data) as reader:
        for y0, x0, height, width in ((0, 0, 1, 1), (95, 127, 1, 1), (13, 30, 40, 70), (0, 0, 96, 128)):
            region = reader.read_region(y0, x0, height, width)
            np.testing.assert_array_equal(region, NOISE[y0 : y0 + height, x0 : x0 + width])
        for wrong in ((-1, 0, 5, 5), (0, 0, 97, 5), (0, 120, 5, 9), (0, 0, 0, 5)):
            with pytest.raises(ValueError, match="must lie inside"):
                reader.read_region(*wrong)
