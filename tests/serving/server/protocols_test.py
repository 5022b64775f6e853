import json

import numpy as np
import pytest

from sperm_tf.serving.server.limits import RequestError
from sperm_tf.serving.server.protocols import check_finite, decode_base64, to_lists, write_json


def test_json_has_no_numbers_that_are_none():
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json({"probabilities": [value]})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(value):
    maps = np.zeros([3, 2, 2], np.float32)
    check_finite({"status": np.array([b"ok"] * 3, object), "grad_cam_plus_plus": maps})
    maps[2, 1, 1] = value
    with pytest.raises(RequestError, match="grad_cam_plus_plus that are not finite for row 2"):
        check_finite({"grad_cam_plus_plus": maps})


def test_floats_survive_as_their_shortest_decimals():
    values = np.random.default_rng(0).random([50, 3], np.float32) ** 9
    found = to_lists(values)
    np.testing.assert_array_equal(np.float32(found), values)
    assert json.dumps(to_lists(np.float32([0.1, 1e-20, 1.0, 0.0]))) == "[0.1, 1e-20, 1.0, 0.0]"
    assert to_lists(np.array([b"ok", "größe".encode()], object)) == ["ok", "größe"]
    assert to_lists(np.zeros([0, 3], np.float32)) == [] == to_lists(np.zeros(0, object))


@pytest.mark.parametrize("text", ["eA==", "eA", " e\r\nA = = "])
def test_base64_with_and_without_padding(text):
    assert decode_base64(text) == b"x"


@pytest.mark.parametrize("text", ["e", "!", "eA==eA==", "é", "_-8="])
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(RequestError, match="Unable to base64 decode"):
        decode_base64(text)
