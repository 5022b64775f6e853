"""The file of predictions that an audit writes."""

from __future__ import annotations

import pathlib

import pandas as pd

ANSWERS_FILE = "answers.csv"
_NAMES = (
    "image_id",
    "group_id",
    "label",
    "label_name",
    "predicted",
    "predicted_name",
    "prediction_set",
    "decision",
    "reason",
    "status",
)


def read_answers(path: pathlib.Path) -> pd.DataFrame:
    """Reads it; names of images and classes stay text, whatever they look like: `1`, `NA` or `None`.

    Args:
        path: of the file.
    """
    columns = pd.read_csv(path, nrows=0).columns
    others = {name: [""] for name in columns if name not in _NAMES}
    return pd.read_csv(path, dtype=dict.fromkeys(_NAMES, str), keep_default_na=False, na_values=others)
