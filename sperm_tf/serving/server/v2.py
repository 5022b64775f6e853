"""The Open Inference Protocol: https://github.com/kserve/open-inference-protocol, over REST.

The input `image_bytes` has the datatype BYTES and the shape [B] or [B, 1]. Its elements are base64 text in `data`, or
raw bytes after the JSON in the binary format of Triton and KServe: each after its length, uint32, little-endian.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import INPUT_NAMES, SERVING_DEFAULT
from sperm_tf.serving.server.limits import RequestError
from sperm_tf.serving.server.protocols import Query, check_signature, decode_base64, read_json, show, to_lists
from sperm_tf.serving.server.v1 import output_shapes

JSON_LENGTH_HEADER = "inference-header-content-length"
EXTENSIONS = ("binary_tensor_data",)
_BINARY_SIZE = "binary_data_size"


def parse(body: bytes, json_length: str | None = None) -> Query:
    """Reads a request to `infer`.

    Args:
        body: JSON, and what follows it.
        json_length: bytes of JSON, the header `Inference-Header-Content-Length`; None where all of it is JSON.

    Returns:
        The request; its signature is the parameter `signature_name`, or `serving_default`.

    Raises:
        RequestError: it has another form.
    """
    document, rest = _split(body, json_length)
    id, parameters = document.get("id", ""), document.get("parameters", {})
    if not isinstance(id, str) or not isinstance(parameters, dict):
        raise RequestError(400, "id must be text and parameters an object, where they are given")
    signature = parameters.get("signature_name", SERVING_DEFAULT)
    signature = check_signature(signature if isinstance(signature, str) else show(signature))
    files = _read_input(document.get("inputs"), INPUT_NAMES[signature], rest)
    return Query(signature, files, id=id, outputs=_read_outputs(document.get("outputs", [])))


def _split(body: bytes, json_length: str | None) -> tuple[dict[str, Any], bytes]:
    if json_length is None:
        return read_json(body), b""
    if not (json_length.isascii() and json_length.isdecimal()) or int(json_length) > len(body):
        raise RequestError(
            400, f"Inference-Header-Content-Length must be at most {len(body)}. Received: {show(json_length)}"
        )
    return read_json(body[: int(json_length)]), body[int(json_length) :]


def _read_input(inputs: Any, name: str, rest: bytes) -> list[bytes]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, f"inputs must be a list of one tensor, {name!r}. Received: inputs={show(inputs)}")
    tensor = inputs[0]
    shape: Any = tensor.get("shape")
    parameters = tensor.get("parameters", {})
    if tensor.get("name") != name or tensor.get("datatype") != "BYTES" or not isinstance(parameters, dict):
        raise RequestError(
            400,
            f"inputs must hold {name!r} of the datatype BYTES. Received: name={show(tensor.get('name'))}, "
            f"datatype={show(tensor.get('datatype'))}",
        )
    if (
        not isinstance(shape, list)
        or len(shape) not in (1, 2)
        or type(shape[0]) is not int
        or shape[1:] not in ([], [1])
    ):
        raise RequestError(400, f"shape of {name!r} must be [B] or [B, 1]. Received: shape={show(shape)}")
    files = _read_binary(parameters[_BINARY_SIZE], rest) if _BINARY_SIZE in parameters else _read_data(tensor, name)
    if len(files) != shape[0]:
        raise RequestError(400, f"{name!r} must hold {shape[0]} elements, as its shape says. Received: {len(files)}")
    return files


def _read_data(tensor: dict[str, Any], name: str) -> list[bytes]:
    data = tensor.get("data")
    if isinstance(data, list) and len(data) and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [row[0] for row in data]
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise RequestError(400, f"data of {name!r} must be a list of base64 text. Received: data={show(data)}")
    return [decode_base64(text) for text in data]


def _read_binary(size: Any, rest: bytes) -> list[bytes]:
    if type(size) is not int or size != len(rest):
        raise RequestError(
            400, f"{_BINARY_SIZE} must be the {len(rest)} bytes that follow the JSON. Received: {show(size)}"
        )
    files: list[bytes] = []
    start = 0
    while start < len(rest):
        if start + 4 > len(rest):
            raise RequestError(400, "binary data must be elements that each follow their length, uint32 little-endian")
        (length,) = struct.unpack_from("<I", rest, start)
        if start + 4 + length > len(rest):
            raise RequestError(400, f"binary data must hold the {length} bytes of element {len(files)}")
        files.append(rest[start + 4 : start + 4 + length])
        start += 4 + length
    return files


def _read_outputs(outputs: Any) -> tuple[str, ...]:
    if not isinstance(outputs, list) or not all(
        isinstance(output, dict) and isinstance(output.get("name"), str) for output in outputs
    ):
        raise RequestError(400, f"outputs must be a list of objects with a name. Received: outputs={show(outputs)}")
    return tuple(output["name"] for output in outputs)


def format_answer(query: Query, answer: ServedAnswer, *, name: str, version: int) -> dict[str, Any]:
    """The response to `infer`; data are flat, row by row.

    Raises:
        RequestError: an output is wanted that the signature does not have.
    """
    if unknown := [output for output in query.outputs if output not in answer]:
        raise RequestError(400, f"outputs must be of {', '.join(answer)}. Received: {', '.join(map(show, unknown))}")
    arrays = {output: np.asarray(values) for output, values in answer.items()}
    outputs = [
        {
            "name": output,
            "datatype": _datatype(array),
            "shape": list(array.shape),
            "data": to_lists(array.reshape(-1)),
        }
        for output, array in arrays.items()
        if not query.outputs or output in query.outputs
    ]
    id = {"id": query.id} if query.id else {}
    return {"model_name": name, "model_version": str(version), **id, "outputs": outputs}


def _datatype(values: np.ndarray) -> str:
    return {"f": "FP32", "b": "BOOL"}.get(values.dtype.kind, "BYTES")


def format_metadata(name: str, versions: list[int], runtime: str, num_classes: int) -> dict[str, Any]:
    """The response to a request for a model's metadata, of `serving_default`."""
    types = {"probabilities": "FP32", "prediction_set": "BOOL", "unfamiliarity": "FP32"}
    return {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": f"sperm_tf_{runtime}",
        "inputs": [{"name": INPUT_NAMES[SERVING_DEFAULT], "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": output, "datatype": types.get(output, "BYTES"), "shape": shape}
            for output, shape in output_shapes(SERVING_DEFAULT, num_classes).items()
        ],
    }
