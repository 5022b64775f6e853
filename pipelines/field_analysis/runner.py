"""From fields to classified cells: finds heads, cuts crops, has them scored, and writes tables and pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import pathlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipelines.bulk_inference import progress as score_progress
from pipelines.bulk_inference import runner as scoring
from pipelines.bulk_inference import spreadsheet
from pipelines.bulk_inference.inputs import Crop, CropList, list_crops
from pipelines.bulk_inference.reader import CropReader
from pipelines.field_analysis import columns, tables
from pipelines.field_analysis import field_folder as folder_lib
from pipelines.field_analysis.field_folder import FieldFolder
from pipelines.field_analysis.field_reader import list_views, open_field
from pipelines.field_analysis.finding import FieldFinder
from pipelines.field_analysis.focus_flags import flag_out_of_focus
from pipelines.field_analysis.writing import write_pictures
from pipelines.orchestration.component import RunContext
from sperm_tf.config_checks import check_choice
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.data.image_files import describe_ignored
from sperm_tf.evaluation.quantification import cells_file, scores_file
from sperm_tf.fields.crops import find_crop_per_head
from sperm_tf.fields.finders import CLASSICAL, FINDERS
from sperm_tf.fields.focus import describe_edge_limit
from sperm_tf.fields.scale import GIVEN, UNKNOWN, Scale, common_pixel_size, find_scale, measure_head_lengths
from sperm_tf.models.released import look_up
from sperm_tf.served_names import OK
from sperm_tf.version import __version__

_SAMPLE = 24  # fields that the scale is measured on


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asks for; the fields are the flags of `pipelines.fields`."""

    model: str
    input: str
    output: pathlib.Path
    finder: str = CLASSICAL
    pixel_size_um: float | None = None
    crop_per_head: float | None = None
    check_pixel_size: bool = True
    overlays: str = scoring.NO_OVERLAYS
    shard_size: int = 16
    beam_args: tuple[str, ...] = ()
    runtime: str = ""


