"""How far an image lies from those that a network was trained on.

A softmax is sure of itself far away from everything it has seen. The distance here is Mahalanobis', as in Lee et al.
2018 (NeurIPS, arXiv:1807.03888), of the style that early layers see (`sperm_tf.models.style`), under one Gaussian for
all classes: which class it is plays no part in whether the microscope is a strange one.

A distance in 80 directions hardly notices one: an image that lost most of its contrast, in which sperm vanish
into the slide, is no further away than the odd training image. So the contrast is measured by itself, too.

Neither says where on the image something was seen. So a third number says how far out the composition of the image
(`sperm_tf.models.composition`) lies: that of two cells on one crop, or of one of another scale, lies far out.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
from keras import ops

from sperm_tf.decision.mixture import Mixture

_MIN_IMAGES = 2
_COMPOSITION = "composition_"


@dataclasses.dataclass(frozen=True, eq=False)
class Familiarity:
    """The training images as a Gaussian, and how much contrast they have.

    Attributes:
        mean: float32 [D].
        whitening: float32 [D, D]; an offset from the mean times this has unit covariance over the training images.
        contrast: float32 [], median over the training images of the mean of an image's log deviations.
        composition: the training images' compositions; None where they were never measured, as in rules of before
            0.1.0.
    """

    mean: np.ndarray
    whitening: np.ndarray
    contrast: np.ndarray
    composition: Mixture | None = None

    @classmethod
    def fit(cls, features: np.ndarray, *, num_composition: int = 0) -> Familiarity:
        """Learns from the features of the training images.

        The covariance is Ledoit and Wolf's (2004, Journal of Multivariate Analysis 88:365-411), of standardised
        features, which is well conditioned however few images there are.

        Args:
            features: float [N, D + P], of `sperm_tf.models.views.join_features`: the style, then the composition.
            num_composition: P; with 0 the composition is not measured.

        Raises:
            ValueError: there are fewer than two images, or a feature is not finite.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or len(features) < _MIN_IMAGES:
            raise ValueError(
                f"features must be [N, D] of at least {_MIN_IMAGES} images. Received: shape {features.shape}. Pass the "
                "features of all training images."
            )
        if not np.isfinite(features).all():
            raise ValueError("features must be finite. Received: NaN or infinity. Look at the training: it diverged.")
        style, composition = np.split(features, [features.shape[1] - num_composition], axis=1)
        contrast = np.median(_log_deviations(style).mean(axis=1)).astype(np.float32)
        return cls(*_fit_gaussian(style), contrast, Mixture.fit(composition) if num_composition else None)

    def measure(self, features: Any) -> Any:
        """What speaks against an image: float32 [B, 2], `distance` and `faintness`.

        Where the composition is known, float32 [B, 3], the third being its distance.
        """
        found = [self.distance(features), self.faintness(features)]
        if self.composition is not None:
            found.append(self.composition.distance(ops.cast(features, "float32")[:, len(self.mean) :]))
        return ops.stack(found, axis=1)

    def faintness(self, features: Any) -> Any:
        """How much less contrast an image has than a usual training image.

        Args:
            features: float [B, D], or [B, D + P].

        Returns:
            float32 [B], 0 or more: 0.7 for half the contrast, by the natural logarithm.
        """
        return ops.relu(self.contrast - ops.mean(_log_deviations(self._style(features)), axis=1))

    def distance(self, features: Any) -> Any:
        """Squared Mahalanobis distance from the mean; about D for an image like the training images.

        Args:
            features: float [B, D], or [B, D + P].

        Returns:
            float32 [B], 0 or more.
        """
        offsets = self._style(features) - self.mean
        return ops.sum(ops.square(ops.matmul(offsets, self.whitening)), axis=1)

    def write(self, path: pathlib.Path) -> None:
        """Writes an `.npz` of the attributes; those of the composition have its name before theirs."""
        arrays: dict[str, Any] = {"mean": self.mean, "whitening": self.whitening, "contrast": self.contrast}
        if self.composition is not None:
            arrays |= {f"{_COMPOSITION}{name}": value for name, value in vars(self.composition).items()}
        np.savez(path, **arrays)

    @classmethod
    def read(cls, path: pathlib.Path) -> Familiarity:
        """Reads what `write` wrote."""
        with np.load(path) as arrays:
            fields = {name.removeprefix(_COMPOSITION): arrays[name] for name in arrays if name.startswith(_COMPOSITION)}
            composition = Mixture(**fields) if fields else None
            return cls(arrays["mean"], arrays["whitening"], arrays["contrast"], composition)

    def _style(self, features: Any) -> Any:
        """The first D features: a rule of before 0.1.0 gets [B, D + P] as well."""
        return ops.cast(features, "float32")[:, : len(self.mean)]


def _fit_gaussian(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, float32 [D], and what whitens an offset from it, float32 [D, D]."""
    from sklearn.covariance import LedoitWolf  # not needed to use a rule, and slow to import

    mean, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)  # a channel that never moves
    covariance = LedoitWolf(assume_centered=True).fit((values - mean) / spread).covariance_
    lower = np.linalg.cholesky(np.linalg.inv(covariance))
    return mean.astype(np.float32), (lower / spread[:, None]).astype(np.float32)


def _log_deviations(features: Any) -> Any:
    """The second half of the features."""
    return features[:, features.shape[1] // 2 :]
