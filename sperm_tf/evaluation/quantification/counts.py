"""What a slide's scores say about its spermatozoa: counts, normal forms, two replicates compared, and how sure that is.

Percentages are of spermatozoa, as the WHO laboratory manual counts them (World Health Organization 2021, WHO laboratory
manual for the examination and processing of human semen, 6th edition, section 2.4.8): what is no spermatozoon is not in
the denominator, and a figure needs at least 200 spermatozoa in each of two replicates.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sperm_tf.evaluation.metrics.intervals import wilson
from sperm_tf.evaluation.quantification.class_roles import ClassRoles
from sperm_tf.evaluation.quantification.prevalence import Estimate, error_rates, estimate_part, estimate_wrong
from sperm_tf.evaluation.quantification.replicates import Comparison, compare
from sperm_tf.served_names import OK, REFER, UNFAMILIAR

if TYPE_CHECKING:
    import pandas as pd

MIN_SPERMATOZOA = 200
"""Spermatozoa in a replicate from which a verdict is given (WHO 2021)."""
Confusion = Sequence[Sequence[int]]
CORRECTIONS = CORRECTED, NO_ERRORS_KNOWN, MOSTLY_UNFAMILIAR, NOTHING_TO_COUNT, NO_MIX_FITS = (
    "corrected",
    "no_errors_known",
    "mostly_unfamiliar",
    "nothing_to_count",
    "no_mix_fits",
)
"""What became of the correction for the model's known errors; all but the first say why there is none."""


class SlideError(ValueError):
    """Scores that no slide can be counted from; the message says what to change."""


