"""Opens a version: the fastest installed runtime for which a graph lies ready, or what was asked for."""

from __future__ import annotations

import atexit
import pathlib
import shutil
import tempfile

import numpy as np

from sperm_tf.models.released import Release
from sperm_tf.runtimes.model import RuntimeModel, graph_format, is_exported
from sperm_tf.runtimes.registry import GRAPH_FILES, RUNTIMES, TENSORFLOW, check_runtime, is_installed
from sperm_tf.runtimes.sessions import SMALL_ROWS
from sperm_tf.served_names import ONNX, SERVING_DEFAULT
from sperm_tf.serving.server.backends import Backend, GraphBackend, Opened, SavedModel
from sperm_tf.serving.sources import EXTRA

FASTEST = "fastest"
"""The first of `sperm_tf.runtimes.registry.RUNTIMES` that is installed and opens the model without a conversion, as
`python -m pipelines.score` takes it; TensorFlow where there is none."""
_SAVED_MODEL_FILE = "saved_model.pb"


def is_version(folder: pathlib.Path) -> bool:
    """Whether a folder holds a SavedModel, or a graph that `sperm_tf.Classifier.export` wrote."""
    return (folder / _SAVED_MODEL_FILE).is_file() or is_exported(folder)


def open_folder(folder: pathlib.Path, runtime: str, *, warm_up: int) -> Opened:
    """Opens a version of a serving folder.

    Args:
        folder: a SavedModel, which may hold graphs in `assets.extra/<format>`; or a graph.
        runtime: `FASTEST`, `tensorflow`, or one of `sperm_tf.runtimes.registry.RUNTIMES`.
        warm_up: rows of the largest batch, which is computed once.

    Raises:
        ValueError: the folder holds nothing that the runtime opens, it is damaged, or it predicts nothing finite.
        ImportError: the runtime is not installed.
    """
    has_saved_model = (folder / _SAVED_MODEL_FILE).is_file()
    saved_model = SavedModel(lambda: folder) if has_saved_model else None
    graphs = [folder] if is_exported(folder) else []
    graphs += [folder / EXTRA / format for format in GRAPH_FILES if is_exported(folder / EXTRA / format)]
    name, graph = _choose(runtime, {graph_format(graph): graph for graph in graphs})
    if graph is None and saved_model is None:
        raise ValueError(
            f"model must be one that an installed runtime opens. Received: {str(folder)!r} with graphs for "
            f"{', '.join(map(graph_format, graphs))}. Install one of {', '.join(RUNTIMES)}, or export it again."
        )
    return _open(name, RuntimeModel(graph, name) if graph else None, saved_model, warm_up)


def open_release(release: Release, runtime: str, *, warm_up: int) -> Opened:
    """Opens a released model; its SavedModel is exported, and kept in the cache, when it is needed.

    Args:
        release: the model.
        runtime: as for `open_folder`; a runtime that is named and has no graph of the release converts it.
        warm_up: as for `open_folder`.

    Raises:
        ValueError: a file of the release is damaged.
        ImportError: the runtime, or what converts for it, is not installed.
    """
    saved_model = SavedModel(lambda: _export(release))
    name, graph = _choose(runtime, {ONNX: release.verify_graph()} if release.graph else {}, may_convert=True)
    if name == TENSORFLOW:
        return _open(name, None, saved_model, warm_up)
    if graph is not None:
        return _open(name, RuntimeModel(graph, name), saved_model, warm_up)
    from sperm_tf.serving.loading import load_model
    from sperm_tf.serving.runtime_classifier import RuntimeClassifier

    classifier = load_model(release.path, runtime=name)
    assert isinstance(classifier, RuntimeClassifier)
    return _open(name, classifier.model, saved_model, warm_up)


def _choose(
    runtime: str, graphs: dict[str, pathlib.Path], *, may_convert: bool = False
) -> tuple[str, pathlib.Path | None]:
    """The name of a runtime, and the graph that it opens; None where that is the SavedModel's, or to be converted."""
    if runtime == TENSORFLOW:
        return TENSORFLOW, None
    names = [name for name in RUNTIMES if is_installed(name)] if runtime == FASTEST else [runtime]
    for name in names:
        for format in check_runtime(name).formats:
            if format in graphs:
                return name, graphs[format]
    if runtime == FASTEST or may_convert:
        return (TENSORFLOW if runtime == FASTEST else runtime), None
    raise ValueError(
        f"runtime must be one that opens the model. Received: runtime={runtime!r}, and there are graphs for "
        f"{', '.join(graphs) or 'nothing'}. Push with --config.pusher.formats={RUNTIMES[runtime].formats[0]}, or take "
        f"another runtime."
    )


def _open(name: str, model: RuntimeModel | None, saved_model: SavedModel | None, warm_up: int) -> Opened:
    backend: Backend
    if model is not None:
        backend, class_names = GraphBackend(model), model.class_names
    else:
        assert saved_model is not None
        backend = saved_model.open(SERVING_DEFAULT)
        class_names = tuple(name.decode() for name in backend.predict([[b""]])["class_names"][0])
    _warm_up(backend, warm_up)
    return Opened(backend, name, class_names, saved_model)


def _warm_up(backend: Backend, num_rows: int) -> None:
    """Computes what is compiled for the first request, and sees whether anything finite comes out."""
    from sperm_tf.data.decode import encode_png

    image = encode_png(np.full([64, 64, 3], 127, np.uint8))
    for rows in sorted({*(size for size in SMALL_ROWS if size < num_rows), num_rows}):
        probabilities = backend.predict([backend.prepare([image] * rows)])["probabilities"]
        if not np.isfinite(probabilities).all():
            raise ValueError(
                f"model must predict finite probabilities. Received: {probabilities[0].tolist()} for a grey image. Its "
                "weights are damaged, or it was converted wrongly: export it again."
            )


def _export(release: Release) -> pathlib.Path:
    from sperm_tf.serving.export_cache import copy_export

    folder = pathlib.Path(tempfile.mkdtemp(prefix="sperm_tf-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def export(target: pathlib.Path) -> None:
        from sperm_tf.serving.loading import load_model

        load_model(release.path).export(target)

    copy_export(release, folder / "saved_model", export)
    return folder / "saved_model"
