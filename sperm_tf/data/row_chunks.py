"""A function of a batch, applied to a few rows at a time, inside a TensorFlow graph.

The feature maps of a few images are in memory at a time, whatever the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

IMAGES_AT_ONCE = 8
"""Images, each of its views counted, that a network predicts in one go: more were hardly faster an image on a processor
(`python -m benchmarks.served_graph`)."""


def map_chunks(function: Callable[..., Any], rows: tuple[tf.Tensor, ...], *, size: int, signature: Any) -> Any:
    """Applies a function to chunks of rows, one after the other, and joins what it returns.

    Args:
        function: takes as many tensors as `rows` has, [N, ...] each with N at most `size`, and returns a structure of
            tensors [N, ...]. What it returns for a row does not depend on the other rows.
        rows: tensors [B, ...], B at least 1 and the same in all.
        size: rows of a chunk; the last one may have fewer.
        signature: the structure that the function returns, of `tf.TensorSpec`s of one row.

    Returns:
        The structure, of tensors [B, ...].
    """
    specs = tf.nest.flatten(signature)
    num_rows = tf.shape(rows[0])[0]
    num_chunks = (num_rows + size - 1) // size
    arrays = [
        tf.TensorArray(spec.dtype, num_chunks, infer_shape=False, element_shape=[None, *spec.shape]) for spec in specs
    ]

    def add_chunk(index, arrays):
        start = index * size
        results = function(*(row[start : start + size] for row in rows))
        tf.nest.assert_same_structure(results, signature)
        found = tf.nest.flatten(results)
        return index + 1, [array.write(index, values) for array, values in zip(arrays, found, strict=True)]

    _, arrays = tf.while_loop(
        lambda index, _: index < num_chunks, add_chunk, (tf.constant(0), arrays), parallel_iterations=1
    )
    joined = [
        tf.ensure_shape(array.concat(), [rows[0].shape[0], *spec.shape])
        for array, spec in zip(arrays, specs, strict=True)
    ]
    return tf.nest.pack_sequence_as(signature, joined)
