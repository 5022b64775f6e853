import numpy as np

from sperm_tf.data import local_contrast


def test_contrast_is_normalised_everywhere():
    grey = np.random.default_rng(3).normal(size=(200, 200))
    grey[:, :100] *= 15
    grey[:, 100:] *= 45
    normalised = local_contrast.normalise_contrast((grey + 128).clip(0, 255).astype(np.uint8), reduction=2, sigma=5.0)
    assert normalised.shape == (100, 100)
    assert 0.7 < normalised[:, :40].std() / normalised[:, 60:].std() < 1.0  # 0.33 in the grey values
