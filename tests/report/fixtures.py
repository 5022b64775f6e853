"""Artifact directories as the stages leave them, with made-up but coherent content."""

from __future__ import annotations

import csv
import json
import pathlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from sperm_tf.evaluation.attribution import attribution_metrics
from sperm_tf.evaluation.metrics import predictions, summary, uncertainty

CLASS_NAMES = ("normal", "tapered", "pyriform", "amorphous")
PRODUCERS = {
    "example_gen": "ExampleGen",
    "example_validator": "ExampleValidator",
    "transform": "Transform",
    "trainer": "Trainer",
    "calibrator": "Calibrator",
    "evaluator": "Evaluator",
    "explainer": "Explainer",
    "explanation_validator": "ExplanationValidator",
    "infra_validator": "InfraValidator",
    "pusher": "Pusher",
}
_INPUTS = {
    "example_validator": ["example_gen"],
    "transform": ["example_gen", "example_validator"],
    "trainer": ["transform"],
    "calibrator": ["trainer", "transform"],
    "evaluator": ["example_gen", "calibrator"],
    "explainer": ["example_gen", "calibrator", "evaluator"],
    "explanation_validator": ["calibrator", "example_gen"],
    "infra_validator": ["calibrator", "example_gen"],
    "pusher": ["example_gen", "calibrator", "evaluator", "explanation_validator", "infra_validator"],
}
_CONFIGS = {
    "trainer": {
        "model": {"name": "efficientnet_b0_cbam", "weights": "none", "cbam_after": ["top"], "dropout": 0.2},
        "frozen_epochs": 3,
        "full_epochs": 9,
        "frozen_learning_rate": 0.001,
        "full_learning_rate": 0.0001,
        "schedule": "cosine",
        "batch_size": 32,
        "augmentation": ["flip", "rotation"],
        "mixup_alpha": 0.2,
        "label_smoothing": 0.1,
        "class_weights": False,
        "early_stopping_patience": 4,
        "precision": "float32",
        "seed": 0,
    }
}


def make_run(root: pathlib.Path, *, dataset: str = "hushem", odd_name: str = "") -> dict[str, pathlib.Path]:
    """Writes one directory a stage below `root`.

    Args:
        root: an existing folder.
        dataset: name of the dataset.
        odd_name: file name that appears wherever a file name from outside can.

    Returns:
        The directories by stage.
    """
    directories = {name: root / producer / f"{index:016x}" for index, (name, producer) in enumerate(PRODUCERS.items())}
    for name, directory in directories.items():
        directory.mkdir(parents=True)
        inputs = {
            key: {"producer": PRODUCERS[key], "directory": "", "digest": _digest(key)} for key in _INPUTS.get(name, [])
        }
        record = {
            "producer": PRODUCERS[name],
            "fingerprint": directory.name,
            "digest": _digest(name),
            "config": _CONFIGS.get(name, {"option": 1}),
            "inputs": inputs,
            "external": {},
            "properties": {},
            "versions": {"python": "3.11.2", "tensorflow": "2.21.0", "keras": "3.15.1"},
            "started_at": f"2026-01-0{len(inputs) + 1}T10:00:00+00:00",
            "duration_s": 12.5 * (len(inputs) + 1),
        }
        _write_json(directory / "artifact.json", record)
    _write_examples(directories["example_gen"], dataset, odd_name)
    _write_validation(directories["example_validator"])
    _write_json(directories["transform"] / "transform.json", {"image_size": 224})
    _write_model(directories["trainer"])
    _write_rule(directories["calibrator"])
    table = _make_predictions(odd_name)
    _write_evaluation(directories["evaluator"], table)
    _write_explanations(directories["explainer"], table)
    _write_maps(directories["explanation_validator"])
    _write_json(
        directories["infra_validator"] / "report.json",
        {"blessed": True, "checks": [{"demand": "status is string [10]", "passed": True}]},
    )
    (directories["infra_validator"] / "INFRA_BLESSED").touch()
    pushed = {"pushed": True, "model_name": f"sperm_{dataset}", "version": 3, "reasons": []}
    _write_json(directories["pusher"] / "pushed.json", {**pushed, "path": f"/models/base/sperm_{dataset}/3"})
    return directories


def _digest(name: str) -> str:
    return (name.encode().hex() * 8)[:64]


