"""Attribution maps of test images, as a gallery."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.probabilities import write_probability
from sperm_tf.report import text
from sperm_tf.report.stages import Stage
from sperm_tf.served_names import SERVED_MAPS, SHOWN_MAP

# Key in `explanations.json` -> heading in the report.
_VIEWS = {
    "image": "image",
    "layer_integrated_gradients": "integrated gradients",
    "grad_cam_plus_plus": "Grad-CAM++",
    "cbam_attention": "CBAM",
}
_NOTICEABLE = 1e-3
_WHY = ": Grad-CAM++ divides by what may be nearly zero, where the last digit of a number decides."


def describe_explanations(stages: Mapping[str, Stage], class_names: Sequence[str]) -> dict[str, Any]:
    """Explained images by true class, their pictures as data URIs.

    Args:
        stages: the run.
        class_names: classes of the dataset; each gets a heading, with images or without.
    """
    stage = stages["explainer"]
    content = stage.read_json("explanations.json")
    items = [_describe_item(item, stage) for item in content.get("images") or [] if isinstance(item, dict)]
    names = [*class_names, *sorted({item["true"] for item in items} - set(class_names))]
    shown = {picture["view"] for item in items for picture in item["pictures"]}
    return {
        "is_known": bool(items),
        "views": [view for view in _VIEWS.values() if view in shown],
        "classes": [_describe_class(name, [item for item in items if item["true"] == name]) for name in names],
        "agreement": _describe_agreement(content.get("agreement")),
    }


def _describe_class(name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "items": items, "num_wrong": sum(not item["correct"] for item in items)}


def _describe_item(item: Mapping[str, Any], stage: Stage) -> dict[str, Any]:
    true, predicted = str(item.get("true", "")), str(item.get("predicted", ""))
    files = item.get("files") or {}
    pictures = []
    for key, view in _VIEWS.items():
        source = _data_uri(stage, files.get(key))
        if source:
            shown = {"view": view, "range": _describe_range(key, item), "alt": _describe_picture(view, item)}
            pictures.append(shown | {"source": source})
    return {
        "image_id": str(item.get("image_id", "")),
        "true": true,
        "predicted": predicted,
        "probability": write_probability(item.get("probability")),
        "correct": bool(item.get("correct", true == predicted)),
        "pictures": pictures,
    }


def _describe_picture(view: str, item: Mapping[str, Any]) -> str:
    if view == "image":
        return f"Test image {item.get('image_id')}, true class {item.get('true')}"
    return f"{view} map over test image {item.get('image_id')}, predicted class {item.get('predicted')}"


def _describe_range(key: str, item: Mapping[str, Any]) -> str:
    """The range of attention, which is drawn stretched; the others are scaled to 0-1 by definition."""
    summary = (item.get("maps") or {}).get(key) or {}
    bounds = [summary.get("min"), summary.get("max")]
    return text.interval(bounds) if key == "cbam_attention" and text.is_interval(bounds) else ""


def _data_uri(stage: Stage, name: Any) -> str:
    """The PNG file `name` of the artifact, inline; empty when it is missing or no PNG."""
    path = stage.path(name) if isinstance(name, str) and name else None
    content = path.read_bytes() if path and path.is_file() else b""
    if not content.startswith(b"\x89PNG\r\n"):
        return ""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _describe_agreement(agreement: Any) -> str:
    """Agreement of the served model's own maps with those of other code."""
    found = {name: (agreement or {}).get(name) or {} for name in SERVED_MAPS}
    integrated, plus_plus = (found[name].get("max_relative_difference") for name in SERVED_MAPS)
    if integrated is None or plus_plus is None:
        return ""
    return (
        f"The maps shown are layer integrated gradients computed by NumPy and Grad-CAM++ by tf-keras-vis. On the same "
        f"{text.plural(found[SHOWN_MAP].get('num_images', 0), 'image')} those that the served model's own explain "
        f"signature gives differ by at most {integrated:.1e} and {plus_plus:.1e} of their highest value"
        f"{_WHY if plus_plus > _NOTICEABLE else '.'}"
    )
