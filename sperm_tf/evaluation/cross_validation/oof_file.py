"""The file of out-of-fold predictions (see `oof`): read and written only where nothing leaks."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd

from sperm_tf.evaluation.cross_validation import oof
from sperm_tf.evaluation.cross_validation.oof_checks import check
from sperm_tf.whole_files import replacing


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
        kinds |= {name: np.float64 if name.startswith(oof.PREFIX) else str for name in names if name not in kinds}
        # Without the filter an image named "NA" would have no name.
        table = pd.read_csv(path, dtype=kinds, na_filter=False, float_precision="round_trip")
    except (ValueError, OSError) as error:
        raise oof.OofError(
            f"{path} must hold numbers in repeat, fold, label and {oof.PREFIX}<class>, and nothing else but text. "
            f"Received: {error}. Restore the file, or write it again with pipelines.cross_validate."
        ) from error
    check(table, source=str(path), complete=complete)
    return table


def write_csv(table: pd.DataFrame, path: str | os.PathLike[str], *, complete: bool = True) -> None:
    """Checks a table and writes it, sorted, under a temporary name first.

    Args:
        table: as described in `sperm_tf.evaluation.cross_validation.oof`.
        path: the file; its folder exists.
        complete: as for `read_csv`.

    Raises:
        OofError: `check` refuses the table; nothing is written then.
    """
    check(table, source=str(path), complete=complete)
    ordered = table.sort_values(oof.ORDER)
    with replacing(path) as unfinished:
        ordered.to_csv(unfinished, index=False, float_format="%.6g", lineterminator="\n", encoding="utf-8")
