"""Whether the count of a slide stands."""

from __future__ import annotations

from sperm_tf.evaluation.quantification import counts as slide_lib
from sperm_tf.evaluation.quantification.counts import MIN_SPERMATOZOA, Slide
from sperm_tf.report import text


def describe_verdict(slide: Slide) -> dict[str, str]:
    """Whether the count stands: `kind` (`good`, `bad` or `none`), a `title`, and a sentence."""
    replicates = slide.replicates
    if any(2 * part.num_referred > part.num_readable for part in (slide.total, *replicates)):
        return {
            "kind": "none",
            "title": "Most images are referred: no verdict",
            "text": "The model's answers count for little until a person has looked at the images.",
        }
    if not slide.is_enough:
        listed = text.listing([f"{part.num_sperm}{f' in {part.name}' if part.name else ''}" for part in replicates])
        return {
            "kind": "none",
            "title": "Not enough cells: no verdict",
            "text": f"Spermatozoa: {listed}. The WHO manual asks for at least {MIN_SPERMATOZOA} in each of two "
            "replicates.",
        }
    if slide.total.num_copies:
        return {
            "kind": "none",
            "title": "Copies among the images: no verdict",
            "text": f"{text.plural(slide.total.num_copies, 'image')} too many: a cell counts twice, and a replicate "
            "that holds the other's images agrees with it. Take the copies out, and score again.",
        }
    if slide_lib.NO_MIX_FITS in [part.correction for part in (slide.total, *replicates)]:
        return {
            "kind": "none",
            "title": "The model errs differently here: no verdict",
            "text": "Its known errors would hardly give these answers for any slide. Replicates share such a bias, so "
            "that they agree says little.",
        }
    if slide.comparison is None:
        known = "One replicate" if len(replicates) == 1 else f"{len(replicates)} replicates"
        return {
            "kind": "none",
            "title": f"{known}: no verdict",
            "text": f"The WHO manual compares two replicates of at least {MIN_SPERMATOZOA} spermatozoa each.",
        }
    difference, limit = _write_apart(100 * slide.comparison.difference, 100 * slide.comparison.limit)
    before_review = " Both are taken as the model answered, before review." if slide.total.num_referred else ""
    if slide.comparison.agrees:
        return {
            "kind": "good",
            "title": "The replicates agree",
            "text": f"They differ by {difference} percentage points; counting alone explains up to {limit} "
            f"(WHO manual, 95 %).{before_review}",
        }
    return {
        "kind": "bad",
        "title": "The replicates do not agree",
        "text": f"They differ by {difference} percentage points, more than the {limit} that counting alone "
        f"explains (WHO manual, 95 %).{before_review} Assess both again.",
    }


def _write_apart(first: float, second: float) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart, one at least."""
    for digits in range(1, 6):
        written = f"{first:.{digits}f}", f"{second:.{digits}f}"
        if written[0] != written[1]:
            break
    return written
