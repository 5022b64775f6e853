"""Predictions, however they were asked for; imports no TensorFlow, no Keras and no pandas."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, SupportsIndex, overload

import numpy as np

from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import OK, REFER, SHOWN_MAP, UNREADABLE

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says about one image.

    Attributes:
        file: path as it was given, or name of an open file; empty where bytes or pixels were given.
        status: `ok`, or why there is no answer: `unreadable`, or one of `sperm_tf.served_names.STATUSES`.
        predicted_class: name of the most probable class; empty where the status is not ok.
        probabilities: class name -> probability, 0-1, calibrated where the model has a decision rule, in the order of
            the model; empty where the status is not ok.
        prediction_set: names of the classes that the image may belong to.
        decision: `accept`, or `refer` for an image that a person has to look at.
        reason: why, see `sperm_tf.serving.signatures.ServedClassifier`.
        unfamiliarity: distance from the training images, lack of contrast, or an unusual composition (several cells,
            another scale); above 1 it is a reason to refer.
        maps: where the image was explained, name -> float32 array, 0-1: `layer_integrated_gradients` and
            `grad_cam_plus_plus` [h, w] of the predicted class, `cbam_attention` [h', w'] for models with CBAM, at the
            resolution of the last CBAM, and, where every class was asked for, `grad_cam_plus_plus_per_class` [C, h, w].
        image: where the image was explained, the bytes of its file, which `overlay` draws on.
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
    image: bytes = dataclasses.field(default=b"", repr=False, compare=False)

    def overlay(self, name: str = SHOWN_MAP) -> Image.Image:
        """Lays an attribution map over the image.

        Args:
            name: of one of `maps` that covers the image, [h, w]; the default is what reports and the review show.

        Returns:
            The grey image, coloured where the map is high: RGB, at most 2,048 pixels a side.

        Raises:
            ValueError: the image was not explained, or has no such map.
        """
        from sperm_tf.explain.overlay import overlay_file

        known = [key for key, values in self.maps.items() if np.ndim(values) == 2]
        if not (self.image and known):
            raise ValueError(
                f"prediction must come from `explain` and have the status {OK!r}. Received: {self.file or 'an image'} "
                f"with the status {self.status!r} and {len(known)} maps. Call explain instead of predict."
            )
        if name not in known:
            raise ValueError(f"name must be one of {', '.join(known)}. Received: name={name!r}.")
        return overlay_file(self.image, self.maps[name])


def prediction_of_row(answer: ServedAnswer, row: int, *, file: str) -> Prediction:
    """One row of served outputs, without its maps.

    Args:
        answer: NumPy arrays.
        row: its number.
        file: what the prediction calls it.
    """
    status = answer["status"][row].decode()
    if status != OK:
        return Prediction(file, status)
    names = [name.decode() for name in answer["class_names"][row]]
    return Prediction(
        file=file,
        status=OK,
        predicted_class=answer["predicted_class"][row].decode(),
        probabilities=dict(zip(names, answer["probabilities"][row].tolist(), strict=True)),
        prediction_set=tuple(
            name for name, belongs in zip(names, answer["prediction_set"][row], strict=True) if belongs
        ),
        decision=answer["decision"][row].decode(),
        reason=answer["reason"][row].decode(),
        unfamiliarity=float(answer["unfamiliarity"][row]),
    )


class Predictions(list[Prediction]):
    """A list of predictions, in the order of the files.

    Args:
        predictions: one for each file.
        class_names: in the order of the model; without them those of the predictions.
    """

    def __init__(self, predictions: Iterable[Prediction] = (), class_names: Sequence[str] = ()):
        super().__init__(predictions)
        self._class_names = tuple(class_names)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> Predictions: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Prediction | Predictions:
        found = super().__getitem__(index)
        return Predictions(found, self._class_names) if isinstance(found, list) else found

    def to_frame(self) -> pd.DataFrame:
        """A table with the columns that `pipelines.score` writes, too.

        Returns:
            One row a file: `file`, `status`, `predicted_class`, `p_<class>` for each class (probability, 0-1, NaN
            without an answer), `prediction_set` (names, joined by `|`), `decision`, `reason`, `unfamiliarity` (NaN
            without an answer).

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame needs pandas. Install it: pip install pandas") from error
        names = self._class_names or next((tuple(one.probabilities) for one in self if one.probabilities), ())
        nothing = float("nan")
        columns = {
            "file": [one.file for one in self],
            "status": [one.status for one in self],
            "predicted_class": [one.predicted_class for one in self],
            **{f"p_{name}": [one.probabilities.get(name, nothing) for one in self] for name in names},
            "prediction_set": ["|".join(one.prediction_set) for one in self],
            "decision": [one.decision for one in self],
            "reason": [one.reason for one in self],
            "unfamiliarity": [one.unfamiliarity if one.status == OK else nothing for one in self],
        }
        return pd.DataFrame(columns)
