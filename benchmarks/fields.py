"""How well heads are found in the fields of SpermParsing, out of fold by session.

    python -m benchmarks.fields --archive=SpermParsing.zip
    python -m benchmarks.fields --archive=SpermParsing.zip --output=docs/results/fields
    python -m benchmarks.fields --archive=SpermParsing.zip --resize=0.4
    python -m benchmarks.fields --archive=SpermParsing.zip --crops
    python -m benchmarks.fields --archive=SpermParsing.zip --focus --fields=70
    python -m benchmarks.fields --archive=SpermParsing.zip --measures --fields=70

Prints a table and, with `--output`, writes `counts.csv`, what was found in every field by every finder, and
`heads.json`, the metrics. The finder's numbers are chosen among `VARIANTS` on the sessions of the other folds. Some
ten minutes on one core. With `--resize` the fields are resized by that factor first, as if the magnification were
another, and the shipped finder alone is measured. With `--crops` the side of the crops is measured, by the annotated
length of their heads, which is 2.7 to 4.8 for nine in ten crops of SMIDS. With `--focus` the share of heads is
measured that are flagged as out of focus, as they are and after a Gaussian blur. With `--measures` the measures and
the boxes of found heads are held against those of annotated ones.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import json
import math
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from sperm_tf.data.decode import decode_rgb
from sperm_tf.evaluation.fields.detection_metrics import METRICS, assign_folds, summarize_fields
from sperm_tf.evaluation.fields.matching import FieldCounts, count_field, match_boxes
from sperm_tf.fields.annotations import ANNOTATORS, HEAD_PARTS, AnnotatedCell, AnnotatedFields, FieldRecord
from sperm_tf.fields.classical import ClassicalFinder, ClassicalOptions
from sperm_tf.fields.crops import CROP_PER_HEAD
from sperm_tf.fields.focus import MAX_EDGE_WIDTH, measure_edge_width
from sperm_tf.fields.found import CUT_BY_BORDER, boxes_of
from sperm_tf.fields.head_shapes import HeadShape
from sperm_tf.fields.pixels import ArrayPixels
from sperm_tf.fields.scale import find_scale, measure_head_lengths
from sperm_tf.morphometry.cell import HEAD_OUTLINE_MEASURES, measure_cell
from sperm_tf.morphometry.masks import CellMasks

FLOOR, SHIPPED, CHOSEN = "floor", "shipped", "out_of_fold"
DESIGN_SESSIONS = frozenset(range(0, 22, 2))
"""Sessions whose errors were looked at while the finder was written; the others were seen by no eye."""
SMIDS_RATIOS = (2.7, 4.8)
BLURS = (0.0, 0.04, 0.06, 0.08, 0.1)
"""Deviations of the Gaussian, in lengths of a head."""
_FLOOR = {"smoothing_px": 2.0, "opening_px": 8.0, "min_area_px": 800}
Counts = dict[str, list[FieldCounts]]


def variants() -> dict[str, ClassicalOptions]:
    """What the choice on the other sessions is among: name -> options."""
    found = {}
    for channel, opening, darkness, area in itertools.product(
        ("rgb", "green"), (0.15, 0.18), (0.8, 0.85, 0.9), (0.2, 0.23, 0.26)
    ):
        shape = HeadShape(min_darkness=darkness, min_area=area)
        found[f"{channel} {opening} {darkness} {area}"] = ClassicalOptions(
            channel=channel, opening=opening, shape=shape
        )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table, and writes the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", required=True, help="SpermParsing.zip, or its folder")
    parser.add_argument("--resize", type=float, help="measure the shipped finder on fields resized by this factor")
    parser.add_argument("--crops", action="store_true", help="measure the crops of the shipped finder")
    parser.add_argument("--focus", action="store_true", help="measure the flag of heads that are out of focus")
    parser.add_argument("--measures", action="store_true", help="hold measures of found heads against annotated ones")
    parser.add_argument("--fields", type=int, help="with --focus and --measures: so many fields, evenly spread")
    parser.add_argument("--output", type=pathlib.Path, help="where counts.csv and heads.json go")
    flags = parser.parse_args(arguments)
    fields = AnnotatedFields(flags.archive)
    sessions = [record.session for record in fields]
    if flags.resize:
        measure_resized(fields, sessions, flags.resize)
        return
    if flags.crops:
        measure_crops(fields)
        return
    if flags.focus:
        measure_focus(fields, flags.fields)
        return
    if flags.measures:
        measure_measures(fields, flags.fields)
        return
    counts, scale = count_all(fields)
    folds = assign_folds(sessions)
    counts[CHOSEN], chosen = choose_out_of_fold(counts, folds)
    reported = [FLOOR, SHIPPED, CHOSEN, *(name for name in counts if name.startswith("annotator"))]
    parts = {
        "all": np.ones(len(sessions), bool),
        "official validation": np.array([record.official_split == "val" for record in fields]),
        "sessions not looked at": np.array([session not in DESIGN_SESSIONS for session in sessions]),
    }
    metrics = {
        part: {name: _summarize(counts[name], sessions, chosen_fields) for name in reported}
        for part, chosen_fields in parts.items()
    }
    print(f"median head {scale:.1f} px; chosen: {chosen}")
    _print(metrics)
    if flags.output:
        write(flags.output, fields, {name: counts[name] for name in reported}, metrics, chosen, folds)


def count_all(fields: AnnotatedFields) -> tuple[Counts, float]:
    """Counts of every finder in every field, and the estimated length of a head in pixels."""
    scale = find_scale([measure_head_lengths(_read(fields, record.image)) for record in fields])
    assert scale is not None
    counts: Counts = {FLOOR: [], SHIPPED: []}
    for record in fields:
        pixels = _read(fields, record.image)
        truth = {name: _boxes(fields, record.image, name) for name in ANNOTATORS}
        _add(counts, FLOOR, truth[ANNOTATORS[0]], find_floor(pixels), pixels)
        for name, boxes in _find_all(pixels, scale.head_length_px).items():
            _add(counts, name, truth[ANNOTATORS[0]], boxes, pixels)
        for first, second in itertools.combinations(ANNOTATORS, 2):
            _add(counts, f"{first}-{second[-1]}", truth[first], truth[second], pixels)
    return counts, scale.head_length_px


def measure_resized(fields: AnnotatedFields, sessions: list[int], factor: float) -> None:
    """Prints the metrics of the shipped finder on resized fields, whose scale it estimates anew."""
    scale = find_scale([measure_head_lengths(_read(fields, record.image, factor)) for record in fields])
    assert scale is not None
    counts: Counts = {}
    finder = ClassicalFinder()
    for record in fields:
        pixels = _read(fields, record.image, factor)
        found = finder.find(pixels, head_length_px=scale.head_length_px)
        _add(counts, SHIPPED, factor * _boxes(fields, record.image, ANNOTATORS[0]), boxes_of(found.heads), pixels)
    print(f"median head {scale.head_length_px:.1f} px")
    everything = np.ones(len(sessions), bool)
    _print({f"all, resized by {factor}": {SHIPPED: _summarize(counts[SHIPPED], sessions, everything)}})


def measure_crops(fields: AnnotatedFields) -> None:
    """Prints how wide crops are by the annotated length of their heads, and the error of the found length."""
    scale = find_scale([measure_head_lengths(_read(fields, record.image)) for record in fields])
    assert scale is not None
    finder, ratios, errors, num_annotated = ClassicalFinder(), [], [], 0
    for record in fields:
        heads = finder.find(_read(fields, record.image), head_length_px=scale.head_length_px).heads
        boxed = [(cell, box) for cell in fields.read_cells(record.image) if (box := cell.box()) is not None]
        num_annotated += len(boxed)
        for row, column in match_boxes(np.array([box for _, box in boxed]).reshape(-1, 4), boxes_of(heads)):
            if CUT_BY_BORDER not in heads[column].flags:
                length = _annotated_length(boxed[row][0])
                ratios.append(CROP_PER_HEAD * heads[column].length_px / length)
                errors.append(abs(heads[column].length_px / length - 1))
    low, high = SMIDS_RATIOS
    inside = np.mean([low <= ratio <= high for ratio in ratios])
    print(
        f"{len(ratios)} crops with an annotated head, of {num_annotated} annotated heads, those at the border included"
    )
    print(f"side by annotated length: {np.percentile(ratios, [5, 50, 95]).round(2)}, {low} to {high} in {inside:.1%}")
    print(f"found length, mean absolute error: {np.mean(errors):.1%}")


def _spread(fields: AnnotatedFields, number: int | None) -> list[FieldRecord]:
    """So many fields, evenly spread; all without a number."""
    places = np.linspace(0, len(fields) - 1, number or len(fields)).round().astype(int)
    return [fields.records[place] for place in places]


def measure_focus(fields: AnnotatedFields, number: int | None) -> None:
    """Prints how many heads are flagged as out of focus, in the sessions of the choice and in the others."""
    from scipy import ndimage

    records = _spread(fields, number)
    scale = find_scale([measure_head_lengths(_read(fields, record.image)) for record in records])
    assert scale is not None
    length, finder = scale.head_length_px, ClassicalFinder()
    blurred: dict[tuple[str, float], list[bool]] = {}
    for record in records:
        pixels = _read(fields, record.image)
        part = "design sessions" if record.session in DESIGN_SESSIONS else "other sessions"
        found = finder.find(pixels, head_length_px=length).heads
        heads = [head for head in found if CUT_BY_BORDER not in head.flags]
        for blur in BLURS:
            sigma = blur * length
            picture = ndimage.gaussian_filter(pixels, (sigma, sigma, 0)) if blur else pixels
            widths = [measure_edge_width(ArrayPixels(picture), head, head_length_px=length) for head in heads]
            blurred.setdefault((part, blur), []).extend(width > MAX_EDGE_WIDTH for width in widths)
    for (part, blur), flagged in sorted(blurred.items()):
        print(f"{part}, Gaussian of {blur} L: {np.mean(flagged):.1%} of {len(flagged)} heads")


def measure_measures(fields: AnnotatedFields, number: int | None) -> None:
    """Prints the error of every measure of found heads, by the same measure of the annotated ones."""
    records = _spread(fields, number)
    scale = find_scale([measure_head_lengths(_read(fields, record.image)) for record in records])
    assert scale is not None
    pairs: list[tuple[int, dict[str, float], dict[str, float]]] = []
    box_areas = []
    for record in records:
        heads = ClassicalFinder().find(_read(fields, record.image), head_length_px=scale.head_length_px).heads
        boxed = [(cell, box) for cell in fields.read_cells(record.image) if (box := cell.box()) is not None]
        for row, column in match_boxes(np.array([box for _, box in boxed]).reshape(-1, 4), boxes_of(heads)):
            if CUT_BY_BORDER not in heads[column].flags:
                masks = _annotated_mask(boxed[row][0]), heads[column].mask
                measured = (measure_cell(CellMasks(head=mask), pixel_size_um=scale.pixel_size_um) for mask in masks)
                annotated, found = (measures.to_row() for measures in measured)
                pairs.append((record.session, annotated, found))
                box_areas.append([_area(boxes_of(heads)[column]), _area(boxed[row][1])])
    others = [pair for pair in pairs if pair[0] not in DESIGN_SESSIONS]
    print(
        f"{len(pairs)} heads, {len(others)} of them in the other sessions; annotated median, mean error, mean |error|"
    )
    for name in HEAD_OUTLINE_MEASURES:
        ends = [np.array([[truth[name], found[name]] for _, truth, found in part]).T for part in (pairs, others)]
        words = [f"{np.mean(b / a - 1):+.1%}, {np.mean(abs(b / a - 1)):.1%}" for a, b in ends]
        print(f"{name}: {np.median(ends[0][0]):.2f}, {words[0]}; other sessions {words[1]}")
    found_area, annotated_area = np.array(box_areas).T
    print(f"area of the box: median log ratio {np.median(np.log(found_area / annotated_area)):+.3f}")


def _area(box: Sequence[float] | np.ndarray) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _annotated_length(cell: AnnotatedCell) -> float:
    """Major axis of the ellipse with the second moments of an annotated head, in pixels."""
    from skimage import measure

    return float(measure.regionprops(_annotated_mask(cell).astype(np.uint8))[0].axis_major_length)


def _annotated_mask(cell: AnnotatedCell) -> np.ndarray:
    """An annotated head, bool [H, W], in a window of its own."""
    from skimage import draw

    box = cell.box()
    assert box is not None
    origin = np.floor(box[:2]) - 2
    shape = tuple(np.ceil(np.array(box[3:1:-1]) - origin[::-1]).astype(int) + 3)
    mask = np.zeros(shape, bool)
    for part in HEAD_PARTS:
        for polygon in cell.polygons.get(part, ()):
            mask |= draw.polygon2mask(shape, (polygon - origin)[:, ::-1])
    return mask


def find_floor(pixels: np.ndarray) -> np.ndarray:
    """Boxes of the floor, float64 [N, 4]: blur, Otsu on the distance to the median colour, opening; no more."""
    from scipy import ndimage
    from skimage import filters, measure

    from sperm_tf.fields.regions import open_by_disk

    blurred = filters.gaussian(pixels.astype(np.float32), _FLOOR["smoothing_px"], channel_axis=2, preserve_range=True)
    distance = np.linalg.norm(blurred - np.median(pixels[::2, ::2].reshape(-1, 3), axis=0), axis=2)
    filled = ndimage.binary_fill_holes(distance > filters.threshold_otsu(distance))
    mask = open_by_disk(filled, _FLOOR["opening_px"])
    regions = [region for region in measure.regionprops(measure.label(mask)) if region.area >= _FLOOR["min_area_px"]]
    return np.array([np.array(region.bbox)[[1, 0, 3, 2]] for region in regions], np.float64).reshape(-1, 4)


def _find_all(pixels: np.ndarray, head_length_px: float) -> dict[str, np.ndarray]:
    """Boxes of the shipped finder and of each variant; those that differ in the rules alone share their regions."""
    found = {}
    segmented: dict[ClassicalOptions, Callable] = {}
    for name, options in {SHIPPED: ClassicalOptions(), **variants()}.items():
        key = dataclasses.replace(options, shape=HeadShape())
        if key not in segmented:
            segmented[key] = ClassicalFinder(key).prepare(pixels, head_length_px=head_length_px)
        found[name] = boxes_of(segmented[key](options.shape).heads)
    return found


def choose_out_of_fold(counts: Counts, folds: np.ndarray) -> tuple[list[FieldCounts], list[str]]:
    """Counts of each fold by the variant with the highest F1 on the other folds; and these variants."""
    result: list[FieldCounts | None] = [None] * len(folds)
    names = []
    for fold in range(folds.max() + 1):
        others = np.flatnonzero(folds != fold)
        best = max(variants(), key=lambda name: _f1([counts[name][index] for index in others]))
        names.append(best)
        for index in np.flatnonzero(folds == fold):
            result[index] = counts[best][index]
    return result, names  # type: ignore[return-value]


def write(
    folder: pathlib.Path,
    fields: AnnotatedFields,
    counts: Counts,
    metrics: dict,
    chosen: list[str],
    folds: np.ndarray,
) -> None:
    """Writes what the pages need."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = [field.name for field in dataclasses.fields(FieldCounts)]
    with (folder / "counts.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "session", "official_split", "fold", "finder", *columns])
        for index, record in enumerate(fields):
            for name, found in counts.items():
                values = dataclasses.astuple(found[index])
                rows.writerow(
                    [
                        record.image,
                        record.session,
                        record.official_split,
                        folds[index],
                        name,
                        *values[:3],
                        f"{values[3]:.4f}",
                    ]
                )
    content = {"chosen": chosen, "metrics": metrics}
    text = json.dumps(content, indent=2, allow_nan=False, default=float)
    (folder / "heads.json").write_text(text + "\n", encoding="utf-8")


def _summarize(counts: list[FieldCounts], sessions: list[int], chosen: np.ndarray) -> dict[str, list[float | None]]:
    indices = np.flatnonzero(chosen)
    found = summarize_fields([counts[index] for index in indices], [sessions[index] for index in indices])
    return {name: [None if math.isnan(value) else round(value, 4) for value in found[name]] for name in METRICS}


def _read(fields: AnnotatedFields, image: str, factor: float = 1.0) -> np.ndarray:
    from PIL import Image

    pixels = decode_rgb(fields.read_image(image)).pixels
    height, width = pixels.shape[:2]
    size = round(width * factor), round(height * factor)
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _boxes(fields: AnnotatedFields, image: str, annotator: str) -> np.ndarray:
    boxes = [cell.box() for cell in fields.read_cells(image, annotator)]
    return np.array([box for box in boxes if box is not None], np.float64).reshape(-1, 4)


def _add(counts: Counts, name: str, annotated: np.ndarray, found: np.ndarray, pixels: np.ndarray) -> None:
    height, width = pixels.shape[:2]
    counts.setdefault(name, []).append(count_field(annotated, found, width=width, height=height))


def _f1(counts: Sequence[FieldCounts]) -> float:
    return 2 * sum(count.matched for count in counts) / sum(count.annotated + count.found for count in counts)


def _print(metrics: dict) -> None:
    print("| part | finder |", " | ".join(METRICS), "|")
    print("|---|---|" + "---|" * len(METRICS))
    for part, rows in metrics.items():
        for name, row in rows.items():
            cells = [f"{row[metric][0]:.3f} ({row[metric][1]:.3f}–{row[metric][2]:.3f})" for metric in METRICS]
            print(f"| {part} | {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
