"""The formats that a classifier is exported to, and the runtimes that open them. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import importlib.util

from sperm_tf.config_checks import check_choice
from sperm_tf.served_names import LITERT, ONNX, OPENVINO

TENSORFLOW = "tensorflow"
GRAPH_FILES = {ONNX: "model.onnx", OPENVINO: "model.xml", LITERT: "model.tflite"}
"""Format -> the file that a runtime opens; OpenVINO's weights lie beside it in `model.bin`."""
INFO_FILE = "model.json"
"""What lies beside a graph: format, class names, image size, views, outputs, and the SHA-256 of every file."""


@dataclasses.dataclass(frozen=True)
class Runtime:
    """A package that computes a network's predictions.

    Attributes:
        module: its import name.
        distribution: what pip installs.
        formats: of `GRAPH_FILES`, those that it opens; the first is the one that a model is converted to for it.
    """

    module: str
    distribution: str
    formats: tuple[str, ...]


RUNTIMES = {
    "openvino": Runtime("openvino", "openvino", (ONNX, OPENVINO)),
    "onnxruntime": Runtime("onnxruntime", "onnxruntime", (ONNX,)),
    "litert": Runtime("ai_edge_litert", "ai-edge-litert", (LITERT,)),
}
"""Name -> runtime, in order of preference; their rates hardly differ (`python -m benchmarks.runtimes`)."""


def check_runtime(name: str) -> Runtime:
    """The entry of a runtime that is installed.

    Raises:
        ValueError: there is no such runtime.
        ImportError: its package is not installed.
    """
    check_choice("runtime", name, (TENSORFLOW, *RUNTIMES))
    runtime = RUNTIMES[name]
    if not is_installed(name):
        raise ImportError(
            f"runtime {name!r} needs {runtime.distribution}, which is not installed. Run: pip install "
            f"{runtime.distribution}"
        )
    return runtime


def is_installed(name: str) -> bool:
    """Whether the package of a runtime is there."""
    return importlib.util.find_spec(RUNTIMES[name].module) is not None


def runtime_for(format: str) -> str | None:
    """The first of `RUNTIMES` that is installed and opens a format; None where none does.

    Args:
        format: of `GRAPH_FILES`.
    """
    return next((name for name, entry in RUNTIMES.items() if format in entry.formats and is_installed(name)), None)
