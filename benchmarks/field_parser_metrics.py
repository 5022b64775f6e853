"""What `benchmarks.field_parser` measures: heads, parts and lengths of found cells against annotated ones."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.fields import DESIGN_SESSIONS
from benchmarks.morphometry import summarize
from sperm_tf.data.decode import decode_rgb
from sperm_tf.evaluation.fields.detection_metrics import METRICS, summarize_fields
from sperm_tf.evaluation.fields.matching import BORDER_PX, FieldCounts, count_field, match_boxes
from sperm_tf.evaluation.fields.part_metrics import PartCounts, count_parts, summarize_parts
from sperm_tf.fields.annotations import PARTS, AnnotatedCell, AnnotatedFields
from sperm_tf.fields.found import FoundField, FoundHead, boxes_of
from sperm_tf.morphometry.cell import measure_cell
from sperm_tf.morphometry.masks import CellMasks

MEASURES = {
    "head_length_um": "mean",
    "head_width_um": "mean",
    "midpiece_length_um": "median",
    "midpiece_width_um": "median",
    "tail_length_um": "median",
    "head_acrosome_share": "mean",
}
"""Measure -> which error is reported: relative to the mean of both, in per cent; of the share absolute."""
_MEASURED_FIELDS = 3  # every third field, as `benchmarks.morphometry`: centre lines take time
_PIXEL_SIZE_UM = 0.05
Find = Callable[[int, np.ndarray], FoundField]


@dataclasses.dataclass(frozen=True, eq=False)
class FieldResult:
    """What was measured in a field.

    Attributes:
        heads: boxes that were found.
        parts: pixels and cells.
        errors: measure -> the errors of its cells.
    """

    heads: FieldCounts
    parts: PartCounts
    errors: dict[str, list[float]]


def measure(fields: AnnotatedFields, chosen: Sequence[int], find: Find, *, output: pathlib.Path, name: str) -> None:
    """Measures fields, prints the tables, and writes `parser.json` and `parser_counts.csv`.

    Args:
        fields: SpermParsing.
        chosen: indices of the fields.
        find: from index and pixels to what is found.
        output: folder.
        name: of what is measured.
    """
    records = list(fields)
    results: dict[int, FieldResult] = {}
    for index in chosen:
        pixels = decode_rgb(fields.read_image(records[index].image)).pixels
        cells = fields.read_cells(records[index].image)
        results[index] = measure_field(cells, find(index, pixels), pixels.shape[:2], index % _MEASURED_FIELDS == 0)
        print(f"{len(results)} of {len(chosen)} fields", end="\r", flush=True)
    sections = {
        "sessions looked at": [index for index in chosen if records[index].session in DESIGN_SESSIONS],
        "sessions not looked at": [index for index in chosen if records[index].session not in DESIGN_SESSIONS],
        "official validation": [index for index in chosen if records[index].official_split == "val"],
        "all": list(chosen),
    }
    metrics = {
        section: summarize_results([results[index] for index in indices], [records[index].session for index in indices])
        for section, indices in sections.items()
        if indices
    }
    print_tables(metrics)
    text = json.dumps({"finder": name, "metrics": metrics}, indent=2, allow_nan=False)
    (output / "parser.json").write_text(text + "\n", encoding="utf-8")
    with (output / "parser_counts.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "session", *(field.name for field in dataclasses.fields(FieldCounts))])
        for index in chosen:
            *counts, iou_sum = dataclasses.astuple(results[index].heads)
            rows.writerow([records[index].image, records[index].session, *counts, f"{iou_sum:.4f}"])


def measure_field(
    cells: Sequence[AnnotatedCell], found: FoundField, size: tuple[int, int], with_measures: bool
) -> FieldResult:
    """Compares a field.

    Args:
        cells: annotated ones.
        found: with parts.
        size: height and width.
        with_measures: whether lengths are measured, too.
    """
    boxed = [(cell, box) for cell in cells if (box := cell.box()) is not None]
    boxes = np.array([box for _, box in boxed], np.float64).reshape(-1, 4)
    heads = count_field(boxes, boxes_of(found.heads), width=size[1], height=size[0])
    truth, guess = [draw_cell(cell, size) for cell in cells], [place_parts(head, size) for head in found.heads]
    parts = count_parts(truth, guess, [head.score or 0.0 for head in found.heads])
    errors: dict[str, list[float]] = {name: [] for name in MEASURES}
    if with_measures:
        drawn = [draw_cell(cell, size) for cell, _ in boxed]
        for row, column in match_boxes(boxes, boxes_of(found.heads)):
            for name, error in compare_measures(drawn[row], guess[column]).items():
                errors[name].append(error)
    return FieldResult(heads, parts, errors)


def draw_cell(cell: AnnotatedCell, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Masks, bool [H, W], of the parts of an annotated cell."""
    from skimage import draw

    masks = {}
    for part in PARTS:
        mask = np.zeros(size, bool)
        for polygon in cell.polygons.get(part, ()):
            mask[draw.polygon(polygon[:, 1], polygon[:, 0], size)] = True
        masks[part.lower()] = mask
    return masks


