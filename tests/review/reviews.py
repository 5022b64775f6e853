"""Reviews and images for tests."""

import hashlib
import json

from sperm_tf.data.decode import decode_rgb
from sperm_tf.data.identity import pixel_sha256
from sperm_tf.review.records import Review
from tests import image_files

MODEL_DIGEST = hashlib.sha256(b"a model").hexdigest()


def make_image(seed, kind="PNG"):
    return image_files.encode(image_files.random_pixels(seed=seed), kind)


def make_review(image, label="normal", *, predicted="normal", **changes):
    fields = {
        "time_utc": "2026-01-31T09:30:00.125Z",
        "file": "cell.png",
        "pixel_sha256": pixel_sha256(decode_rgb(image).pixels),
        "image": "",
        "predicted_class": predicted,
        "probabilities": json.dumps({"normal": 0.75, "abnormal": 0.25}),
        "prediction_set": json.dumps(["normal"]),
        "decision": "refer",
        "reason": "uncertain",
        "verdict": "cannot_tell" if not label else "agree" if label == predicted else "correct",
        "label": label,
        "reviewer": "",
        "comment": "",
        "group": "",
        "model": "tiny",
        "sha256": hashlib.sha256(image).hexdigest(),
        "model_digest": MODEL_DIGEST,
    }
    return Review(**(fields | changes))
