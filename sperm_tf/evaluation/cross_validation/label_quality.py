"""Which labels of a dataset are likely wrong, from out-of-fold predictions: a list to look at, not a verdict.

Confident learning (Northcutt, Jiang and Chuang 2021, Journal of Artificial Intelligence Research 70:1373-1411), as
cleanlab implements it. A class's threshold is the mean probability that images of this label get for it; an image that
reaches the threshold of another class counts as a likely error. So a class of which the model is never very sure is
not taken for a badly labelled one.

What the list cannot do: it sees labels only through the model. Where the model is wrong in a systematic way (a rare
form, another microscope, a class it hardly learned), its errors look exactly like label errors: `SIMULATED_PRECISION`.
So nothing is changed by it: no label is corrected and no image left out. A person who knows the criteria looks at the
pictures and decides.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sperm_tf.evaluation.cross_validation import oof, oof_checks
from sperm_tf.evaluation.metrics import classification

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "image_id",
    "given_label",
    "suggested_label",
    "score",
    "probability_given",
    "probability_suggested",
    "group_id",
    "num_repeats_disagreeing",
    "num_repeats",
    "conflicting_near_duplicates",
)
SIMULATED_PRECISION = ((1000, 0.98, 0.87), (1000, 0.91, 0.62), (216, 0.78, 0.23))
"""Number of images, accuracy of the model, share of the listed images that are truly mislabelled, where 5 % of labels
are wrong: simulated in `tests/evaluation/cross_validation/label_quality_test.py`."""
_FILTER = "both"  # by class and by noise rate: the recall of `prune_by_noise_rate` alone, with fewer false alarms


@dataclasses.dataclass(frozen=True)
class LabelIssue:
    """An image whose label is likely wrong.

    Attributes:
        image_id: of the image.
        given_label: name of the class that the dataset says.
        suggested_label: name of the class of highest mean probability.
        score: cleanlab's label quality score, self-confidence, 0-1, lower is worse; it is `probability_given`.
        probability_given: mean out-of-fold probability of the given class.
        probability_suggested: mean out-of-fold probability of the suggested class.
        group_id: group of near duplicates that the image is in.
        num_repeats_disagreeing: number of repeats whose most probable class is not the given one.
        num_repeats: number of repeats with a prediction for this image.
        conflicting_near_duplicates: `image_id` and label of its near duplicates that carry another label.
    """

    image_id: str
    given_label: str
    suggested_label: str
    score: float
    probability_given: float
    probability_suggested: float
    group_id: str
    num_repeats_disagreeing: int
    num_repeats: int
    conflicting_near_duplicates: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class LabelIssues:
    """Likely wrong labels of one dataset, as one model sees them.

    Attributes:
        model: name of that model; empty when it was not given.
        class_names: C names, by label.
        num_images: number of images that have out-of-fold predictions.
        num_repeats: number of repeats that were averaged.
        num_contradicted: number of images whose most probable class is not the given one; more than are listed.
        class_sizes: C numbers of images, by given label.
        rows: the images, the least credible label first.
        expected_errors: int64 [C, C], estimated number of images by given (row) and true class (column): the calibrated
            confident joint. Its rows sum to `class_sizes`; off the diagonal stand the estimated label errors. It leans
            low where the errors come from one class only: some of its images lie below the threshold of that class.
        conflicting_pairs: pairs of near duplicates that carry two labels, each image as `image_id` and label.
    """

    model: str
    class_names: tuple[str, ...]
    num_images: int
    num_repeats: int
    num_contradicted: int
    class_sizes: tuple[int, ...]
    rows: tuple[LabelIssue, ...]
    expected_errors: np.ndarray
    conflicting_pairs: tuple[tuple[tuple[str, str], tuple[str, str]], ...]

    def summarize(self) -> dict[str, Any]:
        """A JSON-serializable summary; class pairs in descending order of their estimated errors."""
        size = range(len(self.class_names))
        pairs = [
            {
                "given_label": self.class_names[given],
                "suggested_label": self.class_names[suggested],
                "expected_errors": int(self.expected_errors[given, suggested]),
                "share_of_given": float(self.expected_errors[given, suggested] / max(self.class_sizes[given], 1)),
                "num_listed": sum(
                    row.given_label == self.class_names[given] and row.suggested_label == self.class_names[suggested]
                    for row in self.rows
                ),
            }
            for given in size
            for suggested in size
            if given != suggested
        ]
        return {
            "model": self.model,
            "num_images": self.num_images,
            "num_repeats": self.num_repeats,
            "num_contradicted": self.num_contradicted,
            "num_listed": len(self.rows),
            "expected_errors": sum(pair["expected_errors"] for pair in pairs),
            "pairs": sorted(pairs, key=lambda pair: (-pair["expected_errors"], -pair["num_listed"])),
            "num_conflicting_pairs": len(self.conflicting_pairs),
        }


def find_label_issues(
    table: pd.DataFrame, *, model: str = "", near_duplicates: Iterable[tuple[str, str]] | None = None
) -> LabelIssues:
    """Lists the images whose label the out-of-fold predictions contradict.

    Probabilities are averaged over the repeats first: what only one shuffling of the folds says is often chance.

    Args:
        table: out-of-fold predictions of one model (`sperm_tf.evaluation.cross_validation.oof`). Only rows of the part
            `test` count.
        model: name of that model, for the reader.
        near_duplicates: pairs of `image_id` that show the same cell, to name those with two labels. None takes all
            images of a group as such, which is right only where no group is a patient or slide.

    Returns:
        The list with its summaries.

    Raises:
        OofError: the table is unsound or a repeat is not complete.
    """
    import cleanlab.count
    import cleanlab.filter
    import cleanlab.rank

    oof_checks.check(table)
    class_names, images = oof.class_names(table), _average_repeats(table)
    labels, probabilities = oof.labels(images), oof.probabilities(images)
    joint = np.asarray(cleanlab.count.compute_confident_joint(labels, probabilities))
    # One process: forking one that runs TensorFlow can hang it.
    is_listed = cleanlab.filter.find_label_issues(
        labels, probabilities, filter_by=_FILTER, confident_joint=joint, n_jobs=1
    )
    scores = cleanlab.rank.get_label_quality_scores(labels, probabilities, method="self_confidence")
    predicted = probabilities.argmax(axis=1)
    names = {image: class_names[label] for image, label in zip(images["image_id"], labels.tolist(), strict=True)}
    pairs = _pairs_of_groups(images) if near_duplicates is None else sorted(near_duplicates)
    conflicting = [
        ((first, names[first]), (second, names[second]))
        for first, second in pairs
        if first in names and second in names and names[first] != names[second]
    ]
    ranked = [index for index in np.argsort(scores, kind="stable").tolist() if is_listed[index]]
    return LabelIssues(
        model=model,
        class_names=class_names,
        num_images=len(images),
        num_repeats=int(images["num_repeats"].max()),
        num_contradicted=int((predicted != labels).sum()),
        class_sizes=tuple(np.bincount(labels, minlength=len(class_names)).tolist()),
        rows=tuple(_describe(images.iloc[index], class_names, float(scores[index]), conflicting) for index in ranked),
        expected_errors=joint.astype(np.int64),
        conflicting_pairs=tuple(conflicting),
    )


def write_csv(issues: LabelIssues, path: str | os.PathLike[str]) -> None:
    """Writes the whole list, a row an image, the least credible label first; columns `COLUMNS`.

    Scores and probabilities have 6 significant digits. Conflicting near duplicates are written as `image_id=label`,
    separated by `|`.
    """
    with pathlib.Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in issues.rows:
            cells = dataclasses.asdict(row)
            for name in ("score", "probability_given", "probability_suggested"):
                cells[name] = f"{cells[name]:.6g}"
            cells["conflicting_near_duplicates"] = "|".join(
                f"{image_id}={label}" for image_id, label in row.conflicting_near_duplicates
            )
            writer.writerow([cells[name] for name in COLUMNS])


def _average_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """One row an image, sorted by `image_id`: mean probabilities, `num_repeats` and `num_disagreeing`."""
    test = oof.select(table, part=oof.TEST)
    columns = [f"{oof.PREFIX}{name}" for name in oof.class_names(table)]
    grouped = test.assign(disagrees=classification.predict(oof.probabilities(test)) != oof.labels(test)).groupby(
        "image_id"
    )
    images = grouped[columns].mean()
    images["label"] = grouped["label"].first()
    images["group_id"] = grouped["group_id"].first()
    images["num_repeats"] = grouped.size()
    images["num_disagreeing"] = grouped["disagrees"].sum()
    return images.reset_index()


def _describe(
    image: pd.Series,
    class_names: tuple[str, ...],
    score: float,
    conflicting: Sequence[tuple[tuple[str, str], tuple[str, str]]],
) -> LabelIssue:
    probabilities = [float(image[f"{oof.PREFIX}{name}"]) for name in class_names]
    given, suggested = int(image["label"]), int(np.argmax(probabilities))
    me = (image["image_id"], class_names[given])
    return LabelIssue(
        image_id=image["image_id"],
        given_label=class_names[given],
        suggested_label=class_names[suggested],
        score=score,
        probability_given=probabilities[given],
        probability_suggested=probabilities[suggested],
        group_id=image["group_id"],
        num_repeats_disagreeing=int(image["num_disagreeing"]),
        num_repeats=int(image["num_repeats"]),
        conflicting_near_duplicates=tuple(
            second if first == me else first for first, second in conflicting if me in (first, second)
        ),
    )


def _pairs_of_groups(images: pd.DataFrame) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for _, members in images.groupby("group_id", sort=True):
        pairs += itertools.combinations(members["image_id"].tolist(), 2)
    return pairs
