"""The first frame of GIF files, decoded inside a TensorFlow graph.

`decode_gif` decodes every frame of an animation, forgives a damaged last frame, paints transparent pixels black, and
puts index 2 where a code is not defined: it is handed the first frame alone, whose codes are checked before.
"""

from __future__ import annotations

import tensorflow as tf

from sperm_tf.data.decode import GIF_CODE_SIZES, GIF_MAX_BYTES, GIF_MAX_CLEARS, GIF_MAX_CODE_BITS

_MAX_BLOCKS = 1_000_000  # an image of 25 million pixels needs some 100,000; bounds the work on a hostile file
_WINDOW = 1024  # codes that are read at once
_POWERS = [1 << bits for bits in range(GIF_MAX_CODE_BITS)]


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes the first frame, which must fill the canvas: what surrounds a smaller one is undefined.

    Args:
        encoded: scalar string, the file's bytes.

    Returns:
        uint8 [H, W, 3], RGB, 0-255.

    Raises:
        tf.errors.InvalidArgumentError: the file is damaged there, or its first frame is smaller than the canvas.
    """
    data = tf.io.decode_raw(encoded, tf.uint8)
    blocks_start = 13 + _palette_length(data[10])
    # Indexing past the end raises, so a file that stops within its first frame does not survive these loops.
    frame_start = tf.while_loop(
        lambda position: tf.equal(data[position], 0x21),
        lambda position: [_skip_chain(data, position + 2)],
        [blocks_start],
        maximum_iterations=_MAX_BLOCKS,
    )[0]
    full_frame = tf.concat([[0x2C, 0, 0, 0, 0], tf.cast(data[6:10], tf.int32)], axis=0)
    fills_canvas = tf.reduce_all(tf.equal(tf.cast(data[frame_start : frame_start + 9], tf.int32), full_frame))
    codes_start = frame_start + 11 + _palette_length(data[frame_start + 9])
    codes, frame_end = _join_chain(data, codes_start)
    # Without the extensions there is no transparent colour: alpha is dropped, as for the other formats.
    parts = [
        tf.strings.substr(encoded, 0, blocks_start),
        tf.strings.substr(encoded, frame_start, frame_end - frame_start),
        b";",
    ]
    checks = [
        tf.debugging.Assert(fills_canvas, ["the first frame of a GIF must fill its canvas"]),
        tf.debugging.Assert(_are_defined(codes, data[codes_start - 1]), ["the codes of a GIF must be defined"]),
    ]
    with tf.control_dependencies(checks):
        return tf.io.decode_gif(tf.strings.join(parts))[0]


def _palette_length(flags):
    """Bytes of the palette that a flags byte announces: 3 for each of its 2 to 256 colours."""
    num_colours = tf.bitwise.left_shift(2, tf.cast(flags % 8, tf.int32))
    return tf.where(flags >= 0x80, 3 * num_colours, 0)


def _skip_chain(data, position):
    """Position behind a chain of sub-blocks: each starts with its length, a length of zero ends the chain."""
    end = tf.while_loop(
        lambda position: data[position] > 0,
        lambda position: [position + 1 + tf.cast(data[position], tf.int32)],
        [position],
        maximum_iterations=_MAX_BLOCKS,
    )[0]
    return end + 1


def _join_chain(data, start):
    """The bytes of a chain of sub-blocks without their lengths, uint8 [N], and the position behind the chain."""
    lengths = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[])
    end, num_blocks, lengths = tf.while_loop(
        lambda position, index, lengths: data[position] > 0,
        lambda position, index, lengths: (
            position + 1 + tf.cast(data[position], tf.int32),
            index + 1,
            lengths.write(index, position),
        ),
        (start, 0, lengths),
        maximum_iterations=_MAX_BLOCKS,
    )
    at = lengths.gather(tf.range(num_blocks)) - start
    is_length = tf.scatter_nd(at[:, None], tf.ones([num_blocks], tf.int32), [end - start])
    return tf.boolean_mask(data[start:end], tf.equal(is_length, 0)), end + 1


def _are_defined(content, code_size):
    """Whether every code is defined where it stands; as `sperm_tf.data.array_gif` tells, which says how."""
    code_size = tf.cast(code_size, tf.int32)
    clear = tf.bitwise.left_shift(1, tf.minimum(code_size, GIF_CODE_SIZES[-1]))
    num_bits = 8 * tf.size(content)
    triples = tf.cast(tf.concat([content, tf.zeros([3], tf.uint8)], axis=0), tf.int32)
    triples = triples[:-2] + 256 * triples[1:-1] + 65_536 * triples[2:]
    table = 1 << GIF_MAX_CODE_BITS
    numbers = tf.range(table + _WINDOW)
    widths = tf.reduce_sum(tf.cast((clear + 1 + numbers)[:, None] >= _POWERS, tf.int32), axis=1)
    starts = tf.cumsum(widths, exclusive=True)

    def is_open(bit, number, num_clears, is_sound):
        del number
        return is_sound & (bit < num_bits) & (num_clears <= GIF_MAX_CLEARS)

    def read(bit, number, num_clears, is_sound):
        del is_sound
        window = slice(number, number + _WINDOW)
        width, at = widths[window], bit + starts[window] - starts[number]
        first_bytes = tf.minimum(at // 8, tf.size(triples) - 1)
        codes = tf.bitwise.right_shift(tf.gather(triples, first_bytes), at % 8)
        codes = tf.bitwise.bitwise_and(codes, tf.bitwise.left_shift(1, width) - 1)
        is_stop = tf.equal(codes, clear) | tf.equal(codes, clear + 1) | (at + width > num_bits)
        stop = tf.cast(tf.argmax(tf.concat([is_stop, [True]], axis=0), output_type=tf.int32), tf.int32)
        is_defined = codes <= tf.where(numbers[window] > 0, clear + 1 + numbers[window], clear)
        is_sound = tf.reduce_all(is_defined[:stop])

        def go_on():
            last = _WINDOW - 1
            return at[last] + width[last], tf.minimum(number + _WINDOW, table), num_clears

        def start_again():
            is_clear = tf.equal(codes[stop], clear) & (at[stop] + width[stop] <= num_bits)
            return tf.where(is_clear, at[stop] + width[stop], num_bits), 0, num_clears + 1

        return (*tf.cond(stop < _WINDOW, start_again, go_on), is_sound)

    _, _, num_clears, is_sound = tf.while_loop(is_open, read, (0, 0, 0, True), parallel_iterations=1)
    is_size = (code_size >= GIF_CODE_SIZES[0]) & (code_size <= GIF_CODE_SIZES[-1]) & (tf.size(content) <= GIF_MAX_BYTES)
    return is_size & is_sound & (num_clears <= GIF_MAX_CLEARS)
