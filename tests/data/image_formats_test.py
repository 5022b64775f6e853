import re
import struct
import time

import numpy as np
import pytest
from PIL import Image

from sperm_tf.data.decode import UndecodableImageError, decode_rgb
from tests import image_files


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global image_formats, tf
    import tensorflow as tf

    from sperm_tf.data import image_formats


LOSSLESS = image_files.lossless_files()


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_decode_to_the_pixels_that_they_store(name):
    data, pixels = LOSSLESS[name]
    if "16_bit" not in name and name != "png_damaged_text":  # Pillow clips 16-bit grey, and refuses the other
        np.testing.assert_array_equal(image_files.pillow_rgb(data), pixels, err_msg="the test's own file is wrong")
    decoded = tf.function(image_formats.decode)(tf.constant(data)).numpy()
    np.testing.assert_array_equal(decoded, pixels)
    assert image_formats.read_size(tf.constant(data)).numpy().tolist() == list(pixels.shape[:2])


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"comment": b"c" * 300}, {"restart_marker_blocks": 2}],
    ids=str,
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_decodes_like_pillow(mode, options):
    from PIL import Image

    data = image_files.encode(Image.fromarray(image_files.random_pixels()).convert(mode), "JPEG", quality=95, **options)
    decoded = image_formats.decode(tf.constant(data)).numpy().astype(int)
    assert np.abs(decoded - image_files.pillow_rgb(data)).max() <= 2
    assert image_formats.read_size(tf.constant(data)).numpy().tolist() == [40, 50]


def test_inks_without_the_mark_of_adobe_are_no_negative():
    """Adobe stores 255 less the ink, and marks its files; Pillow takes all files for Adobe's."""
    inks = np.kron(np.random.default_rng(3).integers(0, 256, (6, 5, 4), np.uint8), np.ones((8, 8, 1), np.uint8))
    data = image_files.encode(Image.fromarray(inks, "CMYK"), "JPEG", quality=100, subsampling=0)
    mark = data.index(b"\xff\xee\x00\x0eAdobe")
    unmarked = data[:mark] + data[mark + 16 :]
    cyan_magenta_yellow, black = np.split(255 - inks.astype(float), [3], axis=2)  # as they are stored
    expected = (255 - cyan_magenta_yellow) * (255 - black) / 255
    np.testing.assert_allclose(decode_rgb(unmarked).pixels, expected, atol=3)
    np.testing.assert_allclose(image_formats.decode(tf.constant(unmarked)), expected, atol=3)


@pytest.mark.parametrize("tail", [b"", b"\0\0", b"\xff\xd8 a second image \xff\xd9"], ids=str)
def test_bytes_around_a_jpeg_do_not_matter(tail):
    data = image_files.encode(image_files.random_pixels(), "JPEG")
    segment = data.index(b"\xff\xdb")
    filled = data[:segment] + b"\xff\xff" + data[segment:] + tail
    np.testing.assert_array_equal(image_formats.decode(tf.constant(filled)), image_formats.decode(tf.constant(data)))


