"""The one preprocessing function: encoded image in, square uint8 image out.

Transform, training, the SavedModel and the examples of the documentation all call it, so that a network is served
exactly the pixels that it was trained on. It is made of TensorFlow ops alone and is saved inside the model.
"""

from __future__ import annotations

import tensorflow as tf

from sperm_tf.data import image_formats
from sperm_tf.data.decode import MAX_PIXELS, MAX_SIDE, MIN_SIDE, ROUNDING
from sperm_tf.served_names import EMPTY, OK, TOO_LARGE, TOO_SMALL, UNDECODABLE, UNKNOWN_FORMAT


def inspect(encoded: tf.Tensor) -> tf.Tensor:
    """Judges a file by its header, before memory for pixels is allocated.

    Args:
        encoded: scalar string, the bytes of a file.

    Returns:
        Scalar string, one of `sperm_tf.served_names.STATUSES`. `ok` says that the header is sound; the pixels may
        still be damaged.
    """
    return _inspect(tf.convert_to_tensor(encoded, tf.string))


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a file to the pixels that preprocessing starts from.

    Args:
        encoded: scalar string, the bytes of a file.

    Returns:
        uint8 [H, W, 3], RGB, 0-255, as the file stores them.

    Raises:
        tf.errors.InvalidArgumentError: the bytes hold no image that is accepted; the message names the status.
    """
    return _decode(tf.convert_to_tensor(encoded, tf.string))


def preprocess(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """Turns the bytes of an image into the pixels that a network sees.

    Decodes by content (PNG, JPEG, BMP, first frame of a GIF) to RGB, pads to a centred square by repeating the edge
    pixels (the aspect ratio of a sperm head is diagnostic, so it is kept), and resizes with antialiasing.

    Args:
        encoded: scalar string, the bytes of a file.
        image_size: side S of the result in pixels, at least 1.

    Returns:
        uint8 [S, S, 3], RGB, 0-255. Networks rescale inside themselves: nothing else may.

    Raises:
        ValueError: `image_size` is not a positive integer.
        tf.errors.InvalidArgumentError: the bytes hold no image that is accepted; the message names the status.
    """
    _check_image_size(image_size)
    return _preprocess(tf.convert_to_tensor(encoded, tf.string), image_size)


def preprocess_batch(encoded: tf.Tensor, image_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Preprocesses many files, each row for itself: a bad one is reported and leaves the others unharmed.

    Args:
        encoded: string [B], the bytes of files; B may be zero.
        image_size: side S of the results in pixels, at least 1.

    Returns:
        The images, uint8 [B, S, S, 3], RGB, 0-255, zeros where a row has no image; and string [B], one of
        `sperm_tf.served_names.STATUSES` for each row.

    Raises:
        ValueError: `image_size` is not a positive integer.
    """
    _check_image_size(image_size)
    return _preprocess_batch(tf.convert_to_tensor(encoded, tf.string), image_size)


def padding_before(length, side):
    """Pixels that padding to a square puts before an image: at its top, or at its left.

    Args:
        length: height or width of the image in pixels; a number or a tensor.
        side: side of the square in pixels, the longer of height and width.

    Returns:
        Pixels before the image. Those behind it are one more where the difference is odd.
    """
    return (side - length) // 2


# The bytes of an image handed to a tf.function as a Python value would be traced anew for every image: the public
# functions make tensors first.


@tf.function(autograph=False)
def _inspect(encoded):
    size = image_formats.read_size(encoded)
    shorter, longer = tf.reduce_min(size), tf.reduce_max(size)
    # The later judgement outranks the earlier one.
    status = tf.where((shorter * longer > MAX_PIXELS) | (longer > MAX_SIDE), TOO_LARGE, OK)
    status = tf.where(shorter < MIN_SIDE, TOO_SMALL, status)
    status = tf.where(shorter < 1, UNDECODABLE, status)
    is_known = tf.not_equal(image_formats.find_format(encoded), image_formats.UNKNOWN_FORMAT)
    status = tf.where(is_known, status, UNKNOWN_FORMAT)
    return tf.where(tf.equal(encoded, b""), EMPTY, status)


@tf.function(autograph=False)
def _decode(encoded):
    # On a GPU, an index outside of a palette would give a black pixel instead of an error.
    with tf.device("CPU:0"):
        status = _inspect(encoded)
        message = "encoded must be a whole PNG, JPEG, BMP or GIF image of an accepted size. Received: status="
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(status, OK), [message, status])]):
            return image_formats.decode(tf.identity(encoded))


@tf.function(autograph=False)
def _preprocess(encoded, image_size):
    with tf.device("CPU:0"):
        return _fit(_decode(encoded), image_size)


@tf.function(autograph=False)
def _preprocess_batch(encoded, image_size):
    blank = tf.zeros([image_size, image_size, 3], tf.uint8)

    def preprocess_row(row):
        status = _inspect(row)
        return tf.cond(tf.equal(status, OK), lambda: _preprocess(row, image_size), lambda: blank), status

    return image_formats.map_isolated(preprocess_row, encoded, (blank, tf.constant(UNDECODABLE)))


def _fit(pixels, image_size):
    """Pads uint8 [H, W, 3] to a centred square by edge replication and resizes it to uint8 [S, S, 3]."""
    height, width = tf.unstack(tf.shape(pixels)[:2])
    shorter, side = tf.minimum(height, width), tf.maximum(height, width)
    is_wide = width >= height
    # Resizing is separable, so the longer side, which has no padding, goes first: the padded square of a very long
    # image is never made in full resolution.
    first_size = tf.cond(is_wide, lambda: [height, image_size], lambda: [image_size, width])
    resized = tf.image.resize(pixels, first_size, antialias=True)
    nearest_inside = tf.clip_by_value(tf.range(side) - padding_before(shorter, side), 0, shorter - 1)
    padded = tf.cond(
        is_wide,
        lambda: tf.gather(resized, nearest_inside, axis=0),
        lambda: tf.gather(resized, nearest_inside, axis=1),
    )
    square = tf.image.resize(padded, [image_size, image_size], antialias=True)
    return tf.cast(tf.clip_by_value(tf.floor(square + ROUNDING), 0, 255), tf.uint8)


def _check_image_size(image_size):
    if not isinstance(image_size, int) or image_size < 1:
        raise ValueError(
            f"image_size must be a positive number of pixels. Received: image_size={image_size!r}. "
            "Pass the side of the square images that the network takes, such as 224"
        )
