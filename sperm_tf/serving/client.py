"""A client of TensorFlow Serving, over REST or gRPC.

    python -m sperm_tf.serving.client --target=http://localhost:8501 --model_name=sperm_smids image.bmp

REST needs NumPy and Pillow, overlays Matplotlib, too; gRPC needs grpcio and tensorflow-serving-api.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import dataclasses
import http.client
import json
import math
import pathlib
import sys
import urllib.parse
from collections.abc import Sequence

import numpy as np

from sperm_tf.probabilities import write_probability
from sperm_tf.served_names import (
    ACCEPT,
    EXPLAIN,
    EXPLAIN_CLASSES,
    OK,
    SERVING_DEFAULT,
    SHOWN_MAP,
    UNREADABLE,
)
from sperm_tf.serving import replies, rest_transport
from sperm_tf.serving.files import RAISE, ROWS, File, batches, name_of, read_file
from sperm_tf.serving.prediction import Prediction, Predictions

SIGNATURES = (SERVING_DEFAULT, EXPLAIN, EXPLAIN_CLASSES)
TRANSPORTS = ("rest", "grpc")
MAX_REQUEST_IMAGES = 8
"""Images in one request: the `max_batch_size` of deploy/tf_serving/batching_parameters.txt. TensorFlow Serving refuses
requests with more."""
MAX_EXPLAIN_IMAGES = 4
"""Images in one request to explain: of a model with eight views each costs some ten times as much as an answer, and the
server gives a request up after the `rest_api_timeout_in_ms` of deploy/tf_serving/docker-compose.yml."""


_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a reply of another form raises."""
_MAX_ELEMENTS = 1 << 24
"""Values of all outputs, and bytes of the text in them: a protocol buffer may declare more than memory holds in a few
bytes, since a value that is stored once stands for all of an output."""


class ServingError(RuntimeError):
    """The server could not be reached, refused, or returned no prediction; the message says which, and what to do."""


@dataclasses.dataclass(frozen=True)
class _ServedModel:
    target: str
    name: str
    version: int | None
    label: str | None

    def __str__(self):
        version = "" if self.version is None else f" version {self.version}"
        label = "" if self.label is None else f" label {self.label!r}"
        return f"model {self.name!r}{version}{label} at {self.target}"


def predict(
    files: Sequence[File] | File,
    *,
    target: str,
    model_name: str,
    signature: str = SERVING_DEFAULT,
    version: int | None = None,
    label: str | None = None,
    transport: str = "rest",
    timeout_s: float = 30.0,
    errors: str = RAISE,
) -> Predictions:
    """Predicts images by a server, a few in one request, one request after the other.

    A request holds up to `MAX_REQUEST_IMAGES`, or `MAX_EXPLAIN_IMAGES` for maps.

    Args:
        files: as for `sperm_tf.serving.classifier.Classifier.predict`: paths, bytes, open files or pixels. One that
            the operating system does not hand out is reported, and the others are asked about.
        target: the server: `http://host:8501` (or `https://...`; without either, `http://`) for REST, `host:8500` for
            gRPC.
        model_name: name under which the model is served.
        signature: `serving_default`, `explain` for maps too, or `explain_classes` for Grad-CAM++ of every class.
        version: an integer; None leaves the choice to the server, which takes the newest.
        label: a version label such as `stable`; not together with a version.
        transport: `rest` or `grpc`.
        timeout_s: seconds for each request, from its first byte to the last one of the reply.
        errors: `raise`, or `rows`: a path that names no file becomes a row `unreadable`.

    Returns:
        One prediction for each file, in their order.

    Raises:
        ValueError: an argument is invalid.
        TypeError: a file is something else.
        FileNotFoundError: a path names nothing, or is a pattern or an address; nobody was asked.
        IsADirectoryError: a path names a folder.
        ServingError: no server answers, it refuses, or what it returns is no prediction: probabilities that are not
            finite, not in 0-1 or do not sum to 1; another class than the most probable; a decision that disagrees with
            its reason or its status.
        ImportError: gRPC is asked for and not installed.
    """
    _check_choice("signature", signature, SIGNATURES)
    _check_choice("transport", transport, TRANSPORTS)
    if version is not None and label is not None:
        raise ValueError(
            f"version or label must be None. Received: version={version}, label={label!r}. Name the version in one way"
        )
    model = _ServedModel(target, model_name, version, label)
    ask = _ask_rest if transport == "rest" else _ask_grpc
    predictions = Predictions()
    request_size = MAX_REQUEST_IMAGES if signature == SERVING_DEFAULT else MAX_EXPLAIN_IMAGES
    for batch in batches(files, request_size, errors=errors):
        contents = [read_file(file) for file in batch]
        readable = [content for content in contents if content is not None]
        try:
            answered = ask(readable, model, signature, timeout_s) if readable else []
        except _FAULTS as error:
            raise ServingError(
                f"{model} returned no prediction ({str(error) or error!r}). Serve a model that sperm_tf exported"
            ) from error
        if len(answered) != len(readable):
            raise ServingError(
                f"{model} answered {len(answered)} rows to {len(readable)} images. "
                "Serve a SavedModel that sperm_tf exported"
            )
        answers = iter(answered)
        for file, content in zip(batch, contents, strict=True):
            answer = Prediction("", UNREADABLE) if content is None else next(answers)
            predictions.append(dataclasses.replace(answer, file=name_of(file)))
    return predictions


