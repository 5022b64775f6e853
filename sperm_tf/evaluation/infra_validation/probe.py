"""Queries a SavedModel in a process that has TensorFlow and nothing of ours: `python -I probe.py request.json`.

A script, and deliberately alone: it imports nothing of this project and forbids it to be imported, so that what
answers here answers in TensorFlow Serving. The request is JSON: `saved_model` (directory), `image_bytes` and `examples`
(base64), `answers` (file to write), `forbidden` (top-level packages).
"""

from __future__ import annotations

import base64
import importlib
import importlib.abc
import importlib.machinery
import json
import pathlib
import sys
import time

SIGNATURES = {
    "serving_default": "image_bytes",
    "serving_examples": "examples",
    "explain": "image_bytes",
    "explain_classes": "image_bytes",
}


class _Forbid(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes packages impossible to import, installed or not."""

    def __init__(self, packages):
        self._packages = frozenset(packages)

    def find_spec(self, fullname, path=None, target=None):
        del path, target
        if fullname.partition(".")[0] in self._packages:  # found, since TensorFlow looks for keras without importing it
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def exec_module(self, module):
        raise ModuleNotFoundError(f"{module.__name__} must not be needed to serve the model", name=module.__name__)


def _describe(value):
    """Type, shape and content of one output; maps are summed up, since nobody reads them here."""
    import numpy as np

    described = {"dtype": "string" if value.dtype == object else value.dtype.name, "shape": list(value.shape)}
    if value.dtype == object:
        described["values"] = [item.decode("utf-8", "replace") for item in value.ravel().tolist()]
        return described
    finite = np.isfinite(value)
    described["all_finite"] = bool(finite.all())
    described["min"], described["max"] = (
        (float(value[finite].min()), float(value[finite].max())) if finite.any() else (0.0, 0.0)
    )
    if value.ndim <= 2:
        described["values"] = np.where(finite, value, -1.0).tolist()
    return described


def _query(signature, rows):
    """Outputs and seconds of the first call, which also optimises the graph, and of the second."""
    import tensorflow as tf

    batch = tf.constant(rows, tf.string)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        outputs = {name: value.numpy() for name, value in signature(batch).items()}
        seconds.append(round(time.perf_counter() - start, 4))
    described = {name: _describe(value) for name, value in sorted(outputs.items())}
    return {"outputs": described, "first_call_s": seconds[0], "second_call_s": seconds[1]}


def _importable(packages):
    """Those of `packages` that can be imported here, which should be none."""
    found = []
    for name in packages:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        found.append(name)
    return found


def main(request_file):
    """Loads, predicts and writes the outputs; whatever goes wrong ends the process with a traceback."""
    request = json.loads(pathlib.Path(request_file).read_text(encoding="utf-8"))
    sys.meta_path.insert(0, _Forbid(request["forbidden"]))
    import tensorflow as tf

    start = time.perf_counter()
    model = tf.saved_model.load(request["saved_model"])
    answers = {"load_s": round(time.perf_counter() - start, 3), "tensorflow": tf.__version__, "signatures": {}}
    for name, field in SIGNATURES.items():
        if name in model.signatures:
            rows = [base64.b64decode(row) for row in request[field]]
            answers["signatures"][name] = _query(model.signatures[name], rows)
    answers["importable"] = _importable(request["forbidden"])
    pathlib.Path(request["answers"]).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
