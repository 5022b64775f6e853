"""Drawn sperm, embedded in this package: no download."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from sperm_tf.data.folds import NUM_FOLDS
from sperm_tf.data.identity import pixel_sha256
from sperm_tf.synthesis.morphology import CLASS_NAMES
from sperm_tf.synthesis.renderer import SyntheticSperm, render
from tfds_builders.features import encode_png, sperm_features, write_side_files

DEFAULT_NUM_IMAGES = 600
LABEL_SETS: dict[str, tuple[str, ...]] = {
    **CLASS_NAMES,
    "all": tuple(f"{label_set} {name}" for label_set, names in CLASS_NAMES.items() for name in names),
}
"""Label set -> class names. `all` joins the others, each drawn as its own microscope shows it; for pretraining."""


@dataclasses.dataclass(eq=False)
class SyntheticSpermConfig(tfds.core.BuilderConfig):
    """Which images are drawn.

    Attributes:
        label_set: `head_shape` (normal, tapered, pyriform, amorphous), `quality` (normal, abnormal, non-sperm), or
            `all`, their seven classes.
        num_images: number of images, classes in turn.
        seed: seed of the renderer.
    """

    label_set: str = "head_shape"
    num_images: int = DEFAULT_NUM_IMAGES
    seed: int = 0


def config(label_set: str, num_images: int = DEFAULT_NUM_IMAGES, *, seed: int = 0) -> SyntheticSpermConfig:
    """Describes any number of drawn images, for `tfds.load("synthetic_sperm", builder_kwargs={"config": ...})`.

    Args:
        label_set: `head_shape`, `quality` or `all`.
        num_images: number of images; at least one of every class in every fold.
        seed: seed of the renderer.

    Returns:
        The config, with a name that says all three, such as `head_shape_600_seed0`.

    Raises:
        ValueError: the label set is unknown, or there are too few images for five folds.
    """
    if label_set not in LABEL_SETS:
        raise ValueError(
            f"label_set must be one of {', '.join(LABEL_SETS)}. Received: label_set={label_set!r}. Use one of them"
        )
    smallest = NUM_FOLDS * len(LABEL_SETS[label_set])
    if num_images < smallest:
        raise ValueError(
            f"num_images must be at least {smallest} for {label_set}. Received: num_images={num_images}. "
            "Draw more, so that every fold holds every class"
        )
    return SyntheticSpermConfig(
        name=f"{label_set}_{num_images}_seed{seed}",
        description=f"{num_images} images of the label set {label_set}, seed {seed}.",
        label_set=label_set,
        num_images=num_images,
        seed=seed,
    )


class Builder(tfds.core.GeneratorBasedBuilder):
    """Sperm drawn from shape parameters; any image can be drawn again from its index."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar[list[SyntheticSpermConfig]] = [
        dataclasses.replace(config(label_set), name=label_set) for label_set in LABEL_SETS
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=sperm_features(list(LABEL_SETS[self.builder_config.label_set])),
            supervised_keys=("image", "label"),
            license="CC0 1.0",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager
        drawn = self.builder_config
        write_side_files(self.data_path, num_source_images=drawn.num_images)
        num_classes = len(LABEL_SETS[drawn.label_set])
        return {
            f"fold_{fold}": self._generate_examples(
                [index for index in range(drawn.num_images) if index // num_classes % NUM_FOLDS == fold]
            )
            for fold in range(NUM_FOLDS)
        }

    def _generate_examples(self, indices: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in indices:
            sperm, label_name = draw(index, self.builder_config)
            image_id = f"{label_name}/{index:06d}"
            height, width, _ = sperm.image.shape
            yield (
                image_id,
                {
                    "image": encode_png(sperm.image),
                    "label": label_name,
                    "image_id": image_id,
                    "pixel_sha256": pixel_sha256(sperm.image),
                    "group_id": image_id,
                    "width": width,
                    "height": height,
                    "source_format": "RENDERED",
                },
            )


def draw(index: int, drawn: SyntheticSpermConfig) -> tuple[SyntheticSperm, str]:
    """Draws one image of a config.

    Args:
        index: number of the image, from 0; its class is `index % num_classes`.
        drawn: the config.

    Returns:
        The image and the name of its class in `LABEL_SETS[drawn.label_set]`.
    """
    if drawn.label_set != "all":
        sperm = render(index, label_set=drawn.label_set, seed=drawn.seed)
        return sperm, sperm.label_name
    turn, place = divmod(index, len(LABEL_SETS["all"]))
    for label_set, names in CLASS_NAMES.items():
        if place < len(names):
            sperm = render(turn * len(names) + place, label_set=label_set, seed=drawn.seed)
            return sperm, f"{label_set} {sperm.label_name}"
        place -= len(names)
    raise AssertionError("a remainder is smaller than its divisor")
