"""What the report of a slide says, as plain values; the HTML page and the PDF show the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sperm_tf.evaluation.quantification import counts as slide_lib
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.evaluation.quantification.class_roles import ClassRoles
from sperm_tf.evaluation.quantification.counts import Count, Slide
from sperm_tf.evaluation.quantification.prevalence import error_rates
from sperm_tf.report import text
from sperm_tf.report.sections.trust import REASONS
from sperm_tf.report.slide.contact_sheet import Sheet
from sperm_tf.report.slide.figures import Reviewed, describe_figures
from sperm_tf.report.slide.verdict import describe_verdict
from sperm_tf.served_names import (
    EMPTY,
    FIELD_OF_VIEW,
    OK,
    TOO_LARGE,
    TOO_SMALL,
    UNDECODABLE,
    UNKNOWN_FORMAT,
    UNREADABLE,
)

NOTICE = (
    "For research only: not a medical device, no diagnosis. The figures count answers of a model; a person who knows "
    "the sample reads them, looks at the referred images, and decides."
)
INTERVAL_NOTE = (
    "The 95 % interval of a count (Wilson) is the error of counting this many cells. It takes every answer of the "
    "model to be right."
)
BOUNDS_NOTE = (
    "The range says where the count can end once a person has looked at the referred images: its ends are that all, or "
    "none, of them show a normal spermatozoon. Wrong answers that were accepted stay in it, so a corrected percentage "
    "may lie outside."
)
ACCEPTED_NOTE = (
    "How many of the accepted normal forms are wrong is predicted from the same errors and this slide's mix of "
    "classes, with a 95 % interval. The images do not show which they are: look at all of them where a finding rests "
    "on them."
)
_QUALITY = (
    ("width", "Width, pixels", 0),
    ("height", "Height, pixels", 0),
    ("snr", "Signal to noise", 1),
    ("cnr", "Contrast to noise", 1),
    ("sharpness", "Sharpness, radians per pixel", 3),
    (scores_file.PIXEL_SIZE, "Pixel size that the files state, µm", 4),
)
_NOT_CORRECTED = {
    slide_lib.NO_ERRORS_KNOWN: "how often this model takes one class for another is not known. On a slide with few "
    "normal forms, abnormal ones that are misclassified as normal can make up most of it.",
    slide_lib.MOSTLY_UNFAMILIAR: "most images are unlike those that this model's errors are known from. Before a "
    "person has looked at them none is given.",
    slide_lib.NOTHING_TO_COUNT: "there is no spermatozoon among the answers.",
    slide_lib.NO_MIX_FITS: "the errors that are known of this model would hardly give these answers for any slide. It "
    "errs differently on these images, and the percentage may be far off: look at a sample of them.",
}
_MAX_COLUMNS = 4
_STATUSES = {
    UNREADABLE: "missing, or may not be read",
    EMPTY: "an empty file",
    UNKNOWN_FORMAT: "no PNG, JPEG, BMP or GIF",
    TOO_SMALL: "smaller than 16 pixels",
    TOO_LARGE: "larger than 25 million pixels",
    UNDECODABLE: "damaged, or 16 bits that are not used",
    FIELD_OF_VIEW: "a whole field of view: pipelines.fields finds its cells",
}


def describe_slide(
    slide: Slide,
    scores: Any,
    roles: ClassRoles,
    rule: Mapping[str, Any],
    *,
    num_elsewhere: int = 0,
    reviewed: Reviewed | None = None,
) -> dict[str, Any]:
    """The facts of one slide.

    Args:
        slide: its counts, as the model answered.
        scores: its rows, a data frame with the columns of `sperm_tf.evaluation.quantification.scores_file`.
        roles: of the classes.
        rule: content of `decision.json`; empty where there is none.
        num_elsewhere: images that stand on another slide of the scores, too.
        reviewed: the slide after review; None without one.
    """
    total = slide.total
    accepted_normal = _describe_accepted_normal(total)
    notes = [describe_correction(total, rule, roles), INTERVAL_NOTE, BOUNDS_NOTE, *describe_intensities(scores)]
    return {
        "name": slide.name,
        "num_files": total.num_files,
        "num_sperm": total.num_sperm,
        "figures": describe_figures(slide, roles, _count_calibration(rule), reviewed),
        "accepted_normal": accepted_normal,
        "copies": _describe_copies(total, num_elsewhere),
        "verdict": describe_verdict(
            slide, reviewed.slide if reviewed else None, by_people=reviewed is not None and reviewed.is_complete
        ),
        "notes": [*notes, ACCEPTED_NOTE] if accepted_normal else notes,
        "num_referred": total.num_referred,
        "referred_percent": text.percent(total.referred_share),
        "reasons": [
            {"text": REASONS.get(reason, reason), "count": number, "percent": text.percent(number / total.num_readable)}
            for reason, number in total.reasons.items()
        ],
        "columns": [part.name for part in _shown(slide)],
        "classes": _describe_classes(slide, roles, reviewed),
        "rows": _describe_replicates(slide, reviewed),
        "quality": _describe_quality(scores),
        "unreadable": [
            {"file": row.file, "text": _STATUSES.get(row.status, row.status)}
            for row in scores[scores[scores_file.STATUS] != OK].itertuples()
        ],
    }


def describe_correction(total: Count, rule: Mapping[str, Any], roles: ClassRoles) -> str:
    """What the percentage of a slide is corrected by, or why it is not.

    Args:
        total: of the slide.
        rule: content of `decision.json`; empty where there is none.
        roles: of the classes.
    """
    confusion = rule.get("confusion") or ()
    rates = error_rates(confusion, part=roles.is_normal, whole=roles.is_sperm)
    known = (
        f"On {text.count(_count_calibration(rule))} calibration images the model misclassifies "
        f"{text.percent(rates[0])} of the spermatozoa that are not normal as normal, and finds "
        f"{text.percent(rates[1])} of the normal ones. "
        if rates
        else ""
    )
    if total.correction != slide_lib.CORRECTED:
        return f"{known}The percentage is not corrected: {_NOT_CORRECTED[total.correction]}"
    return (
        f"{known}The percentage is corrected for that (adjusted classify and count, ACC; Rogan and Gladen 1978), and "
        "its 95 % interval takes in how well these shares are known. It holds where the images of each class are like "
        "the calibration images of that class."
    )


def describe_sheet(sheet: Sheet, *, limit: int | None = None) -> str:
    """What the contact sheet shows.

    Args:
        sheet: the images.
        limit: how many of them are shown; None shows all.
    """
    cells = sheet.cells[:limit]
    left_out = (
        f" {text.plural(sheet.num_left_out, 'image')} that should be here cannot be shown: not found, changed since "
        "the scoring, or damaged."
        if sheet.num_left_out
        else ""
    )
    if not cells:
        return f"There is no image to show.{left_out}"
    has_maps = any(cell.overlay for cell in cells)
    maps = " Beside an image: its attribution map (layer integrated gradients of the answer)." if has_maps else ""
    return (
        f"The {len(cells)} least certain of the readable images: unfamiliar ones first, then by rising probability of "
        f"the answer.{maps}{left_out}"
    )


def _count_calibration(rule: Mapping[str, Any]) -> int:
    return sum(map(sum, rule.get("confusion") or ()))


def _describe_classes(slide: Slide, roles: ClassRoles, reviewed: Reviewed | None) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "role": "normal form" if name in roles.normal else "no sperm" if name in roles.not_sperm else "",
            "counts": [part.classes[name] for part in _shown(slide)],
            "total": slide.total.classes[name],
            "share": _share_of_sperm(slide.total, name) if name in roles.sperm else "not counted",
            "reviewed": reviewed.slide.total.classes[name] if reviewed else None,
        }
        for name in roles.class_names
    ]


def _shown(slide: Slide) -> tuple[Count, ...]:
    """The replicates that have a column of their own."""
    return slide.replicates if 2 <= len(slide.replicates) <= _MAX_COLUMNS else ()


def _share_of_sperm(total: Count, name: str) -> str:
    return text.percent(total.classes[name] / total.num_sperm) if total.num_sperm else text.NOTHING


def _describe_accepted_normal(total: Count) -> str:
    """How many accepted normal forms there are, and how many of them are likely none; empty where that is not known."""
    if total.wrong_normal is None:
        return ""
    number = total.num_accepted_normal
    share, (low, high) = total.wrong_normal
    return (
        f"{text.count(number)} accepted as normal forms: likely {round(share * number):,} of them wrong "
        f"({round(low * number):,}–{round(high * number):,})"
    )


def _describe_copies(total: Count, num_elsewhere: int) -> str:
    found = []
    if total.num_copies:
        found.append(f"{text.plural(total.num_copies, 'image')} too many: copies of others, which count twice")
    if num_elsewhere:
        found.append(f"{text.plural(num_elsewhere, 'image')} of another slide, too")
    return f"{'; '.join(found)}: take them out" if found else ""


def _describe_replicates(slide: Slide, reviewed: Reviewed | None) -> list[dict[str, Any]]:
    after = reviewed.slide.replicates if reviewed else slide.replicates
    return [
        {
            "name": part.name or "all images",
            "corrected": text.percent(part.corrected[0]) if part.corrected else text.NOTHING,
            "num_sperm": part.num_sperm,
            "num_normal": part.num_normal,
            "percent": text.percent(part.normal_share),
            "interval": text.NOTHING
            if part.correction == slide_lib.MOSTLY_UNFAMILIAR
            else text.percent_interval(part.interval),
            "reviewed": text.percent(done.normal_share) if reviewed else text.NOTHING,
            "bounds": text.percent_interval(done.bounds) if done.num_referred else text.NOTHING,
            "num_referred": part.num_referred,
            "num_unreadable": part.num_unreadable,
        }
        for part, done in zip(slide.replicates, after, strict=True)
    ]


def describe_intensities(scores: Any) -> list[str]:
    """How the values of microscopes' files became 8 bits; nothing where all files are pictures of 8 bits.

    Args:
        scores: rows of scores, or of cells of fields; a data frame.
    """
    if scores_file.INTENSITY not in scores:
        return []
    mappings = scores[scores_file.INTENSITY].dropna()
    counts = mappings[mappings != ""].value_counts()
    listed = "; ".join(f"{mapping}: {text.plural(int(count), 'file')}" for mapping, count in counts.items())
    return [f"Intensities of the files as the model saw them: {listed}."] if listed else []


def _describe_quality(scores: Any) -> list[dict[str, str]]:
    rows = []
    for name, label, digits in _QUALITY:
        values = scores[name].dropna() if name in scores else scores.iloc[:0, 0]
        if name == scores_file.PIXEL_SIZE and not len(values):
            continue
        low, middle, high = values.quantile([0.05, 0.5, 0.95]) if len(values) else (math.nan,) * 3
        rows.append(
            {
                "name": label,
                "median": text.number(float(middle), digits),
                "range": text.interval((float(low), float(high)), digits) or text.NOTHING,
            }
        )
    return rows
