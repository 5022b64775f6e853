"""Distances against SciPy's densities."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.stats import multivariate_normal


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Mixture, tf
    import tensorflow as tf

    from sperm_tf.decision.mixture import Mixture


def draw(count=300, seed=0):
    """A large cloud and a small one, and nothing between them."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 3)) * [1, 0.1, 10]
    values[::10] += [40, 0, 0]
    return values


@pytest.fixture(scope="module")
def mixture():
    return Mixture.fit(draw())


def distance(mixture, values):
    return np.asarray(mixture.distance(np.asarray(values, np.float32)))


def components(mixture):
    """Mean, covariance and share of each component, up to a factor common to all shares."""
    for mean, whitening, log_height in zip(mixture.means, mixture.whitenings, mixture.log_heights, strict=True):
        covariance = np.linalg.inv(whitening.astype(float) @ whitening.T.astype(float))
        yield mean, covariance, np.exp(log_height) * np.sqrt(np.linalg.det(covariance))


def test_it_is_twice_the_log_ratio_of_scipys_densities(mixture):
    parts = list(components(mixture))
    assert len(parts) == 4

    def density(values):
        return sum(share * multivariate_normal(mean, covariance).pdf(values) for mean, covariance, share in parts)

    new = np.concatenate([draw(50, seed=1), draw(50, seed=2) + np.array([4, 0, 0])])
    expected = -2 * np.log(density(new) / density(mixture.means).max())
    np.testing.assert_allclose(distance(mixture, new), np.maximum(expected, 0), rtol=1e-3, atol=1e-3)


def test_the_shares_are_those_of_the_images(mixture):
    shares = np.array([share for _, _, share in components(mixture)])
    assert shares[mixture.means[:, 0] > 20].sum() / shares.sum() == pytest.approx(0.1, abs=0.01)


def test_what_lies_between_two_kinds_of_images_is_far(mixture):
    (between,) = distance(mixture, [[20, 0, 0]])
    assert between > np.quantile(distance(mixture, draw(seed=1)), 0.99)


def test_few_images_make_one_gaussian_and_its_mahalanobis_distance():
    mixture = Mixture.fit(draw(40))
    ((mean, covariance, _),) = components(mixture)
    new = draw(5, seed=3)
    expected = [mahalanobis(value, mean, np.linalg.inv(covariance)) ** 2 for value in new]
    np.testing.assert_allclose(distance(mixture, new), expected, rtol=1e-3)
    np.testing.assert_allclose(mean, draw(40).mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("values", [draw(2), np.zeros((60, 3)), draw()[:, :1]])
def test_odd_images_give_finite_distances(values):
    assert np.isfinite(distance(Mixture.fit(values), values)).all()


def test_a_graph_measures_the_same(mixture):
    new = draw(20, seed=4).astype(np.float32)
    np.testing.assert_allclose(tf.function(mixture.distance)(tf.constant(new)), distance(mixture, new), rtol=1e-5)


def test_equal_images_give_equal_mixtures(mixture):
    for name, value in vars(Mixture.fit(draw())).items():
        np.testing.assert_array_equal(value, getattr(mixture, name))
