"""Writes a classifier for runtimes other than TensorFlow."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from sperm_tf.decision.rule import DecisionRule
from sperm_tf.runtimes.graph import INPUT, build_graph
from sperm_tf.runtimes.half_kernels import halve_kernels
from sperm_tf.runtimes.registry import GRAPH_FILES, INFO_FILE, check_runtime
from sperm_tf.served_names import LITERT, ONNX, OPENVINO
from sperm_tf.whole_files import write_text

_ONNX_OPSET = 18


def write_graph(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    format: str,
    class_names: Sequence[str],
    views: int,
    rule: DecisionRule | None,
) -> None:
    """Writes the graph of `sperm_tf.runtimes.graph.build_graph` with its class names and its decision rule.

    ONNX is written by tf2onnx, OpenVINO's files are made of that, LiteRT's by TensorFlow's converter. All
    computation is in float32; ONNX holds kernels in half precision where that loses nothing.

    Args:
        model: of `sperm_tf.models.classifier.build_classifier`; its outputs are logits.
        directory: new, or empty.
        format: of `sperm_tf.runtimes.registry.GRAPH_FILES`.
        class_names: in the order of the logits.
        views: 1 or 8, see `sperm_tf.models.views`.
        rule: None refers every image as `not_calibrated`.

    Raises:
        ValueError: the directory holds files.
        ImportError: a package that converts is not installed.
    """
    if directory.exists() and any(directory.iterdir()):
        raise ValueError(
            f"directory must be new or empty. Received: directory={str(directory)!r}, which holds files. "
            "Choose another one or remove its content"
        )
    kernels = [np.asarray(weight) for weight in model.weights if len(weight.shape) == 4]
    write_onnx: Callable[..., None] = functools.partial(_write_onnx, kernels=kernels)
    converter: Callable[..., None] = {ONNX: write_onnx, OPENVINO: _write_openvino, LITERT: _write_litert}[format]
    answer = build_graph(model, views=views, rule=rule).answer.get_concrete_function()
    directory.mkdir(parents=True, exist_ok=True)
    converter(convert_variables_to_constants_v2(answer), sorted(answer.structured_outputs), directory)
    info = {
        "format": format,
        "class_names": list(class_names),
        "image_size": model.input_shape[1],
        "views": views,
        "outputs": sorted(answer.structured_outputs),
        "sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(directory.iterdir())},
    }
    if rule is not None:
        rule.write(directory)
    write_text(directory / INFO_FILE, json.dumps(info, indent=2) + "\n")


def _write_onnx(frozen: Any, outputs: Sequence[str], directory: pathlib.Path, *, kernels: Sequence[np.ndarray]) -> None:
    model = to_onnx(frozen, outputs)  # says what to install where onnx is missing
    import onnx

    halve_kernels(model.graph, kernels)
    onnx.checker.check_model(model)
    (directory / GRAPH_FILES[ONNX]).write_bytes(model.SerializeToString())


def to_onnx(frozen: Any, outputs: Sequence[str]) -> Any:
    """An `onnx.ModelProto` of a frozen function of one input, which is renamed to `INPUT`.

    Args:
        frozen: what `convert_variables_to_constants_v2` returns.
        outputs: their names in the graph, in the order of the function's.

    Raises:
        ImportError: a package that converts is not installed.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ImportError(
            f"format 'onnx', of which 'openvino' is made, needs {error.name}, which is not installed. Run: pip install "
            "onnx tf2onnx"
        ) from error
    names = dict(zip([tensor.name for tensor in frozen.outputs], outputs, strict=True))
    (pixels,) = [tensor.name for tensor in frozen.inputs]
    with _quiet("tf2onnx", "tensorflow"):
        model, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            name="sperm_tf",
            input_names=[pixels],
            output_names=list(names),
            opset=_ONNX_OPSET,
            tensors_to_rename={pixels: INPUT, **names},
        )
    onnx.checker.check_model(model)  # operations that it does not know are left in the graph, with a log line
    return model


@contextlib.contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Drops what converters log, such as advice to programmers."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _write_openvino(frozen: Any, outputs: Sequence[str], directory: pathlib.Path) -> None:
    check_runtime("openvino")
    import openvino

    model = openvino.Core().read_model(to_onnx(frozen, outputs).SerializeToString())
    openvino.save_model(model, directory / GRAPH_FILES[OPENVINO], compress_to_fp16=False)


def _write_litert(frozen: Any, outputs: Sequence[str], directory: pathlib.Path) -> None:
    del outputs  # a .tflite file made of a function numbers its outputs
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], frozen)
    (directory / GRAPH_FILES[LITERT]).write_bytes(converter.convert())
