"""JPEG files that hold data for all of their pixels, told from others inside a TensorFlow graph.

libjpeg fills missing pixels without an error, when the end is properly marked. `sperm_tf.data.decode` makes the same
two checks with Pillow.
"""

from __future__ import annotations

import tensorflow as tf

from sperm_tf.data.decode import (
    JPEG_END,
    JPEG_LONGEST_FRAME,
    JPEG_MAX_SEGMENTS,
    JPEG_PROBE,
    JPEG_RESTART_INTERVAL,
    JPEG_RESTARTS,
    JPEG_SCAN,
    JPEG_SEQUENTIAL,
    JPEG_TEMPORARY,
    JPEG_WITHOUT_LENGTH,
)


def decode(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a JPEG, and tells whether it is whole.

    Bytes put before the end mark tell: where the data are complete nobody reads them, elsewhere they are taken for
    image data and change the pixels. (Lost packets leave such frames behind.) The price is a line of libjpeg on stderr
    for every JPEG, about extraneous bytes. Whole restart intervals that are missing are found by their markers, as are
    markers that stand where none is expected: decoders stop there and make up the rest.

    Args:
        encoded: scalar string, the file's bytes.

    Returns:
        uint8 [H, W, 3], RGB, 0-255; and bool, a scalar: whether the file holds data for all of them.

    Raises:
        tf.errors.InvalidArgumentError: libjpeg refuses it.
    """

    def decode_jpeg(data):
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")

    pixels = decode_jpeg(encoded)
    data = tf.io.decode_raw(encoded, tf.uint8)
    end_marks = tf.where(tf.equal(data[:-1], JPEG_END[0]) & tf.equal(data[1:], JPEG_END[1]))[:, 0]
    end = tf.cast(tf.reduce_max(tf.concat([end_marks, [-1]], axis=0)), tf.int32)  # something may stand behind it
    start = tf.maximum(end, 0)
    parts = [tf.strings.substr(encoded, 0, start), JPEG_PROBE, tf.strings.substr(encoded, start, tf.size(data))]
    extended = tf.where(end < 0, encoded, tf.strings.join(parts))
    is_complete = tf.reduce_all(tf.equal(pixels, decode_jpeg(extended)))
    return pixels, is_complete & _has_whole_scan(data)


@tf.function(input_signature=[tf.TensorSpec([None], tf.uint8)], autograph=False)  # the loop is slow outside a graph
def _has_whole_scan(data):
    """As `sperm_tf.data.decode.has_whole_scan`, which says where this comes from."""
    data = tf.cast(tf.concat([data, tf.zeros([JPEG_LONGEST_FRAME], tf.uint8)], axis=0), tf.int32)
    length = tf.size(data) - JPEG_LONGEST_FRAME

    def read(position):
        return 256 * data[position] + data[position + 1]

    def is_segment_at(position):
        is_marker = tf.equal(data[position], 0xFF) & tf.not_equal(data[position + 1], JPEG_TEMPORARY)
        return (position + 4 <= length) & is_marker

    def is_before_scan(position, interval, frame):
        del interval, frame
        return is_segment_at(position) & tf.not_equal(data[position + 1], JPEG_SCAN)

    def pass_segment(position, interval, frame):
        marker = data[position + 1]
        has_length = tf.reduce_all(tf.not_equal(marker, JPEG_WITHOUT_LENGTH))
        step = tf.where(tf.equal(marker, 0xFF), 1, tf.where(has_length, 2 + read(position + 2), 2))
        interval = tf.where(tf.equal(marker, JPEG_RESTART_INTERVAL), read(position + 4), interval)
        is_frame = tf.reduce_any(tf.equal(marker, JPEG_SEQUENTIAL))
        return tf.minimum(position + step, length), interval, tf.where(is_frame, position, frame)

    position, interval, frame = tf.while_loop(
        is_before_scan, pass_segment, (2, 0, 0), maximum_iterations=JPEG_MAX_SEGMENTS
    )

    def are_in_order():
        start = tf.minimum(position + 2 + read(position + 2), length)
        second = data[start + 1 :]
        is_marker = tf.equal(data[start:-1], 0xFF) & (second > 0) & (second < 0xFF)
        is_restart = is_marker & (second >= JPEG_RESTARTS[0]) & (second <= JPEG_RESTARTS[-1])
        others = tf.where(is_marker & ~is_restart)[:, 0]
        end = tf.reduce_min(tf.concat([others, [tf.size(second, tf.int64) - 1]], axis=0))  # the last one is padding
        found = tf.boolean_mask(second[:end], is_restart[:end]) - 0xD0
        num_components = data[frame + 9]
        factors = data[frame + 11 : frame + 11 + 3 * num_components : 3]
        is_interleaved = num_components > 1
        across = tf.where(is_interleaved, tf.reduce_max(factors // 16), 1)
        down = tf.where(is_interleaved, tf.reduce_max(factors % 16), 1)
        num_units = -(-read(frame + 7) // (8 * across)) * -(-read(frame + 5) // (8 * down))
        num_restarts = tf.where(interval > 0, -(-num_units // tf.maximum(interval, 1)) - 1, 0)
        expected = tf.range(num_restarts) % 8
        is_ended = tf.equal(second[end], JPEG_END[1])
        return (
            is_ended
            & tf.equal(tf.size(found), tf.size(expected))
            & tf.reduce_all(tf.equal(found[: tf.size(expected)], expected[: tf.size(found)]))
        )

    is_segment = is_segment_at(position)
    is_scan = tf.equal(data[position + 1], JPEG_SCAN) & tf.equal(data[position + 4], data[frame + 9])
    is_known = (frame > 0) & is_scan
    return is_segment & tf.cond(is_known, are_in_order, lambda: tf.constant(True))
