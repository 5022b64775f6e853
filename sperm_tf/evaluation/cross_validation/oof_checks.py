"""Checks of a table of out-of-fold predictions (see `oof`): nothing leaks, and nothing is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from sperm_tf.config import NUM_FOLDS
from sperm_tf.evaluation.cross_validation import oof

TOLERANCE = 1e-3
"""Of the sum of an image's probabilities."""


def check(table: pd.DataFrame, *, source: str = "table", complete: bool = True) -> None:
    """Checks columns and values, then that nothing leaks and nothing is missing.

    Args:
        table: as described in `sperm_tf.evaluation.cross_validation.oof`.
        source: what messages call it, such as the file.
        complete: whether every fold of every repeat must be there.

    Raises:
        OofError: a column is missing; a value is out of range; an image has two labels or groups; an image stands in
            two test parts of one repeat; a group stands in the test parts of two folds of one repeat; an image or
            group of a fold's calibration part stands in its test part; a fold or an image is missing in a repeat.
    """
    _check_columns(table, source)
    _check_values(table, source)
    _check_identity(table, source)
    _check_leaks(table, source)
    if complete:
        _check_complete(table, source)


def _check_columns(table: pd.DataFrame, source: str) -> None:
    names = tuple(table.columns)
    rest = names[len(oof.COLUMNS) :]
    if (
        names[: len(oof.COLUMNS)] != oof.COLUMNS
        or len(rest) < 2
        or not all(name.startswith(oof.PREFIX) for name in rest)
    ):
        raise oof.OofError(
            f"{source}: columns must be {','.join(oof.COLUMNS)},{oof.PREFIX}<class 0>,{oof.PREFIX}<class 1>,... "
            f"Received: {','.join(map(str, names))}. "
            "Write the file with sperm_tf.evaluation.cross_validation.oof_file.write_csv."
        )
    if table.empty:
        raise oof.OofError(f"{source}: there must be at least one row. Received: none. Finish a repeat first.")


def _check_values(table: pd.DataFrame, source: str) -> None:
    num_classes = len(oof.class_names(table))
    values = oof.probabilities(table)
    in_range = (np.isfinite(values) & (values >= 0) & (values <= 1 + TOLERANCE)).all(axis=1)
    sums = values.sum(axis=1)
    tests: list[tuple[Any, str, str]] = [
        (table["part"].isin([oof.TEST, oof.CALIBRATION]), f"part must be {oof.TEST} or {oof.CALIBRATION}", "part"),
        (table["repeat"] >= 0, "repeat must count from 0", "repeat"),
        (table["fold"].between(0, NUM_FOLDS - 1), f"fold must be 0-{NUM_FOLDS - 1}", "fold"),
        (table["label"].between(0, num_classes - 1), f"label must be 0-{num_classes - 1}, one a class", "label"),
        (table["image_id"].str.len() > 0, "image_id must not be empty", "image_id"),
        (table["group_id"].str.len() > 0, "group_id must not be empty", "group_id"),
    ]
    for good, rule, column in tests:
        if not good.all():
            row = table[~good].iloc[0]
            raise oof.OofError(f"{source}: {rule}. Received: {column}={row[column]!r} {_where(row)}. Correct that row.")
    sound = in_range & (np.abs(sums - 1) <= TOLERANCE)
    if not sound.all():
        index = int(np.argmin(sound))
        raise oof.OofError(
            f"{source}: probabilities must lie in 0-1 and sum to 1 within {TOLERANCE}. Received: "
            f"{', '.join(f'{value:.6g}' for value in values[index])} (sum {sums[index]:.6g}) "
            f"{_where(table.iloc[index])}. Write the softmax of the network's logits."
        )


