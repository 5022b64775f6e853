"""PNG, JPEG, GIF and BMP files, recognised and decoded by their content inside a TensorFlow graph.

TensorFlow's own decoders are used where they tell the truth. Three of its habits are avoided: `decode_bmp` ignores
palettes, compression and bit masks, so it is handed checked files of 24 and 32 bits alone, and those with a palette are
decoded here; `decode_gif` decodes more than the first frame and forgives much (`sperm_tf.data.gif`); `decode_jpeg`
invents the pixels for which a file has no data (`sperm_tf.data.jpeg`).

Every function works eagerly, in `tf.data` and in a SavedModel. Damaged files raise `InvalidArgumentError`.
"""

from __future__ import annotations

import tensorflow as tf

from sperm_tf.data import gif, jpeg
from sperm_tf.data.decode import BMP_INFO_LENGTHS, DEEP_BRIGHT_LEVEL, DEEP_BRIGHT_ONE_IN, PNG_DEPTH_AT, PNG_SIGNATURE

FORMATS = ("PNG", "JPEG", "GIF", "BMP")
UNKNOWN_FORMAT = len(FORMATS)

_SIGNATURES = (
    (0, PNG_SIGNATURE),
    (1, b"\xff\xd8\xff"),
    (2, b"GIF87a"),
    (2, b"GIF89a"),
    (3, b"BM"),
)
_HEADER_LENGTH = 72  # bytes; the longest one read here is BMP's with its colour masks, 66
_BMP_UNCOMPRESSED, _BMP_BIT_FIELDS = 0, 3
_BMP_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)


def find_format(encoded: tf.Tensor) -> tf.Tensor:
    """Recognises a file by its first bytes.

    Args:
        encoded: scalar string, the file's bytes.

    Returns:
        Scalar int32, index into `FORMATS`; `UNKNOWN_FORMAT` for anything else.
    """
    found = tf.constant(UNKNOWN_FORMAT)
    for index, signature in _SIGNATURES:
        starts_with = tf.equal(tf.strings.substr(encoded, 0, len(signature)), signature)
        found = tf.where(starts_with, index, found)
    return found


