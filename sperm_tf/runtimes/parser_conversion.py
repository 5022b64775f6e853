"""Writes the network that parses fields: its weights in half precision, and its ONNX graph."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from sperm_tf.fields.parsing import OUTPUTS
from sperm_tf.models import half_precision
from sperm_tf.models.field_parser import build_field_parser
from sperm_tf.runtimes.conversion import to_onnx
from sperm_tf.runtimes.field_parser import GRAPH_FILE, INFO_FILE, WEIGHTS_FILE
from sperm_tf.runtimes.graph import INPUT
from sperm_tf.runtimes.half_kernels import halve_kernels
from sperm_tf.whole_files import write_text


def write_parser(model: keras.Model, folder: pathlib.Path, *, training: Mapping[str, Any]) -> None:
    """Writes a trained network to a folder that `sperm_tf.runtimes.field_parser.FieldParser` opens.

    Args:
        model: of `sperm_tf.models.field_parser.build_field_parser`. What is written has its kernels rounded to half
            precision; computation is in float32.
        folder: made where it does not exist; files that are there are replaced.
        training: how the weights came about, JSON-like.

    Raises:
        ImportError: a package that converts is not installed.
        WeightsError: a weight is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    half_precision.save_weights(model, folder / WEIGHTS_FILE)
    rounded = build_field_parser(str(folder / WEIGHTS_FILE))
    (folder / GRAPH_FILE).write_bytes(_convert(rounded))
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (WEIGHTS_FILE, GRAPH_FILE)}
    info = {"training": dict(training), "sha256": digests}
    write_text(folder / INFO_FILE, json.dumps(info, indent=2) + "\n")


def _convert(model: keras.Model) -> bytes:
    """The bytes of the ONNX graph: pixels, uint8 [B, H, W, 3] -> the outputs in the order of `OUTPUTS`."""

    def parse(pixels: tf.Tensor) -> list[tf.Tensor]:
        found = model(tf.cast(pixels, tf.float32), training=False)
        return [tf.identity(found[name]) for name in OUTPUTS]

    signature = [tf.TensorSpec([None, None, None, 3], tf.uint8, name=INPUT)]
    function = tf.function(parse, input_signature=signature, autograph=False).get_concrete_function()
    graph = to_onnx(convert_variables_to_constants_v2(function), OUTPUTS)
    halve_kernels(graph.graph, [np.asarray(weight) for weight in model.weights if len(weight.shape) == 4])
    import onnx

    onnx.checker.check_model(graph)
    return graph.SerializeToString()
