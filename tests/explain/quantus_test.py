"""Faithfulness and the model-parameter randomisation test against Quantus (Hedström et al., JMLR 2023)."""

import numpy as np
import pytest

from sperm_tf.explain import faithfulness


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global explain, ExplainedClassifier, keras, sanity, tiny_models
    import keras

    from sperm_tf.explain import sanity
    from sperm_tf.explain.methods import ExplainedClassifier, explain
    from tests import tiny_models


pytestmark = pytest.mark.slow
SIDE, STEP = 12, 9
QUIET = {"disable_warnings": True, "normalise": False}


@pytest.fixture(scope="module")
def quantus():
    return pytest.importorskip("quantus", exc_type=ImportError)  # its OpenCV needs libGL


def grey_model():
    """Of one channel, since Quantus deletes values and not pixels."""
    keras.utils.set_random_seed(4)
    image = keras.Input((SIDE, SIDE, 1))
    features = keras.layers.Conv2D(4, 3, activation="swish")(keras.layers.Rescaling(1 / 127.5, offset=-1)(image))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(features)))


def draw(count=3):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (count, SIDE, SIDE, 1)).astype(np.float32)
    return images, rng.permutation(count * SIDE * SIDE).reshape(count, SIDE, SIDE) + 1.0, np.arange(count) % 3


def test_deletion_is_pixel_flipping_to_the_empty_slide(quantus):
    model, (images, maps, classes) = grey_model(), draw()
    slides = faithfulness.slide_images(images).reshape(len(images), -1)

    def to_slide(arr, indices, **_):
        changed, rows = arr.copy(), np.arange(len(arr))[:, None]
        changed[rows, indices] = slides[rows, indices]
        return changed

    reference = quantus.PixelFlipping(features_in_step=STEP, perturb_func=to_slide, **QUIET)(
        model=model, x_batch=images, y_batch=classes, a_batch=maps[:, None], channel_first=False, softmax=True
    )

    def predict(batch):
        logits = model.predict(batch, verbose=0)
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    fractions = np.arange(0, SIDE * SIDE + 1, STEP) / (SIDE * SIDE)
    curves = faithfulness.deletion_curves(predict, images, maps, classes, fractions=fractions)
    np.testing.assert_allclose(curves[:, 1:], reference, rtol=1e-5)


def test_pointing_and_energy_are_quantus_localisation(quantus):
    images, maps, classes = draw(12)
    masks = np.random.default_rng(1).uniform(size=maps.shape) < 0.4
    given = {"model": grey_model(), "x_batch": images, "y_batch": classes, "channel_first": False}
    given |= {"a_batch": maps[..., None], "s_batch": masks[:, None]}
    hits = faithfulness.pointing_hits(maps, masks, tolerance=0)
    np.testing.assert_array_equal(hits, quantus.PointingGame(**QUIET)(**given))
    assert 0 < hits.sum() < len(hits)
    energy = faithfulness.energy_in_mask(maps, masks)
    np.testing.assert_allclose(energy, quantus.RelevanceMassAccuracy(**QUIET)(**given))


def test_the_cascade_is_measured_as_by_the_model_parameter_randomisation_test(quantus, monkeypatch):
    """Quantus walks through our cascade; its own starts from a clone, whose weights Keras has drawn anew already."""
    model = tiny_models.build(image_size=24, head=tiny_models.deep_head, seed=5)
    images = np.random.default_rng(2).uniform(0, 255, (3, 24, 24, 3)).astype(np.float32)
    classes = np.array([0, 1, 2])
    wrapper = quantus.helpers.model.tf_model.TensorFlowModel
    layers = [name for name, _ in wrapper(model).get_random_layer_generator("top_down")]
    assert [name for _, names in sanity.weight_stages(model) for name in names] == layers

    def maps_of(network):
        return explain("grad_cam_plus_plus", ExplainedClassifier(network), images, classes)

    def cascade(*_, **__):
        return ((stage, emptied) for stage, emptied in sanity.randomise_cascade(model) if stage != "trained")

    monkeypatch.setattr(wrapper, "get_random_layer_generator", cascade)
    reference = quantus.MPRT(abs=False, **QUIET)(
        model=model,
        x_batch=images,
        y_batch=classes,
        channel_first=False,
        explain_func=lambda model, inputs, targets, **_: maps_of(getattr(model, "model", model))[..., None],
    )
    trained = maps_of(model)
    ours = {
        stage: sanity.similarities(trained, maps_of(emptied))["rank_correlation"]
        for stage, emptied in sanity.randomise_cascade(model)
    }
    assert list(reference) == ["original", *list(ours)[1:]]
    for scores, expected in zip(reference.values(), ours.values(), strict=True):
        np.testing.assert_allclose(scores, expected, atol=1e-6)
