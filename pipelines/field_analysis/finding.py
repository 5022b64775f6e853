"""Finds the heads of the fields of a shard, and writes their crops."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import numpy as np
from absl import logging

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.reader import CropReader
from pipelines.field_analysis import columns
from pipelines.field_analysis.field_folder import CROPS, FieldFolder
from pipelines.field_analysis.field_reader import is_large, list_views, open_field
from sperm_tf.data.decode import UndecodableImageError, encode_png
from sperm_tf.data.quality import measure_quality
from sperm_tf.evaluation.quantification import cells_file
from sperm_tf.fields.crops import cut_crop
from sperm_tf.fields.finders import open_finder
from sperm_tf.fields.focus import measure_edge_width
from sperm_tf.fields.found import CUT_BY_BORDER, TOUCHING, FoundField, FoundHead
from sperm_tf.fields.outlines import trace_outline
from sperm_tf.fields.pixels import FieldPixels
from sperm_tf.fields.scale import ESTIMATED
from sperm_tf.morphometry.cell import measure_cell
from sperm_tf.morphometry.masks import CellMasks
from sperm_tf.morphometry.reference_ranges import find_in_range
from sperm_tf.served_names import OK, UNDECODABLE
from sperm_tf.whole_files import replacing


class FieldFinder:
    """Finds the heads of the fields of a shard, in any process, after `setup`; a `runner.ShardWorker`.

    Args:
        folder: of a `FieldFolder`.
        record: of the run.
        head_length_px: median length of a head; None where no field holds anything of a head's form.
        pixel_size_um: micrometres a pixel; None like the length.
        pixel_size_source: of `sperm_tf.fields.scale.SOURCES`.
    """

    def __init__(
        self,
        folder: str,
        record: dict[str, Any],
        *,
        head_length_px: float | None,
        pixel_size_um: float | None,
        pixel_size_source: str,
    ):
        self._folder = FieldFolder(pathlib.Path(folder))
        self._record = record
        self._head_length_px = head_length_px
        self._pixel_size_um = pixel_size_um
        self._pixel_size_source = pixel_size_source

    def setup(self) -> None:
        """Opens what every shard needs."""
        self._folder.check_inputs(self._record)
        self._reader = CropReader(self._record["root"])
        self._finder = open_finder(self._record["finder"])

    def teardown(self) -> None:
        """Closes it."""
        self._reader.close()

    def is_finished(self, number: int) -> bool:
        """Whether the file of a shard is there."""
        return self._folder.shards.is_whole(number)

    def score(self, number: int) -> None:
        """Finds the heads of a shard.

        Args:
            number: of the shard.
        """
        import pyarrow as pa

        rows = []
        first = number * self._record["shard_size"]
        progress = self._folder.shards.progress_path(number)
        with progress.open("wb", buffering=0) as done:
            for index, crop in enumerate(self._folder.read_shard_inputs(number), start=first):
                rows.append(self._find(index, crop))
                done.write(b".")
        self._folder.shards.write(number, pa.Table.from_pylist(rows, columns.shard_schema()))
        progress.unlink()

    def _find(self, index: int, field: Crop) -> dict[str, Any]:
        """The row of a field, whatever is wrong with it."""
        row: dict[str, Any] = {"file": field.file, "further": list(field.further), "cells": []}
        row |= {columns.COUNT: 0, **dict.fromkeys(columns.COUNTS, 0)}
        with open_field(self._reader, field) as image:
            row |= {columns.STATUS: image.status, columns.MESSAGE: image.message, "sha256": image.sha256}
            if image.pixels is None:
                return row
            height, width = image.pixels.shape
            row |= {"width": width, "height": height, **self._scale(), columns.INTENSITY: image.intensity_mapping}
            try:
                row |= _measure_quality(image.pixels)
                return row | self._find_cells(index, field, image.pixels)
            except UndecodableImageError as error:  # a part of a large field
                return row | {columns.STATUS: UNDECODABLE, columns.MESSAGE: str(error)}
            except Exception as error:  # one field stops no folder; its row says what happened
                logging.warning("%s: %s", field.file, error)
                return row | {columns.STATUS: columns.FAILED, columns.MESSAGE: f"{type(error).__name__}: {error}"}

    def _find_cells(self, index: int, field: Crop, pixels: FieldPixels) -> dict[str, Any]:
        """What a row says of the cells of a field."""
        if self._head_length_px is None:
            return {columns.STATUS: columns.NO_HEADS}
        if is_large(pixels):
            found = self._finder.find_in_tiles(pixels, head_length_px=self._head_length_px)
        else:
            whole = pixels.read_region(0, 0, *pixels.shape)
            found = self._finder.find(whole, head_length_px=self._head_length_px)
        cells = [self._cell(index, number, field, pixels, head) for number, head in enumerate(found.heads, 1)]
        counted = sum(cell[columns.COUNTED] for cell in cells)
        return _facts(found) | {"num_counted": counted, "cells": cells}

    def _cell(self, index: int, number: int, field: Crop, pixels: FieldPixels, head: FoundHead) -> dict[str, Any]:
        """The row of a cell; writes its crop, unless the border cuts the head."""
        height, width = pixels.shape
        row: dict[str, Any] = {
            columns.CROP: "",
            columns.FIELD: field.file,
            columns.CELL: number,
            **dict(zip(columns.BOX, head.box, strict=True)),
            **dict(zip(columns.SIZES, (head.length_px, head.width_px), strict=True)),
            columns.FLAGS: cells_file.FLAG_SEPARATOR.join(head.flags),
            columns.COUNTED: head.head_x1 < width and head.head_y1 < height,
            **self._scale(),
            columns.OUTLINE: trace_outline(head).ravel().tolist(),
        }
        if CUT_BY_BORDER in head.flags:
            return row
        assert self._head_length_px is not None
        row[columns.EDGE_WIDTH] = measure_edge_width(pixels, head, head_length_px=self._head_length_px)
        row |= self._measure(head)
        crop = cut_crop(pixels, head, per_head=self._record["crop_per_head"])
        stem = pathlib.PurePosixPath(field.file).stem.encode()[:80].decode(errors="ignore")
        row[columns.CROP] = f"{CROPS}/{index:06d}_{stem}_{number:03d}.png"
        _write_crop(self._folder.path / row[columns.CROP], encode_png(crop.pixels))
        place = (crop.crop_x0, crop.crop_y0, len(crop.pixels), crop.padded_share)
        return row | dict(zip(columns.CROP_PLACE, place, strict=True))

    def _scale(self) -> dict[str, Any]:
        return {columns.PIXEL_SIZE: self._pixel_size_um, columns.PIXEL_SIZE_SOURCE: self._pixel_size_source}

    def _measure(self, head: FoundHead) -> dict[str, float | bool | None]:
        """Every measure that the masks allow, and whether it lies within its reference range."""
        assert self._pixel_size_um is not None  # as where nothing has a head's form
        masks = head.parts or CellMasks(head=head.mask)
        measures = measure_cell(masks, pixel_size_um=self._pixel_size_um).to_row()
        compared = find_in_range(measures, is_scale_estimated=self._pixel_size_source == ESTIMATED)
        return {name: None if math.isnan(value) else value for name, value in measures.items()} | compared


def _write_crop(path: pathlib.Path, content: bytes) -> None:
    """Leaves a file with the same content as it is: by its time of change, scores know it again."""
    if path.is_file() and path.read_bytes() == content:
        return
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def _measure_quality(pixels: FieldPixels) -> dict[str, float]:
    """Quality of a field; of a large one the median over its views."""
    views = [measure_quality(view) for view in list_views(pixels)]
    names = {"snr": "snr", "cnr": "cnr", "focus": "sharpness"}
    return {column: float(np.median([getattr(view, name) for view in views])) for column, name in names.items()}


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
