"""Whether the count of a slide stands."""

from __future__ import annotations

from sperm_tf.evaluation.quantification import counts as slide_lib
from sperm_tf.evaluation.quantification.counts import MIN_SPERMATOZOA, Slide
from sperm_tf.evaluation.quantification.replicates import MIN_P, TABLE_COUNT, TABLE_SOURCE, TEST_NAME, Comparison
from sperm_tf.report import text


def describe_verdict(slide: Slide, after_review: Slide | None = None, *, by_people: bool = False) -> dict[str, str]:
    """Whether the count stands: `kind` (`good`, `bad` or `none`), a `title`, and a sentence.

    Args:
        slide: as the model answered.
        after_review: the same after review, whose replicates are then compared; None without one.
        by_people: whether people named the class of every image, so that the model's errors do not matter.
    """
    counted = after_review or slide
    title, words = _find_obstacle(slide, counted, by_people)
    if title:
        return {"kind": "none", "title": f"{title}: no verdict", "text": words}
    comparison = counted.comparison
    assert comparison is not None
    basis = _describe_comparison(comparison, slide=counted)
    taken = "after review" if after_review else "as the model classified them, before review"
    taken = f" Both are taken {taken}." if after_review or slide.total.num_referred else ""
    if comparison.agrees:
        return {"kind": "good", "title": "The replicates agree", "text": f"{basis}{taken}"}
    return {"kind": "bad", "title": "The replicates do not agree", "text": f"{basis}{taken} Assess both again."}


def _find_obstacle(slide: Slide, counted: Slide, by_people: bool) -> tuple[str, str]:
    """Why there is no verdict, as a title and a sentence; both empty where there is one."""
    replicates = counted.replicates
    if any(2 * part.num_referred > part.num_readable for part in (counted.total, *replicates)):
        return "Most images are referred", (
            "The model's answers count for little until a person has looked at the images."
        )
    if not counted.is_enough:
        listed = text.listing([f"{part.num_sperm}{f' in {part.name}' if part.name else ''}" for part in replicates])
        return "Not enough cells", (
            f"Spermatozoa: {listed}. The WHO manual asks for at least {MIN_SPERMATOZOA} in each of two replicates."
        )
    if slide.total.num_copies:
        return "Copies among the images", (
            f"{text.plural(slide.total.num_copies, 'image')} too many: a cell counts twice, and a replicate that holds "
            "the other's images agrees with it. Take the copies out, and score again."
        )
    if not by_people and slide_lib.NO_MIX_FITS in [part.correction for part in (slide.total, *slide.replicates)]:
        return "The model errs differently here", (
            "Its known errors would hardly give these answers for any slide. Replicates share such a bias, so that "
            "they agree says little."
        )
    if counted.comparison is None:
        known = "One replicate" if len(replicates) == 1 else f"{len(replicates)} replicates"
        return known, f"The WHO manual compares two replicates of at least {MIN_SPERMATOZOA} spermatozoa each."
    return "", ""


def _describe_comparison(comparison: Comparison, *, slide: Slide) -> str:
    """By what two replicates agree or not."""
    difference = f"They differ by {100 * comparison.difference:.1f} percentage points"
    p_value = "p < 0.001" if comparison.p_value < 0.001 else f"p = {comparison.p_value:.3f}"
    if comparison.limit is not None:
        return (
            f"{difference}; for two counts of {TABLE_COUNT} with an average of {comparison.average} % "
            f"up to {comparison.limit} are acceptable ({TABLE_SOURCE}). {TEST_NAME} of equal shares: {p_value}."
        )
    sizes = text.listing([str(part.num_sperm) for part in slide.replicates])
    return (
        f"{difference} on {sizes} spermatozoa. {TEST_NAME} of equal shares: {p_value}, where under {MIN_P} is no "
        f"agreement. {_why_no_table(comparison, slide)}"
    )


def _why_no_table(comparison: Comparison, slide: Slide) -> str:
    if all(part.num_sperm == TABLE_COUNT for part in slide.replicates):
        return f"The WHO manual's table, as it was at hand, has no row for an average of {comparison.average} %."
    return f"The WHO manual's table holds for two counts of {TABLE_COUNT} alone."
