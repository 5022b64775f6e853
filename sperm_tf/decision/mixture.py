"""A density of a few numbers, and how far out of it a point lies.

The compositions of a dataset's images are no single Gaussian: spermatozoa, clumps and fields of debris look different,
and what lies between them is not familiar because it lies between them. A mixture of Gaussians keeps them apart.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from keras import ops

_MAX_COMPONENTS = 4
_IMAGES_PER_COMPONENT = 50
_ADDED_VARIANCE = 0.2  # of the variance over all images: no component may be so narrow that a new image falls beside it
_STARTS = 5
_RIDGE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K Gaussians over P numbers.

    Attributes:
        means: float32 [K, P].
        whitenings: float32 [K, P, P]; an offset from a component's mean times this has unit covariance in it.
        log_heights: float32 [K], logarithm of each component's density at its mean, times its share; the highest
            density at a mean, all components together, is 1.
    """

    means: np.ndarray
    whitenings: np.ndarray
    log_heights: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray) -> Mixture:
        """Learns from the training images: one component for every 50, at most four.

        Args:
            values: float [N, P], N at least 2.
        """
        from sklearn.covariance import LedoitWolf  # not needed to use a rule, and slow to import
        from sklearn.mixture import GaussianMixture

        mean, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)  # a number that never moves
        covariance = LedoitWolf(assume_centered=True).fit((values - mean) / spread).covariance_
        covariance += _RIDGE * np.eye(len(covariance))  # two images, or equal ones, would have none
        whitening = np.linalg.cholesky(np.linalg.inv(covariance)) / spread[:, None]
        fitted = GaussianMixture(
            min(_MAX_COMPONENTS, max(1, len(values) // _IMAGES_PER_COMPONENT)),
            reg_covar=_ADDED_VARIANCE,
            n_init=_STARTS,
            random_state=0,
        ).fit((values - mean) @ whitening)
        means = mean + fitted.means_ @ np.linalg.inv(whitening)
        log_determinants = np.linalg.slogdet(fitted.precisions_cholesky_)[1]
        found = cls(means, whitening @ fitted.precisions_cholesky_, np.log(fitted.weights_) + log_determinants)
        highest = np.max(found._log_density(means))
        return cls(
            found.means.astype(np.float32),
            found.whitenings.astype(np.float32),
            (found.log_heights - highest).astype(np.float32),
        )

    def distance(self, values: Any) -> Any:
        """How much rarer a point is than the most usual one: minus twice the logarithm of the ratio of the densities.

        With one component this is the squared Mahalanobis distance.

        Args:
            values: float32 [B, P].

        Returns:
            float32 [B], 0 or more.
        """
        terms = [
            log_height - ops.sum(ops.square(ops.matmul(values - mean, whitening)), axis=1) / 2
            for mean, whitening, log_height in zip(self.means, self.whitenings, self.log_heights, strict=True)
        ]
        return ops.relu(-2.0 * ops.logsumexp(ops.stack(terms, axis=1), axis=1))

    def _log_density(self, values: np.ndarray) -> np.ndarray:
        """In float64, for `fit`."""
        offsets = np.einsum("bkp,kpq->bkq", values[:, None] - self.means, self.whitenings)
        return np.logaddexp.reduce(self.log_heights - (offsets**2).sum(axis=-1) / 2, axis=1)