def place_parts(head: FoundHead, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Masks, bool [H, W], of the parts of a found cell."""
    assert head.parts is not None
    own, (x0, y0) = head.parts, head.parts_origin
    assert own.head is not None and own.acrosome is not None and own.vacuoles is not None
    found = {
        "nucleus": own.head & ~own.acrosome,
        "acrosome": own.acrosome,
        "vacuole": own.vacuoles,
        "midpiece": own.midpiece,
        "tail": own.tail,
    }
    masks = {}
    for name, mask in found.items():
        assert mask is not None
        masks[name] = np.zeros(size, bool)
        masks[name][y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]] = mask
    return masks


def compare_measures(annotated: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> dict[str, float]:
    """Errors of the measures that both have; a cell whose head is cut has none, a tail that is cut no length."""
    rows = []
    for masks in (annotated, found):
        head = masks["nucleus"] | masks["acrosome"]
        if _is_cut(head):
            return {}
        own = CellMasks(head, masks["acrosome"], masks["vacuole"], masks["midpiece"], masks["tail"])
        rows.append(measure_cell(own, pixel_size_um=_PIXEL_SIZE_UM).to_row())
    if any(_is_cut(masks["tail"]) for masks in (annotated, found)):
        rows = [{**row, "tail_length_um": math.nan} for row in rows]
    errors = {}
    for name in MEASURES:
        first, second = rows[0][name], rows[1][name]
        is_share = name.endswith("share")
        if not (math.isfinite(first) and math.isfinite(second)) or not (is_share or min(first, second) > 0):
            continue
        errors[name] = abs(first - second) if is_share else 200 * abs(first - second) / (first + second)
    return errors


def _is_cut(mask: np.ndarray) -> bool:
    margin = int(BORDER_PX)
    return bool(np.count_nonzero(mask) > np.count_nonzero(mask[margin:-margin, margin:-margin]))


def summarize_results(results: Sequence[FieldResult], sessions: Sequence[int]) -> dict[str, list[float | None]]:
    """Metric -> value and the bounds of its 95 % interval."""
    found: dict[str, tuple[float, float, float]] = {}
    found |= summarize_fields([result.heads for result in results], sessions)
    found |= summarize_parts([result.parts for result in results], sessions)
    for name, kind in MEASURES.items():
        errors = [(error, session) for result, session in zip(results, sessions, strict=True)
                  for error in result.errors[name]]  # fmt: skip
        if errors:
            mean, median = summarize(np.array([error for error, _ in errors]), np.array([group for _, group in errors]))
            found[f"{name}_error"] = mean if kind == "mean" else median
    return {name: [None if math.isnan(part) else round(part, 4) for part in value] for name, value in found.items()}


def print_tables(metrics: dict[str, dict[str, list[float | None]]]) -> None:
    """Prints a row for each metric and a column for each section."""
    print("| metric |", " | ".join(metrics), "|")
    print("|---|" + "---|" * len(metrics))
    for name in (*METRICS, *(name for name in next(iter(metrics.values())) if name not in METRICS)):
        cells = [_format(section.get(name)) for section in metrics.values()]
        print(f"| {name} |", " | ".join(cells), "|")


def _format(value: list[float | None] | None) -> str:
    if value is None:
        return "–"
    number, low, high = value
    bounds = "" if low is None else f" ({low:.3f}–{high:.3f})"
    return "–" if number is None else f"{number:.3f}{bounds}"