@dataclasses.dataclass(frozen=True)
class Count:
    """The images of one replicate, or of a whole slide, counted.

    Attributes:
        name: of the replicate or slide; empty where there is none.
        num_files: images, unreadable ones included.
        num_unreadable: images without an answer, which count as nothing else.
        classes: class -> readable images that the model gave it.
        num_sperm: spermatozoa: images of all classes but those that are no sperm.
        num_normal: normal forms among them.
        reasons: why readable images are referred to a person -> their number.
        num_accepted_sperm: spermatozoa that are not referred.
        num_accepted_normal: normal forms that are not referred.
        corrected: share of normal forms among spermatozoa, corrected for the model's known errors (adjusted classify
            and count, ACC); None where `correction` says why not.
        correction: one of `CORRECTIONS`: the errors are not known, most images are unlike those of the training, there
            is no spermatozoon, or the answers are such as these errors give for no mix of the classes.
        wrong_normal: share of the accepted normal forms that likely are none, by the same errors; None where it is not
            known, or there is none.
        num_copies: readable images that are copies of another, byte for byte: a cell that counts twice. 0 where the
            scores do not tell.
    """

    name: str
    num_files: int
    num_unreadable: int
    classes: Mapping[str, int]
    num_sperm: int
    num_normal: int
    reasons: Mapping[str, int]
    num_accepted_sperm: int
    num_accepted_normal: int
    corrected: Estimate | None = None
    correction: str = NO_ERRORS_KNOWN
    wrong_normal: Estimate | None = None
    num_copies: int = 0

    @property
    def num_readable(self) -> int:
        """Images with a prediction."""
        return self.num_files - self.num_unreadable

    @property
    def num_referred(self) -> int:
        """Readable images that a person has to look at."""
        return sum(self.reasons.values())

    @property
    def referred_share(self) -> float:
        """Their share of the readable images, 0-1; NaN without any."""
        return _divide(self.num_referred, self.num_readable)

    @property
    def normal_share(self) -> float:
        """Normal forms among spermatozoa, 0-1: classify and count (CC); NaN without spermatozoa."""
        return _divide(self.num_normal, self.num_sperm)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `normal_share`: the error of counting so few, and of nothing else."""
        return wilson(self.num_normal, self.num_sperm)

    @property
    def bounds(self) -> tuple[float, float]:
        """`normal_share` if none, and if all, of the referred images showed a normal spermatozoon; NaN without images.

        Accepted answers are taken as they are. In both cases every referred image counts as a spermatozoon: for the
        lowest share as one that is not normal. So whatever a person finds in the referred images, even that some show
        no sperm, the share ends between the two.
        """
        total = self.num_accepted_sperm + self.num_referred
        return (
            _divide(self.num_accepted_normal, total),
            _divide(self.num_accepted_normal + self.num_referred, total),
        )

    @property
    def is_enough(self) -> bool:
        """Whether there are `MIN_SPERMATOZOA`."""
        return self.num_sperm >= MIN_SPERMATOZOA


@dataclasses.dataclass(frozen=True)
class Slide:
    """One slide.

    Attributes:
        name: as the scores call it; empty where they do not.
        total: all its images.
        replicates: its replicates by name; one without a name where the scores tell none apart.
        comparison: of the replicates, where there are two.
    """

    name: str
    total: Count
    replicates: tuple[Count, ...]
    comparison: Comparison | None

    @property
    def is_enough(self) -> bool:
        """Whether every replicate has `MIN_SPERMATOZOA`; otherwise no verdict is given."""
        return all(count.is_enough for count in self.replicates)


def count(
    scores: pd.DataFrame,
    roles: ClassRoles,
    *,
    name: str = "",
    confusion: Confusion = (),
    confident: Confusion = (),
) -> Count:
    """Counts images.

    Args:
        scores: the columns `status`, `predicted_class`, `decision`, `reason`, and where they have it `sha256`, of
            `sperm_tf.evaluation.quantification.scores_file`.
        roles: of the classes.
        name: of what is counted.
        confusion: [C][C], calibration images by class and answer, of the model's decision rule; empty where not known.
        confident: [C][C], those of them that the rule would accept; empty where not known.
    """
    readable = scores[scores["status"] == OK]
    is_referred = readable["decision"] == REFER
    predicted = readable["predicted_class"]
    is_sperm, is_normal = predicted.isin(roles.sperm), predicted.isin(roles.normal)
    classes = Counter(predicted)
    reasons = Counter(readable["reason"][is_referred])
    num_accepted_normal = int((is_normal & ~is_referred).sum())
    corrected, correction, wrong_normal = None, NO_ERRORS_KNOWN, None
    if is_sperm.any() and 2 * reasons[UNFAMILIAR] > len(readable):
        correction = MOSTLY_UNFAMILIAR
    elif error_rates(confusion, part=roles.is_normal, whole=roles.is_sperm) is not None:
        answers = [classes[label] for label in roles.class_names]
        if not is_sperm.any():
            correction = NOTHING_TO_COUNT
        else:
            corrected = estimate_part(answers, confusion, part=roles.is_normal, whole=roles.is_sperm)
            correction = CORRECTED if corrected else NO_MIX_FITS
            wrong_normal = estimate_wrong(
                answers, confusion, confident, part=roles.is_normal, num_accepted=num_accepted_normal
            )
    return Count(
        name=name,
        num_files=len(scores),
        num_unreadable=len(scores) - len(readable),
        classes={label: classes[label] for label in roles.class_names},
        num_sperm=int(is_sperm.sum()),
        num_normal=int(is_normal.sum()),
        reasons=dict(reasons.most_common()),
        num_accepted_sperm=int((is_sperm & ~is_referred).sum()),
        num_accepted_normal=num_accepted_normal,
        corrected=corrected,
        correction=correction,
        wrong_normal=wrong_normal,
        num_copies=int(readable["sha256"].duplicated().sum()) if "sha256" in readable else 0,
    )


def summarize(
    scores: pd.DataFrame,
    roles: ClassRoles,
    *,
    slide_column: str = "",
    replicate_column: str = "",
    confusion: Confusion = (),
    confident: Confusion = (),
) -> tuple[Slide, ...]:
    """Counts every slide and its replicates.

    Args:
        scores: as for `count`.
        roles: of the classes.
        slide_column: names the slide of each image; empty where all are of one.
        replicate_column: names the replicate; empty where a slide has one.
        confusion: as for `count`.
        confident: as for `count`.

    Returns:
        The slides, sorted by name.

    Raises:
        SlideError: an image has no slide or replicate where others have one.
    """

    def count_rows(name: str, rows: pd.DataFrame) -> Count:
        return count(rows, roles, name=name, confusion=confusion, confident=confident)

    def summarize_slide(name: str, rows: pd.DataFrame) -> Slide:
        replicates = tuple(count_rows(part, own) for part, own in _groups(rows, replicate_column))
        pairs = [(part.num_normal, part.num_sperm) for part in replicates]
        comparison = compare(*pairs) if len(pairs) == 2 else None
        return Slide(name, count_rows(name, rows), replicates, comparison)

    return tuple(summarize_slide(name, rows) for name, rows in _groups(scores, slide_column))


def _groups(scores: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    if not column:
        return [("", scores)]
    blank = scores[column].astype(str).str.strip() == ""
    if blank.any():
        raise SlideError(
            f"every image must have a {column!r}. Received: {int(blank.sum())} without, such as "
            f"{scores['file'][blank].iloc[0]!r}; they could be of any. Fill in the table and score again, or name "
            "another column with --slide_column or --replicate_column."
        )
    return [(str(name), rows) for name, rows in scores.groupby(column, sort=True)]


def _divide(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
