"""Drawn fields of view with exact masks, embedded in this package: no download."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from sperm_tf.synthesis.field_renderer import CellLabel, SyntheticField, render_field
from tfds_builders.features import encode_png

DEFAULT_NUM_FIELDS = 500
_VALIDATION_STEP = 10  # every tenth field


@dataclasses.dataclass(eq=False)
class SyntheticFieldsConfig(tfds.core.BuilderConfig):
    """Which fields are drawn.

    Attributes:
        num_fields: number of fields.
        height: pixels.
        width: pixels.
        pixel_size_um: micrometres per pixel.
        seed: seed of the renderer.
    """

    num_fields: int = DEFAULT_NUM_FIELDS
    height: int = 512
    width: int = 640
    pixel_size_um: float = 0.1
    seed: int = 0


def config(
    num_fields: int = DEFAULT_NUM_FIELDS,
    *,
    height: int = 512,
    width: int = 640,
    pixel_size_um: float = 0.1,
    seed: int = 0,
) -> SyntheticFieldsConfig:
    """Describes any number of drawn fields, for `tfds.load("synthetic_fields", builder_kwargs={"config": ...})`.

    Args:
        num_fields: number of fields, at least two, so that both splits hold one.
        height: pixels.
        width: pixels.
        pixel_size_um: micrometres per pixel.
        seed: seed of the renderer.

    Returns:
        The config, with a name that says all of them, such as `500_640x512_100nm_seed0`.

    Raises:
        ValueError: there are too few fields.
    """
    if num_fields < 2:
        raise ValueError(f"num_fields must be at least 2. Received: num_fields={num_fields}. Draw more fields.")
    return SyntheticFieldsConfig(
        name=f"{num_fields}_{width}x{height}_{1000 * pixel_size_um:g}nm_seed{seed}",
        description=f"{num_fields} fields of {width}x{height} pixels, {pixel_size_um:g} um a pixel, seed {seed}.",
        num_fields=num_fields,
        height=height,
        width=width,
        pixel_size_um=pixel_size_um,
        seed=seed,
    )


class Builder(tfds.core.GeneratorBasedBuilder):
    """Fields of view drawn from parameters; any field can be drawn again from its index."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar[list[SyntheticFieldsConfig]] = [dataclasses.replace(config(), name="oil_100x")]

    def _info(self) -> tfds.core.DatasetInfo:
        drawn = self.builder_config
        shape = drawn.height, drawn.width
        labels = {
            name: tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib")
            for name, dtype in (
                ("parts", np.uint8),
                ("instances", np.uint16),
                ("parts_below", np.uint8),
                ("instances_below", np.uint16),
            )
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(*shape, 3), encoding_format="png"),
                    **labels,
                    "cells": tfds.features.Sequence({name: _cell_feature(name) for name in _CELL_FIELDS}),
                    "field_id": tfds.features.Text(),
                    "pixel_size_um": tfds.features.Scalar(np.float32),
                }
            ),
            license="CC0 1.0",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager
        held_out = list(range(0, self.builder_config.num_fields, _VALIDATION_STEP))
        kept = [index for index in range(self.builder_config.num_fields) if index % _VALIDATION_STEP]
        return {"train": self._generate_examples(kept), "validation": self._generate_examples(held_out)}

    def _generate_examples(self, indices: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in indices:
            field = draw(index, self.builder_config)
            yield (
                f"{index:06d}",
                {
                    "image": encode_png(field.image),
                    "parts": field.parts,
                    "instances": field.instances,
                    "parts_below": field.parts_below,
                    "instances_below": field.instances_below,
                    "cells": [_to_row(cell) for cell in field.cells],
                    "field_id": f"{index:06d}",
                    "pixel_size_um": field.pixel_size_um,
                },
            )


def draw(index: int, drawn: SyntheticFieldsConfig) -> SyntheticField:
    """Draws field `index`, from 0, of a config."""
    return render_field(
        index, height=drawn.height, width=drawn.width, pixel_size_um=drawn.pixel_size_um, seed=drawn.seed
    )


_BOX_FIELDS = ("head_x0", "head_y0", "head_x1", "head_y1")
_CELL_FIELDS = (
    "instance",
    "kind",
    *_BOX_FIELDS,
    "is_cut",
    "is_defocused",
    "head_length_um",
    "head_width_um",
    "midpiece_length_um",
    "tail_length_um",
)


def _cell_feature(name: str) -> Any:
    if name == "kind":
        return tfds.features.Text()
    if name.startswith("is_"):
        return np.bool_
    return np.float32 if name.endswith("_um") else np.int32


def _to_row(cell: CellLabel) -> dict[str, Any]:
    row = dict(zip(_BOX_FIELDS, cell.head_box, strict=True))
    return {name: row[name] if name in row else getattr(cell, name) for name in _CELL_FIELDS}