def read_size(encoded: tf.Tensor) -> tf.Tensor:
    """Reads the size that the header declares, without decoding or allocating a pixel.

    Args:
        encoded: scalar string, the file's bytes.

    Returns:
        int64 [2], height and width in pixels; zeros where the header cannot be read.
    """
    header = _read_header(encoded)

    def png():
        is_header_chunk = tf.reduce_all(tf.equal(header[12:16], list(b"IHDR")))
        size = tf.stack([_unsigned(header, 20, 4, big_endian=True), _unsigned(header, 16, 4, big_endian=True)])
        return tf.where(is_header_chunk, size, 0)

    def jpeg():
        # libjpeg's own parser, since the size follows segments of any length; it raises for a damaged file.
        shapes = map_isolated(
            lambda row: tf.cast(tf.io.extract_jpeg_shape(row), tf.int64), encoded[None], tf.zeros([3], tf.int64)
        )
        return shapes[0, :2]

    def gif():
        return tf.stack([_unsigned(header, 8, 2), _unsigned(header, 6, 2)])

    def bmp():
        size = tf.stack([tf.abs(_signed(header, 22)), _signed(header, 18)])
        return tf.where(_unsigned(header, 14, 4) >= 40, size, 0)  # OS/2's header has its size elsewhere

    readers = [png, jpeg, gif, bmp, lambda: tf.zeros([2], tf.int64)]
    return tf.ensure_shape(tf.switch_case(find_format(encoded), readers), [2])


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a file to RGB.

    Grey and palette images become RGB, alpha is dropped (not blended), 16-bit samples keep their high byte, of an
    animation the first frame is taken. The pixels are those that the file stores: EXIF rotation is not applied.

    Args:
        encoded: scalar string, the file's bytes, in a format of `FORMATS`. Check `read_size` first: the decoders
            allocate what the header declares.

    Returns:
        uint8 [H, W, 3], RGB, 0-255.

    Raises:
        tf.errors.InvalidArgumentError: the file is damaged, truncated, or a variant that is not supported.
    """
    decoders = [
        lambda: _decode_png(encoded),
        lambda: _decode_jpeg(encoded),
        lambda: gif.decode(encoded),
        lambda: _decode_bmp(encoded),
        lambda: _fail("encoded must be a PNG, JPEG, GIF or BMP file"),
    ]
    return tf.ensure_shape(tf.switch_case(find_format(encoded), decoders), [None, None, 3])


def map_isolated(function, rows, fallback):
    """Applies a function to each row; a row for which it raises gets the fallback, the others are unharmed.

    A `tf.data` pipeline inside the graph is the only construct of TensorFlow that survives a failing op.

    Args:
        function: maps one row to a tensor or a tuple of tensors of static shape.
        rows: tensor [B, ...]; B may be zero.
        fallback: result, of the same structure as the function's, for a row that raises.

    Returns:
        The results, each stacked to [B, ...].
    """
    num_rows = tf.shape(rows, out_type=tf.int64)[0]
    results = (
        tf.data.Dataset.from_tensor_slices((tf.range(num_rows), rows))
        .map(lambda index, row: (index, function(row)), num_parallel_calls=tf.data.AUTOTUNE)
        .ignore_errors()
    )
    # One row more than asked for, so that the batch is never empty.
    sentinel = tf.data.Dataset.from_tensors((num_rows, fallback))
    kept, results = results.concatenate(sentinel).batch(num_rows + 1).get_single_element()

    def fill(default, values):
        everywhere = tf.repeat(tf.convert_to_tensor(default)[None], num_rows + 1, axis=0)
        return tf.tensor_scatter_nd_update(everywhere, kept[:, None], values)[:num_rows]

    return tf.nest.map_structure(fill, fallback, results)


def _decode_png(encoded):
    """Decodes a PNG, and refuses 16 bits whose upper 8 are all but black, as `sperm_tf.data.decode` does."""
    pixels = tf.io.decode_png(encoded, channels=3)
    is_deep = tf.equal(_read_header(encoded)[PNG_DEPTH_AT], 16)
    num_bright = tf.math.count_nonzero(tf.reduce_max(pixels, axis=2) >= DEEP_BRIGHT_LEVEL)
    is_bright = num_bright * DEEP_BRIGHT_ONE_IN >= tf.size(pixels, tf.int64) // 3
    with _require(~is_deep | is_bright, "a PNG with 16 bits must use them"):
        return tf.identity(pixels)


def _decode_jpeg(encoded):
    """Decodes a JPEG, and refuses one for whose pixels data are missing."""
    pixels, is_complete = jpeg.decode(encoded)
    with _require(is_complete, "a JPEG must hold data for all of its pixels"):
        return tf.identity(pixels)


def _decode_bmp(encoded):
    header = _read_header(encoded)
    info_length, bits, compression = _unsigned(header, 14, 4), _unsigned(header, 28, 2), _unsigned(header, 30, 4)
    masks = tf.stack([_unsigned(header, start, 4) for start in (54, 58, 62)])
    is_plain = tf.equal(compression, _BMP_UNCOMPRESSED) & tf.reduce_any(tf.equal(bits, [1, 4, 8, 24, 32]))
    is_masked = tf.equal(compression, _BMP_BIT_FIELDS) & tf.equal(bits, 32) & tf.reduce_all(tf.equal(masks, _BMP_MASKS))
    declared, last_index = _unsigned(header, 46, 4), tf.bitwise.left_shift(tf.constant(1, tf.int64), bits) - 1
    is_palette_sound = (bits > 8) | (declared <= last_index + 1)
    is_supported = tf.reduce_any(tf.equal(info_length, BMP_INFO_LENGTHS)) & (is_plain | is_masked) & is_palette_sound

    pixels_start, width, signed_height = _unsigned(header, 10, 4), _signed(header, 18), _signed(header, 22)
    height = tf.abs(signed_height)
    row_length = (width * bits + 31) // 32 * 4  # rows are padded to four bytes
    num_bytes = height * row_length
    is_complete = pixels_start + num_bytes <= tf.cast(tf.strings.length(encoded), tf.int64)
    is_complete &= 14 + info_length <= pixels_start
    with _require(
        is_supported & is_complete,
        "a BMP must be complete, uncompressed, of 1, 4, 8, 24 or 32 bits a pixel in the order blue, green, red",
    ):
        # Without what may stand behind the pixels: `decode_bmp` refuses more bytes than it needs.
        whole = tf.strings.substr(encoded, tf.constant(0, tf.int64), pixels_start + num_bytes)

    def direct():
        return tf.io.decode_bmp(whole)[:, :, :3]

    def indexed():
        data = tf.io.decode_raw(tf.strings.substr(whole, pixels_start, num_bytes), tf.uint8)
        rows = tf.reshape(data, [height, row_length])
        num_colours = tf.where(declared > 0, declared, last_index + 1)
        palette = tf.io.decode_raw(tf.strings.substr(encoded, 14 + info_length, 4 * num_colours), tf.uint8)
        shifts = tf.range(8 - bits, -1, -bits)
        packed = tf.bitwise.right_shift(rows[:, :, None], tf.cast(shifts, tf.uint8))
        indices = tf.reshape(tf.bitwise.bitwise_and(packed, tf.cast(last_index, tf.uint8)), [height, -1])[:, :width]
        # A palette may end early where it says no number; the pixels begin there.
        num_usable = tf.minimum(num_colours, (pixels_start - 14 - info_length) // 4)
        colours = tf.reverse(tf.reshape(palette, [num_colours, 4])[:num_usable, :3], axis=[1])
        bottom_up = tf.gather(colours, tf.cast(indices, tf.int32))
        return tf.cond(signed_height > 0, lambda: bottom_up[::-1], lambda: bottom_up)

    return tf.cond(bits > 8, direct, indexed)


def _read_header(encoded):
    """First bytes of a file as int64 [_HEADER_LENGTH], zeros behind its end."""
    start = tf.strings.substr(encoded, 0, _HEADER_LENGTH)
    padded = tf.strings.substr(start + b"\0" * _HEADER_LENGTH, 0, _HEADER_LENGTH)
    return tf.cast(tf.ensure_shape(tf.io.decode_raw(padded, tf.uint8), [_HEADER_LENGTH]), tf.int64)


def _unsigned(header, start, num_bytes, *, big_endian=False):
    weights = [256**exponent for exponent in range(num_bytes)]
    if big_endian:
        weights.reverse()
    return tf.reduce_sum(header[start : start + num_bytes] * weights)


def _signed(header, start):
    value = _unsigned(header, start, 4)
    return tf.where(value >= 2**31, value - 2**32, value)


def _require(condition, message):
    """Context whose ops run only where the condition holds; raises `InvalidArgumentError` elsewhere."""
    return tf.control_dependencies([tf.debugging.Assert(condition, [message])])


def _fail(message):
    with _require(False, message):
        return tf.zeros([0, 0, 3], tf.uint8)
