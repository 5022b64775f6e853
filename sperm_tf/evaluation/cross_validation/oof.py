"""Out-of-fold predictions of one model as a tidy table: anyone can analyse them again without training.

One row is one answer to one image that the network of that fold did not see. Columns, in this order:

* `repeat`: number of the cross-validation, from 0; every repeat has folds of its own.
* `fold`: 0-4, the fold whose images the network was tested on.
* `part`: `test`, or `calibration` for images outside the test fold that the network did not train on either.
* `image_id`, `group_id`: names; near duplicates share a group.
* `label`: true class, index into the class order.
* `p_<class>`: probability of each class, in class order, with 6 significant digits in the file.

Rows are sorted by repeat, fold, part and image_id. `sperm_tf.evaluation.cross_validation.oof_file` reads and writes
such a table, and refuses one that would leak.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sperm_tf.config import NUM_FOLDS

TEST, CALIBRATION = "test", "calibration"
COLUMNS = ("repeat", "fold", "part", "image_id", "group_id", "label")
PREFIX = "p_"
ORDER = ["repeat", "fold", "part", "image_id"]
"""What the rows are sorted by."""


class OofError(ValueError):
    """A table that is damaged, incomplete, or whose metrics would not be out of fold."""


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
    return pd.concat(list(parts)).sort_values(ORDER, ignore_index=True)


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
