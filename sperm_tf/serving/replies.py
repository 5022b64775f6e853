"""Rows that a server returned, checked before they count as predictions. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sperm_tf.served_names import ACCEPT, CONFIDENT, MAP_OUTPUTS, OK, REASONS, REFER, STATUSES, UNREADABLE
from sperm_tf.serving.prediction import Prediction

SUM_TOLERANCE = 1e-3
"""How far from 1 probabilities may add up: float32, and decimals that a server may have shortened."""
_RANGE_TOLERANCE = 1e-6
_TEXTS = ("status", "predicted_class", "decision", "reason")


class ReplyError(ValueError):
    """A row that is no prediction; the message says what is wrong with it."""


def read_row(row: Mapping[str, Any]) -> Prediction:
    """Reads one row of served outputs, from JSON or from NumPy arrays.

    Args:
        row: output -> value, by the names of `sperm_tf.schemas.served.ServedAnswer`.

    Returns:
        The prediction, without the name of a file.

    Raises:
        ReplyError: an output is missing or of another type; probabilities are not finite, not in 0-1, or do not sum to
            1; or class, probabilities, status, decision and reason do not agree.
    """
    if not isinstance(row, Mapping):
        raise ReplyError(f"it must be an object of named outputs. Received: {_show(row)}")
    texts = {name: _read_text(row, name) for name in _TEXTS}
    if texts["status"] not in STATUSES:
        raise ReplyError(f"status must be one of {', '.join(STATUSES)}. Received: {_show(texts['status'])}")
    names = [_check_text("class_names", name) for name in _read_list(row, "class_names")]
    probabilities = [_check_number("probabilities", value) for value in _read_list(row, "probabilities")]
    members = [_check_bool(value) for value in _read_list(row, "prediction_set")]
    if not names or len(set(names)) != len(names) or not len(names) == len(probabilities) == len(members):
        raise ReplyError(
            "class_names must differ, with one probability and one entry of prediction_set for each. Received: "
            f"{len(names)} names, {len(probabilities)} probabilities, {len(members)} entries"
        )
    found = Prediction(
        file="",
        status=texts["status"],
        predicted_class=texts["predicted_class"],
        decision=texts["decision"],
        reason=texts["reason"],
        probabilities=dict(zip(names, probabilities, strict=True)),
        prediction_set=tuple(name for name, belongs in zip(names, members, strict=True) if belongs),
        unfamiliarity=_check_number("unfamiliarity", _read(row, "unfamiliarity")),
        maps={name: _read_map(name, row[name]) for name in MAP_OUTPUTS if name in row},
    )
    return _check_ok(found) if found.status == OK else _check_unreadable(found)


def _check_ok(found: Prediction) -> Prediction:
    values = list(found.probabilities.values())
    if min(values) < -_RANGE_TOLERANCE or max(values) > 1 + _RANGE_TOLERANCE:
        raise ReplyError(f"probabilities must be in 0-1. Received: {_show(values)}")
    if abs(sum(values) - 1) > SUM_TOLERANCE:
        raise ReplyError(f"probabilities must sum to 1. Received: {_show(values)}, which sum to {sum(values):.6g}")
    if found.probabilities.get(found.predicted_class) != max(values):
        raise ReplyError(
            f"predicted_class must be the most probable class. Received: {_show(found.predicted_class)} with "
            f"{_show(found.probabilities)}"
        )
    if found.reason not in REASONS or found.decision != (ACCEPT if found.reason == CONFIDENT else REFER):
        raise ReplyError(
            f"decision must be {ACCEPT!r} for the reason {CONFIDENT!r} and {REFER!r} for {', '.join(REASONS[1:])}. "
            f"Received: decision={_show(found.decision)}, reason={_show(found.reason)}"
        )
    return found


def _check_unreadable(found: Prediction) -> Prediction:
    """A row without a prediction claims none; what it pads its outputs with is left out."""
    claims = found.predicted_class or any(found.probabilities.values()) or found.prediction_set
    if claims or found.decision != REFER or found.reason != UNREADABLE:
        raise ReplyError(
            f"a row with the status {found.status!r} must have no class, no probabilities, the decision {REFER!r} and "
            f"the reason {UNREADABLE!r}. Received: predicted_class={_show(found.predicted_class)}, "
            f"decision={_show(found.decision)}, reason={_show(found.reason)}"
        )
    return Prediction("", found.status, unfamiliarity=found.unfamiliarity, maps=found.maps)


def _read(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise ReplyError(f"{name} is missing")
    return row[name]


def _read_text(row: Mapping[str, Any], name: str) -> str:
    return _check_text(name, _read(row, name))


def _read_list(row: Mapping[str, Any], name: str) -> Sequence[Any]:
    values = _read(row, name)
    if not isinstance(values, list | tuple) and np.ndim(values) != 1:
        raise ReplyError(f"{name} must be a list. Received: {_show(values)}")
    return values


def _check_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ReplyError(f"{name} must be text. Received: {_show(value)}")
    return str(value)


def _check_number(name: str, value: Any) -> float:
    is_number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not is_number or not np.isfinite(number := float(value)):
        raise ReplyError(f"{name} must be finite numbers. Received: {_show(value)}")
    return number


def _check_bool(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ReplyError(f"prediction_set must be true or false for each class. Received: {_show(value)}")
    return bool(value)


def _read_map(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ReplyError(f"{name} must be an array of numbers: {error}") from error
    if array.ndim not in (2, 3) or not array.size:
        raise ReplyError(f"{name} must have the shape [h, w], or [C, h, w]. Received: shape={list(array.shape)}")
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1 + _RANGE_TOLERANCE):
        raise ReplyError(f"{name} must be in 0-1. Received: {array.min()} to {array.max()}")
    return array


def _show(value: Any) -> str:
    return repr(value)[:100]
