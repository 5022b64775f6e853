"""LZW codes of GIF files: those that are defined where they stand, read in the graph and without TensorFlow."""

import numpy as np
import pytest

from sperm_tf.data import array_gif
from tests import image_files


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global gif, tf, are_defined_in_graph
    import tensorflow as tf

    from sperm_tf.data import gif

    are_defined_in_graph = trace()


def trace():
    signature = [tf.TensorSpec([None], tf.uint8), tf.TensorSpec([], tf.uint8)]
    return tf.function(lambda *arguments: gif._are_defined(*arguments), input_signature=signature)


def draw_codes(rng, code_size, num_codes, clear_one_in):
    """Codes that are all defined, and the largest one that would be at each place; -1 where none may be changed."""
    clear, number, codes, largest = 1 << code_size, 0, [], []
    for _ in range(num_codes):
        if rng.integers(clear_one_in) == 0:
            codes.append(clear)
            largest.append(-1)
            number = 0
            continue
        top = min(4095, clear + 1 + number) if number else clear - 1
        code = top if rng.integers(8) == 0 else int(rng.integers(top + 1))
        codes.append(code if code not in (clear, clear + 1) else 0)
        largest.append(top if number else clear + 1)
        number += 1
    return codes, largest


def judge(codes, code_size):
    content = image_files.pack_codes(codes, code_size)
    in_graph = are_defined_in_graph(np.frombuffer(content, np.uint8), np.uint8(code_size))
    return array_gif.are_defined(content, code_size), bool(in_graph)


@pytest.mark.parametrize("code_size", [2, 5, 8])
@pytest.mark.parametrize(("num_codes", "clear_one_in"), [(60, 7), (3000, 900), (12_000, 100_000)])
def test_a_code_that_is_not_defined_yet_is_found_wherever_it_stands(code_size, num_codes, clear_one_in):
    rng = np.random.default_rng(code_size + num_codes)
    codes, largest = draw_codes(rng, code_size, num_codes, clear_one_in)
    end = (1 << code_size) + 1
    assert judge([*codes, end], code_size) == (True, True)
    numbers = [at for at, top in enumerate(largest) if 0 <= top < (1 << top.bit_length()) - 1 and top < 4095]
    for at in rng.choice(numbers, 6):
        changed = [*codes[:at], largest[at] + 1, *codes[at + 1 :]]
        assert judge([*changed, end], code_size) == (False, False)
        assert judge([*codes[:at], end, *changed[at:]], code_size) == (True, True)  # behind the end mark


def test_a_table_is_started_again_so_many_times_and_no_more(monkeypatch):
    for module in (array_gif, gif):
        monkeypatch.setattr(module, "GIF_MAX_CLEARS", 50)
    monkeypatch.setitem(globals(), "are_defined_in_graph", trace())
    assert judge([4] * 49 + [5], 2) == (True, True)
    assert judge([4] * 50 + [5], 2) == (False, False)
