"""Distances against scikit-learn's, and what they are for."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Familiarity, Mixture, keras
    import keras

    from sperm_tf.decision.familiarity import Familiarity
    from sperm_tf.decision.mixture import Mixture


def draw(count=200, seed=0, num_features=12):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(num_features, num_features))
    return rng.normal(size=(count, num_features)) @ mixing * np.logspace(-2, 2, num_features) + 5


def distance(familiarity, features):
    return keras.ops.convert_to_numpy(familiarity.distance(features))


def test_it_is_mahalanobis_distance_by_scikit_learn():
    features, new = draw(), draw(50, seed=1)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    reference = LedoitWolf(assume_centered=True).fit((features - mean) / spread)
    expected = reference.mahalanobis((new - mean) / spread)
    np.testing.assert_allclose(distance(Familiarity.fit(features), new), expected, rtol=1e-3)


def test_like_images_are_near_and_others_far():
    familiarity = Familiarity.fit(draw())
    near, far = distance(familiarity, draw(100, seed=1)), distance(familiarity, draw(100, seed=1)[:, ::-1])
    assert near.mean() == pytest.approx(12, rel=0.3)
    assert near.max() < far.min()


def test_a_channel_that_never_moves_harms_nothing():
    features = draw()
    features[:, 3] = 7.0
    familiarity = Familiarity.fit(features)
    assert np.isfinite(distance(familiarity, features)).all()
    moved = features.copy()
    moved[:, 3] += 30
    assert (distance(familiarity, moved) > distance(familiarity, features)).all()


def test_faintness_is_the_contrast_that_a_usual_image_has_more():
    features = draw()
    contrast = np.median(features[:, 6:].mean(axis=1))
    new = draw(50, seed=1)
    new[:20, 6:] = contrast - np.log(2)  # half the contrast in every channel
    found = keras.ops.convert_to_numpy(Familiarity.fit(features).measure(new))
    np.testing.assert_allclose(found[:20, 1], np.log(2), rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], np.maximum(contrast - new[:, 6:].mean(axis=1), 0), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found[:, 0], distance(Familiarity.fit(features), new))


def test_the_composition_is_measured_apart_from_the_style():
    features, new = draw(), draw(50, seed=1)
    apart, whole = Familiarity.fit(features[:, :8]), Familiarity.fit(features, num_composition=4)
    found = keras.ops.convert_to_numpy(whole.measure(new))
    np.testing.assert_array_equal(found[:, :2], apart.measure(new))
    expected = Mixture.fit(features[:, 8:]).distance(new[:, 8:].astype(np.float32))
    np.testing.assert_array_equal(found[:, 2], expected)


def test_fewer_images_than_features_will_do():
    familiarity = Familiarity.fit(draw(6))
    assert np.isfinite(distance(familiarity, draw(5, seed=2))).all()


@pytest.mark.parametrize("num_composition", [0, 4])
def test_files_keep_it(tmp_path, num_composition):
    familiarity = Familiarity.fit(draw(), num_composition=num_composition)
    familiarity.write(tmp_path / "familiarity.npz")
    again = Familiarity.read(tmp_path / "familiarity.npz")
    np.testing.assert_array_equal(again.measure(draw(9, 3)), familiarity.measure(draw(9, 3)))


def test_wrong_features_are_explained():
    with pytest.raises(ValueError, match=r"features must be \[N, D\] of at least 2 images. Received: shape \(1, 4\)"):
        Familiarity.fit(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="features must be finite"):
        Familiarity.fit(np.array([[0.0, np.nan], [1, 2]]))
