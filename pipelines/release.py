"""Packs a trained model into half precision, with its entry in the manifest and its model card."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from pipelines.artifacts import ARTIFACT_FILE, digest_file
from pipelines.flags import HELP_FLAGS, FlagError, parse_own
from sperm_tf.models import released

if TYPE_CHECKING:
    import keras
    import numpy as np

    from sperm_tf.serving.classifier import Classifier

USAGE = """Packs a trained model into half precision, with its entry in the manifest and its model card.

  python -m pipelines.release --name=smids --model=runs/smids/FinalCalibrator/<fingerprint>
  python -m pipelines.release --name=smids --model=model.keras --class_names=normal,abnormal,non-sperm

Flags:
  --name=NAME                       name of the release: smids, hushem, synthetic, or one of your own
  --model=DIR|FILE                  folder that the Calibrator or the FinalCalibrator wrote, or the Trainer, whose
                                    models have no decision rule; or a .keras file
  --class_names=A,B,...             in the order of the logits; for a .keras file without a model.json beside it
  --dataset=NAME                    what it was trained on; default: the name of the release
  --views=1|8                       what an answer is averaged over; default: as in model.json, or 1
  --training=FILE                   JSON file with an object: how the weights came about, beyond what the folder says
  --images=DIR                      images to compare the precisions on; default: drawn ones
  --released_dir=DIR                default: sperm_tf/released of this installation
  --cards_dir=docs/model_cards      where the model card goes, too
  --results_dir=docs/results        where the figures of the cross-validation lie
"""
MAX_BYTES = 10_000_000
MAX_DIFFERENCE = 0.1
"""Of a probability, by half precision. More means that the numbers do not fit float16."""
_NUM_IMAGES = 16
_RECORDED = ("num_images", "producer", "properties", "versions")
_DATASETS = {"synthetic": "synthetic_sperm"}
_IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


class ReleaseError(ValueError):
    """A model that cannot be released."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far half precision moved the answers.

    Attributes:
        num_images: number of images that were compared.
        images: where they came from.
        max_probability_difference: largest change of a probability, 0-1.
        num_changed_classes: images whose most probable class changed.
    """

    num_images: int
    images: str
    max_probability_difference: float
    num_changed_classes: int


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to a release.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when the model was released, 1 when it was refused, 2 for a wrong flag.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in HELP_FLAGS for argument in argv[1:]):
        print(USAGE, end="")
        return 0
    values = _define_flags()
    try:
        parse_own(values, argv)
    except FlagError as error:
        print(f"pipelines.release: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow
    try:
        _run(values)
    except (ValueError, OSError) as error:
        print(f"pipelines.release: {error}", file=sys.stderr)
        return 1
    return 0


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for name, default, required in (
        ("name", None, True),
        ("model", None, True),
        ("dataset", "", False),
        ("training", "", False),
        ("images", "", False),
        ("released_dir", str(released.RELEASED_DIR), False),
        ("cards_dir", "docs/model_cards", False),
        ("results_dir", "docs/results", False),
    ):
        flags.DEFINE_string(name, default, "see USAGE", required=required, flag_values=values)
    flags.DEFINE_list("class_names", [], "see USAGE", flag_values=values)
    flags.DEFINE_enum("views", None, ["1", "8"], "see USAGE", flag_values=values)
    return values


def _run(values: flags.FlagValues) -> None:
    from pipelines import release_card

    if not values.name.isidentifier():
        raise ReleaseError(f"name must be made of letters, digits and underscores. Received: name={values.name!r}.")
    model_path = pathlib.Path(values.model).expanduser()
    classifier = _open(model_path, values.class_names or None)
    if values.views:
        classifier = dataclasses.replace(classifier, views=int(values.views))
    training = describe_training(model_path if model_path.is_dir() else model_path.parent, values.training)
    images, source = comparison_images(values.images, classifier.image_size)
    folder = pathlib.Path(values.released_dir)
    folder.mkdir(parents=True, exist_ok=True)
    releases = released.read_manifest(folder) if (folder / released.MANIFEST).is_file() else {}
    # Packed and compared beside the folder first: what is released stays until the new one is known to be sound.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished_") as unfinished:
        packed = pack(classifier, name=values.name, training=training, folder=pathlib.Path(unfinished))
        difference = compare(classifier.keras_model, packed, images, source)
        training["half_precision"] = dataclasses.asdict(difference)
        release = dataclasses.replace(packed, folder=folder)
        dataset = values.dataset or _DATASETS.get(values.name, values.name)
        card = release_card.write(release, dataset=dataset, results_dir=pathlib.Path(values.results_dir))
        packed.path.replace(release.path)
        shutil.rmtree(folder / release.name, ignore_errors=True)
        if release.rule:
            (packed.folder / release.name).rename(folder / release.name)
    released.write_manifest({**releases, release.name: release}, folder)
    cards_dir = pathlib.Path(values.cards_dir)
    cards_dir.mkdir(parents=True, exist_ok=True)
    for path in (release.card_path, cards_dir / release.card_path.name):
        path.write_text(card, encoding="utf-8")
    print(
        f"{release.path}: {release.num_bytes:,} bytes, SHA-256 {release.sha256}\n"
        f"Half precision moved probabilities by at most {difference.max_probability_difference:.2g} and changed the "
        f"class of {difference.num_changed_classes} of {difference.num_images} {source}.\n"
        f"Model card: {cards_dir / release.card_path.name}"
    )


def _open(path: pathlib.Path, class_names: Sequence[str] | None) -> Classifier:
    from sperm_tf.serving.classifier import KERAS_SUFFIX, load_model

    if not (path.is_dir() or (path.is_file() and path.suffix == KERAS_SUFFIX)):
        raise ReleaseError(
            f"model must be a folder that the Trainer wrote, or a {KERAS_SUFFIX} file. Received: model={str(path)!r}."
        )
    return load_model(path, class_names=class_names)


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


def comparison_images(folder: str, image_size: int) -> tuple[np.ndarray, str]:
    """Images to compare answers on.

    Args:
        folder: with image files, in folders of its own or not; empty draws images.
        image_size: side in pixels.

    Returns:
        uint8 [N, S, S, 3] and a description of them.

    Raises:
        ReleaseError: the folder holds no readable image.
    """
    from sperm_tf.data.preprocess import OK, preprocess_batch

    if not folder:
        encoded, source = _draw_images(), "drawn images"
    else:
        paths = [path for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in _IMAGE_SUFFIXES]
        encoded, source = [path.read_bytes() for path in sorted(paths)], "images"
    if encoded:
        images, statuses = preprocess_batch(encoded, image_size)
        images = images.numpy()[statuses.numpy() == OK.encode()]
    if not encoded or not len(images):
        raise ReleaseError(f"images must be a folder with readable images. Received: images={folder!r}.")
    return images, source


def _draw_images() -> list[bytes]:
    import io

    from PIL import Image

    from sperm_tf.synthesis.renderer import render

    encoded = []
    for index in range(_NUM_IMAGES):
        buffer = io.BytesIO()
        sperm = render(index, label_set=("head_shape", "quality")[index % 2], seed=1)
        Image.fromarray(sperm.image).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    return encoded


def pack(classifier: Classifier, *, name: str, training: dict[str, Any], folder: pathlib.Path) -> released.Release:
    """Writes the weights of a classifier.

    Args:
        classifier: what to release.
        name: of the release.
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
    )


