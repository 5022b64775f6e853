import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global field_losses, keras, PART_WEIGHTS, VACUOLE_WEIGHT
    import keras

    from sperm_tf.training import field_losses
    from sperm_tf.training.field_losses import PART_WEIGHTS, VACUOLE_WEIGHT


RNG = np.random.default_rng(3)
SHAPE = (2, 6, 7)


def value(loss, targets, outputs):
    return float(keras.ops.convert_to_numpy(loss(np.float32(targets), np.float32(outputs))))


def dice(targets, chances):
    axes = (0, 1, 2)
    return np.mean(1 - (2 * (targets * chances).sum(axes) + 1) / (targets.sum(axes) + chances.sum(axes) + 1))


def test_loss_of_the_parts():
    targets, logits = RNG.dirichlet(np.ones(5), SHAPE), RNG.normal(size=(*SHAPE, 5))
    entropy = -np.mean((np.array(PART_WEIGHTS) * targets * log_softmax(logits, axis=-1)).sum(-1))
    expected = entropy + dice(targets[..., 1:], softmax(logits, axis=-1)[..., 1:])
    assert value(field_losses.parts_loss, targets, logits) == pytest.approx(expected, rel=1e-5)


def test_loss_of_the_vacuoles():
    targets, logits = RNG.random((*SHAPE, 1)), RNG.normal(size=(*SHAPE, 1))
    entropy = -VACUOLE_WEIGHT * targets * np.log(expit(logits)) - (1 - targets) * np.log(expit(-logits))
    expected = entropy.mean() + dice(targets, expit(logits))
    assert value(field_losses.vacuoles_loss, targets, logits) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_of_the_centres():
    targets, logits = RNG.random((*SHAPE, 1)) * 0.9, RNG.normal(size=(*SHAPE, 1))
    targets[0, 2, 3] = targets[1, 4, 4] = 1
    chance = expit(logits)
    found = np.where(targets == 1, (1 - chance) ** 2 * np.log(chance), 0)
    false = np.where(targets == 1, 0, (1 - targets) ** 4 * chance**2 * np.log(1 - chance))
    expected = -(found + false).sum() / 2
    assert value(field_losses.centers_loss, targets, logits) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(value(field_losses.centers_loss, np.zeros((*SHAPE, 1)), logits))


def test_loss_of_the_offsets_counts_known_pixels():
    targets, outputs = RNG.normal(size=(*SHAPE, 3)), RNG.normal(size=(*SHAPE, 2))
    known = RNG.random(SHAPE) < 0.4
    targets[..., 2] = known
    expected = np.abs(targets[known][:, :2] - outputs[known]).mean()
    assert value(field_losses.offsets_loss, targets, outputs) == pytest.approx(expected, rel=1e-5)
    targets[..., 2] = 0
    assert value(field_losses.offsets_loss, targets, outputs) == 0
