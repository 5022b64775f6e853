"""How far an image lies from those that a network was trained on.

A softmax is sure of itself far away from everything it has seen. The distance here is Mahalanobis', as in Lee et al.
2018 (NeurIPS, arXiv:1807.03888), of the style that early layers see (`sperm_tf.models.style`), under one Gaussian for
all classes: which class it is plays no part in whether the microscope is a strange one.

A distance in 80 directions hardly notices one: an image that lost most of its contrast, in which sperm vanish
into the slide, is no further away than the odd training image. So the contrast is measured by itself, too.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
from keras import ops

_MIN_IMAGES = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Familiarity:
    """The training images as a Gaussian, and how much contrast they have.

    Attributes:
        mean: float32 [D].
        whitening: float32 [D, D]; an offset from the mean times this has unit covariance over the training images.
        contrast: float32 [], median over the training images of the mean of an image's log deviations.
    """

    mean: np.ndarray
    whitening: np.ndarray
    contrast: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray) -> Familiarity:
        """Learns from the features of the training images.

        The covariance is Ledoit and Wolf's (2004, Journal of Multivariate Analysis 88:365-411), of standardised
        features, which is well conditioned however few images there are.

        Args:
            features: float [N, D], of `sperm_tf.models.style.summarize_style`.

        Raises:
            ValueError: there are fewer than two images, or a feature is not finite.
        """
        from sklearn.covariance import LedoitWolf  # not needed to use a rule, and slow to import

        features = np.asarray(features, np.float64)
        if features.ndim != 2 or len(features) < _MIN_IMAGES:
            raise ValueError(
                f"features must be [N, D] of at least {_MIN_IMAGES} images. Received: shape {features.shape}. Pass the "
                "features of all training images."
            )
        if not np.isfinite(features).all():
            raise ValueError("features must be finite. Received: NaN or infinity. Look at the training: it diverged.")
        mean, spread = features.mean(axis=0), features.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)  # a channel that never moves
        covariance = LedoitWolf(assume_centered=True).fit((features - mean) / spread).covariance_
        lower = np.linalg.cholesky(np.linalg.inv(covariance))
        contrast = np.median(_log_deviations(features).mean(axis=1))
        return cls(mean.astype(np.float32), (lower / spread[:, None]).astype(np.float32), contrast.astype(np.float32))

    def measure(self, features: Any) -> Any:
        """What speaks against an image, float32 [B, 2]: `distance` and `faintness`."""
        return ops.stack([self.distance(features), self.faintness(features)], axis=1)

    def faintness(self, features: Any) -> Any:
        """How much less contrast an image has than a usual training image.

        Args:
            features: float [B, D].

        Returns:
            float32 [B], 0 or more: 0.7 for half the contrast, by the natural logarithm.
        """
        return ops.relu(self.contrast - ops.mean(_log_deviations(ops.cast(features, "float32")), axis=1))

    def distance(self, features: Any) -> Any:
        """Squared Mahalanobis distance from the mean; about D for an image like the training images.

        Args:
            features: float [B, D].

        Returns:
            float32 [B], 0 or more.
        """
        offsets = ops.cast(features, "float32") - self.mean
        return ops.sum(ops.square(ops.matmul(offsets, self.whitening)), axis=1)

    def write(self, path: pathlib.Path) -> None:
        """Writes an `.npz` of the attributes."""
        np.savez(path, **dataclasses.asdict(self))

    @classmethod
    def read(cls, path: pathlib.Path) -> Familiarity:
        """Reads what `write` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["mean"], arrays["whitening"], arrays["contrast"])


def _log_deviations(features: Any) -> Any:
    """The second half of the features."""
    return features[:, features.shape[1] // 2 :]
