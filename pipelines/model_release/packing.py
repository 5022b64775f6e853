"""What a release is made of: weights in half precision, the decision rule, and what is known of the training."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING, Any

from pipelines.orchestration.artifacts import ARTIFACT_FILE
from sperm_tf.file_digests import digest_file
from sperm_tf.models import released
from sperm_tf.models.errors import WeightsError
from sperm_tf.served_names import ONNX

if TYPE_CHECKING:
    import keras

    from sperm_tf.serving.classifier import Classifier

MAX_BYTES = 10_000_000
_RECORDED = ("num_images", "producer", "properties", "versions")


class ReleaseError(ValueError):
    """A model that cannot be released."""


def pack(
    classifier: Classifier, *, name: str, dataset: str, training: dict[str, Any], folder: pathlib.Path
) -> released.Release:
    """Writes the weights of a classifier.

    Args:
        classifier: what to release.
        name: of the release.
        dataset: what it was trained on.
        training: how the weights came about.
        folder: where the file goes.

    Raises:
        ReleaseError: the file is larger than `MAX_BYTES`, or the model is none of this package.
        WeightsError: a weight does not fit half precision.
    """
    from sperm_tf.models import half_precision

    recipe = training.get("recipe", {})
    config = dataclasses.asdict(_architecture(classifier.keras_model))
    weights = recipe.get("model", {}).get("weights", "none")
    initial = "" if weights in released.WITHOUT_FILE else _identify(weights)
    config["weights"] = weights if "/" not in weights else pathlib.Path(weights).name  # not the path on this machine
    if "model" in recipe:
        training["recipe"] = {**recipe, "model": {**recipe["model"], "weights": config["weights"]}}
    path = folder / f"{name}{released.RELEASE_SUFFIX}"
    half_precision.save_weights(classifier.keras_model, path)
    if classifier.rule is not None:
        (folder / name).mkdir()
        classifier.rule.write(folder / name)
    num_bytes = path.stat().st_size
    if num_bytes > MAX_BYTES:
        raise ReleaseError(f"weights must be at most {MAX_BYTES:,} bytes. Received: {num_bytes:,} bytes of {name!r}.")
    return released.Release(
        name=name,
        file=path.name,
        sha256=digest_file(path),
        num_bytes=num_bytes,
        model=released.parse_model_config(config),
        class_names=classifier.class_names,
        image_size=classifier.image_size,
        views=classifier.views,
        training=training,
        folder=folder,
        rule={file.name: digest_file(file) for file in sorted((folder / name).glob("*"))},
        dataset=dataset,
        initial_sha256=initial,
    )


def pack_graph(packed: released.Release) -> released.Release:
    """Writes the ONNX graph of a packed model beside its decision rule; a model without a rule gets none.

    Args:
        packed: of `pack`; its weights in half precision are those of the graph, in float32.

    Returns:
        The release with the digests of the graph's files.
    """
    if not packed.rule:
        return packed
    from sperm_tf.runtimes.registry import GRAPH_FILES, INFO_FILE
    from sperm_tf.serving.keras_loading import load_release

    folder = packed.folder / f"{packed.name}_graph"
    load_release(packed, None).export(folder, format=ONNX)
    for name in (GRAPH_FILES[ONNX], INFO_FILE):
        (folder / name).replace(packed.folder / packed.name / name)
    digests = {name: digest_file(packed.folder / packed.name / name) for name in (GRAPH_FILES[ONNX], INFO_FILE)}
    return dataclasses.replace(packed, graph=digests)


def _identify(weights: str) -> str:
    """SHA-256 of initial weights; empty where their file is gone since the training."""
    try:
        return released.identify_weights(weights)
    except WeightsError:
        return ""


def describe_training(folder: pathlib.Path, further: str) -> dict[str, Any]:
    """What is known about a training.

    Args:
        folder: holds the model; and where a component trained it, `model.json` and `artifact.json`.
        further: path of a JSON file with an object; empty for none.

    Raises:
        ReleaseError: the file is no JSON object.
    """
    info, artifact = _read_object(folder, "model.json"), _read_object(folder, ARTIFACT_FILE)
    training: dict[str, Any] = {"recipe": info["config"]} if "config" in info else {}
    training |= {name: source[name] for source in (info, artifact) for name in _RECORDED if name in source}
    if further:
        path = pathlib.Path(further)
        training |= _read_object(path.parent, path.name, required=True)
    return training


def _architecture(model: keras.Model) -> Any:
    """The configuration that builds a model, read from the model itself."""
    import keras

    from sperm_tf.config import ModelConfig
    from sperm_tf.models.registry import BACKBONES

    if model.name not in BACKBONES:
        raise ReleaseError(
            f"model must be one of {', '.join(BACKBONES)}. Received: model.name={model.name!r}. Build it with "
            "sperm_tf.models.classifier.build_classifier."
        )
    fields: dict[str, Any] = {"name": model.name, "dropout": model.get_layer("dropout").rate}
    if attention := [layer for layer in model.layers if layer.name.startswith("cbam_")]:
        fields["cbam_after"] = tuple(layer.name.removeprefix("cbam_") for layer in attention)
        fields["reduction"] = attention[0].reduction
    if norms := [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]:
        fields["norm_momentum"] = norms[0].momentum
    return ModelConfig(**fields, white_point=any(layer.name == "white_point" for layer in model.layers))


def _read_object(folder: pathlib.Path, name: str, *, required: bool = False) -> dict[str, Any]:
    path = folder / name
    if not required and not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReleaseError(f"{name} must hold a JSON object. Received: {str(path)!r}: {error}. Correct it.") from error
    if not isinstance(content, dict):
        raise ReleaseError(f"{name} must hold a JSON object. Received: {str(path)!r} with {type(content).__name__}.")
    return content