@pytest.mark.parametrize("tail", [b"", b"\0\0", b"behind the end"], ids=str)
def test_a_jpeg_whose_missing_half_is_made_up_is_refused(tail):
    data = image_files.encode(np.kron(image_files.random_pixels(), np.ones((4, 4, 1), np.uint8)), "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError, match="data for all of its pixels"):
        image_formats.decode(tf.constant(data[: len(data) // 2] + b"\xff\xd9" + tail))


def test_the_size_of_a_bmp_with_the_short_header_of_os2_is_not_known():
    header = b"BM" + struct.pack("<IHHI", 26 + 3 * 20 * 20, 0, 0, 26) + struct.pack("<IHHHH", 12, 20, 20, 1, 24)
    assert image_formats.read_size(tf.constant(header + bytes(3 * 20 * 20))).numpy().tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("quality", [20, 75, 100])
def test_complete_jpegs_of_many_contents_decode(seed, quality):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*rng.integers(16, 70, 2), 3), np.uint8)
    data = image_files.encode(pixels, "JPEG", quality=quality)
    np.testing.assert_array_equal(
        image_formats.decode(tf.constant(data)), tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
    )


def _lose_intervals(data, lost):
    """A JPEG without some of the data between its restart markers, as of packets that did not arrive."""
    head = data.rindex(b"\xff\xda")
    pieces = re.split(rb"(?=\xff[\xd0-\xd7])", data[head:-2])
    return data[:head] + b"".join(piece for index, piece in enumerate(pieces) if index not in lost) + data[-2:]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("blocks", [1, 3, 7])
def test_jpegs_that_lost_restart_intervals_are_refused(mode, subsampling, blocks):
    image = Image.fromarray(image_files.random_pixels(83, 101)).convert(mode)
    data = image_files.encode(image, "JPEG", quality=95, subsampling=subsampling, restart_marker_blocks=blocks)
    num_pieces = len(re.findall(rb"\xff[\xd0-\xd7]", data)) + 1
    assert num_pieces > 3
    before_marker, without_length = (data[:2] + extra + data[2:] for extra in (b"\xff", b"\xff\xd0"))
    for whole in (data, data + b"behind the end", before_marker, without_length):
        np.testing.assert_array_equal(image_formats.decode(tf.constant(whole)), decode_rgb(whole).pixels)
    for lost in ({1}, {1, 2}, {num_pieces - 1}, set(range(num_pieces // 2, num_pieces))):
        damaged = _lose_intervals(without_length, lost)
        assert image_files.pillow_rgb(damaged).shape == (83, 101, 3), "Pillow alone makes the pixels up"
        with pytest.raises(UndecodableImageError):
            decode_rgb(damaged)
        with pytest.raises(tf.errors.InvalidArgumentError):
            image_formats.decode(tf.constant(damaged))


@pytest.mark.slow
def test_a_jpeg_of_nothing_but_fill_bytes_costs_no_time():
    data = image_files.encode(image_files.random_pixels(83, 101), "JPEG", restart_marker_blocks=3)
    filled = data[:2] + b"\xff" * 3_000_000 + data[2:]
    start = time.monotonic()
    np.testing.assert_array_equal(image_formats.decode(tf.constant(filled)), decode_rgb(filled).pixels)
    assert time.monotonic() - start < 20


def test_progressive_jpegs_with_restarts_decode():
    data = image_files.encode(image_files.random_pixels(83, 101), "JPEG", progressive=True, restart_marker_blocks=3)
    np.testing.assert_array_equal(image_formats.decode(tf.constant(data)), decode_rgb(data).pixels)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "JPEG", "progressive JPEG", "interlaced PNG", "2 frames"])
def test_a_cut_file_is_never_decoded_to_other_pixels(file_format):
    rgb = image_files.random_pixels(20, 20)
    data = {
        "progressive JPEG": lambda: image_files.encode(rgb, "JPEG", progressive=True),
        "interlaced PNG": lambda: image_files.png(rgb, colour_type=2, interlaced=True),
        "2 frames": lambda: image_files.encode(
            rgb, "GIF", save_all=True, append_images=[image_files.Image.fromarray(255 - rgb)]
        ),
    }.get(file_format, lambda: image_files.encode(rgb, file_format))()
    whole = image_formats.decode(tf.constant(data)).numpy()
    cuts = tf.constant([data[:length] for length in range(0, len(data), 3)] + [data])
    blank = tf.zeros([20, 20, 3], tf.uint8)

    @tf.function(autograph=False)
    def decode_all(files):
        return image_formats.map_isolated(
            lambda file: (tf.ensure_shape(image_formats.decode(file), [20, 20, 3]), True), files, (blank, False)
        )

    decoded, is_decoded = (result.numpy() for result in decode_all(cuts))
    assert is_decoded[-1] and not is_decoded[0]
    assert is_decoded.mean() < 0.6 if file_format == "2 frames" else is_decoded.sum() <= 6
    for image in decoded[is_decoded]:
        np.testing.assert_array_equal(image, whole)


def test_an_animation_decodes_its_first_frame_alone(monkeypatch):
    sizes = []
    decode_gif = tf.io.decode_gif
    monkeypatch.setattr(tf.io, "decode_gif", lambda data: sizes.append(len(data.numpy())) or decode_gif(data))
    rgb = image_files.random_pixels()
    frames = [image_files.Image.fromarray(np.roll(rgb, shift, axis=0)) for shift in range(1, 20)]
    single = image_files.encode(rgb, "GIF")
    image_formats.decode(tf.constant(image_files.encode(rgb, "GIF", save_all=True, append_images=frames)))
    assert sizes[0] <= len(single) + 10


def test_map_isolated_gives_the_fallback_to_rows_that_raise():
    def invert(row):
        with tf.control_dependencies([tf.debugging.Assert(row > 0, [row])]):
            return 1.0 / row, row + 1

    rows = tf.constant([1.0, 0.0, 4.0, -1.0])
    inverse, successor = image_formats.map_isolated(invert, rows, (tf.constant(-9.0), tf.constant(0.0)))
    assert inverse.numpy().tolist() == [1.0, -9.0, 0.25, -9.0]
    assert successor.numpy().tolist() == [2.0, 0.0, 5.0, 0.0]
    assert image_formats.map_isolated(invert, rows[:0], (tf.constant(-9.0), tf.constant(0.0)))[0].shape == (0,)
