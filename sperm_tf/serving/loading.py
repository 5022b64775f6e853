"""Opens trained classifiers: released ones by name, others by their file or folder."""

from __future__ import annotations

import atexit
import os
import pathlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

from sperm_tf.runtimes.registry import TENSORFLOW, check_runtime
from sperm_tf.served_names import ONNX
from sperm_tf.serving.sources import MODEL_FILE, describe_unknown, find_release, is_trained_model

if TYPE_CHECKING:
    from sperm_tf.serving.classifier import Classifier
    from sperm_tf.serving.runtime_classifier import RuntimeClassifier


@overload
def load_model(
    source: str | os.PathLike[str], *, class_names: Sequence[str] | None = None, runtime: Literal["tensorflow"] = ...
) -> Classifier: ...


@overload
def load_model(
    source: str | os.PathLike[str], *, class_names: Sequence[str] | None = None, runtime: str
) -> Classifier | RuntimeClassifier: ...


def load_model(
    source: str | os.PathLike[str], *, class_names: Sequence[str] | None = None, runtime: str = TENSORFLOW
) -> Classifier | RuntimeClassifier:
    """Opens a trained classifier; needs no network.

    Args:
        source: name of a model that is released with this package (`smids`, `hushem`; `smids@1` is an earlier version);
            or the path of a released `.npz`, with its manifest beside it; or of a folder that the Calibrator wrote, or
            the Trainer, whose models have no decision rule; or of a `.keras` file. Rule and views are taken up with the
            folder, or with the `model.keras` in it; another `.keras` file has none, whatever lies beside it. With
            another runtime than TensorFlow also a folder that `Classifier.export` wrote in a format that it opens.
        class_names: in the order of the logits, for a `.keras` file that is no `model.keras` with its `model.json`
            beside it. Released models know theirs.
        runtime: `tensorflow`, or one of `sperm_tf.runtimes.registry.RUNTIMES`, which predicts the same and does not
            explain. Folders that `Classifier.export` wrote, and releases with a graph of that format, open without
            TensorFlow; others are converted first.

    Returns:
        A `Classifier`; with another runtime than TensorFlow a `RuntimeClassifier`.

    Raises:
        ValueError: there is no such model or runtime, other class names are given than its own, a file is missing or
            damaged, the rule is that of another model, or its class names are not known.
        ImportError: the runtime, or what converts the model for it, is not installed.
    """
    if runtime != TENSORFLOW:
        return _open_runtime(source, class_names, runtime)
    from sperm_tf.serving import keras_loading

    path = pathlib.Path(source).expanduser()
    if is_trained_model(source):
        return keras_loading.load_keras_file(path / MODEL_FILE if path.is_dir() else path, class_names)
    if release := find_release(source):
        return keras_loading.load_release(release, class_names)
    raise ValueError(describe_unknown(source))


def _open_runtime(source: str | os.PathLike[str], class_names: Sequence[str] | None, runtime: str) -> RuntimeClassifier:
    from sperm_tf.runtimes.model import RuntimeModel, is_exported
    from sperm_tf.serving.runtime_classifier import RuntimeClassifier

    formats = check_runtime(runtime).formats
    if is_exported(pathlib.Path(source).expanduser()):
        return RuntimeClassifier(RuntimeModel(pathlib.Path(source).expanduser(), runtime))
    release = None if is_trained_model(source) else find_release(source)
    if release is None and not is_trained_model(source):
        raise ValueError(describe_unknown(source))
    card = release.read_card() if release else ""
    if release is not None and release.graph and ONNX in formats and not class_names:
        return RuntimeClassifier(RuntimeModel(release.verify_graph(), runtime), card)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sperm_tf-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def export(target: pathlib.Path) -> None:
        load_model(source, class_names=class_names).export(target, format=formats[0])

    if release is None or class_names:
        export(folder / formats[0])
    else:
        from sperm_tf.serving.export_cache import copy_export

        copy_export(release, folder / formats[0], export, format=formats[0])
    return RuntimeClassifier(RuntimeModel(folder / formats[0], runtime), card)
