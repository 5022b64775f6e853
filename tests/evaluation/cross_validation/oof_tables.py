"""Out-of-fold tables drawn with NumPy: images in groups whose answers go wrong together."""

import json
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from sperm_tf.evaluation.cross_validation import oof

CLASS_NAMES = ("normal", "tapered", "pyriform", "amorphous")


def draw_table(
    *,
    skill: float = 2.0,
    num_groups: int = 60,
    num_repeats: int = 2,
    class_names: tuple[str, ...] = CLASS_NAMES,
    largest_group: int = 3,
    sharpness: float = 1.0,
    seed: int = 0,
    data_seed: int = 100,
) -> pd.DataFrame:
    """Predictions of a model; tables of one `data_seed` have the same images and folds.

    Args:
        skill: how far the true class's logit stands out; noise has a standard deviation of 1, half of its variance
            common to a group.
        num_groups: number of groups, each of one class and 1 to `largest_group` images.
        num_repeats: number of repeats, with folds of their own.
        class_names: of the classes.
        largest_group: images in the largest groups.
        sharpness: factor of the logits; above 1 the model is surer than it should be.
        seed: of the model's noise.
        data_seed: of images and folds.
    """
    data, noise = np.random.default_rng(data_seed), np.random.default_rng(seed)
    num_classes = len(class_names)
    sizes = data.integers(1, largest_group + 1, num_groups)
    groups = np.repeat(np.arange(num_groups), sizes)
    labels = groups % num_classes
    image_ids = np.array([f"image_{index:04d}" for index in data.permutation(len(groups))])
    group_ids = np.array([f"group_{index:03d}" for index in groups])
    parts = []
    for repeat in range(num_repeats):
        # Classes in turn within each fold, so that every fold has every class.
        fold_of_group = np.empty(num_groups, int)
        for label in range(num_classes):
            members = data.permutation(np.flatnonzero(np.arange(num_groups) % num_classes == label))
            fold_of_group[members] = np.arange(len(members)) % 5
        folds = fold_of_group[groups]
        for fold in range(5):
            is_calibration = (folds != fold) & (groups % 7 == repeat % 7)
            for part, chosen in ((oof.TEST, folds == fold), (oof.CALIBRATION, is_calibration)):
                logits = skill * np.eye(num_classes)[labels]
                logits = logits + np.sqrt(0.5) * noise.normal(size=(num_groups, num_classes))[groups]
                logits = sharpness * (logits + np.sqrt(0.5) * noise.normal(size=logits.shape))
                probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                parts.append(
                    oof.make_rows(
                        repeat=repeat,
                        fold=fold,
                        part=part,
                        image_ids=image_ids[chosen].tolist(),
                        group_ids=group_ids[chosen].tolist(),
                        labels=labels[chosen],
                        probabilities=probabilities[chosen],
                        class_names=class_names,
                    )
                )
    return oof.join(parts)


def leak_near_duplicate(table: pd.DataFrame, repeat: int = 0) -> tuple[pd.DataFrame, str]:
    """Makes an image of fold 1 a near duplicate of one of fold 0: the table and the name of their group."""
    test = oof.select(table, part=oof.TEST, repeat=repeat)
    group = test[test["fold"] == 0]["group_id"].iloc[0]
    victim = test[test["fold"] == 1]["image_id"].iloc[0]
    leaked = table.copy()
    leaked.loc[leaked["image_id"] == victim, "group_id"] = group
    return leaked, group


def write_fits(folder: pathlib.Path, models: dict[str, int], **fields: object) -> None:
    """Writes `fits.json` for every fold of `models`, name -> number of repeats."""
    fits = [
        {
            "model": model,
            "repeat": repeat,
            "fold": fold,
            "fingerprint": f"{repeat}{fold}",
            "num_epochs": 20 + fold,
            "best_epoch": 15,
            "seconds": 60.0,
            "backend": "tensorflow",
            **fields,
        }
        for model, num_repeats in models.items()
        for repeat in range(num_repeats)
        for fold in range(5)
    ]
    (folder / "fits.json").write_text(json.dumps(fits), encoding="utf-8")


def make_table(labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Answers of one repeat whose images, each a group of its own, go round the five folds."""
    names = [f"image_{number:04d}" for number in range(len(labels))]
    parts = []
    for fold in range(5):
        index = range(fold, len(labels), 5)
        own = [names[number] for number in index]
        parts.append(
            oof.make_rows(
                repeat=0,
                fold=fold,
                part=oof.TEST,
                image_ids=own,
                group_ids=own,
                labels=labels[index],
                probabilities=probabilities[index],
                class_names=class_names,
            )
        )
    return oof.join(parts)
