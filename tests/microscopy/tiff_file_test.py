"""TIFF files whose pixels are known: written by hand, by Pillow, or by tifffile where nothing else writes the kind."""

import io
import zlib

import numpy as np
import pytest
import zstandard
from PIL import Image

from sperm_tf.microscopy import MicroscopyError, PlaneChoiceError, list_planes, open_image, read_image
from tests.microscopy.tiff_bytes import (
    COLOUR_MAP,
    EXTRA_SAMPLES,
    LONG,
    MAX_SAMPLE,
    MIN_IS_BLACK,
    MIN_IS_WHITE,
    NEW_SUBFILE,
    ORIENTATION,
    PALETTE,
    RATIONAL,
    RESOLUTION_UNIT,
    RGB,
    SHORT,
    X_RESOLUTION,
    Y_RESOLUTION,
    YCBCR,
    page,
    tiff,
)

RANDOM = np.random.default_rng(0)
RGB_16 = RANDOM.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
RGB_8 = RANDOM.integers(0, 256, (70, 90, 3), dtype=np.uint8)
SMOOTH = np.kron(RANDOM.integers(0, 256, (9, 12, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
GREY_8, GREY_16 = RGB_8[:, :, 0], RGB_16[:, :, 0]


def grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[:, :, None], 3, axis=2)


def by_pillow(pixels: np.ndarray, image_format: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **options)
    return file.getvalue()


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big endian"])
@pytest.mark.parametrize("planar", [False, True], ids=["together", "planes"])
@pytest.mark.parametrize("layout", [{}, {"rows": 7}, {"tile": (16, 16)}], ids=["strip", "strips", "tiles"])
def test_16_bit_rgb_in_every_layout(big, order, planar, layout):
    data = tiff(page(RGB_16, RGB, planar=planar, order=order, **layout), order=order, big=big)
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels, RGB_16 >> 8)
    assert image.pixels.dtype == np.uint8 and image.format == "TIFF"
    assert image.intensity_mapping == "0-65535 to 0-255 (16 bits a sample)"
    assert list_planes(data) == ["image=0"]


def test_grey_of_8_bits_is_replicated():
    np.testing.assert_array_equal(read_image(tiff(page(GREY_8, MIN_IS_BLACK))).pixels, grey(GREY_8))


def test_min_is_white_is_inverted_at_8_and_at_16_bits():
    np.testing.assert_array_equal(read_image(tiff(page(GREY_8, MIN_IS_WHITE))).pixels, grey(255 - GREY_8))
    image = read_image(tiff(page(GREY_16, MIN_IS_WHITE)))
    np.testing.assert_array_equal(image.pixels, grey((65535 - GREY_16) >> 8))
    assert "to 255-0" in image.intensity_mapping


@pytest.mark.parametrize("scale", [1, 257], ids=["8 bits in 16", "16 bits"])
def test_a_palette_is_looked_up(scale):
    colours = RANDOM.integers(0, 256, (256, 3))
    tag = {COLOUR_MAP: (SHORT, [int(value) for value in (colours * scale).T.ravel()])}
    np.testing.assert_array_equal(read_image(tiff(page(GREY_8, PALETTE, tag))).pixels, colours[GREY_8])


@pytest.mark.parametrize(("bits", "photometric"), [(1, MIN_IS_BLACK), (1, MIN_IS_WHITE), (4, MIN_IS_BLACK)])
def test_fewer_than_8_bits_are_spread_over_the_range(bits, photometric):
    values = RANDOM.integers(0, 2**bits, (20, 24), dtype=np.uint8)
    shifts = np.arange(8 // bits)[::-1] * bits
    packed = (values.reshape(20, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8)
    tags = {256: (LONG, [24]), 258: (SHORT, [bits])}
    expected = values * (255 // (2**bits - 1))
    expected = 255 - expected if photometric == MIN_IS_WHITE else expected
    np.testing.assert_array_equal(read_image(tiff(page(packed, photometric, tags))).pixels, grey(expected))


@pytest.mark.parametrize("kind", [1, 2], ids=["premultiplied", "straight"])
def test_alpha_is_dropped(kind):
    alpha = np.full((*GREY_8.shape, 1), 100, np.uint8)
    tag = {EXTRA_SAMPLES: (SHORT, [kind])}
    with_alpha = np.concatenate([RGB_8, alpha], axis=2)
    np.testing.assert_array_equal(read_image(tiff(page(with_alpha, RGB, tag))).pixels, RGB_8)
    two = np.concatenate([GREY_8[:, :, None], alpha], axis=2)
    np.testing.assert_array_equal(read_image(tiff(page(two, MIN_IS_BLACK, tag))).pixels, grey(GREY_8))


LAYOUTS = [{"rows": 16}, {"tile": (32, 48)}]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["strips", "tiles"])
@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (8, lambda part: zlib.compress(part.tobytes())),
        (32946, lambda part: zlib.compress(part.tobytes())),
        (50000, lambda part: zstandard.ZstdCompressor().compress(part.tobytes())),
        (34712, lambda part: by_pillow(part, "JPEG2000", no_jp2=True)),
        (33005, lambda part: by_pillow(part, "JPEG2000", no_jp2=True)),
    ],
    ids=["Deflate", "old Deflate", "Zstandard", "JPEG 2000", "JPEG 2000 of Aperio"],
)
def test_lossless_compression_keeps_every_pixel(layout, compression, encode):
    data = tiff(page(RGB_8, RGB, compression=compression, encode=encode, **layout))
    np.testing.assert_array_equal(read_image(data).pixels, RGB_8)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_files_of_pillow(compression):
    np.testing.assert_array_equal(read_image(by_pillow(RGB_8, "TIFF", compression=compression)).pixels, RGB_8)
    np.testing.assert_array_equal(read_image(by_pillow(GREY_8, "TIFF", compression=compression)).pixels, grey(GREY_8))
    sixteen = read_image(by_pillow(GREY_16, "TIFF", compression=compression))
    np.testing.assert_array_equal(sixteen.pixels, grey(GREY_16 >> 8))


@pytest.mark.parametrize("layout", LAYOUTS, ids=["strips", "tiles"])
@pytest.mark.parametrize("subsampling", [0, 2], ids=["4:4:4", "4:2:0"])
def test_jpeg_tiles_have_the_pixels_of_pillow(layout, subsampling):
    def encode(part):
        return by_pillow(part, "JPEG", quality=95, subsampling=subsampling)

    tag = {530: (SHORT, [2, 2] if subsampling else [1, 1])}
    image = read_image(tiff(page(RGB_8, YCBCR, tag, compression=7, encode=encode, **layout)))
    expected = np.zeros_like(RGB_8)
    rows, columns = layout.get("tile", (layout.get("rows"), 90))
    for top in range(0, 70, rows):
        for left in range(0, 90, columns):
            part = RGB_8[top : top + rows, left : left + columns]
            missing = (rows - part.shape[0] if "tile" in layout else 0, columns - part.shape[1])
            padded = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
            decoded = np.asarray(Image.open(io.BytesIO(encode(padded))))
            expected[top : top + rows, left : left + columns] = decoded[: part.shape[0], : part.shape[1]]
    np.testing.assert_array_equal(image.pixels, expected)


def test_jpeg_xr_tiles_keep_every_pixel():
    import imagecodecs

    data = tiff(page(RGB_8, RGB, tile=(32, 48), compression=22610, encode=imagecodecs.jpegxr_encode))
    np.testing.assert_array_equal(read_image(data).pixels, RGB_8)


@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_honoured_in_the_image_and_in_its_regions(value):
    data = tiff(page(RGB_8, RGB, {ORIENTATION: (SHORT, [value])}, tile=(16, 32)))
    expected = np.asarray(Image.open(io.BytesIO(data)))  # Pillow turns TIFF files
    assert (value == 1) == np.array_equal(expected, RGB_8)
    np.testing.assert_array_equal(read_image(data).pixels, expected)
    with open_image(data) as reader:
        assert reader.shape == expected.shape[:2]
        np.testing.assert_array_equal(reader.read_region(5, 40, 50, 21), expected[5:55, 40:61])


def test_12_bits_in_16_are_mapped_by_what_the_file_says():
    dark = GREY_16 >> 4
    for data, source in (
        (tiff(page(dark, MIN_IS_BLACK, {MAX_SAMPLE: (SHORT, [4095])})), "TIFF MaxSampleValue"),
        (ome_tiff(dark, SignificantBits=12), "OME SignificantBits"),
    ):
        image = read_image(data)
        np.testing.assert_array_equal(image.pixels, grey(GREY_16 >> 8))
        assert image.intensity_mapping == f"0-4095 to 0-255 ({source})"


def test_12_bits_in_16_that_no_tag_tells_are_refused_and_read_as_told():
    data = tiff(page(GREY_16 >> 4, MIN_IS_BLACK))
    with pytest.raises(MicroscopyError, match=r"sperm\.tif must state its range.*bits=12"):
        read_image(data, name="sperm.tif")
    np.testing.assert_array_equal(read_image(data, bits=12).pixels, grey(GREY_16 >> 8))
    np.testing.assert_array_equal(read_image(data, bits=16).pixels, grey(GREY_16 >> 12))
    white = tiff(page(65535 - (GREY_16 >> 4), MIN_IS_WHITE))  # a dark image is dark whichever way it is stored
    np.testing.assert_array_equal(read_image(white).pixels, grey((GREY_16 >> 4) >> 8))


def test_floats_need_a_range():
    import tifffile

    values = np.linspace(-1, 3, 600, dtype=np.float32).reshape(20, 30)
    file = io.BytesIO()
    tifffile.imwrite(file, values)
    with pytest.raises(MicroscopyError, match=r"range of intensities of .* must be known"):
        read_image(file.getvalue())
    file = io.BytesIO()
    tifffile.imwrite(file, values, imagej=True, metadata={"min": 0.0, "max": 2.0})
    expected = np.rint(np.clip(values / 2, 0, 1) * 255)
    np.testing.assert_array_equal(read_image(file.getvalue()).pixels, grey(expected))


def test_floats_are_mapped_by_the_tags_that_state_their_range():
    import tifffile

    values = np.linspace(-1, 3, 600, dtype=np.float32).reshape(20, 30)
    file = io.BytesIO()
    tifffile.imwrite(file, values, extratags=[(340, 11, 1, -1.0, True), (341, 11, 1, 3.0, True)])
    expected = np.rint((values + 1.0) / 4 * 255)
    assert np.abs(read_image(file.getvalue()).pixels[:, :, 0] - expected).max() <= 1


def test_a_slide_of_aperio_is_one_image_with_its_pixel_size():
    import tifffile

    file = io.BytesIO()
    options = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(file) as writer:
        writer.write(
            RGB_8, tile=(16, 16), description="Aperio Image Library v11\n90x70|AppMag = 40|MPP = 0.2520", **options
        )
        writer.write(RGB_8[::7, ::7].copy(), description="Aperio thumbnail", **options)
        writer.write(RGB_8[::4, ::4].copy(), tile=(16, 16), **options)
        writer.write(RGB_8[:20, :20].copy(), description="Aperio\nlabel", subfiletype=1, **options)
        writer.write(RGB_8[:20, :30].copy(), description="Aperio\nmacro", subfiletype=9, **options)
    assert list_planes(file.getvalue()) == ["image=0"]
    image = read_image(file.getvalue())
    np.testing.assert_array_equal(image.pixels, RGB_8)
    assert (image.pixel_size_um, image.pixel_size_source) == (0.252, "Aperio MPP")


def ome_tiff(pixels: np.ndarray, **metadata) -> bytes:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, pixels, ome=True, photometric="minisblack", metadata=metadata)
    return file.getvalue()


