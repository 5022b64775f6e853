"""Writes the report of slides: `slide.html`, one file that loads nothing, and `slide.pdf`, some A4 pages a slide."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sperm_tf.evaluation.quantification import counts as slide_lib
from sperm_tf.evaluation.quantification import reviewed, scores_file
from sperm_tf.evaluation.quantification.cells_file import FoundCells
from sperm_tf.evaluation.quantification.class_roles import ClassRoles
from sperm_tf.report import build
from sperm_tf.report.slide import contact_sheet, document, facts, fields, figures, model_facts, sample
from sperm_tf.report.slide.corrections import CorrectedScores
from sperm_tf.version import __version__
from sperm_tf.whole_files import replacing

HTML_FILE, PDF_FILE = "slide.html", "slide.pdf"
_TEMPLATE = "slide.html.j2"


@dataclasses.dataclass(frozen=True)
class Sources:
    """What a report is made from, beside the scores.

    Attributes:
        read: address of an image -> its bytes, None where it cannot be read.
        read_overlay: name of a picture that scoring drew -> its bytes, None where it cannot be read.
        rule: content of the model's `decision.json`; may be empty.
        card: of the model, Markdown; may be empty.
        sample: what flags say of the sample, by `sample.FIELDS`; may be empty.
        verdicts: SHA-256 of a file -> the last verdict of a person on it; None without a review.
        removed: SHA-256 of the files of cells that are none, as people found; they count nowhere.
        added: rows like those of the scores, of cells that people added in fields; they count after review. May be
            None.
        found: the cells of fields that the scores are of; None where the images came from elsewhere.
    """

    read: contact_sheet.Read
    read_overlay: contact_sheet.Read
    rule: Mapping[str, Any]
    card: str
    sample: Mapping[str, str] = dataclasses.field(default_factory=dict)
    verdicts: Mapping[str, reviewed.Verdict] | None = None
    removed: frozenset[str] = frozenset()
    added: Any = None
    found: FoundCells | None = None

    @property
    def root(self) -> str:
        """Folder of the fields; empty where the images came from elsewhere."""
        return self.found.root if self.found else ""


def write_report(
    output: pathlib.Path,
    scores: scores_file.Scores,
    roles: ClassRoles,
    sources: Sources,
    *,
    date: str,
    slide_column: str = "",
    replicate_column: str = "",
    sheet_size: int = 48,
    field_pictures: int = fields.MAX_PICTURES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[pathlib.Path]:
    """Writes both files.

    Args:
        output: folder, made when it is missing.
        scores: what to report on.
        roles: of the classes.
        sources: images, model and its papers.
        date: of the report, ISO 8601.
        slide_column: names the slide of each image; empty where all are of one.
        replicate_column: names the replicate; empty where there is none.
        sheet_size: most images of a slide on the contact sheet of the page; the PDF shows the first 28.
        field_pictures: most pictures of fields of a slide on the page; the PDF shows the first 6.
        progress: is told after each slide how many of how many are described.

    Returns:
        The files.
    """
    described = []
    sizes = sheet_size, field_pictures
    for facts_of_slide, total in _describe_slides(scores, roles, sources, slide_column, replicate_column, *sizes):
        described.append(facts_of_slide)
        progress(len(described), total)
    content = {
        "slides": described,
        "model": model_facts.describe_model(scores.record, scores.class_names, roles, sources.rule, sources.card),
        "notice": facts.NOTICE,
        "scope": figures.SCOPE_NOTE,
        "date": date,
        "version": __version__,
    }
    output.mkdir(parents=True, exist_ok=True)
    html, pdf = output / HTML_FILE, output / PDF_FILE
    rendered = build.make_environment().get_template(_TEMPLATE).render(**content)
    with replacing(html) as new_html, replacing(pdf) as new_pdf:
        new_html.write_text(rendered.rstrip() + "\n", encoding="utf-8")
        document.write(new_pdf, content)
    return [html, pdf]


def _describe_slides(
    scores: scores_file.Scores,
    roles: ClassRoles,
    sources: Sources,
    slide_column: str,
    replicate_column: str,
    sheet_size: int,
    max_pictures: int,
) -> Iterator[tuple[dict[str, Any], int]]:
    """The facts of each slide, and of how many."""
    verdicts, rule = sources.verdicts, sources.rule
    corrected = CorrectedScores.part(scores.table, sources.removed, sources.added)
    columns: dict[str, Any] = {"slide_column": slide_column, "replicate_column": replicate_column}
    errors: dict[str, Any] = {"confusion": rule.get("confusion") or (), "confident": rule.get("confident") or ()}
    slides = slide_lib.summarize(corrected.table, roles, **columns, **errors)
    after: Sequence[slide_lib.Slide | None] = [None] * len(slides)
    if verdicts is not None:
        after = slide_lib.summarize(corrected.after_review(verdicts), roles, **columns)
    elsewhere = _on_several_slides(corrected.table, slide_column)
    for slide, counted in zip(slides, after, strict=True):
        own = corrected.of_slide(slide_column, slide.name)
        rows = own.table
        sheet = contact_sheet.draw(
            rows,
            scores.class_names,
            limit=sheet_size,
            read=sources.read,
            read_overlay=sources.read_overlay,
            replicate_column=replicate_column,
            verdicts=verdicts,
        )
        facts_of_sample = sample.describe_sample(rows, scores.record["columns"], sources.sample)
        review = figures.Reviewed(counted, own.describe_review(verdicts or {})) if counted else None
        num_elsewhere = int(elsewhere[rows.index].sum())
        described = facts.describe_slide(slide, rows, roles, rule, num_elsewhere=num_elsewhere, reviewed=review) | {
            "title": sample.choose_title(slide.name, facts_of_sample, sources.root or scores.record["root"]),
            "sample": facts_of_sample,
            "sheet": sheet,
            "sheet_words": facts.describe_sheet(sheet),
            "fields": _describe_fields(sources, roles, slide_column, slide.name, max_pictures),
        }
        yield described, len(slides)


def _describe_fields(
    sources: Sources, roles: ClassRoles, slide_column: str, slide: str, max_pictures: int
) -> dict[str, Any] | None:
    if sources.found is None:
        return None
    return fields.describe_fields(
        sources.found,
        roles,
        slide_column=slide_column,
        slide=slide,
        verdicts=sources.verdicts,
        removed=sources.removed,
        added=sources.added,
        max_pictures=max_pictures,
    )


def _on_several_slides(table: Any, slide_column: str) -> Any:
    """Of every row, whether its image stands on another slide, too."""
    import pandas as pd

    if not slide_column or scores_file.IMAGE_DIGEST not in table:
        return pd.Series(False, index=table.index)
    digests = table[scores_file.IMAGE_DIGEST]
    slides = table[slide_column].astype(str).groupby(digests).transform("nunique")
    return (slides > 1) & (digests != "")


def known_columns(scores: scores_file.Scores, names: Sequence[str]) -> None:
    """Refuses a column that the scores do not have.

    Raises:
        ScoresError: there is none of that name.
    """
    further = scores.record["columns"]
    for name in names:
        if name and name not in further:
            raise scores_file.ScoresError(
                "columns of slides and replicates must be among those that the table passed through: "
                f"{', '.join(further) or '(none)'}. Received: {name!r}. Score a table that has it: see docs/slide.md."
            )
