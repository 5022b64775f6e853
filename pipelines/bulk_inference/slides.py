"""Makes the report of slides from scores: finds the images and reviews again, and hands them to the writer."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

from pipelines.bulk_inference import model as scoring_model
from pipelines.bulk_inference import output as score_folder
from pipelines.bulk_inference import reviews
from pipelines.bulk_inference.inputs import IN_ARCHIVE
from pipelines.bulk_inference.output import REVIEWS_FOLDER
from pipelines.bulk_inference.reader import CropReader
from pipelines.orchestration import progress
from sperm_tf.evaluation.quantification import cells_file, class_roles, scores_file
from sperm_tf.report.slide import fields, page
from sperm_tf.report.slide.corrections import CorrectedScores, find_placed

_NONE = ["none"]
_RULE_FILE = "decision.json"


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asks for; fields are the flags of `pipelines.slide_report`, `sample` those of a sample."""

    scores: pathlib.Path
    output: pathlib.Path
    slide_column: str | None = None
    replicate_column: str | None = None
    normal_classes: Sequence[str] | None = None
    not_sperm_classes: Sequence[str] | None = None
    images: str = ""
    reviews: str = ""
    sample: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sheet_size: int = 48
    field_pictures: int = fields.MAX_PICTURES


def run(request: Request, *, report: Callable[[str], None] = print) -> list[pathlib.Path]:
    """Writes the report.

    Args:
        request: what to report on.
        report: receives lines for people.

    Returns:
        The files written.

    Raises:
        ValueError: the scores cannot be read, or a column or class is not in them.
        OSError: a file cannot be written.
    """
    scores = scores_file.read(request.scores)
    not_sperm = [] if request.not_sperm_classes == _NONE else request.not_sperm_classes
    roles = class_roles.default_roles(scores.class_names, normal=request.normal_classes, not_sperm=not_sperm)
    columns = {
        "slide_column": _choose_column(request.slide_column, "slide", scores),
        "replicate_column": _choose_column(request.replicate_column, "replicate", scores),
    }
    if not columns["slide_column"] and request.slide_column is None:
        _say_pooled(scores, report)
    page.known_columns(scores, list(columns.values()))
    images = CropReader(_images_folder(request, scores))
    with progress.shown("Slide report"), contextlib.closing(images) as reader:
        sources = _find_sources(request, scores, reader, report)
        _check_left(scores, sources.removed)
        sources = _leave_out_lonely(sources, scores, list(columns.values()), report)
        return page.write_report(
            request.output.expanduser(),
            scores,
            roles,
            sources,
            date=datetime.date.today().isoformat(),
            sheet_size=request.sheet_size,
            field_pictures=request.field_pictures,
            progress=_count_slide,
            **columns,
        )


def _check_left(scores: scores_file.Scores, removed: frozenset[str]) -> None:
    if removed and scores.table[scores_file.IMAGE_DIGEST].isin(removed).all():
        raise scores_file.ScoresError(
            f"scores must hold at least one cell. Received: {scores.path}, and reviews by which none of its "
            f"{len(scores.table)} images shows one. Leave --reviews out to see what was found."
        )


def _leave_out_lonely(
    sources: page.Sources, scores: scores_file.Scores, columns: list[str], report: Callable[[str], None]
) -> page.Sources:
    """Without added cells of slides or replicates that have no scored cell, since no count holds them."""
    if sources.added is None or not len(sources.added) or not any(columns):
        return sources
    left = CorrectedScores.part(scores.table, sources.removed, None).table
    is_placed = find_placed(sources.added, left, columns)
    if not all(is_placed):
        report(
            f"{is_placed.count(False)} added cells are not counted: their slide or replicate has no cell that was "
            "found and scored."
        )
    return dataclasses.replace(sources, added=sources.added[is_placed])


def _count_slide(done: int, total: int) -> None:
    if done == 1:
        progress.expect(total, "slides")
    progress.advance()


def _say_pooled(scores: scores_file.Scores, report: Callable[[str], None]) -> None:
    """Says that all images are counted as those of one slide, where they may be of several."""
    others = [name for name in scores.record["columns"] if name not in cells_file.CROP_COLUMNS]
    if others:
        report(
            f"All images count as one slide: the scores have no column slide, but {', '.join(others)}. Name the one "
            "that tells slides apart with --slide_column."
        )
        return
    places = {file.rpartition(IN_ARCHIVE if IN_ARCHIVE in file else "/")[0] for file in scores.table[scores_file.FILE]}
    if len(places) > 1:
        report(
            f"All images count as one slide, from {len(places)} folders or archives. If they are several slides, score "
            "a table with the columns file and slide: see docs/slide.md."
        )


def _choose_column(asked: str | None, usual: str, scores: scores_file.Scores) -> str:
    if asked is not None:
        return asked
    alike = [name for name in scores.record["columns"] if name.casefold() == usual]
    return min(alike, key=lambda name: name != usual, default="")


def _find_sources(
    request: Request, scores: scores_file.Scores, reader: CropReader, report: Callable[[str], None]
) -> page.Sources:
    folder = scores.path.parent / score_folder.MODEL
    rule, card = folder / _RULE_FILE, folder / scoring_model.CARD_FILE
    found, cells, kept = None, cells_file.find(scores), scores.path.parent / REVIEWS_FOLDER
    if not request.reviews and kept.is_dir():
        report(f"Reviews lie in {kept} and are not counted. To count them: --reviews={kept}")
    if request.reviews:
        found = reviews.find_verdicts(pathlib.Path(request.reviews).expanduser(), scores, cells)
        num_removed, num_added = len(found.removed), 0 if found.added is None else len(found.added)
        corrected = f" {num_removed:,} are no cells; {num_added:,} were added." if num_removed or num_added else ""
        report(f"{len(found.verdicts) + num_removed:,} of {len(scores.table):,} images were reviewed.{corrected}")
    return page.Sources(
        read=_find_images(request, scores, reader, report),
        read_overlay=functools.partial(_read_overlay, scores.path.parent),
        rule=json.loads(rule.read_text(encoding="utf-8")) if rule.is_file() else {},
        card=card.read_text(encoding="utf-8") if card.is_file() else "",
        sample=request.sample,
        verdicts=found.verdicts if found else None,
        removed=found.removed if found else frozenset(),
        added=found.added if found else None,
        found=cells,
    )


def _find_images(
    request: Request, scores: scores_file.Scores, reader: CropReader, report: Callable[[str], None]
) -> Callable[[str], bytes | None]:
    """How to read the images, as they were when they were scored."""
    images = _images_folder(request, scores)
    if not images.is_dir():
        report(f"The contact sheet is empty: the images are no longer at {images}. Name their folder with --images.")
    digests = {}
    if scores_file.IMAGE_DIGEST in scores.table:
        digests = dict(zip(scores.table[scores_file.FILE], scores.table[scores_file.IMAGE_DIGEST], strict=True))
    else:
        report(
            "The contact sheet is empty: an earlier version scored without a digest of each image, and nobody can tell "
            "whether these are the images that were scored. Score again, into a new --output."
        )
    return lambda file: reader.read_unchanged(file, digests.get(file, ""))


def _images_folder(request: Request, scores: scores_file.Scores) -> pathlib.Path:
    return pathlib.Path(request.images or scores.record["root"]).expanduser()


def _read_overlay(folder: pathlib.Path, name: str) -> bytes | None:
    try:
        return (folder / name).read_bytes()
    except OSError:
        return None
