"""What both protocols share: a request that was read, base64, JSON, and rows that may be sent."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from typing import Any

import numpy as np

from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import INPUT_NAMES
from sperm_tf.serving.server.limits import RequestError

_BLANKS = str.maketrans("", "", " \t\r\n")


@dataclasses.dataclass(frozen=True)
class Query:
    """A request.

    Attributes:
        signature: of `sperm_tf.served_names.INPUT_NAMES`.
        files: the bytes of B files, or of B examples.
        is_by_rows: of V1: whether the response is a list of rows, or one of columns.
        id: of V2: returned with the response; empty for none.
        outputs: of V2: names of the outputs to be returned; empty for all.
    """

    signature: str
    files: list[bytes]
    is_by_rows: bool = True
    id: str = ""
    outputs: tuple[str, ...] = ()


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        RequestError: it is something else.
    """
    if not body:
        raise RequestError(400, "JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(400, f"JSON Value: {show(document)} Is not object")
    return document


def check_signature(signature: str) -> str:
    """The name of a signature.

    Raises:
        RequestError: no model has such a one.
    """
    if signature not in INPUT_NAMES:
        raise RequestError(400, f'Serving signature name: "{signature[:100]}" not found in signature def')
    return signature


def decode_base64(text: str) -> bytes:
    """The bytes of base64, with or without line breaks and padding, as TensorFlow Serving takes it.

    Raises:
        RequestError: it is something else.
    """
    try:
        plain = text.translate(_BLANKS).rstrip("=").encode("ascii")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, f"Unable to base64 decode: {error}") from error


def check_finite(answer: ServedAnswer) -> None:
    """Checks that every number of a response is one: JSON has no other.

    Raises:
        RequestError: a row has NaN or infinity.
    """
    for name, values in answer.items():
        array = np.asarray(values)
        if array.dtype.kind != "f" or not array.size:
            continue
        wrong = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        if wrong.any():
            raise RequestError(
                500,
                f"the model predicted {name} that are not finite for row {int(np.flatnonzero(wrong)[0])} of the "
                "request. Send the other rows without it",
            )


def to_lists(values: Any) -> list[Any]:
    """Nested lists for JSON: text of bytes, and the shortest decimals that are the same float32."""
    array = np.asarray(values)
    if array.dtype == object:
        array = np.char.decode(array.astype(bytes), "utf-8") if array.size else array.astype(str)
    elif array.dtype.kind == "f":
        array = array.astype(np.float32).astype("U").astype(np.float64)
    return array.tolist()


def write_json(document: Any) -> bytes:
    """JSON; NaN is an error, and never `null`."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False).encode()


def show(value: Any) -> str:
    """The beginning of a value, for a message."""
    return repr(value)[:100]
