"""What the report of a slide says of the model that classified the images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.evaluation.quantification.class_roles import ClassRoles
from sperm_tf.report import text


def describe_model(
    record: Mapping[str, Any], class_names: Sequence[str], roles: ClassRoles, rule: Mapping[str, Any], card: str
) -> dict[str, Any]:
    """The facts about the model.

    Args:
        record: of the scores.
        class_names: in the order of the model.
        roles: of the classes.
        rule: content of `decision.json`; empty where there is none.
        card: the model card, Markdown; empty where there is none.
    """
    return {
        "name": record["model"],
        "digest": record["model_digest"],
        "views": record["views"],
        "classes": text.listing(list(class_names)),
        "normal": text.listing(list(roles.normal)),
        "not_sperm": text.listing(list(roles.not_sperm)) or "none, every object counts as one",
        "accuracy": _find_accuracy(card),
        "promise": _describe_promise(rule, class_names),
        "scored": record["started_at"][:10],
        "version": record["package_version"],
    }


def _describe_promise(rule: Mapping[str, Any], class_names: Sequence[str]) -> str:
    """Guarantee of the accepted predictions, and the images that it holds for."""
    if not rule:
        return (
            "No decision rule was found beside the scores. Where the model has none, nothing is promised of its "
            "answers, and every image is referred."
        )
    images = f"{text.count(rule['num_images'])} calibration images"
    if rule.get("min_confidence") is None:
        return f"Nothing is promised of accepted answers: {images} were not enough."
    risk, confidence = text.promised_percent(rule["max_risk"]), text.promised_percent(1 - rule["delta"])
    counts = zip(class_names, map(sum, rule.get("confusion") or ()), strict=False)
    mix = text.listing([f"{number} {name}" for name, number in counts])
    return (
        f"At most {risk} of them are wrong, with {confidence} confidence, for images exchangeable with the "
        f"{images}: of the same microscopes, stain and kind of patients, and with the same mix of classes"
        f"{f' ({mix})' if mix else ''}. The rarer a class is, the more of the answers that name it "
        "are wrong: on a slide with few normal forms, most of the accepted answers that name them can be."
    )


def _find_accuracy(card: str) -> str:
    """The accuracy and its interval, as the model card's table of the evaluation has them."""
    found = re.search(r"^\| Accuracy \| ([\d.]+) \| ([\d.]+)–([\d.]+) \|", card, flags=re.MULTILINE)
    if found is None:
        return "not recorded with this model"
    value, low, high = map(float, found.groups())
    interval = text.percent_interval((low, high))
    return f"{text.percent(value)} (95 % interval {interval}), in cross-validation, on held-out images"