def test_a_file_of_several_pages_asks_for_one():
    data = tiff(*(page(np.roll(GREY_8, shift), MIN_IS_BLACK) for shift in range(3)))
    assert list_planes(data) == ["page=0", "page=1", "page=2"]
    with pytest.raises(PlaneChoiceError, match=r"one of the 3 planes of stack\.tif: 'page=0', 'page=1', 'page=2'"):
        read_image(data, name="stack.tif")
    for shift in range(3):
        expected = grey(np.roll(GREY_8, shift))
        np.testing.assert_array_equal(read_image(data, plane=shift).pixels, expected)
        np.testing.assert_array_equal(read_image(data, plane=f"page={shift}").pixels, expected)
    for wrong in (3, -1, "page=3", True):
        with pytest.raises(PlaneChoiceError, match="plane must be one of"):
            read_image(data, plane=wrong)


def test_a_page_of_half_the_size_is_a_page_unless_it_is_marked_as_reduced():
    half = GREY_8[::2, ::2]
    two = tiff(page(GREY_8, MIN_IS_BLACK), page(half, MIN_IS_BLACK))
    assert list_planes(two) == ["image=0", "image=1"]
    np.testing.assert_array_equal(read_image(two, plane=1).pixels, grey(half))
    for reduced in (half, GREY_8[::5, ::5][:11]):  # a level of a pyramid; a thumbnail of any size
        marked = tiff(page(GREY_8, MIN_IS_BLACK), page(reduced, MIN_IS_BLACK, {NEW_SUBFILE: (LONG, [1])}))
        assert list_planes(marked) == ["image=0"]
        np.testing.assert_array_equal(read_image(marked).pixels, grey(GREY_8))


