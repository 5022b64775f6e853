"""What a report of a slide is about: the sample, as flags or columns of the user's table name it."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

FIELDS = {
    "sample": "Sample",
    "laboratory": "Laboratory",
    "stain": "Stain",
    "magnification": "Magnification",
    "operator": "Operator",
    "collected": "Collected",
    "stained": "Stained",
}
"""Flag, and column of a table -> what the report calls it."""


def describe_sample(rows: Any, columns: Sequence[str], given: Mapping[str, str]) -> list[dict[str, str]]:
    """The facts about a sample, in the order of `FIELDS`; what nobody gave is empty, for a pen.

    Args:
        rows: scores of one slide, a data frame.
        columns: those that the table passed through, in any case; several values of one are all listed.
        given: field -> what a flag says; it goes before a column.
    """
    found = {name.casefold(): name for name in reversed(columns)}
    described = []
    for field, name in FIELDS.items():
        values = [given[field]] if given.get(field) else []
        if not values and field in found:
            values = [text for text in dict.fromkeys(rows[found[field]].astype(str).str.strip()) if text]
        described.append({"field": field, "name": name, "value": ", ".join(values)})
    return described


def choose_title(slide: str, sample: Sequence[Mapping[str, str]], root: str) -> str:
    """The heading of a slide: its name, else that of the sample, else that of the folder of the images.

    Args:
        slide: its name in the scores; may be empty.
        sample: of `describe_sample`.
        root: the folder that was scored.
    """
    name = next(fact["value"] for fact in sample if fact["field"] == "sample")
    if slide:
        return f"Slide {slide}"
    return f"Sample {name}" if name else f"Folder {pathlib.PurePath(root).name or root}"
