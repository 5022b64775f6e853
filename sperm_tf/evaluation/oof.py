"""Out-of-fold predictions of one model as a tidy table: anyone can analyse them again without training.

One row is one answer to one image that the network of that fold did not see. Columns, in this order:

* `repeat`: number of the cross-validation, from 0; every repeat has folds of its own.
* `fold`: 0-4, the fold whose images the network was tested on.
* `part`: `test`, or `calibration` for images outside the test fold that the network did not train on either.
* `image_id`, `group_id`: names; near duplicates share a group.
* `label`: true class, index into the class order.
* `p_<class>`: probability of each class, in class order, with 6 significant digits in the file.

Rows are sorted by repeat, fold, part and image_id. Both `read_csv` and `write_csv` refuse tables that would leak.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sperm_tf.config import NUM_FOLDS

TEST, CALIBRATION = "test", "calibration"
COLUMNS = ("repeat", "fold", "part", "image_id", "group_id", "label")
PREFIX = "p_"
TOLERANCE = 1e-3  # of the sum of an image's probabilities
_ORDER = ["repeat", "fold", "part", "image_id"]


class OofError(ValueError):
    """A table that is damaged, incomplete, or whose figures would not be out of fold."""


def make_rows(
    *,
    repeat: int,
    fold: int,
    part: str,
    image_ids: Sequence[str],
    group_ids: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
) -> pd.DataFrame:
    """The rows of one part of one fit, unchecked.

    Args:
        repeat: number of the repeat, from 0.
        fold: test fold, 0-4.
        part: `test` or `calibration`.
        image_ids: N names.
        group_ids: N names.
        labels: int [N], true classes.
        probabilities: float [N, C], each row sums to 1.
        class_names: C names, by label.

    Returns:
        A table of N rows, to be given to `join`.
    """
    probabilities = np.asarray(probabilities, np.float64)
    wanted = (len(image_ids), len(class_names))
    if probabilities.shape != wanted or len(labels) != len(image_ids) or len(group_ids) != len(image_ids):
        raise OofError(
            f"probabilities must be {list(wanted)}, image_ids x class_names, with one label and group an image. "
            f"Received: probabilities of shape {list(probabilities.shape)}, {len(labels)} labels, {len(group_ids)} "
            f"groups. Pass the outputs in the order of image_ids."
        )
    columns: dict[str, Any] = {
        "repeat": repeat,
        "fold": fold,
        "part": part,
        "image_id": list(image_ids),
        "group_id": list(group_ids),
        "label": np.asarray(labels, np.int64),
    }
    columns |= {f"{PREFIX}{name}": probabilities[:, index] for index, name in enumerate(class_names)}
    return pd.DataFrame(columns)


def join(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """One table of all `parts`, in the order of the file."""
    return pd.concat(list(parts)).sort_values(_ORDER, ignore_index=True)


def complete_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """The leading repeats of which every fold is there: what an unfinished sweep can publish. May be empty."""
    folds = table[table["part"] == TEST].groupby("repeat")["fold"].nunique()
    num_complete = 0
    while folds.get(num_complete, 0) == NUM_FOLDS:
        num_complete += 1
    return table[table["repeat"] < num_complete].reset_index(drop=True)


def class_names(table: pd.DataFrame) -> tuple[str, ...]:
    """Names of the classes, by label."""
    return tuple(name.removeprefix(PREFIX) for name in table.columns if name.startswith(PREFIX))


def labels(table: pd.DataFrame) -> np.ndarray:
    """True classes, int64 [N]."""
    return table["label"].to_numpy(np.int64)


def probabilities(table: pd.DataFrame) -> np.ndarray:
    """Probabilities, float64 [N, C]."""
    return table[[name for name in table.columns if name.startswith(PREFIX)]].to_numpy(np.float64)


def select(table: pd.DataFrame, *, part: str, repeat: int | None = None, fold: int | None = None) -> pd.DataFrame:
    """Rows of one part, and if given of one repeat and one fold."""
    chosen = table["part"] == part
    if repeat is not None:
        chosen &= table["repeat"] == repeat
    if fold is not None:
        chosen &= table["fold"] == fold
    return table[chosen]


def read_csv(path: str | os.PathLike[str], *, complete: bool = True) -> pd.DataFrame:
    """Reads and checks a table.

    Args:
        path: the file.
        complete: whether every fold of every repeat must be there, as in a published table; False for part of a sweep.

    Raises:
        OofError: the file cannot be read as such a table, or `check` refuses it; the message names the file.
    """
    kinds: dict[str, Any] = {"repeat": np.int64, "fold": np.int64, "label": np.int64}
    try:
        names = pd.read_csv(path, nrows=0).columns
        kinds |= {name: np.float64 if name.startswith(PREFIX) else str for name in names if name not in kinds}
        # Without the filter an image named "NA" would have no name.
        table = pd.read_csv(path, dtype=kinds, na_filter=False, float_precision="round_trip")
    except (ValueError, OSError) as error:
        raise OofError(
            f"{path} must hold numbers in repeat, fold, label and {PREFIX}<class>, and nothing else but text. "
            f"Received: {error}. Restore the file, or write it again with pipelines.cross_validate."
        ) from error
    check(table, source=str(path), complete=complete)
    return table


def write_csv(table: pd.DataFrame, path: str | os.PathLike[str], *, complete: bool = True) -> None:
    """Checks a table and writes it, sorted, under a temporary name first.

    Args:
        table: as described at the top of the module.
        path: the file; its folder exists.
        complete: as for `read_csv`.

    Raises:
        OofError: `check` refuses the table; nothing is written then.
    """
    check(table, source=str(path), complete=complete)
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    ordered = table.sort_values(_ORDER)
    ordered.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n", encoding="utf-8")
    partial.replace(path)


def check(table: pd.DataFrame, *, source: str = "table", complete: bool = True) -> None:
    """Checks columns and values, then that nothing leaks and nothing is missing.

    Args:
        table: as described at the top of the module.
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
    rest = names[len(COLUMNS) :]
    if names[: len(COLUMNS)] != COLUMNS or len(rest) < 2 or not all(name.startswith(PREFIX) for name in rest):
        raise OofError(
            f"{source}: columns must be {','.join(COLUMNS)},{PREFIX}<class 0>,{PREFIX}<class 1>,... "
            f"Received: {','.join(map(str, names))}. Write the file with sperm_tf.evaluation.oof.write_csv."
        )
    if table.empty:
        raise OofError(f"{source}: there must be at least one row. Received: none. Finish a repeat first.")


