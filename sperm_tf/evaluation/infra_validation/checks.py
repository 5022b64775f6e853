"""Checks of the outputs of a served model, whatever the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sperm_tf.served_names import (
    ACCEPT,
    CBAM_ATTENTION,
    EXPLAIN,
    EXPLAIN_CLASSES,
    GRAD_CAM_PLUS_PLUS,
    GRAD_CAM_PLUS_PLUS_PER_CLASS,
    INPUT_NAMES,
    MAP_OUTPUTS,
    OK,
    REFER,
    SERVED_MAPS,
    SERVING_DEFAULT,
)

_TOLERANCE = 1e-4  # signatures are separate graphs: their last bits may differ


@dataclasses.dataclass(frozen=True)
class Check:
    """One demand on one signature, or on the process when it is empty; `detail` says what was found."""

    signature: str
    demand: str
    passed: bool
    detail: str = ""


def check_answers(
    answers: Mapping[str, Any], *, class_names: Sequence[str], bad_rows: Sequence[int], num_rows: int
) -> list[Check]:
    """Compares the outputs of every signature with the serving contract.

    Args:
        answers: what `probe.py` wrote.
        class_names: what the model must call its classes, by label.
        bad_rows: indices of the rows that hold no readable image.
        num_rows: number of rows asked.
    """
    signatures, importable = answers["signatures"], answers["importable"]
    checks = [Check("", "the process had nothing of this project", not importable, f"importable: {importable}")]
    complete = {}
    for name in INPUT_NAMES:
        outputs = signatures.get(name, {}).get("outputs")
        if outputs is None:
            checks.append(Check(name, "exists", False, f"found: {sorted(signatures)}"))
            continue
        shapes = _check_shapes(name, outputs, num_classes=len(class_names), num_rows=num_rows)
        checks += shapes
        if all(check.passed for check in shapes):
            complete[name] = outputs
            checks += _check_values(name, outputs, class_names=class_names, bad_rows=set(bad_rows))
    reference = complete.get(SERVING_DEFAULT)
    if reference is not None:
        checks += [
            _check_agreement(name, outputs, reference) for name, outputs in complete.items() if outputs is not reference
        ]
    return checks


def _check_shapes(name: str, outputs: Mapping[str, Any], *, num_classes: int, num_rows: int) -> list[Check]:
    expected: dict[str, tuple[str, list[int]]] = {
        "status": ("string", [num_rows]),
        "predicted_class": ("string", [num_rows]),
        "probabilities": ("float32", [num_rows, num_classes]),
        "class_names": ("string", [num_rows, num_classes]),
        "prediction_set": ("bool", [num_rows, num_classes]),
        "decision": ("string", [num_rows]),
        "reason": ("string", [num_rows]),
        "unfamiliarity": ("float32", [num_rows]),
    }
    if name in (EXPLAIN, EXPLAIN_CLASSES):
        for key in SERVED_MAPS:
            expected[key] = ("float32", [num_rows, *_map_sides(outputs.get(key, {}))])
        if name == EXPLAIN_CLASSES:
            sides = _map_sides(outputs.get(GRAD_CAM_PLUS_PLUS, {}))
            expected[GRAD_CAM_PLUS_PLUS_PER_CLASS] = ("float32", [num_rows, num_classes, *sides])
        if CBAM_ATTENTION in outputs:  # may stand before the explained layer, where the resolution is higher
            expected[CBAM_ATTENTION] = ("float32", [num_rows, *_map_sides(outputs[CBAM_ATTENTION])])
    checks = [
        Check(name, "has exactly the promised outputs", set(outputs) == set(expected), f"found: {sorted(outputs)}")
    ]
    for key, (dtype, shape) in expected.items():
        found = outputs.get(key, {})
        passed = found.get("dtype") == dtype and found.get("shape") == shape
        detail = f"found: {found.get('dtype')} {found.get('shape')}"
        checks.append(Check(name, f"{key} is {dtype} {shape}", passed, detail))
    return checks


def _map_sides(output: Mapping[str, Any]) -> list[int]:
    """Height and width to expect of maps [rows, height, width]: their own, but at least 1."""
    shape = output.get("shape", [])
    return [max(1, side) for side in [*shape, 1, 1, 1][1:3]]


def _check_values(
    name: str, outputs: Mapping[str, Any], *, class_names: Sequence[str], bad_rows: set[int]
) -> list[Check]:
    statuses = outputs["status"]["values"]
    predicted = outputs["predicted_class"]["values"]
    probabilities = np.asarray(outputs["probabilities"]["values"])
    good_rows = [row for row in range(len(statuses)) if row not in bad_rows]
    sums = probabilities.sum(axis=1)
    argmax = [class_names[index] for index in probabilities.argmax(axis=1)]
    names = outputs["class_names"]["values"]
    sets = np.asarray(outputs["prediction_set"]["values"], bool)
    decisions, reasons = outputs["decision"]["values"], outputs["reason"]["values"]
    is_accepted = [decision == ACCEPT for decision in decisions]
    demands: list[tuple[str, bool, Any]] = [
        ("class names are the model's", names == list(class_names) * len(statuses), names[: len(class_names)]),
        ("readable images have the status ok", all(statuses[row] == OK for row in good_rows), statuses),
        ("unreadable images have another status", all(statuses[row] not in (OK, "") for row in bad_rows), statuses),
        ("probabilities are finite", outputs["probabilities"]["all_finite"], "NaN or infinity"),
        ("probabilities are 0 or more", bool((probabilities >= 0).all()), float(probabilities.min())),
        ("probabilities of readable images sum to 1", _close(sums[good_rows], 1.0), sums.tolist()),
        ("probabilities of unreadable images are 0", _close(sums[sorted(bad_rows)], 0.0), sums.tolist()),
        (
            "the predicted class has the highest probability",
            all(predicted[row] == argmax[row] for row in good_rows),
            predicted,
        ),
        ("unreadable images have no predicted class", all(predicted[row] == "" for row in bad_rows), predicted),
        (
            "the predicted class is in the prediction set",
            all(sets[row, class_names.index(predicted[row])] for row in good_rows if predicted[row] in class_names),
            sets.tolist(),
        ),
        ("prediction sets of unreadable images are empty", not sets[sorted(bad_rows)].any(), sets.tolist()),
        ("decisions are to accept or to refer", all(item in (ACCEPT, REFER) for item in decisions), decisions),
        ("unreadable images are referred", not any(is_accepted[row] for row in bad_rows), decisions),
        ("every decision has a reason", all(reasons), reasons),
        (
            "unfamiliarity is finite and 0 or more",
            outputs["unfamiliarity"]["all_finite"] and outputs["unfamiliarity"]["min"] >= 0,
            outputs["unfamiliarity"]["min"],
        ),
    ]
    for key in MAP_OUTPUTS:
        if key in outputs:
            found = outputs[key]
            inside = found["all_finite"] and found["min"] >= -_TOLERANCE and found["max"] <= 1 + _TOLERANCE
            demands.append((f"{key} is between 0 and 1", inside, f"{found['min']} to {found['max']}"))
    return [Check(name, demand, passed, "" if passed else f"found: {found}") for demand, passed, found in demands]


def _check_agreement(name: str, outputs: Mapping[str, Any], reference: Mapping[str, Any]) -> Check:
    same = all(outputs[key]["values"] == reference[key]["values"] for key in ("status", "decision", "reason"))
    distance = np.abs(np.subtract(outputs["probabilities"]["values"], reference["probabilities"]["values"])).max()
    passed = bool(same and distance <= _TOLERANCE)
    return Check(name, "answers what serving_default answers", passed, f"probabilities differ by up to {distance:.2g}")


def _close(values: np.ndarray, target: float) -> bool:
    return bool(np.allclose(values, target, atol=1e-3))
