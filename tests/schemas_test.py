"""The published files have the form that their `TypedDict`s state."""

import json
import pathlib
import types
import typing

import pytest

from sperm_tf.schemas.audits import Audits, ModelAudits
from sperm_tf.schemas.cross_validation import Decisions, FitEntry, Results

RESULTS = pathlib.Path(__file__).resolve().parents[1] / "docs" / "results"


def find_departures(value, expected, path="content"):
    """Where a JSON value is not of a type made of TypedDicts, lists, dictionaries, unions and plain types."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if typing.is_typeddict(expected):
        if not isinstance(value, dict):
            return [f"{path} is no object"]
        fields = typing.get_type_hints(expected)
        found = [f"{path} lacks {key}" for key in sorted(expected.__required_keys__ - set(value))]
        found += [f"{path} has {key}" for key in sorted(set(value) - set(fields))]
        return found + [
            departure
            for key in fields
            if key in value
            for departure in find_departures(value[key], fields[key], f"{path}.{key}")
        ]
    if origin is list and isinstance(value, list):
        return [departure for item in value for departure in find_departures(item, arguments[0], f"{path}[]")]
    if origin is dict and isinstance(value, dict):
        return [
            departure
            for key, item in value.items()
            for departure in find_departures(item, arguments[1], f"{path}.{key}")
        ]
    if origin in (typing.Union, types.UnionType):
        departures = [find_departures(value, choice, path) for choice in arguments]
        return [] if not all(departures) else min(departures, key=len)
    plain = {float: (int, float), type(None): (type(None),)}.get(expected, (expected,))
    return [] if type(value) in plain else [f"{path} is {type(value).__name__}, not {expected}"]


@pytest.mark.parametrize("dataset", ["smids", "hushem"])
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("fits.json", list[FitEntry]),
        ("results.json", Results),
        ("decisions.json", Decisions),
        ("audits.json", Audits),
    ],
)
def test_published_files_have_their_form(dataset, file, expected):
    content = json.loads((RESULTS / dataset / file).read_text(encoding="utf-8"))
    assert not find_departures(content, expected)


def test_every_audit_has_its_form():
    from pipelines.audits.registry import AUDITS  # imports pandas

    assert set(AUDITS) == ModelAudits.__optional_keys__


def test_a_departure_is_found():
    content = json.loads((RESULTS / "smids" / "results.json").read_text(encoding="utf-8"))
    content["models"]["vit_tiny"]["pooled"]["accuracy"]["value"] = "high"
    del content["method"]
    content["comparisons"][0]["winner"] = "vit_tiny"
    assert find_departures(content, Results) == [
        "content lacks method",
        "content.models.vit_tiny.pooled.accuracy.value is str, not <class 'float'>",
        "content.comparisons[] has winner",
    ]