def _write_json(path: pathlib.Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_csv(path: pathlib.Path, rows: list[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_examples(directory: pathlib.Path, dataset: str, odd_name: str) -> None:
    _write_json(
        directory / "dataset.json",
        {
            "name": dataset,
            "config": "clean",
            "version": "1.0.0",
            "class_names": list(CLASS_NAMES),
            "description": "Crops of stained\nhuman sperm heads.\n\nDefects:\n- `one`\n- two\n  lines\n\nThe end.",
            "homepage": "https://doi.org/10.17632/tt3yj2pf38.3",
            "citation": "@misc{shaker, title={Human Sperm Head Morphology dataset}}",
            "license": "CC BY 4.0",
            "folds": {"train": [2, 3, 4], "validation": [1], "test": [0]},
            "num_source_images": 560,
            "num_undecodable": 1,
        },
    )
    excluded = [
        {
            "image_id": odd_name or f"Normal/image_{index}.bmp",
            "reason": "duplicate" if index % 10 else "conflicting_labels",
            "label_name": CLASS_NAMES[index % 4],
            "related_image_id": f"Normal/image_{index + 1}.bmp",
            "distance": "0",
            "detail": "identical pixels; the related image is kept",
        }
        for index in range(240)
    ]
    excluded.append({**excluded[0], "reason": "undecodable", "related_image_id": "", "detail": "not an image"})
    _write_csv(directory / "excluded.csv", excluded)
    pairs = [("a", "b", "normal|normal"), ("b", "c", "normal|tapered"), ("d", "e", "pyriform|pyriform")]
    _write_csv(
        directory / "near_duplicates.csv",
        [
            {
                "image_id": odd_name or f"{one}.png",
                "related_image_id": f"{other}.png",
                "distance": "7",
                "labels": labels,
            }
            for one, other, labels in pairs
        ],
    )


def _write_validation(directory: pathlib.Path) -> None:
    spread = {"min": 120, "max": 131, "mean": 130.9, "median": 131}
    splits = {
        split: {
            "num_examples": 4 * size + 6,
            "classes": {name: size + index for index, name in enumerate(CLASS_NAMES)},
            "width": spread,
            "height": spread,
            "source_formats": {"BMP": 4 * size, "PNG": 6},
            "num_groups": 4 * size,
        }
        for split, size in (("train", 60), ("validation", 20), ("test", 20))
    }
    content = {"splits": splits, "anomalies": [], "num_source_images": 560, "num_undecodable": 1}
    _write_json(directory / "summary.json", content)


def _write_model(directory: pathlib.Path) -> None:
    _write_json(directory / "model.json", {"class_names": list(CLASS_NAMES), "image_size": 224, "config": {}})
    epochs = range(1, 13)
    history = {
        "loss": [1.4 * 0.86**epoch + 0.05 for epoch in epochs],
        "val_loss": [1.3 * 0.88**epoch + 0.012 * max(0, epoch - 9) ** 2 + 0.2 for epoch in epochs],
        "accuracy": [1 - 0.7 * 0.85**epoch for epoch in epochs],
        "val_accuracy": [0.93 - 0.6 * 0.82**epoch for epoch in epochs],
        "learning_rate": [1e-3] * 3 + [1e-4] * 9,
        "phase": ["frozen"] * 3 + ["full"] * 9,
    }
    _write_json(directory / "history.json", history)


def _write_rule(directory: pathlib.Path) -> None:
    rule = {"temperature": 1.31, "set_coverage": 0.9, "class_conditional": True, "min_confidence": 0.712}
    _write_json(directory / "decision.json", {**rule, "max_risk": 0.05, "delta": 0.05, "num_images": 295})
    (directory / "saved_model").mkdir()


def _make_predictions(odd_name: str) -> predictions.Predictions:
    rng = np.random.default_rng(5)
    labels = np.arange(86) % 4
    logits = rng.normal(size=(86, 4)) + 2.6 * np.eye(4)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = [
        {
            "image_id": odd_name or f"{CLASS_NAMES[label]}/image_{index:03d}.bmp",
            "group_id": f"group_{index // 2 if index < 6 else index}",
            "label": int(label),
            "status": "ok",
            "probabilities": probabilities[index],
            "prediction_set": (probabilities[index] > 0.15).tolist(),
            "decision": "accept" if probabilities[index].max() > 0.712 else "refer",
            "reason": "confident" if probabilities[index].max() > 0.712 else "uncertain",
            "unfamiliarity": 0.4,
            "cnr": ("high", "low", "medium")[index % 3],
            "resolution": "all alike",
        }
        for index, label in enumerate(labels)
    ]
    return predictions.from_rows(rows, class_names=CLASS_NAMES, split="test", features=("cnr", "resolution"))


def _write_evaluation(directory: pathlib.Path, table: predictions.Predictions) -> None:
    predictions.write_csv(table, directory / "predictions.csv")
    figures = summary.summarize(table, bootstrap_samples=200, slice_by=("label_name", "cnr", "resolution"))
    figures["quality_edges"] = {"cnr": [2.5, 4.04], "resolution": None}
    figures["trust"] = uncertainty.describe_trust(table, bootstrap_samples=200)
    _write_json(directory / "metrics.json", figures)
    check = {"metric": "accuracy", "kind": "minimum", "value": figures["accuracy"]["value"], "threshold": 0.5}
    baseline = {"model": None, "configured": "latest_pushed", "reason": "nothing was pushed before"}
    content = {"blessed": True, "checks": [{**check, "passed": True}], "baseline": baseline}
    _write_json(directory / "validation.json", content)
    (directory / "BLESSED").touch()


def _write_explanations(directory: pathlib.Path, table: predictions.Predictions) -> None:
    (directory / "images").mkdir()
    items = []
    for label, name in enumerate(CLASS_NAMES):
        for rank, index in enumerate(np.flatnonzero(table.labels == label)[:5]):
            files = {}
            for view, tint in (
                ("image", 0.0),
                ("layer_integrated_gradients", 0.8),
                ("grad_cam_plus_plus", 1.0),
                ("cbam_attention", 0.5),
            ):
                files[view] = f"images/{label}_{rank}_{view}.png"
                _draw(label, rank, tint).save(directory / files[view])
            predicted = int(table.predicted[index])
            items.append(
                {
                    "image_id": table.image_ids[index],
                    "files": files,
                    "maps": {"cbam_attention": {"mean": 0.5, "min": 0.41, "max": 0.63, "centre_share": 0.4}},
                    "true": name,
                    "predicted": CLASS_NAMES[predicted],
                    "probability": float(table.probabilities[index, predicted]),
                    "correct": predicted == label,
                }
            )
    agreement = {
        name: {"num_images": len(items), "max_relative_difference": difference}
        for name, difference in (("layer_integrated_gradients", 3.1e-5), ("grad_cam_plus_plus", 0.12))
    }
    _write_json(directory / "explanations.json", {"images": items, "agreement": agreement})


def _draw(label: int, rank: int, tint: float) -> Image.Image:
    """A blob on a pale background, reddened by `tint`."""
    rng = random.Random(f"{label} {rank}")
    image = Image.new("RGB", (112, 112), (214, 206, 222))
    draw = ImageDraw.Draw(image)
    width, height = 18 + 4 * label + rng.randint(0, 6), 26 + rng.randint(0, 8)
    draw.line([(56, 56), (56 + rng.randint(-40, 40), 112)], fill=(120, 90, 150), width=3)
    draw.ellipse(
        [56 - width, 56 - height, 56 + width, 56 + height], fill=(104, 70, 150), outline=(70, 40, 110), width=2
    )
    if tint:
        heat = Image.new("RGB", image.size, (230, 80, 30))
        mask = Image.new("L", image.size, 0)
        ImageDraw.Draw(mask).ellipse([30, 25, 85, 80], fill=int(150 * tint))
        image = Image.composite(heat, image, mask)
    return image


def _write_maps(directory: pathlib.Path) -> None:
    """The map that is shown is better than both baselines where an answer is deleted, and nowhere else."""
    levels = {
        "layer_integrated_gradients": 0.2,
        "grad_cam_plus_plus": 0.45,
        "cbam_attention": 0.5,
        "centre": 0.4,
        "edges": 0.5,
    }
    rows = [
        ("faithfulness", method, None, number, figure, (level if figure == "deletion_auc" else 0.5) + 0.001 * number)
        for number in range(12)
        for method, level in levels.items()
        for figure in ("deletion_auc", "insertion_auc", "energy_in_head", "likeness_to_other_maps")
    ]
    rows += [("faithfulness", None, None, number, "mask_area_share", 0.04) for number in range(9)]
    table = pd.DataFrame(rows, columns=["test", "method", "condition", "image_id", "figure", "value"])
    table = table.assign(fold=0, group_id=table["image_id"])
    _write_json(directory / "figures.json", attribution_metrics.describe_explanations(table))
    _write_json(directory / "validation.json", {"blessed": True, "checks": []})
    (directory / "EXPLANATION_BLESSED").touch()
