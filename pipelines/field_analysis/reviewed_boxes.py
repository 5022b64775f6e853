"""Cells of fields as people corrected them, for the training of a finder: COCO annotations."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from pipelines.field_analysis.exports import COCO_FILE
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.evaluation.quantification.cells_file import FoundCells
from sperm_tf.review import records
from sperm_tf.review.records import Review
from sperm_tf.whole_files import write_text

FindOutline = Callable[[str, tuple[int, ...]], np.ndarray | None]
REVIEWED = "reviewed"
"""Of an annotation, whether a person looked at the cell; of an image, whether at all of its whole cells."""


def write_reviewed_boxes(
    path: pathlib.Path, found: FoundCells, reviews: Iterable[Review], find_outline: FindOutline
) -> int:
    """Writes the cells of every field in which people gave a verdict, false ones left out and drawn ones added.

    Boxes, outlines and categories are those of the run's own file; a person's class takes the place of the model's.

    Args:
        path: of the JSON.
        found: the cells of the run.
        reviews: the last review of each image.
        find_outline: of a drawn cell, from the address of its field and its box: x and y, float [N, 2]; None without.

    Returns:
        The number of fields; without any nothing is written.
    """
    digests = dict(zip(found.fields[scores_file.FILE], found.fields[scores_file.IMAGE_DIGEST], strict=True))
    own = [review for review in reviews if review.field and digests.get(review.field) == review.field_sha256]
    fields = {review.field for review in own}
    if not fields:
        return 0
    content = json.loads((found.folder / COCO_FILE).read_text(encoding="utf-8"))
    images = {image["id"]: image | {REVIEWED: True} for image in content["images"] if image["file_name"] in fields}
    categories = {category["name"]: category["id"] for category in content["categories"]}
    verdicts = {review.sha256: review for review in own if review.verdict != records.ADD}
    annotations = []
    for annotation, row in zip(content["annotations"], found.cells.to_dict("records"), strict=True):
        image = images.get(annotation["image_id"])
        review = verdicts.get(row[scores_file.IMAGE_DIGEST])
        if image is None or (review is not None and review.verdict == records.NO_CELL):
            continue
        if row[scores_file.FILE] and review is None:
            image[REVIEWED] = False
        annotations.append(_correct(annotation, review, categories))
    ids = {image["file_name"]: number for number, image in images.items()}
    drawn = [review for review in own if review.verdict == records.ADD and records.read_box(review.box)]
    annotations += [_to_annotation(review, ids[review.field], categories, find_outline) for review in drawn]
    numbered = [annotation | {"id": number} for number, annotation in enumerate(annotations, start=1)]
    content |= {"images": list(images.values()), "annotations": numbered}
    write_text(path, json.dumps(content) + "\n")
    return len(images)


def _correct(annotation: Mapping[str, Any], review: Review | None, categories: Mapping[str, int]) -> dict[str, Any]:
    """An annotation with the class that a person chose, which has no score."""
    corrected = {**annotation, REVIEWED: review is not None}
    if review is not None and review.label in categories:
        corrected["category_id"] = categories[review.label]
        corrected.pop("score", None)
    return corrected


def _to_annotation(
    review: Review, image_id: int, categories: Mapping[str, int], find_outline: FindOutline
) -> dict[str, Any]:
    """A drawn cell; without an outline its area is that of the box."""
    x0, y0, x1, y1 = box = records.read_box(review.box)
    outline = find_outline(review.field, box)
    return {
        "image_id": image_id,
        "category_id": categories[review.label],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0) if outline is None else round(_find_area(outline), 1),
        "segmentation": [] if outline is None else [np.round(outline, 1).ravel().tolist()],
        "iscrowd": 0,
        REVIEWED: True,
    }


def _find_area(outline: np.ndarray) -> float:
    x, y = outline.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
