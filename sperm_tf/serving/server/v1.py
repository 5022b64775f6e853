"""The REST API of TensorFlow Serving: https://www.tensorflow.org/tfx/serving/api_rest.

Messages of errors are TensorFlow Serving's own (`tensorflow_serving/util/json_tensor.cc`), so that what is known about
them helps here as well.
"""

from __future__ import annotations

from typing import Any

from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import INPUT_NAMES, MAP_OUTPUTS, SERVING_DEFAULT
from sperm_tf.serving.server.limits import RequestError
from sperm_tf.serving.server.protocols import (
    Query,
    check_signature,
    decode_base64,
    read_json,
    show,
    to_lists,
)

_DTYPES = {"probabilities": "DT_FLOAT", "prediction_set": "DT_BOOL", "unfamiliarity": "DT_FLOAT"}


def parse(body: bytes) -> Query:
    """Reads a request to `:predict`, in the row format (`instances`) or the column format (`inputs`).

    Raises:
        RequestError: it has another form.
    """
    document = read_json(body)
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise RequestError(
            400, f"JSON Value: {show(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    signature = check_signature(signature or SERVING_DEFAULT)
    keys = [key for key in ("instances", "inputs") if key in document]
    if len(keys) != 1:
        raise RequestError(
            400,
            f"JSON Value: {show(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            "to exist"
            if keys
            else "Missing 'inputs' or 'instances' key",
        )
    read = _read_instances if keys == ["instances"] else _read_inputs
    return Query(signature, read(document[keys[0]], INPUT_NAMES[signature]), is_by_rows=keys == ["instances"])


def _read_instances(instances: Any, name: str) -> list[bytes]:
    if not isinstance(instances, list):
        raise RequestError(400, f"JSON Value: {show(instances)} Excepting 'instances' to be an list/array")
    if not instances:
        raise RequestError(400, "JSON Value: [] No values in 'instances' array")
    is_named = _is_named(instances[0])
    files = []
    for number, element in enumerate(instances):
        if _is_named(element) != is_named:
            kinds = ("object", "value/list") if is_named else ("value/list", "object")
            raise RequestError(400, f"Expecting {kinds[0]} but got {kinds[1]} at item {number} of input list")
        if is_named and set(element) != {name}:
            raise RequestError(
                400,
                f"Failed to process element: {number} of 'instances' list. JSON object: {show(element)} keys must be "
                f"equal to: {name}",
            )
        try:
            files.append(_read_value(element[name] if is_named else element))
        except RequestError as error:
            raise RequestError(
                400, f"Failed to process element: {number} of 'instances' list. Error: {error}"
            ) from None
    return files


def _read_inputs(inputs: Any, name: str) -> list[bytes]:
    if _is_named(inputs):
        if name not in inputs:
            raise RequestError(400, f"Missing named input: {name} in 'inputs' object.")
        inputs = inputs[name]
    if not isinstance(inputs, list):
        raise RequestError(400, f"{name} must have the shape [B]. Received: {show(inputs)}, which has none")
    return [_read_value(value) for value in inputs]


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _read_value(value: Any) -> bytes:
    """The bytes of `{"b64": ...}`, or of text as UTF-8."""
    if _is_base64(value):
        return decode_base64(value["b64"])
    if isinstance(value, dict):
        raise RequestError(400, f"JSON Value: {show(value)} not formatted correctly for base64 data")
    if not isinstance(value, str):
        kind = {list: "Array", bool: "Bool", type(None): "Null"}.get(type(value), "Number")
        raise RequestError(400, f"JSON Value: {show(value)} Type: {kind} is not of expected type: string")
    return value.encode("utf-8", "surrogatepass")


def format_answer(query: Query, answer: ServedAnswer) -> dict[str, Any]:
    """The response to `:predict`: `predictions`, a row for each file, or `outputs`, a column for each output."""
    columns = {name: to_lists(values) for name, values in answer.items()}
    if not query.is_by_rows:
        return {"outputs": columns}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def format_states(states: list[tuple[int, str]]) -> dict[str, Any]:
    """The response to a request for a model's state.

    Args:
        states: version, and why it cannot be served; empty where it is.
    """
    return {
        "model_version_status": [
            {
                "version": str(version),
                "state": "END" if why else "AVAILABLE",
                "status": {"error_code": "UNKNOWN" if why else "OK", "error_message": why},
            }
            for version, why in states
        ]
    }


def format_metadata(name: str, version: int, signatures: tuple[str, ...], num_classes: int) -> dict[str, Any]:
    """The response to a request for metadata; tensors have their dtype and shape, and no name in a graph."""
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {
            "signature_def": {
                "signature_def": {signature: _describe(signature, num_classes) for signature in signatures}
            }
        },
    }


def _describe(signature: str, num_classes: int) -> dict[str, Any]:
    return {
        "inputs": {INPUT_NAMES[signature]: _describe_tensor("DT_STRING", [-1])},
        "outputs": {
            name: _describe_tensor(_DTYPES.get(name, "DT_FLOAT" if name in MAP_OUTPUTS else "DT_STRING"), shape)
            for name, shape in output_shapes(signature, num_classes).items()
        },
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def _describe_tensor(dtype: str, shape: list[int]) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": ""}


def output_shapes(signature: str, num_classes: int) -> dict[str, list[int]]:
    """Output -> shape, -1 where it is free; a map that only some models have is left out."""
    from sperm_tf.served_names import (
        ANSWER_OUTPUTS,
        EXPLAIN,
        EXPLAIN_CLASSES,
        GRAD_CAM_PLUS_PLUS_PER_CLASS,
        SERVED_MAPS,
    )

    wide = ("probabilities", "class_names", "prediction_set")
    shapes = {name: [-1, num_classes] if name in wide else [-1] for name in ANSWER_OUTPUTS}
    if signature in (EXPLAIN, EXPLAIN_CLASSES):
        shapes |= {name: [-1, -1, -1] for name in SERVED_MAPS}
    if signature == EXPLAIN_CLASSES:
        shapes[GRAD_CAM_PLUS_PLUS_PER_CLASS] = [-1, num_classes, -1, -1]
    return shapes
