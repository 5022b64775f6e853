"""What the model was trained and tested on, and what was wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report.stages import Stage

MAX_LISTED = 200
_TITLES = {"smids": "SMIDS", "hushem": "HuSHeM", "synthetic_sperm": "synthetic sperm", "own_images": "own images"}
_EXCLUDED = ("image_id", "reason", "label_name", "related_image_id", "detail")
_NEAR_DUPLICATE = ("image_id", "related_image_id", "distance", "labels")
_ANOMALY = ("name", "severity", "description")
_REASONS = {
    "duplicate": "identical pixels: another copy is kept",
    "conflicting_labels": "identical pixels under two different labels: neither is kept",
    "undecodable": "no readable image",
}


def describe_dataset(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """The dataset's card, and how its images are spread over splits and classes."""
    info = stages["example_gen"].read_json("dataset.json")
    summary = stages["example_validator"].read_json("summary.json")
    splits = {name: value for name, value in summary.get("splits", {}).items() if isinstance(value, dict)}
    names = info.get("class_names") or list(next(iter(splits.values()), {}).get("classes", {}))
    name = info.get("name", "")
    rows = [
        {"name": label, "counts": [split.get("classes", {}).get(label) for split in splits.values()]} for label in names
    ]
    for row in rows:
        row["total"] = sum(value or 0 for value in row["counts"])
    return {
        "name": name,
        "title": _TITLES.get(name, name or "unknown dataset"),
        "is_synthetic": name.startswith("synthetic"),
        "config": info.get("config", ""),
        "version": info.get("version", ""),
        "description": _blocks(str(info.get("description") or "")),
        "homepage": "" if name.startswith("synthetic") else _web_address(info.get("homepage")),
        "license": info.get("license", ""),
        "citation": str(info.get("citation", "")).strip(),
        "class_names": names,
        "num_source_images": info.get("num_source_images"),
        "is_own": name == "own_images",
        "num_origins": info.get("num_origins"),
        "splits": list(splits),
        "rows": rows,
        "totals": [split.get("num_examples") for split in splits.values()],
        "groups": [split.get("num_groups") for split in splits.values()],
        "total": sum(split.get("num_examples") or 0 for split in splits.values()),
        "folds": info.get("folds", {}),
        "sizes": {split: _sizes(value) for split, value in splits.items()},
        "source_formats": dict(
            sum((Counter(split.get("source_formats") or {}) for split in splits.values()), Counter()).most_common()
        ),
    }


def describe_defects(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Images that were left out, near duplicates that were kept together, and anomalies."""
    examples, validator = stages["example_gen"], stages["example_validator"]
    summary = validator.read_json("summary.json")
    excluded: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _complete(examples.read_csv("excluded.csv"), _EXCLUDED):
        excluded[row["reason"] or "unknown"].append(row)
    pairs = _complete(examples.read_csv("near_duplicates.csv"), _NEAR_DUPLICATE)
    conflicting = [row for row in pairs if row.get("shows") == "cell" and len(set(row["labels"].split("|"))) > 1]
    return {
        "is_known": examples.directory is not None,
        "num_excluded": sum(map(len, excluded.values())),
        "excluded": [
            {
                "reason": _REASONS.get(reason, reason.replace("_", " ")),
                "count": len(rows),
                "rows": rows[:MAX_LISTED],
                "num_hidden": max(0, len(rows) - MAX_LISTED),
            }
            for reason, rows in sorted(excluded.items())
        ],
        "num_undecodable": summary.get("num_undecodable", len(excluded.get("undecodable", []))),
        "near_duplicates": pairs[:MAX_LISTED],
        "num_near_duplicates": len(pairs),
        "num_near_duplicates_hidden": max(0, len(pairs) - MAX_LISTED),
        "num_groups_joined": _count_groups(pairs),
        "num_conflicting_near_duplicates": len(conflicting),
        "anomalies": _complete(summary.get("anomalies", []), _ANOMALY),
        "was_validated": bool(summary),
    }


def _blocks(description: str) -> list[dict[str, Any]]:
    """Paragraphs and lists of a dataset's description, which is plain text with a little Markdown."""
    blocks: list[dict[str, Any]] = []
    for paragraph in description.replace("`", "").split("\n\n"):
        first, *items = [" ".join(part.split()) for part in f"\n{paragraph.strip()}".split("\n- ")]
        if first:
            blocks.append({"kind": "text", "content": first})
        if items:
            blocks.append({"kind": "list", "content": items})
    return blocks


def _complete(rows: Any, fields: Sequence[str]) -> list[dict[str, str]]:
    """Rows with all of `fields`, empty where they are missing."""
    return [{field: str(row.get(field) or "") for field in fields} for row in rows if isinstance(row, dict)]


def _count_groups(pairs: list[dict[str, str]]) -> int:
    """Number of connected components of the near-duplicate pairs."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for row in pairs:
        parent[find(row["image_id"])] = find(row["related_image_id"])
    return len({find(name) for name in parent})


def _sizes(split: Mapping[str, Any]) -> str:
    """`122–259 × 80–264` pixels; one number where all are alike."""
    sides = []
    for side in ("width", "height"):
        spread = split.get(side) or {}
        low, high = spread.get("min"), spread.get("max")
        if low is None or high is None:
            return ""
        sides.append(f"{low:g}" if low == high else f"{low:g}–{high:g}")
    return " × ".join(sides)


def _web_address(value: Any) -> str:
    """The address when it can only be a web page: nothing else may become a link."""
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""