def _architecture(model: keras.Model) -> Any:
    """The configuration that builds a model, read from the model itself."""
    import keras

    from sperm_tf.config import MODELS, ModelConfig

    if model.name not in MODELS:
        raise ReleaseError(
            f"model must be one of {', '.join(MODELS)}. Received: model.name={model.name!r}. Build it with "
            "sperm_tf.models.classifier.build_classifier."
        )
    fields: dict[str, Any] = {"name": model.name, "dropout": model.get_layer("dropout").rate}
    if attention := [layer for layer in model.layers if layer.name.startswith("cbam_")]:
        fields["cbam_after"] = tuple(layer.name.removeprefix("cbam_") for layer in attention)
        fields["reduction"] = attention[0].reduction
    if norms := [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]:
        fields["norm_momentum"] = norms[0].momentum
    return ModelConfig(**fields)


def compare(model: keras.Model, release: released.Release, images: np.ndarray, source: str) -> Difference:
    """Answers of a model, and of the same model in half precision.

    Args:
        model: images -> logits, as it was trained.
        release: its packed form.
        images: uint8 [N, S, S, 3].
        source: what the images are.

    Raises:
        ReleaseError: a probability moved by more than `MAX_DIFFERENCE`.
        WeightsError: the packed form does not fit the model that it says it is.
    """
    import numpy as np
    import scipy.special

    from sperm_tf.models.pretrained import build_released

    before, after = (
        scipy.special.softmax(each.predict(images.astype(np.float32), verbose=0), axis=1)
        for each in (model, build_released(release))
    )
    largest = float(np.abs(before - after).max())
    if not largest <= MAX_DIFFERENCE:  # so written that NaN fails too
        raise ReleaseError(
            f"half precision must move probabilities by at most {MAX_DIFFERENCE}. Received: {largest:.3g} for "
            f"{release.name!r}. Look for weights that are very large or tiny."
        )
    changed = int((before.argmax(axis=1) != after.argmax(axis=1)).sum())
    return Difference(len(images), source, float(f"{largest:.2g}"), changed)


def _read_object(folder: pathlib.Path, name: str, *, required: bool = False) -> dict[str, Any]:
    path = folder / name
    if not required and not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ReleaseError(f"{name} must hold a JSON object. Received: {str(path)!r} with {type(content).__name__}.")
    return content


if __name__ == "__main__":
    sys.exit(main())
