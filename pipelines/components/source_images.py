"""Images as a dataset has them, for the components that run networks on them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

from pipelines.orchestration.artifacts import Artifact
from sperm_tf.data import examples


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


def read_images(generated: Artifact, splits: Sequence[str] = examples.SPLITS) -> list[SourceImage]:
    """Images of a dataset, by `image_id`.

    Args:
        generated: from ExampleGen.
        splits: of `sperm_tf.data.examples.SPLITS`; all by default.
    """
    found = []
    for split in splits:
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
        About `count` images, at least one of every class, by `image_id`.
    """
    order = sorted(images, key=lambda image: hashlib.sha256(image.image_id.encode()).digest())
    by_class: dict[int, dict[str, SourceImage]] = {}
    for image in order:
        by_class.setdefault(image.label, {}).setdefault(image.group_id, image)
    share = max(1, count // max(len(by_class), 1))
    chosen = [image for groups in by_class.values() for image in list(groups.values())[:share]]
    return sorted(chosen, key=lambda image: image.image_id)