def run(request: Request, *, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Finds and classifies the cells of fields; goes on where an earlier run was stopped.

    Args:
        request: what to do.
        report: receives lines for people.

    Returns:
        The content of `summary.json`.

    Raises:
        ValueError: model, input, output or pixel size cannot be used.
        OSError: a folder cannot be read or written.
        ImportError: a package is missing.
    """
    import roifile  # noqa: F401  (says now that it is missing, and not after hours)
    import xlsxwriter  # noqa: F401

    check_choice("finder", request.finder, tuple(FINDERS))
    with score_progress.step(f"Looking for fields in {request.input}"):
        fields = list_crops(request.input)
    tables.check_columns(fields.columns)
    folder = FieldFolder(request.output.expanduser().resolve())
    with folder.locked():
        record = folder.claim(_describe(request, fields), fields)
        if folder.is_finished():
            report(f"All {record['num_files']:,} fields are done already.")
            return folder.finish()
        if fields.ignored:
            report(f"{describe_ignored(fields.ignored)}.")
        scale = _find_scale(folder, record, fields, report, check=request.check_pixel_size)
        found, limit = flag_out_of_focus(_find(folder, record, scale, request.beam_args))
        if note := describe_edge_limit(limit):
            report(note)
        scores = _score(request, folder, found, fields.columns, report)
        return _finish(folder, record, {**scale, "max_edge_width": limit}, found, fields.columns, scores, report)


def describe(summary: dict[str, Any]) -> str:
    """The result in a few lines, for the terminal."""
    statuses = ", ".join(f"{name} {count:,}" for name, count in summary["field_statuses"].items())
    return (
        f"{summary['num_files']:,} fields ({statuses}): {summary['num_cells']:,} heads, of which "
        f"{summary['num_cut']:,} are cut by the border and not classified."
    )


def explain_nothing_read(summary: dict[str, Any]) -> str:
    """What to do where not one field could be read; empty where one was."""
    statuses = summary["field_statuses"]
    if statuses.keys() & {OK, columns.NO_HEADS}:
        return ""
    listed = ", ".join(f"{status}: {count:,}" for status, count in statuses.items())
    return (
        f"input must hold at least one field that can be read. Received: {summary['num_files']:,} files ({listed}). "
        "fields.csv has the status of each. Then use a new --output."
    )


def _describe(request: Request, fields: CropList) -> dict[str, Any]:
    return {
        "model": scoring.locate(request.model),
        "overlays": request.overlays,
        "finder": request.finder,
        "stated_pixel_size_um": request.pixel_size_um,
        "crop_per_head": request.crop_per_head or _find_crop_per_head(request.model),
        "root": str(fields.root),
        "inputs_digest": fields.digest(),
        "num_files": len(fields.crops),
        "columns": list(fields.columns),
        "ignored": dict(fields.ignored),
        "shard_size": request.shard_size,
        "package_version": __version__,
        "started_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _find_crop_per_head(model: str) -> float:
    """What the images have that a released model was trained on; SMIDS' of other models, which do not say."""
    release = look_up(scoring.locate(model))
    return find_crop_per_head(release.dataset if release else "")


def _find_scale(
    folder: FieldFolder, record: dict[str, Any], fields: CropList, report: Callable[[str], None], *, check: bool
) -> dict[str, Any]:
    """Length of a head and pixel size, as an earlier run of this folder found them, or from a sample of the fields."""
    scale = folder.read_scale()
    if scale is None:
        with score_progress.step("Measuring the scale"):
            found = _measure_scale(record, fields, check=check)
        unknown = {"head_length_px": None, "pixel_size_um": None, "source": UNKNOWN}
        scale = {**(unknown if found is None else dataclasses.asdict(found)), "compared_with_heads": check}
        folder.write_scale(scale)
    if scale["source"] == UNKNOWN:
        report("No field holds anything of a head's form: no cell is found, and the pixel size is not known.")
    elif scale["source"] != GIVEN:
        report(
            f"Pixel size: about {scale['pixel_size_um']:.3f} um, estimated from heads of {scale['head_length_px']:.0f} "
            "pixels. Lengths in um rest on it; state --pixel_size_um where you know it."
        )
    elif not scale.get("compared_with_heads", True):
        report(f"Pixel size: {scale['pixel_size_um']:.4g} um as stated, not compared with the heads.")
    return scale


def _measure_scale(record: dict[str, Any], fields: CropList, *, check: bool) -> Scale | None:
    places = np.unique(np.linspace(0, len(fields.crops) - 1, _SAMPLE).astype(int))
    sample = [fields.crops[place] for place in places]
    others = [crop for index, crop in enumerate(fields.crops) if index not in set(places.tolist())]
    reader = CropReader(record["root"])
    try:
        found = [_measure(reader, crop) for crop in sample]
        while others and not any(len(lengths) for lengths, _ in found):  # an empty sample says nothing of the rest
            found.append(_measure(reader, others.pop(0)))
    finally:
        reader.close()
    stated = record["stated_pixel_size_um"] or common_pixel_size([size for _, size in found if size is not None])
    return find_scale([lengths for lengths, _ in found], stated, check=check)


def _measure(reader: CropReader, crop: Crop) -> tuple[np.ndarray, float | None]:
    """Lengths of heads, as `measure_head_lengths`, and the pixel size that the file states."""
    lengths = [np.zeros((0, 2))]
    with open_field(reader, crop) as image, contextlib.suppress(UndecodableImageError):  # its row says so later
        if image.pixels is not None:
            lengths += [measure_head_lengths(view) for view in list_views(image.pixels)]
    return np.concatenate(lengths), image.pixel_size_um


def _find(
    folder: FieldFolder, record: dict[str, Any], scale: dict[str, Any], beam_args: tuple[str, ...]
) -> list[dict[str, Any]]:
    (folder.path / folder_lib.CROPS).mkdir(exist_ok=True)
    if missing := folder.missing_shards(record):
        finder = FieldFinder(
            str(folder.path),
            record,
            head_length_px=scale["head_length_px"],
            pixel_size_um=scale["pixel_size_um"],
            pixel_size_source=scale["source"],
        )
        with score_progress.shown(folder, record, missing):
            scoring.work(finder, missing, RunContext(folder.path, beam_args), [record["root"]])
    return folder.read_found(record).to_pylist()


def _score(
    request: Request,
    folder: FieldFolder,
    found: list[dict[str, Any]],
    further: Sequence[str],
    report: Callable[[str], None],
) -> scores_file.Scores | None:
    """Has the crops classified, by what `pipelines.score` runs; None where there is no crop."""
    table = folder.path / folder_lib.CROPS_TABLE
    if not tables.write_crops_table(table, found, further):
        return None
    output = folder.path / folder_lib.SCORES
    summary = scoring.run(
        scoring.Request(
            model=request.model,
            input=str(table),
            output=output,
            overlays=request.overlays,
            beam_args=request.beam_args,
            runtime=request.runtime,
            refuse_fields=False,
        ),
        report=report,
    )
    report(scoring.describe(summary))
    return scores_file.read(output)


def _finish(
    folder: FieldFolder,
    record: dict[str, Any],
    scale: dict[str, Any],
    found: list[dict[str, Any]],
    further: Sequence[str],
    scores: scores_file.Scores | None,
    report: Callable[[str], None],
) -> dict[str, Any]:
    cells = tables.join_cells(found, further, scores)
    tables.write_table(cells, folder.path, cells_file.CELLS)
    if note := spreadsheet.write(folder.path / f"{cells_file.CELLS}.parquet"):
        report(note)
    tables.write_table(tables.list_fields(found, further), folder.path, cells_file.FIELDS)
    with score_progress.step("Drawing the fields"):
        write_pictures(folder.path, record["root"], found, cells, () if scores is None else scores.class_names)
    statuses = Counter(field[columns.STATUS] for field in found)
    summary = {
        **record,
        **scale,
        "field_statuses": dict(sorted(statuses.items())),
        "num_cells": cells.num_rows,
        "num_cut": sum(field["num_cut"] for field in found),
    }
    folder.conclude(summary)
    folder.finish()
    return summary