def _check_identity(table: pd.DataFrame, source: str) -> None:
    known = table.drop_duplicates(["image_id", "label", "group_id"])
    twice = known["image_id"].duplicated(keep=False)
    if twice.any():
        rows = known[known["image_id"] == known["image_id"][twice].iloc[0]]
        found = " and ".join(f"label {row.label}, group {row.group_id!r}" for row in rows.itertuples())
        raise oof.OofError(
            f"{source}: an image must have one label and one group throughout. Received: image "
            f"{rows['image_id'].iloc[0]!r} with {found}. Run all fits on one version of the dataset."
        )


def _check_leaks(table: pd.DataFrame, source: str) -> None:
    test = table[table["part"] == oof.TEST]
    again = test.duplicated(["repeat", "image_id"])
    if again.any():
        row = test[again].iloc[0]
        folds = test[(test["repeat"] == row["repeat"]) & (test["image_id"] == row["image_id"])]["fold"]
        raise oof.OofError(
            f"{source}: an image must be tested once in a repeat. Received: image {row['image_id']!r} in repeat "
            f"{row['repeat']}, folds {_listed(folds)}. Assign folds with sperm_tf.data.folds, and drop what was "
            f"written twice."
        )
    folds_of = test.groupby(["repeat", "group_id"])["fold"].nunique()
    if (folds_of > 1).any():
        repeat, group = (folds_of[folds_of > 1]).index[0]
        rows = test[(test["repeat"] == repeat) & (test["group_id"] == group)]
        raise oof.OofError(
            f"{source}: near duplicates must be tested in one fold. Received: group {group!r} in repeat {repeat}, "
            f"folds {_listed(rows['fold'])} (images {', '.join(map(repr, rows['image_id']))}). One of them was in the "
            f"training part of the other: assign folds by group with sperm_tf.data.folds, and fit again."
        )
    calibration = table[table["part"] == oof.CALIBRATION]
    again = calibration.duplicated(["repeat", "fold", "image_id"])
    if again.any():
        raise oof.OofError(
            f"{source}: an image must stand once in a calibration part. Received: image "
            f"{calibration[again]['image_id'].iloc[0]!r} twice {_where(calibration[again].iloc[0])}. Drop one row."
        )
    for key, name in (("image_id", "image"), ("group_id", "group")):
        shared = calibration.merge(test[["repeat", "fold", key]].drop_duplicates(), on=["repeat", "fold", key])
        if not shared.empty:
            row = shared.iloc[0]
            raise oof.OofError(
                f"{source}: the calibration part of a fold must share no image and no group with its test part. "
                f"Received: {name} {row[key]!r} in both parts of repeat {row['repeat']}, fold {row['fold']}. Take "
                f"calibration images from the training folds, whole groups at a time, and fit again."
            )


def _check_complete(table: pd.DataFrame, source: str) -> None:
    test = table[table["part"] == oof.TEST]
    images = set(test["image_id"])
    remedy = "Finish the sweep, or keep sperm_tf.evaluation.cross_validation.oof.complete_repeats(table) only."
    for repeat in range(int(table["repeat"].max()) + 1):
        rows = test[test["repeat"] == repeat]
        missing = sorted(set(range(NUM_FOLDS)) - set(rows["fold"]))
        if missing:
            raise oof.OofError(
                f"{source}: every repeat must have test rows of folds 0-{NUM_FOLDS - 1}. Received: none in repeat "
                f"{repeat}, fold {_listed(missing)}. {remedy}"
            )
        lost = sorted(images - set(rows["image_id"]))
        if lost:
            raise oof.OofError(
                f"{source}: every repeat must test every image. Received: repeat {repeat} without {len(lost)} images, "
                f"such as {lost[0]!r}. Run all fits on one version of the dataset."
            )
    strangers = sorted(set(table["image_id"]) - images)
    if strangers:
        raise oof.OofError(
            f"{source}: a calibration image must be a test image of another fold. Received: image {strangers[0]!r} in "
            f"no test part. Run all fits on one version of the dataset."
        )


def _where(row: Any) -> str:
    return f"for image {row['image_id']!r} in repeat {row['repeat']}, fold {row['fold']}, part {row['part']}"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in sorted(set(values)))
