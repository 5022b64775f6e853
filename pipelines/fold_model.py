"""A network of a cross-validation as it would be served, with the images that it is tested on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING

from pipelines.artifacts import Artifact
from sperm_tf.data import examples

if TYPE_CHECKING:
    from sperm_tf.serving.classifier import Classifier

FOLD_FILE = "fold.json"


@dataclasses.dataclass(frozen=True)
class SourceImage:
    """An image as the dataset has it.

    Attributes:
        image_id: its name.
        group_id: of its near duplicates, or its patient.
        label: its class, by its index.
        image: the bytes of its file.
    """

    image_id: str
    group_id: str
    label: int
    image: bytes


@dataclasses.dataclass(frozen=True)
class FoldModel:
    """A finished fit.

    Attributes:
        model: name of the architecture.
        repeat: number of the repeat.
        fold: 0-4.
        classifier: the network with its decision rule.
        tested: the images of its test part, by `image_id`; nothing of it learnt from them, except that the networks
            whose answers taught the rule were trained on them (`sperm_tf.evaluation.oof_trust`).
    """

    model: str
    repeat: int
    fold: int
    classifier: Classifier
    tested: list[SourceImage]


def open_fold(calibrated: Artifact, generated: Artifact) -> FoldModel:
    """Opens what was calibrated, and reads the images that it is tested on.

    Args:
        calibrated: from FoldCalibrator.
        generated: from ExampleGen.
    """
    import sperm_tf

    fold = json.loads((calibrated.directory / FOLD_FILE).read_text(encoding="utf-8"))
    tested = set(fold.pop("tested"))
    return FoldModel(
        **fold,
        classifier=sperm_tf.load_model(calibrated.directory),
        tested=[image for image in read_images(generated) if image.image_id in tested],
    )


def read_images(generated: Artifact) -> list[SourceImage]:
    """All images of a dataset, by `image_id`.

    Args:
        generated: from ExampleGen.
    """
    found = []
    for split in examples.SPLITS:
        for serialized in examples.read_serialized(examples.shard_paths(generated.directory, split)):
            row = examples.from_example(serialized.numpy())
            image_id, group_id = (bytes(row[name]).decode() for name in ("image_id", "group_id"))
            found.append(SourceImage(image_id, group_id, int(row["label"]), bytes(row["image"])))
    return sorted(found, key=lambda image: image.image_id)


def sample(images: list[SourceImage], count: int) -> list[SourceImage]:
    """As many images of every class, as far as there are that many, of one group each; equal arguments, equal images.

    Args:
        images: to choose from.
        count: wanted, all classes together.

    Returns:
        At most `count` images, by `image_id`.
    """
    order = sorted(images, key=lambda image: hashlib.sha256(image.image_id.encode()).digest())
    by_class: dict[int, dict[str, SourceImage]] = {}
    for image in order:
        by_class.setdefault(image.label, {}).setdefault(image.group_id, image)
    share = count // max(len(by_class), 1)
    chosen = [image for groups in by_class.values() for image in list(groups.values())[:share]]
    return sorted(chosen, key=lambda image: image.image_id)