def test_a_pyramid_in_sub_ifds_is_one_image():
    import tifffile

    for ome in (False, True):
        file = io.BytesIO()
        with tifffile.TiffWriter(file, ome=ome) as writer:
            writer.write(RGB_8, subifds=2, photometric="rgb", tile=(16, 16))
            for step in (2, 4):
                writer.write(RGB_8[::step, ::step], subfiletype=1, photometric="rgb", tile=(16, 16))
        assert list_planes(file.getvalue()) == ["image=0"]
        np.testing.assert_array_equal(read_image(file.getvalue()).pixels, RGB_8)


@pytest.mark.parametrize(
    ("tags", "size_um"),
    [
        ({RESOLUTION_UNIT: (SHORT, [3]), X_RESOLUTION: (RATIONAL, [100_000, 1])}, 0.1),
        ({RESOLUTION_UNIT: (SHORT, [2]), X_RESOLUTION: (RATIONAL, [254_000, 1])}, 0.1),
        ({X_RESOLUTION: (RATIONAL, [254_000, 1])}, 0.1),  # inches without a unit
        ({RESOLUTION_UNIT: (SHORT, [2]), X_RESOLUTION: (RATIONAL, [72, 1])}, None),  # of a printer
        ({RESOLUTION_UNIT: (SHORT, [1]), X_RESOLUTION: (RATIONAL, [1, 1])}, None),
        ({RESOLUTION_UNIT: (SHORT, [3]), X_RESOLUTION: (RATIONAL, [1, 0])}, None),
        ({}, None),
    ],
)
def test_pixel_size_by_the_resolution(tags, size_um):
    if X_RESOLUTION in tags:
        tags = {**tags, Y_RESOLUTION: tags[X_RESOLUTION]}
    image = read_image(tiff(page(GREY_8, MIN_IS_BLACK, tags)))
    assert image.pixel_size_um == (None if size_um is None else pytest.approx(size_um))
    assert ("not stated" in image.pixel_size_source) == (size_um is None)


def test_pixels_that_are_not_square_are_refused():
    tags = {
        RESOLUTION_UNIT: (SHORT, [3]),
        X_RESOLUTION: (RATIONAL, [100_000, 1]),
        Y_RESOLUTION: (RATIONAL, [90_000, 1]),
    }
    with pytest.raises(MicroscopyError, match=r"pixels of wide\.tif must be square"):
        read_image(tiff(page(GREY_8, MIN_IS_BLACK, tags)), name="wide.tif")


def test_more_samples_than_a_pixel_can_have_are_refused():
    data = tiff(page(np.zeros((20, 24, 1_025), np.uint8), MIN_IS_BLACK))
    with pytest.raises(MicroscopyError, match=r"a pixel of a.tif must have at most 1024 samples. Received: 1025"):
        read_image(data, name="a.tif")
