"""Predictions for every example, as a table that a spreadsheet opens."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sperm_tf.evaluation.metrics import classification
from sperm_tf.served_names import DECISION_OUTPUTS, NOT_CALIBRATED, REFER

_COLUMNS = (
    *("split", "image_id", "group_id", "label", "label_name", "status", "predicted", "predicted_name"),
    *DECISION_OUTPUTS,
)
_SEPARATOR = "|"


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Predictions for N examples, ordered by `image_id`.

    Attributes:
        class_names: C names, by label.
        split: name of the split they come from.
        image_ids: N names.
        group_ids: N names of groups; images of one group are not independent.
        labels: int64 [N], true classes.
        statuses: N; `ok`, or why there is no answer.
        probabilities: float32 [N, C]; zeros where there is no answer.
        prediction_sets: bool [N, C], the classes that the image may belong to.
        decisions: N; `accept`, or `refer` for an image that a person has to look at.
        reasons: N; why, see `sperm_tf.serving.signatures.ServedClassifier`.
        unfamiliarity: float32 [N]; above 1 the image is unlike the training images.
        features: name -> N values, what the evaluation is sliced by besides `label_name`.
    """

    class_names: tuple[str, ...]
    split: str
    image_ids: tuple[str, ...]
    group_ids: tuple[str, ...]
    labels: np.ndarray
    statuses: tuple[str, ...]
    probabilities: np.ndarray
    prediction_sets: np.ndarray
    decisions: tuple[str, ...]
    reasons: tuple[str, ...]
    unfamiliarity: np.ndarray
    features: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def predicted(self) -> np.ndarray:
        """int64 [N], classes of highest probability; `metrics.NO_ANSWER` where there is no prediction."""
        return classification.predict(self.probabilities)

    def values_of(self, feature: str) -> np.ndarray:
        """Values of `label_name` or of one of `features`, [N] strings."""
        if feature == "label_name":
            return np.array([self.class_names[label] for label in self.labels])
        return np.array(self.features[feature])

    def select(self, chosen: np.ndarray) -> Predictions:
        """The rows for which bool [N] `chosen` is true."""
        indices = np.flatnonzero(chosen)

        def pick(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(values[index] for index in indices.tolist())

        return dataclasses.replace(
            self,
            image_ids=pick(self.image_ids),
            group_ids=pick(self.group_ids),
            labels=self.labels[indices],
            statuses=pick(self.statuses),
            probabilities=self.probabilities[indices],
            prediction_sets=self.prediction_sets[indices],
            decisions=pick(self.decisions),
            reasons=pick(self.reasons),
            unfamiliarity=self.unfamiliarity[indices],
            features={name: pick(values) for name, values in self.features.items()},
        )


def from_rows(
    rows: Iterable[Mapping[str, Any]], *, class_names: Sequence[str], split: str, features: Sequence[str] = ()
) -> Predictions:
    """Orders rows by `image_id` and turns them into columns.

    Args:
        rows: each with `image_id`, `group_id`, `label`, `status`, `probabilities` and every one of `features`, and with
            `DECISION_OUTPUTS` unless nobody calibrated the model.
        class_names: names by label.
        split: name of the split.
        features: names of further features to keep.

    Raises:
        ValueError: when there is no row.
    """
    ordered = sorted(rows, key=lambda row: row["image_id"])
    if not ordered:
        raise ValueError(
            f"rows must not be empty. Received: rows=[] for split {split!r}. Evaluate a split with images."
        )
    return Predictions(
        class_names=tuple(class_names),
        split=split,
        image_ids=tuple(row["image_id"] for row in ordered),
        group_ids=tuple(row["group_id"] for row in ordered),
        labels=np.array([row["label"] for row in ordered], np.int64),
        statuses=tuple(row["status"] for row in ordered),
        probabilities=np.array([row["probabilities"] for row in ordered], np.float32),
        prediction_sets=np.array([row.get("prediction_set", [True] * len(class_names)) for row in ordered], bool),
        decisions=tuple(row.get("decision", REFER) for row in ordered),
        reasons=tuple(row.get("reason", NOT_CALIBRATED) for row in ordered),
        unfamiliarity=np.array([row.get("unfamiliarity", 0.0) for row in ordered], np.float32),
        features={name: tuple(str(row[name]) for row in ordered) for name in features},
    )


def join(tables: Sequence[Predictions]) -> Predictions:
    """The rows of several tables of the same classes and features, ordered by `image_id`.

    Raises:
        ValueError: there is no table, or their classes or features differ.
    """
    kinds = {(table.class_names, table.split, tuple(table.features)) for table in tables}
    if len(kinds) != 1:
        raise ValueError(
            f"tables must have the same classes, split and features, and be at least one. Received: {len(tables)} "
            f"tables of {len(kinds)} kinds: {sorted(kinds)}. Join answers to images of one dataset."
        )
    ((class_names, split, features),) = kinds
    columns = ("image_id", "group_id", "label", "status", "probabilities", *DECISION_OUTPUTS, *features)
    rows = [dict(zip(columns, row, strict=True)) for table in tables for row in _rows(table)]
    return from_rows(rows, class_names=class_names, split=split, features=features)


def _rows(table: Predictions) -> Iterable[tuple[Any, ...]]:
    return zip(
        *(table.image_ids, table.group_ids, table.labels, table.statuses, table.probabilities),
        *(table.prediction_sets, table.decisions, table.reasons, table.unfamiliarity),
        *table.features.values(),
        strict=True,
    )


def write_csv(predictions: Predictions, path: str | os.PathLike[str]) -> None:
    """Writes one row an example; probabilities with the nine digits that restore a float32 exactly.

    Columns: split, image_id, group_id, label, label_name, status, predicted (-1 for no answer), predicted_name (empty
    then), prediction_set (names with | between them), decision, reason, unfamiliarity, p_<class> for every class, then
    the further features.
    """
    names = predictions.class_names
    with pathlib.Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*_COLUMNS, *(f"p_{name}" for name in names), *predictions.features])
        for index, predicted in enumerate(predictions.predicted.tolist()):
            label = int(predictions.labels[index])
            predicted_name = "" if predicted == classification.NO_ANSWER else names[predicted]
            probabilities = (f"{value:.9g}" for value in predictions.probabilities[index].tolist())
            writer.writerow(
                [
                    predictions.split,
                    predictions.image_ids[index],
                    predictions.group_ids[index],
                    label,
                    names[label],
                    predictions.statuses[index],
                    predicted,
                    predicted_name,
                    _SEPARATOR.join(np.array(names)[predictions.prediction_sets[index]].tolist()),
                    predictions.decisions[index],
                    predictions.reasons[index],
                    f"{predictions.unfamiliarity[index]:.9g}",
                    *probabilities,
                    *(values[index] for values in predictions.features.values()),
                ]
            )


def read_csv(path: str | os.PathLike[str]) -> Predictions:
    """Reads what `write_csv` wrote."""
    with pathlib.Path(path).open(newline="", encoding="utf-8") as file:
        return from_text(list(csv.DictReader(file)))


def from_text(rows: Sequence[Mapping[str, str]]) -> Predictions:
    """Columns of rows as `write_csv` wrote them, column name -> text."""
    columns = list(rows[0])
    class_columns = [name for name in columns if name.startswith("p_")]
    features = [name for name in columns if name not in _COLUMNS and name not in class_columns]
    names = [name.removeprefix("p_") for name in class_columns]
    parsed = [
        {
            **row,
            "label": int(row["label"]),
            "probabilities": [float(row[name]) for name in class_columns],
            "prediction_set": [name in row["prediction_set"].split(_SEPARATOR) for name in names],
            "unfamiliarity": float(row["unfamiliarity"]),
        }
        for row in rows
    ]
    return from_rows(parsed, class_names=names, split=rows[0]["split"], features=features)
