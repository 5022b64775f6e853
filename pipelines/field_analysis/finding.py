"""Finds the heads of the fields of a shard, and writes their crops."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import numpy as np
from absl import logging

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.reader import CropReader
from pipelines.field_analysis import columns
from pipelines.field_analysis.field_folder import CROPS, FieldFolder
from pipelines.field_analysis.field_reader import read_field
from sperm_tf.data.decode import encode_png
from sperm_tf.data.quality import measure_quality
from sperm_tf.fields.crops import cut_crop
from sperm_tf.fields.finders import open_finder
from sperm_tf.fields.found import CUT_BY_BORDER, TOUCHING, FoundField, FoundHead
from sperm_tf.fields.outlines import trace_outline
from sperm_tf.served_names import OK
from sperm_tf.whole_files import replacing


class FieldFinder:
    """Finds the heads of the fields of a shard, in any process, after `setup`; a `runner.ShardWorker`.

    Args:
        folder: of a `FieldFolder`.
        record: of the run.
        head_length_px: median length of a head; None where no field holds anything of a head's form.
        pixel_size_um: micrometres a pixel; None like the length.
    """

    def __init__(
        self, folder: str, record: dict[str, Any], *, head_length_px: float | None, pixel_size_um: float | None
    ):
        self._folder = FieldFolder(pathlib.Path(folder))
        self._record = record
        self._head_length_px = head_length_px
        self._pixel_size_um = pixel_size_um

    def setup(self) -> None:
        """Opens what every shard needs."""
        self._folder.check_inputs(self._record)
        self._reader = CropReader(self._record["root"])
        self._finder = open_finder(self._record["finder"])

    def teardown(self) -> None:
        """Closes it."""
        self._reader.close()

    def score(self, number: int) -> None:
        """Finds the heads of a shard.

        Args:
            number: of the shard.
        """
        import pyarrow as pa

        rows = []
        first = number * self._record["shard_size"]
        progress = self._folder.progress_path(number)
        with progress.open("wb", buffering=0) as done:
            for index, crop in enumerate(self._folder.read_shard_inputs(number), start=first):
                rows.append(self._find(index, crop))
                done.write(b".")
        self._folder.write_shard(number, pa.Table.from_pylist(rows, columns.shard_schema()))
        progress.unlink()

    def _find(self, index: int, field: Crop) -> dict[str, Any]:
        """The row of a field, whatever is wrong with it."""
        content = self._reader.read(field)
        digest = "" if content is None else hashlib.sha256(content).hexdigest()
        row: dict[str, Any] = {"file": field.file, "sha256": digest, "further": list(field.further), "cells": []}
        row |= {columns.MESSAGE: "", columns.COUNT: 0, "num_cut": 0, "num_touching": 0}
        image = read_field(content, name=field.file)
        row |= {columns.STATUS: image.status, columns.MESSAGE: image.message}
        if image.pixels is None:
            return row
        quality = measure_quality(image.pixels)
        row |= {"width": quality.width, "height": quality.height, "snr": quality.snr, "cnr": quality.cnr}
        row |= {"focus": quality.sharpness, "pixel_size_um": self._pixel_size_um}
        if self._head_length_px is None:
            return row | {columns.STATUS: columns.NO_HEADS}
        try:
            found = self._finder.find(image.pixels, head_length_px=self._head_length_px)
            cells = [self._cell(index, number, field, image.pixels, head) for number, head in enumerate(found.heads, 1)]
        except Exception as error:  # one field stops no folder; its row says what happened
            logging.warning("%s: %s", field.file, error)
            return row | {columns.STATUS: columns.FAILED, columns.MESSAGE: f"{type(error).__name__}: {error}"}
        return row | _facts(found) | {"cells": cells}

    def _cell(self, index: int, number: int, field: Crop, pixels: np.ndarray, head: FoundHead) -> dict[str, Any]:
        """The row of a cell; writes its crop, unless the border cuts the head."""
        um = self._pixel_size_um or float("nan")
        row: dict[str, Any] = {
            columns.CROP: "",
            columns.FIELD: field.file,
            columns.CELL: number,
            **dict(zip(columns.BOX, head.box, strict=True)),
            **dict(
                zip(
                    columns.SIZES,
                    (head.length_px, head.width_px, head.length_px * um, head.width_px * um),
                    strict=True,
                )
            ),
            columns.FLAGS: columns.FLAG_SEPARATOR.join(head.flags),
            columns.OUTLINE: trace_outline(head).ravel().tolist(),
        }
        if CUT_BY_BORDER in head.flags:
            return row
        crop = cut_crop(pixels, head)
        stem = pathlib.PurePosixPath(field.file).stem.encode()[:80].decode(errors="ignore")
        row[columns.CROP] = f"{CROPS}/{index:06d}_{stem}_{number:03d}.png"
        _write_crop(self._folder.path / row[columns.CROP], encode_png(crop.pixels))
        place = (crop.crop_x0, crop.crop_y0, len(crop.pixels), crop.padded_share)
        return row | dict(zip(columns.CROP_PLACE, place, strict=True))


def _write_crop(path: pathlib.Path, content: bytes) -> None:
    """Leaves a file with the same content as it is: by its time of change, scores know it again."""
    if path.is_file() and path.read_bytes() == content:
        return
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def _facts(found: FoundField) -> dict[str, Any]:
    red, green, blue = found.background
    return {
        columns.STATUS: OK if found.heads else columns.NO_HEADS,
        columns.COUNT: len(found.heads),
        "num_cut": sum(CUT_BY_BORDER in head.flags for head in found.heads),
        "num_touching": sum(TOUCHING in head.flags for head in found.heads),
        "coverage": found.coverage,
        "background_red": red,
        "background_green": green,
        "background_blue": blue,
        "head_length_px": float(np.median([head.length_px for head in found.heads])) if found.heads else None,
    }
