"""The answer to one image, however it was asked for; imports no TensorFlow and no Keras."""

from __future__ import annotations

import dataclasses

import numpy as np

from sperm_tf.served_names import REFER, UNREADABLE


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says about one image.

    Attributes:
        file: path as it was given; empty where bytes or pixels were given.
        status: `ok`, or why there is no answer: `unreadable`, or one of `sperm_tf.served_names.STATUSES`.
        predicted_class: name of the most probable class; empty where the status is not ok.
        probabilities: class name -> probability, 0-1, calibrated where the model has a decision rule, in the order of
            the model; empty where the status is not ok.
        prediction_set: names of the classes that the image may belong to.
        decision: `accept`, or `refer` for an image that a person has to look at.
        reason: why, see `sperm_tf.serving.signatures.ServedClassifier`.
        unfamiliarity: distance from the training images, or lack of contrast; above 1 it is a reason to refer.
        maps: where the image was explained, name -> float32 array, 0-1: `layer_integrated_gradients` and
            `grad_cam_plus_plus` [h, w] of the predicted class, `grad_cam_plus_plus_per_class` [C, h, w], and
            `cbam_attention` [h', w'] for models with CBAM, at the resolution of the last CBAM.
    """

    file: str
    status: str
    predicted_class: str = ""
    probabilities: dict[str, float] = dataclasses.field(default_factory=dict)
    prediction_set: tuple[str, ...] = ()
    decision: str = REFER
    reason: str = UNREADABLE
    unfamiliarity: float = 0.0
    maps: dict[str, np.ndarray] = dataclasses.field(default_factory=dict, repr=False, compare=False)
