import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global adversarial, keras, tiny_models
    import keras

    from sperm_tf.evaluation.robustness import adversarial
    from tests import tiny_models


RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(4 * 4 * 3, 3)).astype("float32") / 255
IMAGES = RNG.integers(0, 256, (10, 4, 4, 3), np.uint8)
LABELS = RNG.integers(0, 3, 10)


@pytest.fixture(scope="module")
def linear():
    image = keras.Input((4, 4, 3))
    layer = keras.layers.Dense(3, use_bias=False)
    model = keras.Model(image, layer(keras.layers.Flatten()(image)))
    layer.set_weights([WEIGHTS])
    return model


def step_by_hand(pixels, labels, size):
    flat = pixels.reshape(len(pixels), -1)
    logits = flat @ WEIGHTS
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    gradient = (probabilities - np.eye(3)[labels]) @ WEIGHTS.T
    return pixels + size * np.sign(gradient).reshape(pixels.shape)


def test_one_step_follows_the_sign_of_the_gradient(linear):
    expected = np.clip(step_by_hand(IMAGES.astype(float), LABELS, 3), 0, 255)
    found = adversarial.attack(linear, IMAGES, LABELS, epsilon=3, num_steps=1, batch_size=4)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_several_steps_stay_within_epsilon(linear):
    changed = IMAGES.astype(float)
    for _ in range(5):  # steps of ceil(2.5 * 4 / 5)
        changed = np.clip(step_by_hand(changed, LABELS, 2), IMAGES - 4.0, IMAGES + 4.0).clip(0, 255)
    found = adversarial.attack(linear, IMAGES, LABELS, epsilon=4, num_steps=5)
    np.testing.assert_array_equal(found, changed)
    assert np.abs(found.astype(int) - IMAGES).max() == 4


def test_more_steps_mislead_more(linear):
    def mean_true_logit_lead(images):
        logits = images.reshape(len(images), -1).astype(float) @ WEIGHTS
        others = np.where(np.eye(3)[LABELS] == 1, -np.inf, logits).max(axis=1)
        return (logits[np.arange(10), LABELS] - others).mean()

    once = adversarial.attack(linear, IMAGES, LABELS, epsilon=8, num_steps=1)
    often = adversarial.attack(linear, IMAGES, LABELS, epsilon=8, num_steps=10)
    assert mean_true_logit_lead(often) <= mean_true_logit_lead(once) < mean_true_logit_lead(IMAGES)


def test_no_image_is_no_error_and_wrong_numbers_are(linear):
    assert adversarial.attack(linear, IMAGES[:0], LABELS[:0], epsilon=1, num_steps=1).shape == (0, 4, 4, 3)
    with pytest.raises(ValueError, match=r"epsilon and num_steps must be at least 1. Received: epsilon=0"):
        adversarial.attack(linear, IMAGES, LABELS, epsilon=0, num_steps=1)


@pytest.mark.parametrize("num_steps", [1, 4])
def test_a_network_is_attacked_as_foolbox_attacks_it(num_steps):
    """LinfFastGradientAttack, and LinfPGD without its random start, in steps of as many grey levels."""
    foolbox = pytest.importorskip("foolbox")
    model = tiny_models.build(head=tiny_models.deep_head, seed=3)
    random = np.random.default_rng(5)
    images, labels = random.integers(0, 256, (6, 24, 24, 3), np.uint8), random.integers(0, 3, 6)
    epsilon, step = 4, 3  # ceil(2.5 * 4 / 4)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=step, steps=num_steps, random_start=False)
    if num_steps == 1:
        attack = foolbox.attacks.LinfFastGradientAttack(random_start=False)
    inputs = keras.ops.convert_to_tensor(images.astype("float32"))
    criterion = foolbox.criteria.Misclassification(keras.ops.convert_to_tensor(labels))
    reference = attack.run(foolbox.TensorFlowModel(model, bounds=(0, 255)), inputs, criterion, epsilon=epsilon)
    found = adversarial.attack(model, images, labels, epsilon=epsilon, num_steps=num_steps)
    # The sign of a gradient that is nearly zero differs with the order of the sums, and each step carries it on.
    assert np.mean(found != np.asarray(reference)) <= (0.001 if num_steps == 1 else 0.05)
