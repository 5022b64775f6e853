"""Cells for other programs: GeoJSON for QuPath, COCO for annotation tools and training, ROIs for ImageJ."""

from __future__ import annotations

import json
import math
import pathlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from pipelines.field_analysis import columns
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.morphometry.cell import MEASURE_NAMES
from sperm_tf.whole_files import replacing, write_text

COCO_FILE = "cells.coco.json"
HEAD = "head"
"""Category of a cell without a predicted class."""
COLOURS = ((0, 158, 115), (213, 94, 0), (0, 114, 178), (204, 121, 167), (230, 159, 0), (86, 180, 233))
"""Of classes, in the order of the model: Okabe and Ito's, which people with colour blindness tell apart."""
HEAD_COLOUR = (120, 120, 120)
_MEASURES = (*MEASURE_NAMES, scores_file.UNFAMILIARITY)


def class_colours(class_names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Colour of each class, red, green and blue."""
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(class_names)}
    return {**colours, HEAD: HEAD_COLOUR}


def name_of_class(cell: Mapping[str, Any]) -> str:
    """The predicted class of a cell; `HEAD` where it has none."""
    return cell.get(scores_file.PREDICTED) or HEAD


def to_feature(cell: Mapping[str, Any], outline: np.ndarray, colours: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """A cell as a GeoJSON feature, an annotation of QuPath.

    Args:
        cell: a row of the table of cells.
        outline: float [N, 2], x and y in pixels of the field.
        colours: of the classes.
    """
    name = name_of_class(cell)
    ring = [[round(float(x), 1), round(float(y), 1)] for x, y in (*outline, outline[0])]
    values = {key: cell.get(key) for key in (*_MEASURES, *(key for key in cell if key.startswith("p_")))}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{cell[columns.FIELD]}#{cell[columns.CELL]}")),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "name": f"{cell[columns.CELL]}",
            "classification": {"name": name, "color": list(colours[name])},
            "measurements": {key: float(value) for key, value in values.items() if _is_number(value)},
            "metadata": {
                key: str(cell.get(key) or "")
                for key in (columns.FIELD, columns.FLAGS, scores_file.DECISION, scores_file.REASON)
            },
        },
    }


def write_geojson(path: pathlib.Path, features: Sequence[Mapping[str, Any]]) -> None:
    """Writes features as a collection."""
    write_text(path, json.dumps({"type": "FeatureCollection", "features": list(features)}) + "\n")


def write_coco(
    path: pathlib.Path,
    fields: Sequence[Mapping[str, Any]],
    cells: Iterable[tuple[Mapping[str, Any], np.ndarray, float]],
    class_names: Sequence[str],
) -> None:
    """Writes COCO annotations; ids begin at 1, since pycocotools counts an annotation with the id 0 as missed.

    Args:
        path: of the JSON.
        fields: rows of the table of fields.
        cells: row, outline [N, 2] and area in pixels of each.
        class_names: in the order of the model.
    """
    categories = {name: number for number, name in enumerate((*class_names, HEAD), start=1)}
    read = [field for field in fields if field["width"]]
    images = {field["file"]: number for number, field in enumerate(read, start=1)}
    annotations = []
    for number, (cell, outline, area) in enumerate(cells, start=1):
        x0, y0, x1, y1 = (int(cell[name]) for name in columns.BOX)
        name = name_of_class(cell)
        annotation = {
            "id": number,
            "image_id": images[cell[columns.FIELD]],
            "category_id": categories[name],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": round(area, 1),
            "segmentation": [np.round(outline, 1).ravel().tolist()],
            "iscrowd": 0,
        }
        probability = cell.get(f"{scores_file.PROBABILITY_PREFIX}{name}")
        annotations.append(annotation | ({"score": float(probability)} if _is_number(probability) else {}))
    content = {
        "images": [
            {
                "id": images[field["file"]],
                "file_name": field["file"],
                "width": field["width"],
                "height": field["height"],
            }
            for field in read
        ],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
        "annotations": annotations,
    }
    write_text(path, json.dumps(content) + "\n")


def write_rois(
    path: pathlib.Path,
    cells: Sequence[tuple[Mapping[str, Any], np.ndarray]],
    colours: Mapping[str, Sequence[int]],
) -> None:
    """Writes the outlines of a field's cells as a zip that ImageJ's ROI Manager opens.

    Args:
        path: of the zip.
        cells: row and outline, [N, 2], of each.
        colours: of the classes.
    """
    import zipfile

    import roifile

    with replacing(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for cell, outline in cells:
            name = f"{cell[columns.CELL]:03d}_{name_of_class(cell)}"
            roi = roifile.ImagejRoi.frompoints(outline.astype(np.float32), name=name)
            roi.roitype = roifile.ROI_TYPE.POLYGON
            roi.stroke_color = bytes((255, *colours[name_of_class(cell)]))
            archive.writestr(f"{name}.roi", roi.tobytes())


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def polygon_area(outline: np.ndarray) -> float:
    """Area of a polygon [N, 2] by the shoelace formula, in pixels."""
    x, y = outline.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
