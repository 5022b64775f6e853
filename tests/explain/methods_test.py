import numpy as np
import pytest
from scipy import ndimage, stats

from sperm_tf.explain import faithfulness
from sperm_tf.served_names import SERVED_MAPS


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global attribute_pixels, explain, ExplainedClassifier, keras, methods, tf, tiny_models
    import keras
    import tensorflow as tf

    from sperm_tf.explain import methods
    from sperm_tf.explain.methods import ExplainedClassifier, attribute_pixels, explain
    from tests import tiny_models


# Methods that ask the network, and need no attention of it.
ASKING = (
    "grad_cam",
    "grad_cam_plus_plus",
    "layer_cam",
    "layer_integrated_gradients",
    "score_cam",
    "integrated_gradients",
)
SIDE = 24


@pytest.fixture(params=["linear_head", "deep_head"])
def head(request):
    return getattr(tiny_models, request.param)


def random_images(count=3, seed=0):
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.uniform(0, 255, (count, SIDE, SIDE, 3)), (0, 2, 2, 0)).astype(np.float32)


def inside(model, images):
    layer = model.get_layer("feature_map").output
    return keras.Model(model.input, [layer, model.output]).predict(images, verbose=0)


def test_grad_cam_equals_tf_keras_vis(head):
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    model, images, classes = tiny_models.build(head=head), random_images(), [0, 2, 1]
    arguments = {"penultimate_layer": "feature_map", "seek_penultimate_conv_layer": False, "expand_cam": False}
    expected = Gradcam(model)(CategoricalScore(classes), images, normalize_cam=False, **arguments)
    maps = methods.grad_cam(ExplainedClassifier(model), images, np.array(classes, np.int32))
    assert maps.max() > 0
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_score_cam_equals_numpy_and_ranks_as_tf_keras_vis(monkeypatch):
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore

    keras.config.disable_interactive_logging()
    model, images, classes = tiny_models.build(), random_images(), np.array([0, 2, 1], np.int32)
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0] * 50, logits.get_weights()[1]])
    features, _ = inside(model, images)
    expected = np.zeros(features.shape[:3])
    for row, label in enumerate(classes):
        for channel in range(features.shape[-1]):
            mask = tf.image.resize(features[row, ..., channel, None], (SIDE, SIDE)).numpy()
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            scores = np.exp(model.predict((images[row] * mask)[None], verbose=0)[0].astype(np.float64))
            expected[row] += scores[label] / scores.sum() * features[row, ..., channel]
    classifier = ExplainedClassifier(model)
    maps = methods.score_cam(classifier, images, classes)
    np.testing.assert_allclose(maps, np.maximum(expected, 0), rtol=1e-3, atol=1e-6)
    arguments = {"penultimate_layer": "feature_map", "seek_penultimate_conv_layer": False, "expand_cam": False}
    theirs = Scorecam(model)(CategoricalScore(classes.tolist()), images, **arguments)  # it enlarges maps otherwise
    for own, other in zip(maps, np.asarray(theirs), strict=True):
        assert stats.spearmanr(own.ravel(), other.ravel())[0] > 0.9
    monkeypatch.setattr(methods, "SCORE_CAM_CHANNELS", 3)
    fewer = methods.score_cam(classifier, images, classes)
    assert fewer.shape == maps.shape and np.abs(fewer - maps).max() > 0


@pytest.mark.parametrize("views", [1, 8])
def test_integrated_gradients_are_complete(views):
    model, images, classes = tiny_models.build(head=tiny_models.deep_head), random_images(), np.array([0, 2, 1])
    classifier = ExplainedClassifier(model, views=views)
    attributions = attribute_pixels(classifier, images, classes.astype(np.int32), steps=200)
    slides = faithfulness.slide_images(images)
    gains = [classifier.logits(batch)[np.arange(3), classes] for batch in (images, slides)]
    np.testing.assert_allclose(attributions.sum(axis=(1, 2, 3)), gains[0] - gains[1], rtol=0.02, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 8])