def _ask_rest(files, model, signature, timeout_s):
    """TensorFlow Serving's row format: an instance of a signature's only input stands for itself, without its name."""
    server = model.target if "://" in model.target else f"http://{model.target}"
    url = f"{server.rstrip('/')}/v1/models/{urllib.parse.quote(model.name)}"
    if model.version is not None:
        url += f"/versions/{model.version}"
    if model.label is not None:
        url += f"/labels/{urllib.parse.quote(model.label)}"
    instances = [{"b64": base64.b64encode(file).decode("ascii")} for file in files]
    body = json.dumps({"signature_name": signature, "instances": instances}).encode()
    try:
        content = rest_transport.post(f"{url}:predict", body, timeout_s=timeout_s)
    except rest_transport.RefusedError as error:
        retry = f" It asks to try again after {error.retry_after} s." if error.retry_after else ""
        raise ServingError(
            f"{model} refused with HTTP {error.code}: {error.detail.rstrip('. ')}.{retry} {_remedy(url)}"
        ) from error
    # No connection, no time left, a bad URL; or what replies does not speak HTTP.
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ServingError(f"{model} gave no answer within {timeout_s} s: {error!r}. {_remedy(url)}") from error
    rows = json.loads(content)["predictions"]
    if not isinstance(rows, list):
        raise TypeError(f"predictions must be a list. Received: {type(rows).__name__}")
    return [_read_row(number, row) for number, row in enumerate(rows)]


def _read_row(number, row):
    try:
        return replies.read_row(row)
    except replies.ReplyError as error:
        raise ValueError(f"row {number}: {error}") from error


def _remedy(url):
    return f"Check that the model's state is AVAILABLE: curl {url}. If it is, give it more time with timeout_s"


