"""Writes, for every field, its overlay, ROIs and GeoJSON, and the files of all fields."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.reader import CropReader
from pipelines.field_analysis import columns, exports
from pipelines.field_analysis import field_folder as folder_lib
from pipelines.field_analysis.drawing import draw_field
from pipelines.field_analysis.field_reader import open_field
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.evaluation.quantification import cells_file

if TYPE_CHECKING:
    import pyarrow as pa


def write_pictures(
    folder: pathlib.Path,
    root: str,
    fields: Sequence[Mapping[str, Any]],
    cells: pa.Table,
    class_names: Sequence[str],
) -> None:
    """Writes what other programs and people look at; an overlay that is there already stays.

    A large field that is damaged gets none.

    Args:
        folder: of the run.
        root: that addresses of fields start from.
        fields: rows of `columns.shard_schema`.
        cells: the table of cells, in the order of the fields.
        class_names: in the order of the model.
    """
    colours = exports.class_colours(class_names)
    rows = iter(cells.to_pylist())
    features: list[dict[str, Any]] = []
    outlined: list[tuple[dict[str, Any], np.ndarray, float]] = []
    for name in (cells_file.OVERLAYS, folder_lib.ROIS, folder_lib.GEOJSON):
        (folder / name).mkdir(exist_ok=True)
    reader = CropReader(root)
    try:
        for index, field in enumerate(fields):
            shapes = [np.array(cell[columns.OUTLINE], np.float64).reshape(-1, 2) for cell in field["cells"]]
            drawn = list(zip(itertools.islice(rows, len(shapes)), shapes, strict=True))
            own = [exports.to_feature(cell, outline, colours) for cell, outline in drawn]
            features += own
            outlined += [(cell, outline, exports.polygon_area(outline)) for cell, outline in drawn]
            if field["width"]:
                stem = cells_file.picture_stem(index, field["file"])
                exports.write_geojson(folder / folder_lib.GEOJSON / f"{stem}.geojson", own)
                if drawn:
                    exports.write_rois(folder / folder_lib.ROIS / f"{stem}.zip", drawn, colours)
                _draw(folder / cells_file.OVERLAYS / f"{stem}.png", reader, field, drawn, colours)
    finally:
        reader.close()
    exports.write_geojson(folder / "cells.geojson", features)
    exports.write_coco(folder / exports.COCO_FILE, fields, outlined, class_names)


def _draw(
    path: pathlib.Path,
    reader: CropReader,
    field: Mapping[str, Any],
    drawn: Sequence[tuple[Mapping[str, Any], np.ndarray]],
    colours: Mapping[str, Sequence[int]],
) -> None:
    if path.is_file():
        return
    with open_field(reader, Crop(field["file"])) as image, contextlib.suppress(UndecodableImageError):
        if image.pixels is not None:
            draw_field(image.pixels, drawn, colours, path)