def test_every_method_gives_maps_of_the_images_in_one_form(views):
    model, images = tiny_models.build(), random_images(35)
    classifier = ExplainedClassifier(model, views=views)
    assert methods.methods_for(classifier) == tuple(methods.METHODS)
    labels = classifier.probabilities(images).argmax(axis=1)
    for name in methods.METHODS:
        maps = explain(name, classifier, images[:3], labels[:3])
        assert maps.shape == (3, SIDE, SIDE) and maps.dtype == np.float32
        assert maps.min() >= 0 and set(np.unique(maps.max(axis=(1, 2)))) <= {0.0, 1.0}
        single = [explain(name, classifier, images[row : row + 1], labels[row : row + 1])[0] for row in range(3)]
        np.testing.assert_allclose(np.stack(single), maps, atol=2e-3, err_msg=name)
    assert explain("grad_cam", classifier, images, labels).shape == (35, SIDE, SIDE)


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED_MAPS)
def test_maps_are_the_served_ones(name):
    from sperm_tf.explain.activation_maps import ClassActivationMaps

    model, images, classes = tiny_models.build(), random_images(), np.array([1, 0, 2])
    served = getattr(ClassActivationMaps(model)(images, classes), name)
    large = tf.image.resize(served[..., None], (SIDE, SIDE)).numpy()[..., 0]
    low, high = large.min(axis=(1, 2), keepdims=True), large.max(axis=(1, 2), keepdims=True)
    maps = explain(name, ExplainedClassifier(model), images, classes)
    np.testing.assert_allclose(maps, (large - low) / (high - low), atol=1e-5)


def test_layer_cam_is_that_of_tf_keras_vis():
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.utils.scores import CategoricalScore

    model, images, classes = tiny_models.build(head=tiny_models.deep_head), random_images(), [1, 0, 2]
    expected = Layercam(model)(
        CategoricalScore(classes),
        images,
        penultimate_layer="feature_map",
        seek_penultimate_conv_layer=False,
        expand_cam=False,
    )
    maps = explain("layer_cam", ExplainedClassifier(model), images, np.array(classes))
    np.testing.assert_allclose(maps, methods.enlarge(np.asarray(expected), SIDE), atol=1e-5)


def half_sighted_model(rows):
    """A network that sees only the upper or only the lower half of the image."""
    image = keras.Input((SIDE, SIDE, 3))
    features = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(image))
    away = ((0, 3), (0, 0)) if rows == "upper" else ((3, 0), (0, 0))
    features = keras.layers.ZeroPadding2D(away, name="feature_map")(keras.layers.Cropping2D(away)(features))
    model = keras.Model(image, tiny_models.linear_head(features, 2))
    model.get_layer("logits").set_weights([np.array([[0, 20], [0, 20], [0, 20]]), np.zeros(2)])
    return model


def test_every_other_method_asks_the_network():
    assert {*ASKING, *faithfulness.BASELINES, "cbam_attention"} == set(methods.METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKING)
def test_a_network_that_looks_at_the_head_has_more_energy_in_it(name):
    images = np.full((2, SIDE, SIDE, 3), 100, np.float32)
    images[:, 2:8, 4:20] = images[:, 16:22, 4:20] = 255
    heads = np.zeros((2, SIDE, SIDE), bool)
    heads[:, 2:8, 4:20] = True
    at_head, elsewhere = (
        explain(name, ExplainedClassifier(half_sighted_model(rows)), images, [1, 1]) for rows in ("upper", "lower")
    )
    energy = [faithfulness.energy_in_mask(maps, heads) for maps in (at_head, elsewhere)]
    assert np.all(energy[0] > 0.4) and np.all(energy[1] < 0.1)
    assert faithfulness.pointing_hits(at_head, heads).all() and not faithfulness.pointing_hits(elsewhere, heads).any()


def test_what_cannot_be_explained_is_refused():
    classifier = ExplainedClassifier(tiny_models.build(with_gate=False))
    assert "cbam_attention" not in methods.methods_for(classifier)
    with pytest.raises(ValueError, match="the model must have a CBAM"):
        explain("cbam_attention", classifier, random_images(), [0, 0, 0])
    with pytest.raises(ValueError, match="name must be one of grad_cam"):
        explain("lime", classifier, random_images(), [0, 0, 0])
    with pytest.raises(ValueError, match="with one class each"):
        explain("grad_cam", classifier, random_images(), [0, 0])
