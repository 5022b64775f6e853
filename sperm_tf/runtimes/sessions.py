"""Sessions of the runtimes: pixels in, the outputs of `sperm_tf.runtimes.graph.build_graph` out, without TensorFlow."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from sperm_tf.runtimes.registry import check_runtime

ROWS = 8
"""Images in one pass: more do not stay in the processor's cache."""
SMALL_ROWS = (1, 2, 4)
"""Smaller passes, for requests of few images."""
_MAX_SHAPES = 16
Session = Callable[[np.ndarray], dict[str, np.ndarray]]
"""uint8 [B, H, W, 3] -> name -> array with B rows."""


def open_session(file: pathlib.Path, runtime: str, outputs: Sequence[str], *, max_shapes: int = _MAX_SHAPES) -> Session:
    """Opens a file in a runtime, in float32 on all cores.

    Args:
        file: of a format that the runtime opens.
        runtime: of `sperm_tf.runtimes.registry.RUNTIMES`.
        outputs: names of the graph's outputs, in their order.
        max_shapes: shapes of the input for which OpenVINO keeps the graph compiled, with memory for all of its values.

    Raises:
        ImportError: the runtime is not installed.
    """
    check_runtime(runtime)
    if runtime == "openvino":
        return _open_openvino(file, outputs, max_shapes)
    return {"onnxruntime": _open_onnxruntime, "litert": _open_litert}[runtime](file, outputs)


def _open_onnxruntime(file: pathlib.Path, outputs: Sequence[str]) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Threads that wait for work would take the cores from the decoding of the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (pixels,) = [node.name for node in session.get_inputs()]
    return lambda images: dict(zip(outputs, session.run(list(outputs), {pixels: images}), strict=True))


def _open_openvino(file: pathlib.Path, outputs: Sequence[str], max_shapes: int) -> Session:
    import openvino

    core = openvino.Core()
    # Its default is bfloat16 where the processor has it, which changes decisions.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}

    @functools.lru_cache(max_shapes)
    def compiled(shape: tuple[int, ...]):
        model = core.read_model(file)
        model.reshape(shape)  # a fixed shape is faster, and the only one that graphs for fields of any size compile in
        return core.compile_model(model, "CPU", settings)

    def compute(images: np.ndarray) -> dict[str, np.ndarray]:
        found = compiled(images.shape)(images)
        return {name: np.array(found[name]) for name in outputs}  # a copy: its memory is used again

    return _in_few_sizes(compute)


def _open_litert(file: pathlib.Path, outputs: Sequence[str]) -> Session:
    import os

    from ai_edge_litert.interpreter import Interpreter

    @functools.cache
    def interpreter(num_rows: int):
        opened = Interpreter(model_path=str(file), num_threads=os.cpu_count())
        pixels = opened.get_input_details()[0]
        opened.resize_tensor_input(pixels["index"], [num_rows, *pixels["shape"][1:]])
        opened.allocate_tensors()
        return opened

    def compute(images: np.ndarray) -> dict[str, np.ndarray]:
        opened = interpreter(len(images))
        opened.set_tensor(opened.get_input_details()[0]["index"], images)
        opened.invoke()
        details = opened.get_output_details()
        return {name: opened.get_tensor(detail["index"]) for name, detail in zip(outputs, details, strict=True)}

    return _in_few_sizes(compute)


def _in_few_sizes(compute: Session) -> Session:
    """Fills batches up to a power of two or a multiple of `ROWS`: every size is compiled and kept by itself."""

    def compute_filled(images: np.ndarray) -> dict[str, np.ndarray]:
        num_rows = len(images)
        missing = next((size for size in SMALL_ROWS if size >= num_rows), num_rows + -num_rows % ROWS) - num_rows
        filled = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)]) if missing else images
        return {name: values[:num_rows] for name, values in compute(filled).items()}

    return compute_filled
