"""`relatives.json`: the dataset version of published predictions, and near duplicates that it did not know.

Networks are not trained again for every pair that a later search finds. Until they are, this file lists the pairs of
near duplicates that stand in two groups of the version they were trained on, so that the number of test images with a
relative in another fold can be said beside each figure. `python -m benchmarks.published_relatives` writes it.
"""

from __future__ import annotations

import json
import os
import pathlib
from typing import TYPE_CHECKING, Any

from sperm_tf.evaluation.cross_validation import oof
from sperm_tf.schemas.cross_validation import RelativesOfModel
from sperm_tf.whole_files import write_text

if TYPE_CHECKING:
    import pandas as pd

RELATIVES_FILE = "relatives.json"
KEYS = ("published_version", "num_searched", "pairs")


class RelativesError(ValueError):
    """A damaged `relatives.json`."""


def read_json(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Reads `relatives.json`; None where there is none.

    Raises:
        RelativesError: the content is damaged.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return None
    remedy = "Write it again with python -m benchmarks.published_relatives."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RelativesError(f"{path} must hold a JSON object. Received: {error}. {remedy}") from error
    missing = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if missing or not all({"image_id", "related_image_id"} <= set(pair) for pair in content["pairs"]):
        what = f"no {', '.join(missing)}" if missing else "a pair without image_id or related_image_id"
        raise RelativesError(f"{path} must hold {', '.join(KEYS)}. Received: {what}. {remedy}")
    return content


def write_json(content: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes `relatives.json`; the file appears only when complete."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def summarize(table: pd.DataFrame, relatives: dict[str, Any] | None) -> RelativesOfModel:
    """How many test images of a model had a relative that was not tested in the same fold.

    Args:
        table: the model's out-of-fold predictions; see `sperm_tf.evaluation.cross_validation.oof`.
        relatives: as from `read_json`.

    Returns:
        `dataset_version`, None where it is not recorded; and `num_with_relative_elsewhere`, a number for each repeat,
        None where nobody looked.
    """
    if relatives is None:
        return {"dataset_version": None, "num_with_relative_elsewhere": None}
    test = table[table["part"] == oof.TEST]
    numbers = []
    for _, rows in test.groupby("repeat"):
        fold_of = dict(zip(rows["image_id"], rows["fold"], strict=True))
        apart = {
            image
            for pair in relatives["pairs"]
            for image in (pair["image_id"], pair["related_image_id"])
            if {pair["image_id"], pair["related_image_id"]} <= fold_of.keys()
            and fold_of[pair["image_id"]] != fold_of[pair["related_image_id"]]
        }
        numbers.append(len(apart))
    return {"dataset_version": relatives["published_version"], "num_with_relative_elsewhere": numbers}