def _check_values(table: pd.DataFrame, source: str) -> None:
    num_classes = len(class_names(table))
    values = probabilities(table)
    in_range = (np.isfinite(values) & (values >= 0) & (values <= 1 + TOLERANCE)).all(axis=1)
    sums = values.sum(axis=1)
    tests: list[tuple[Any, str, str]] = [
        (table["part"].isin([TEST, CALIBRATION]), f"part must be {TEST} or {CALIBRATION}", "part"),
        (table["repeat"] >= 0, "repeat must count from 0", "repeat"),
        (table["fold"].between(0, NUM_FOLDS - 1), f"fold must be 0-{NUM_FOLDS - 1}", "fold"),
        (table["label"].between(0, num_classes - 1), f"label must be 0-{num_classes - 1}, one a class", "label"),
        (table["image_id"].str.len() > 0, "image_id must not be empty", "image_id"),
        (table["group_id"].str.len() > 0, "group_id must not be empty", "group_id"),
    ]
    for good, rule, column in tests:
        if not good.all():
            row = table[~good].iloc[0]
            raise OofError(f"{source}: {rule}. Received: {column}={row[column]!r} {_where(row)}. Correct that row.")
    sound = in_range & (np.abs(sums - 1) <= TOLERANCE)
    if not sound.all():
        index = int(np.argmin(sound))
        raise OofError(
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
        raise OofError(
            f"{source}: an image must have one label and one group throughout. Received: image "
            f"{rows['image_id'].iloc[0]!r} with {found}. Run all fits on one version of the dataset."
        )


def _check_leaks(table: pd.DataFrame, source: str) -> None:
    test = table[table["part"] == TEST]
    again = test.duplicated(["repeat", "image_id"])
    if again.any():
        row = test[again].iloc[0]
        folds = test[(test["repeat"] == row["repeat"]) & (test["image_id"] == row["image_id"])]["fold"]
        raise OofError(
            f"{source}: an image must be tested once in a repeat. Received: image {row['image_id']!r} in repeat "
            f"{row['repeat']}, folds {_listed(folds)}. Assign folds with sperm_tf.data.folds, and drop what was "
            f"written twice."
        )
    folds_of = test.groupby(["repeat", "group_id"])["fold"].nunique()
    if (folds_of > 1).any():
        repeat, group = (folds_of[folds_of > 1]).index[0]
        rows = test[(test["repeat"] == repeat) & (test["group_id"] == group)]
        raise OofError(
            f"{source}: near duplicates must be tested in one fold. Received: group {group!r} in repeat {repeat}, "
            f"folds {_listed(rows['fold'])} (images {', '.join(map(repr, rows['image_id']))}). One of them was in the "
            f"training part of the other: assign folds by group with sperm_tf.data.folds, and fit again."
        )
    calibration = table[table["part"] == CALIBRATION]
    again = calibration.duplicated(["repeat", "fold", "image_id"])
    if again.any():
        raise OofError(
            f"{source}: an image must stand once in a calibration part. Received: image "
            f"{calibration[again]['image_id'].iloc[0]!r} twice {_where(calibration[again].iloc[0])}. Drop one row."
        )
    for key, name in (("image_id", "image"), ("group_id", "group")):
        shared = calibration.merge(test[["repeat", "fold", key]].drop_duplicates(), on=["repeat", "fold", key])
        if not shared.empty:
            row = shared.iloc[0]
            raise OofError(
                f"{source}: the calibration part of a fold must share no image and no group with its test part. "
                f"Received: {name} {row[key]!r} in both parts of repeat {row['repeat']}, fold {row['fold']}. Take "
                f"calibration images from the training folds, whole groups at a time, and fit again."
            )


def _check_complete(table: pd.DataFrame, source: str) -> None:
    test = table[table["part"] == TEST]
    images = set(test["image_id"])
    remedy = "Finish the sweep, or keep sperm_tf.evaluation.oof.complete_repeats(table) only."
    for repeat in range(int(table["repeat"].max()) + 1):
        rows = test[test["repeat"] == repeat]
        missing = sorted(set(range(NUM_FOLDS)) - set(rows["fold"]))
        if missing:
            raise OofError(
                f"{source}: every repeat must have test rows of folds 0-{NUM_FOLDS - 1}. Received: none in repeat "
                f"{repeat}, fold {_listed(missing)}. {remedy}"
            )
        lost = sorted(images - set(rows["image_id"]))
        if lost:
            raise OofError(
                f"{source}: every repeat must test every image. Received: repeat {repeat} without {len(lost)} images, "
                f"such as {lost[0]!r}. Run all fits on one version of the dataset."
            )
    strangers = sorted(set(table["image_id"]) - images)
    if strangers:
        raise OofError(
            f"{source}: a calibration image must be a test image of another fold. Received: image {strangers[0]!r} in "
            f"no test part. Run all fits on one version of the dataset."
        )


def _where(row: Any) -> str:
    return f"for image {row['image_id']!r} in repeat {row['repeat']}, fold {row['fold']}, part {row['part']}"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in sorted(set(values)))
