import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global map_chunks, tf
    import tensorflow as tf

    from sperm_tf.data.row_chunks import map_chunks


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("num_rows", [1, 3, 4, 9])
def test_rows_keep_their_order_whatever_the_last_chunk_holds(num_rows, in_graph):
    def work(numbers, names):
        return {"doubles": 2 * numbers, "names": tf.strings.join([names, "!"])}

    def run(numbers, names):
        signature = {"doubles": tf.TensorSpec([2], tf.float32), "names": tf.TensorSpec([], tf.string)}
        return map_chunks(work, (numbers, names), size=4, signature=signature)

    numbers = np.arange(2 * num_rows, dtype=np.float32).reshape(num_rows, 2)
    names = np.array([str(row) for row in range(num_rows)])
    specs = [tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([None], tf.string)]
    found = (tf.function(run, input_signature=specs) if in_graph else run)(tf.constant(numbers), tf.constant(names))
    np.testing.assert_array_equal(found["doubles"], 2 * numbers)
    assert found["names"].numpy().tolist() == [f"{row}!".encode() for row in range(num_rows)]


def test_the_function_sees_no_more_rows_than_the_size():
    seen = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def run(rows):
        def work(chunk):
            seen.assign(tf.maximum(seen, tf.size(chunk)))
            return chunk

        return map_chunks(work, (rows,), size=3, signature=tf.TensorSpec([], tf.int32))

    assert run(tf.range(10)).numpy().tolist() == list(range(10)) and seen.numpy() == 3