def _ask_grpc(files, model, signature, timeout_s):
    try:
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise ImportError(
            "transport='grpc' needs grpcio and tensorflow-serving-api. Install them with: "
            "pip install grpcio tensorflow-serving-api, or use transport='rest'"
        ) from error
    import tensorflow as tf

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model.name
    request.model_spec.signature_name = signature
    if model.version is not None:
        request.model_spec.version.value = model.version
    if model.label is not None:
        request.model_spec.version_label = model.label
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(files, dtype=tf.string))
    limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", rest_transport.MAX_REPLY_BYTES)]
    with grpc.insecure_channel(model.target, options=limits) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            response = stub.Predict(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise ServingError(
                f"{model} refused with {error.code().name}: {error.details()}. "
                "Check that the server is up, that the port is the one for gRPC, and that the model is loaded, or give "
                "it more time with timeout_s"
            ) from error
    return parse_response(response)


def parse_response(response) -> list[Prediction]:
    """Reads the protocol buffer that TensorFlow Serving returns over gRPC.

    Args:
        response: `tensorflow_serving.apis.predict_pb2.PredictResponse` to a request with any signature.

    Returns:
        One prediction for each row.

    Raises:
        KeyError: there is no `status`.
        ValueError: a row is no prediction, an output holds fewer rows than another, or the outputs hold more values
            than they can.
    """
    import tensorflow as tf

    _check_size(response.outputs)
    outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    outputs = {
        name: np.char.decode(value.astype(bytes), "utf-8") if value.dtype == object else value
        for name, value in outputs.items()
    }
    if any(not value.ndim or len(value) != len(outputs["status"]) for value in outputs.values()):
        raise ValueError(f"every output must have {len(outputs['status'])} rows, as status has")
    return [
        _read_row(number, {name: value[number] for name, value in outputs.items()})
        for number in range(len(outputs["status"]))
    ]


def _check_size(outputs):
    """Refuses protocol buffers that would fill the memory when they are read."""
    total = 0
    for name, proto in outputs.items():
        longest = max(map(len, proto.string_val), default=1)  # NumPy gives every text as much room as the longest
        total += math.prod(dimension.size for dimension in proto.tensor_shape.dim) * max(1, longest)
        if min((dimension.size for dimension in proto.tensor_shape.dim), default=0) < 0 or total > _MAX_ELEMENTS:
            raise ValueError(
                f"the outputs must hold at most {_MAX_ELEMENTS:,} values. Received: {name} of the shape "
                f"{[dimension.size for dimension in proto.tensor_shape.dim]}"
            )


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}. Received: {name}={value!r}")


def format_table(predictions: Sequence[Prediction]) -> str:
    """Lines for a terminal, one for each image: the decision, then the classes sorted by probability."""
    width = max((len(prediction.file) for prediction in predictions), default=0)
    lines = []
    for prediction in predictions:
        ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
        shown = "  ".join(f"{class_name} {write_probability(probability)}" for class_name, probability in ranked)
        decided = prediction.decision if prediction.decision == ACCEPT else f"refer ({prediction.reason})"
        lines.append(f"{prediction.file:<{width}}  {decided:<22}  {shown or 'not read: ' + prediction.status}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status, 1 when an image could not be read and 2 when no response came."""
    parser = argparse.ArgumentParser(prog="python -m sperm_tf.serving.client", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", help="paths of image files: PNG, JPEG, BMP, GIF, TIFF, DICOM, CZI or ND2")
    parser.add_argument("--target", required=True, help="REST: http://host:8501 or host:8501; gRPC: host:8500")
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--version", type=int)
    parser.add_argument("--label", help="version label, such as stable")
    parser.add_argument("--transport", choices=TRANSPORTS, default="rest")
    parser.add_argument("--timeout_s", type=float, default=30.0)
    parser.add_argument("--overlays", type=pathlib.Path, metavar="FOLDER", help="ask for maps, too, and draw them here")
    options = vars(parser.parse_args(arguments))
    overlays = options.pop("overlays")
    try:
        predictions = predict(**options, signature=EXPLAIN if overlays else SERVING_DEFAULT, errors=ROWS)
        print(format_table(predictions))
        if overlays:
            _draw_overlays(predictions, overlays)
    except (ServingError, ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return int(any(prediction.status != OK for prediction in predictions))


def _draw_overlays(predictions: Sequence[Prediction], folder: pathlib.Path) -> None:
    """One picture for each image with a prediction, numbered as on the command line."""
    from sperm_tf.data.decode import UndecodableImageError
    from sperm_tf.explain.overlay import save_overlay

    for number, prediction in enumerate(predictions, start=1):
        if prediction.status != OK:
            continue
        if SHOWN_MAP not in prediction.maps:
            raise ServingError(
                f"the model must serve the map {SHOWN_MAP!r} where overlays are asked for. Received: an older one "
                "without. Export it again with this version of sperm_tf, or ask for none."
            )
        path = pathlib.Path(prediction.file)
        stem = path.stem.encode()[:80].decode(errors="ignore")
        # A model of another version may take what this one refuses.
        with contextlib.suppress(UndecodableImageError):
            save_overlay(read_file(path) or b"", prediction.maps[SHOWN_MAP], folder / f"{number:03d}_{stem}.png")


if __name__ == "__main__":
    sys.exit(main())
