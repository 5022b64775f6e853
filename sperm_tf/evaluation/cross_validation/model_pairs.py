"""Every pair of models compared on the same images and folds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal, cast

import numpy as np
import pandas as pd

from sperm_tf.evaluation.cross_validation import oof
from sperm_tf.evaluation.metrics import classification, significance
from sperm_tf.schemas.cross_validation import Comparison, McNemar

COMPARED: tuple[Literal["accuracy", "macro_f1"], ...] = ("accuracy", "macro_f1")


def check_same_folds(first: str, first_table: pd.DataFrame, second: str, second_table: pd.DataFrame) -> None:
    """Checks that two models were tested on the same images, and in their common repeats in the same folds.

    Args:
        first: name of a model.
        first_table: its out-of-fold table.
        second: name of another.
        second_table: its out-of-fold table.

    Raises:
        OofError: names an image that differs.
    """
    remedy = f"Run both models on the same version of the dataset, or take {first}.csv or {second}.csv away."
    identity = ["image_id", "label", "group_id"]
    sets = [set(map(tuple, table[identity].to_numpy().tolist())) for table in (first_table, second_table)]
    if sets[0] != sets[1]:
        odd = sorted(sets[0] ^ sets[1])[0]
        raise oof.OofError(
            f"{second}: images, labels and groups must be those of {first}. Received: image {odd[0]!r} (label "
            f"{odd[1]}, group {odd[2]!r}) in one of them only. {remedy}"
        )
    tests = [oof.select(table, part=oof.TEST)[["repeat", "image_id", "fold"]] for table in (first_table, second_table)]
    both = tests[0].merge(tests[1], on=["repeat", "image_id"])
    moved = both[both["fold_x"] != both["fold_y"]]
    if not moved.empty:
        row = moved.iloc[0]
        raise oof.OofError(
            f"{second}: folds must be those of {first}, or the models cannot be paired. Received: image "
            f"{row['image_id']!r} of repeat {row['repeat']} in fold {row['fold_y']}, not {row['fold_x']}. {remedy}"
        )


def compare_models(tables: Mapping[str, pd.DataFrame]) -> list[Comparison]:
    """Corrected resampled t-tests of accuracy and macro F1 with Holm's correction, and McNemar's test of each repeat.

    Args:
        tables: name -> out-of-fold table, which `check_same_folds` accepts.

    Returns:
        One dictionary a pair: `first` and `second` (names, in the order of `tables`; differences are second minus
        first), `num_repeats` in common, `test_train_ratio`, `accuracy` and `macro_f1` (as from
        `corrected_resampled_t_test`, with `p_value_holm` over all pairs, each figure by itself), `mcnemar` (a list).
    """
    results = [_compare_pair(first, second, tables) for first, second in itertools.combinations(tables, 2)]
    for name in COMPARED:
        corrected = significance.holm([result[name]["p_value"] for result in results])
        for result, p_value in zip(results, corrected, strict=True):
            result[name]["p_value_holm"] = float(p_value)
    return results


def _compare_pair(first: str, second: str, tables: Mapping[str, pd.DataFrame]) -> Comparison:
    num_classes = len(oof.class_names(tables[first]))
    keys = ["repeat", "fold", "image_id", "label"]
    both = _answers(tables[first]).merge(_answers(tables[second]), on=keys, suffixes=("_first", "_second"))
    figures = [
        (_figures(rows, "predicted_first", num_classes), _figures(rows, "predicted_second", num_classes))
        for _, rows in both.groupby(["repeat", "fold"])
    ]
    ratio = _test_train_ratio(tables[first])
    tests = {
        name: significance.corrected_resampled_t_test(
            [float(of_second[name] - of_first[name]) for of_first, of_second in figures], test_train_ratio=ratio
        )
        for name in COMPARED
    }
    mcnemar: list[McNemar] = [
        {
            "repeat": cast(int, repeat),
            **significance.mcnemar(
                (rows["predicted_first"] == rows["label"]).to_numpy(),
                (rows["predicted_second"] == rows["label"]).to_numpy(),
            ),
        }
        for repeat, rows in both.groupby("repeat")
    ]
    return {
        "first": first,
        "second": second,
        "num_repeats": len(mcnemar),
        "test_train_ratio": ratio,
        "accuracy": tests["accuracy"],
        "macro_f1": tests["macro_f1"],
        "mcnemar": mcnemar,
    }


def _answers(table: pd.DataFrame) -> pd.DataFrame:
    test = oof.select(table, part=oof.TEST)
    return test[["repeat", "fold", "image_id", "label"]].assign(
        predicted=classification.predict(oof.probabilities(test))
    )


def _figures(rows: pd.DataFrame, column: str, num_classes: int) -> dict[str, np.ndarray]:
    counts = classification.count_outcomes(rows["label"].to_numpy(), rows[column].to_numpy(), num_classes)
    return classification.figures_from_counts(counts)


def _test_train_ratio(table: pd.DataFrame) -> float:
    """Mean over the fits of n_test / n_train.

    Images of the validation and calibration parts have no say in which class is predicted, so they do not count as
    training; the validation part, whose answers nobody keeps, is as large as the other. Where a recipe chooses its
    weights by it, the test is on the safe side.
    """
    sizes = table.groupby(["repeat", "fold", "part"]).size().unstack(fill_value=0)
    num_test, num_aside = sizes[oof.TEST], 2 * sizes.get(oof.CALIBRATION, 0)
    return float((num_test / (table["image_id"].nunique() - num_test - num_aside)).mean())
