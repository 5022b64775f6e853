"""How well the measures of a cell agree between three people who drew the same cells.

    python -m benchmarks.morphometry SpermParsing.zip

Polygons become masks, masks become measures, and each pair of annotators is compared cell by cell. Cells are the same
where their heads overlap by half (intersection over union). What lies within three pixels of the
field's border is left out: of a tail that reaches it the tail only, of a head the cell. Errors are between two
people, relative to the mean of both, or absolute where a measure may be 0. Intervals are of the session bootstrap.
The archive says no pixel size; 0.05 um is inferred from its heads, and errors in per cent do not depend on it.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import math
import pathlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

ANNOTATORS = (1, 2, 3)
_PARTS = {"Nucleus": "head", "Acrosome": "acrosome", "Vacuole": "vacuoles", "Midpiece": "midpiece", "Tail": "tail"}
_BORDER_PX = 3
_MIN_IOU = 0.5
_RELATIVE = ("_um", "_um2", "ellipticity", "elongation", "rugosity", "regularity")
_ABSOLUTE = ("midpiece_offset_um", "midpiece_thick_area_um2")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=pathlib.Path, help="SpermParsing.zip")
    parser.add_argument("--pixel_size_um", type=float, default=0.05, help="micrometres per pixel")
    parser.add_argument("--fields", type=int, default=0, help="number of fields, spread over the archive; 0: all")
    flags = parser.parse_args(arguments)
    rows = list(read_pairs(flags.archive, flags.pixel_size_um, flags.fields))
    num_sessions = len({row["session"] for row in rows})
    print(f"{len(rows)} pairs of cells, {num_sessions} sessions, {flags.pixel_size_um} um a pixel\n")
    print_table(rows)


def read_pairs(archive: pathlib.Path, pixel_size_um: float, num_fields: int = 0) -> Iterator[dict]:
    """Cells that two annotators drew: `session`, and the measures of either, `first` and `second`."""
    with zipfile.ZipFile(archive) as content:
        root = next(name for name in content.namelist() if name.endswith("split.csv")).removesuffix("split.csv")
        fields = list(csv.DictReader(io.StringIO(content.read(root + "split.csv").decode())))
        step = max(len(fields) // num_fields, 1) if num_fields else 1
        for field in fields[::step]:
            name = field["image"].rsplit(".", 1)[0]
            drawn = {
                annotator: read_cells(json.loads(content.read(f"{root}annotator_{annotator}/{name}.json")))
                for annotator in ANNOTATORS
            }
            measured = {
                annotator: [_measure(cell, pixel_size_um) for cell in cells] for annotator, cells in drawn.items()
            }
            for first, second in itertools.combinations(ANNOTATORS, 2):
                for one, other in match_cells(drawn[first], drawn[second]):
                    sides = measured[first][one], measured[second][other]
                    is_cut = any(
                        "tail" in parts and _touches_border(parts["tail"])
                        for parts in (drawn[first][one], drawn[second][other])
                    )
                    if is_cut:
                        sides = tuple(_without_tail(side) for side in sides)
                    yield {"session": field["session"], "first": sides[0], "second": sides[1]}


def read_cells(labelme: Mapping) -> list[dict[str, np.ndarray]]:
    """Part -> mask, bool [H, W], of each cell of one field with a head clear of the border."""
    from skimage.draw import polygon2mask

    shape = labelme["imageHeight"], labelme["imageWidth"]
    cells: dict[object, dict[str, np.ndarray]] = {}
    for drawn in labelme["shapes"]:
        part = _PARTS.get(drawn["label"])
        if part is not None and drawn["group_id"] is not None and len(drawn["points"]) > 2:
            mask = polygon2mask(shape, np.array(drawn["points"])[:, ::-1])
            parts = cells.setdefault(drawn["group_id"], {})
            parts[part] = parts.get(part, False) | mask
    kept = []
    for parts in cells.values():
        if "head" not in parts:
            continue
        parts["head"] = parts["head"] | parts.get("acrosome", False)
        if not _touches_border(parts["head"]):
            kept.append(parts)
    return kept


def match_cells(first: Sequence[Mapping], second: Sequence[Mapping]) -> list[tuple[int, int]]:
    """Places of the same cells in both lists."""
    pairs = []
    for one, other in itertools.product(range(len(first)), range(len(second))):
        both = np.count_nonzero(first[one]["head"] & second[other]["head"])
        if both and both >= _MIN_IOU * np.count_nonzero(first[one]["head"] | second[other]["head"]):
            pairs.append((one, other))
    return pairs


def _touches_border(mask: np.ndarray) -> bool:
    inner = mask[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    return bool(np.count_nonzero(mask) > np.count_nonzero(inner))


def _measure(parts: Mapping[str, np.ndarray], pixel_size_um: float) -> dict[str, float]:
    from sperm_tf.morphometry.cell import measure_cell
    from sperm_tf.morphometry.masks import CellMasks

    nothing = np.zeros_like(parts["head"])
    return measure_cell(
        CellMasks(**{"acrosome": nothing, "vacuoles": nothing, **parts}), pixel_size_um=pixel_size_um
    ).to_row()


def _without_tail(row: Mapping[str, float]) -> dict[str, float]:
    return {name: math.nan if name.startswith("tail_") else value for name, value in row.items()}


def print_table(rows: Sequence[Mapping]) -> None:
    """Prints a row for each measure."""
    columns = ("measure", "pairs", "5 %", "median", "95 %", "mean absolute error", "median absolute error")
    print("|", " | ".join(columns), "|")
    print("|" + "---|" * len(columns))
    for name in rows[0]["first"]:
        first, second = (np.array([row[side][name] for row in rows]) for side in ("first", "second"))
        known = np.isfinite(first) & np.isfinite(second)
        sessions = np.array([row["session"] for row in rows])[known]
        if not known.any():
            continue
        middle = (first[known] + second[known]) / 2
        errors = np.abs(first - second)[known]
        is_relative = name.endswith(_RELATIVE) and name not in _ABSOLUTE and bool((middle > 0).all())
        if is_relative:
            errors = 100 * errors / middle
        low, median, high = np.percentile(middle, (5, 50, 95))
        cells = [name, str(known.sum()), f"{low:.2f}", f"{median:.2f}", f"{high:.2f}"]
        cells += [
            f"{value:.3g} {'%' if is_relative else ''} ({lower:.3g}–{upper:.3g})"
            for value, lower, upper in summarize(errors, sessions)
        ]
        print("|", " | ".join(cells), "|", flush=True)


def summarize(errors: np.ndarray, sessions: np.ndarray) -> list[tuple[float, float, float]]:
    """Mean and median of errors, float64 [N], each with its 95 % interval over sessions."""
    from sperm_tf.evaluation.metrics.intervals import group_bootstrap

    order = np.argsort(errors)

    def statistic(weights: np.ndarray) -> dict[str, np.ndarray]:
        total = np.maximum(weights.sum(axis=1), 1e-9)
        heaped = np.cumsum(weights[:, order], axis=1)
        middle = (heaped >= total[:, None] / 2).argmax(axis=1)
        return {"mean": weights @ errors / total, "median": errors[order][middle]}

    bounds = group_bootstrap(sessions, statistic, samples=1000)
    values = {"mean": float(errors.mean()), "median": float(np.median(errors))}
    return [
        (value, *(float(bound) if math.isfinite(bound) else math.nan for bound in bounds[name]))
        for name, value in values.items()
    ]


if __name__ == "__main__":
    main()
