"""The list of likely wrong labels with pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from sperm_tf.evaluation.cross_validation.label_quality import SIMULATED_PRECISION, LabelIssue, LabelIssues
from sperm_tf.report import text

ReadImage = Callable[[str], np.ndarray]
MAX_PICTURES = 60
MAX_PAIRS = 24
_SIDE = 144  # pixels; the longest side of a picture in the page


def describe(issues: LabelIssues | None, read_image: ReadImage | None, *, file: str) -> dict[str, Any]:
    """The section's content.

    Args:
        issues: the list; None when there is none.
        read_image: `image_id` -> uint8 [H, W, 3], RGB, 0-255; None for a list without pictures.
        file: name of the CSV file with the whole list.
    """
    if issues is None:
        return {"is_known": False}
    summary = issues.summarize()
    return {
        "is_known": True,
        "file": file,
        **summary,
        "pairs": [
            {**pair, "share_of_given": text.percent(pair["share_of_given"])}
            for pair in summary["pairs"]
            if pair["expected_errors"] or pair["num_listed"]
        ],
        "listed_share": text.percent(len(issues.rows) / issues.num_images),
        "contradicted_share": text.percent(issues.num_contradicted / issues.num_images),
        "expected_share": text.percent(summary["expected_errors"] / issues.num_images),
        "simulated": [
            {"num_images": num_images, "accuracy": text.percent(accuracy, 0), "precision": text.percent(precision, 0)}
            for num_images, accuracy, precision in SIMULATED_PRECISION
        ],
        "has_pictures": read_image is not None,
        "items": [_describe_issue(row, read_image) for row in issues.rows[:MAX_PICTURES]],
        "num_hidden": max(0, len(issues.rows) - MAX_PICTURES),
        "conflicts": [
            [_describe_picture(image_id, label, read_image) for image_id, label in pair]
            for pair in issues.conflicting_pairs[:MAX_PAIRS]
        ],
        "num_conflicts_hidden": max(0, len(issues.conflicting_pairs) - MAX_PAIRS),
    }


def to_data_uri(image_id: str, pixels: np.ndarray) -> str:
    """A small PNG of an image, never larger than it is.

    Args:
        image_id: of the image, for messages.
        pixels: uint8 [H, W, 3], RGB, 0-255.

    Raises:
        ValueError: `pixels` has another shape or type.
    """
    from PIL import Image

    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"read_image must give uint8 [H, W, 3]. Received: {pixels.dtype} {list(pixels.shape)} for {image_id!r}. "
            "Give the decoded image, before any preprocessing."
        )
    picture = Image.fromarray(pixels)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _describe_issue(row: LabelIssue, read_image: ReadImage | None) -> dict[str, Any]:
    pictures = []
    if read_image is not None:
        pictures.append(_describe_picture(row.image_id, row.given_label, read_image))
        for image_id, label in row.conflicting_near_duplicates[:1]:
            twin = _describe_picture(image_id, label, read_image)
            pictures.append(twin | {"caption": f"near duplicate, labelled {label}"})
    return {
        "image_id": row.image_id,
        "given": row.given_label,
        "suggested": row.suggested_label,
        "given_share": round(row.probability_given, 3),
        "suggested_share": round(row.probability_suggested, 3),
        "given_percent": text.percent(row.probability_given, 0),
        "suggested_percent": text.percent(row.probability_suggested, 0),
        "num_disagreeing": row.num_repeats_disagreeing,
        "num_repeats": row.num_repeats,
        "pictures": pictures,
        "conflicts": [f"{image_id} ({label})" for image_id, label in row.conflicting_near_duplicates],
    }


def _describe_picture(image_id: str, label: str, read_image: ReadImage | None) -> dict[str, str]:
    return {
        "image_id": image_id,
        "label": label,
        "source": to_data_uri(image_id, read_image(image_id)) if read_image is not None else "",
        "alt": f"Image {image_id}, labelled {label}",
        "caption": "",
    }
