"""The record of a verdict: what the person saw, what the model said, and what was decided."""

from __future__ import annotations

import datetime
import json

from sperm_tf.review import records
from sperm_tf.review.items import Item, Predictor
from sperm_tf.review.records import Review


def make_review(predictor: Predictor, item: Item, verdict: str, label: str, reviewer: str, comment: str) -> Review:
    """Makes the record of a verdict that is given now; the journal fills in where the image is kept.

    Args:
        predictor: the model.
        item: the image.
        verdict: of `sperm_tf.review.records.VERDICTS`.
        label: the class; empty where none was chosen.
        reviewer: initials.
        comment: may be empty.
    """
    prediction, place = item.prediction, item.place
    now = datetime.datetime.now(datetime.UTC)
    return Review(
        time_utc=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        file=item.name,
        pixel_sha256=item.pixel_sha256,
        image="",
        predicted_class=prediction.predicted_class,
        probabilities=json.dumps(prediction.probabilities, ensure_ascii=False),
        prediction_set=json.dumps(prediction.prediction_set, ensure_ascii=False),
        decision=prediction.decision,
        reason=prediction.reason,
        verdict=verdict,
        label=label,
        reviewer=reviewer,
        comment=comment,
        group=item.group,
        model=predictor.name,
        field=place.field if place else "",
        field_sha256=place.field_sha256 if place else "",
        box=records.write_box(place.box) if place else "",
        sha256=item.sha256,
        model_digest=predictor.digest,
    )
