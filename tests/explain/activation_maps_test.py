from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from sperm_tf.config import ModelConfig
from sperm_tf.explain.faithfulness import slide_images


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_averaged_classifier, build_classifier, ClassActivationMaps, empty_slide, grad_cam_plus_plus
    global keras, layer_integrated_gradients, points_of_path, reference_maps, tf, tiny_models
    import keras
    import tensorflow as tf

    from sperm_tf.explain.activation_maps import (
        ClassActivationMaps,
        empty_slide,
        grad_cam_plus_plus,
        layer_integrated_gradients,
        points_of_path,
    )
    from sperm_tf.explain.reference import reference_maps
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.models.views import build_averaged_classifier
    from tests import tiny_models


METHODS = ("layer_integrated_gradients", "grad_cam_plus_plus")


@pytest.fixture(params=["linear_head", "deep_head"])
def head(request):
    return getattr(tiny_models, request.param)


def random_images(count=3, size=24, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def assert_equal_maps(model, images, *, views=1, rtol=1e-4, atol=1e-5):
    explain = ClassActivationMaps(model, views=views)
    explanation = explain(images, every_class=True)
    model = build_averaged_classifier(model, views=views)
    np.testing.assert_allclose(explanation.logits, model.predict(images, verbose=0), rtol=1e-4, atol=1e-5)
    num_classes = model.output_shape[-1]
    assert explanation.grad_cam_plus_plus_per_class.shape[:2] == (len(images), num_classes)
    for index in range(num_classes):
        labels = [index] * len(images)
        expected = reference_maps("grad_cam_plus_plus", model, images, class_indices=labels)
        np.testing.assert_allclose(explanation.grad_cam_plus_plus_per_class[:, index], expected, rtol=rtol, atol=atol)
        expected = reference_maps("layer_integrated_gradients", model, images, class_indices=labels)
        np.testing.assert_allclose(explain(images, labels).layer_integrated_gradients, expected, rtol=1e-4, atol=1e-5)
    predicted = np.argmax(explanation.logits, axis=1)
    alone = explain(images)
    assert alone.grad_cam_plus_plus_per_class is None
    of_predicted = tf.gather(explanation.grad_cam_plus_plus_per_class, predicted, axis=1, batch_dims=1)
    np.testing.assert_allclose(alone.grad_cam_plus_plus, of_predicted, rtol=rtol, atol=atol)
    np.testing.assert_array_equal(
        alone.layer_integrated_gradients, explain(images, predicted).layer_integrated_gradients
    )
    return explanation


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 8])
def test_maps_of_every_class_equal_the_reference(head, views):
    model = tiny_models.build(head=head)
    logits = model.get_layer("logits")
    logits.set_weights([1000 * weights for weights in logits.get_weights()])  # an untrained one says next to nothing
    explanation = assert_equal_maps(model, random_images(), views=views, rtol=1e-3, atol=1e-4)
    assert min(getattr(explanation, method).numpy().max() for method in METHODS) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_b0_cbam", "efficientnet_lite0_cbam", "simple_cnn"])
def test_maps_of_the_real_models_equal_the_reference(name):
    keras.utils.set_random_seed(0)
    model = build_classifier(ModelConfig(name=name), num_classes=3, image_size=96)
    logits = model.get_layer("logits")
    # An untrained network's features are tiny: larger weights give scores as a trained one has.
    logits.set_weights([logits.get_weights()[0] * 20, np.array([0.5, -2.0, -6.0])])
    # Grad-CAM++ divides by nearly zero at a layer of many channels whose gradients have both signs.
    atol = 2e-3 if "lite0" in name else 1e-5
    explanation = assert_equal_maps(model, random_images(2, 96), atol=atol)
    assert (explanation.cbam_attention is not None) == name.endswith("_cbam")


@pytest.mark.slow
def test_attention_is_what_the_layer_multiplies_with():
    model = tiny_models.build()
    images = random_images()
    gate = model.get_layer("cbam_top")
    before, after = keras.Model(model.input, [gate.input, gate.output]).predict(images, verbose=0)
    attention = ClassActivationMaps(model)(images).cbam_attention
    np.testing.assert_allclose(before * attention[..., None], after, rtol=1e-4, atol=1e-6)
    assert ClassActivationMaps(tiny_models.build(with_gate=False))(images).cbam_attention is None


def test_integrated_gradients_hardly_change_with_the_last_digits():
    """Grad-CAM++ does: its alphas are divided by their sum, which negative gradients may bring to zero."""
    features = np.zeros((1, 32, 32, 2), np.float32)
    features[0, :, :16, 0] = features[0, :, 16:, 1] = 2.0  # each channel sums to 1,024
    gradients = np.full(features.shape, 0.01, np.float32)
    maps = []
    for last_digits in (-1e-4, 1e-4):
        gradients[0, 0, 0, 0] = -2 / 1024 * (1.00598 + last_digits)
        maps.append(
            (
                layer_integrated_gradients(features, gradients[None]),
                grad_cam_plus_plus(features, gradients, tf.zeros(1)),
            )
        )
    np.testing.assert_allclose(maps[0][0], maps[1][0], atol=1e-6)
    assert np.abs(maps[0][1] - maps[1][1]).max() > 0.9


def test_evidence_adds_up_to_what_the_image_adds_to_the_score():
    """Completeness (Sundararajan et al. 2017, proposition 1), whose error falls with the number of steps."""
    model, images = tiny_models.build(head=tiny_models.deep_head), random_images()
    trunk = keras.Model(model.inputs[0], model.get_layer("feature_map").output)
    head = keras.Model(model.get_layer("feature_map").output, model.outputs[0])
    errors = {}
    for steps in (1, 4, 16):
        errors[steps] = []
        for image in images:
            start, end = trunk(empty_slide(image[None])), trunk(image[None])
            total = 0.0
            for point in points_of_path(start, end, steps=steps):
                with tf.GradientTape() as tape:
                    tape.watch(point)
                    score = head(point)[:, 1]
                total += float(tf.reduce_sum(tape.gradient(score, point) * (end - start))) / steps
            errors[steps].append(abs(total - float(head(end)[0, 1] - head(start)[0, 1])))
    assert np.mean(errors[16]) < 0.3 * np.mean(errors[4]) + 1e-6 and np.mean(errors[4]) < np.mean(errors[1])


def test_the_empty_slide_is_that_of_the_audits():
    for side in (4, 5):
        images = np.random.default_rng(0).uniform(0, 255, (2, side, side, 3)).astype(np.float32)
        np.testing.assert_allclose(empty_slide(images), slide_images(images), rtol=1e-6)


def naive_map(features, gradients, score):
    """The paper's formulas for one image in float64, with exp(score) as it stands."""
    features, gradients = features.astype(np.float64), gradients.astype(np.float64)
    height, width, channels = features.shape
    cam = np.zeros((height, width))
    for k in range(channels):
        total = features[:, :, k].sum()
        first, second, third = (np.exp(score) * gradients[:, :, k] ** power for power in (1, 2, 3))
        alpha = np.where(second == 0, 0, second / np.where(second == 0, 1, 2 * second + third * total))
        alpha = alpha / alpha.sum()
        cam += (alpha * np.maximum(first, 0)).sum() * features[:, :, k]
    cam = np.maximum(cam, 0)
    return (cam - cam.min()) / (cam.max() - cam.min() + 1e-7)


@pytest.mark.parametrize("score", [-12.0, -1.0, 0.0, 5.0, 50.0])
def test_the_cancelled_formula_equals_the_paper(score):
    rng = np.random.default_rng(1)
    features, gradients = rng.uniform(0, 1, (1, 4, 5, 6)), rng.uniform(-0.02, 0.05, (1, 4, 5, 6))
    gradients[:, 1, 2] = 0
    result = grad_cam_plus_plus(features, gradients, tf.constant([score]))
    np.testing.assert_allclose(result[0], naive_map(features[0], gradients[0], score), rtol=1e-4, atol=1e-6)


def test_large_scores_do_not_overflow():
    model = tiny_models.build(num_classes=4)
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0], np.array([0.0, 1e3, 1e30, -1e3], np.float32)])
    images = random_images()
    maps = ClassActivationMaps(model)(images, every_class=True).grad_cam_plus_plus_per_class.numpy()
    assert np.isfinite(maps).all()
    assert maps[:, :3].max(axis=(2, 3)) == pytest.approx(1, abs=1e-3)
    expected = reference_maps("grad_cam_plus_plus", model, images, class_indices=[3] * 3)
    np.testing.assert_allclose(maps[:, 3], expected, atol=1e-6)
    assert not np.isfinite(reference_maps("grad_cam_plus_plus", model, images, class_indices=[1] * 3)).all()


def symmetries(array, axes):
    """The eight views of an array, as (mirrored, number of turns, view)."""
    for mirrored in (False, True):
        for turns in range(4):
            yield mirrored, turns, np.rot90(np.flip(array, axes[1]) if mirrored else array, turns, axes)


def turned_back(array, mirrored, turns, axes):
    array = np.rot90(array, -turns, axes)
    return np.flip(array, axes[1]) if mirrored else array


@pytest.mark.slow
def test_averaged_maps_and_attention_equal_numpy():
    """With a linear head: the mean of what every view has before scaling, turned back, then scaled once.

    The gradient of such a head is the same everywhere, on the empty slide, too.
    """
    model, images = tiny_models.build(), random_images()
    gate, features = model.get_layer("cbam_top"), model.get_layer("feature_map").output
    inside = keras.Model(model.input, [features, gate.convolution(gate.input), model.output])
    kernel = model.get_layer("logits").get_weights()[0]
    cams, evidence, attentions, logits = [], [], [], []
    for mirrored, turns, view in symmetries(images, (1, 2)):
        values, attention, scores = inside.predict(np.ascontiguousarray(view), verbose=0)
        on_slide = inside.predict(np.broadcast_to(np.median(view, (1, 2), keepdims=True), view.shape), verbose=0)[0]
        cam = values.astype(np.float64) @ np.maximum(kernel, 0) / (6 * 6)
        cams.append(turned_back(cam, mirrored, turns, (1, 2)))
        added = (values - on_slide).astype(np.float64) @ kernel / (6 * 6)
        evidence.append(turned_back(added, mirrored, turns, (1, 2)))
        attentions.append(turned_back(attention[..., 0], mirrored, turns, (1, 2)))
        logits.append(scores)
    cam, score = np.maximum(np.mean(cams, axis=0), 0), np.mean(logits, axis=0)[:, None, None]
    low, high = cam.min(axis=(1, 2), keepdims=True), cam.max(axis=(1, 2), keepdims=True)
    expected = np.moveaxis((cam - low) / (high - low + 1e-7 * np.exp(-score)), -1, 1)
    explanation = ClassActivationMaps(model, views=8)(images, every_class=True)
    np.testing.assert_allclose(explanation.logits, np.mean(logits, axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(explanation.grad_cam_plus_plus_per_class, expected, rtol=1e-3, atol=1e-5)
    evidence = np.maximum(ndimage.gaussian_filter(np.mean(evidence, axis=0), (0, 6 / 32, 6 / 32, 0)), 0)
    low, high = evidence.min(axis=(1, 2), keepdims=True), evidence.max(axis=(1, 2), keepdims=True)
    total = evidence.sum(axis=(1, 2), keepdims=True)
    integrated = np.moveaxis((evidence - low) / (high - low + 1e-7) * total / (total + 0.05), -1, 0)
    for index, expected in enumerate(integrated):
        maps = ClassActivationMaps(model, views=8)(images, [index] * 3).layer_integrated_gradients
        np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(explanation.cbam_attention, np.mean(attentions, axis=0), rtol=1e-4, atol=1e-6)
    single = ClassActivationMaps(model)(images)
    assert np.abs(single.grad_cam_plus_plus - explanation.grad_cam_plus_plus).max() > 0.05
    assert np.abs(single.cbam_attention - explanation.cbam_attention).max() > 0.01


@pytest.mark.slow
def test_what_explains_a_turned_image_is_turned_with_it(head):
    model, images = tiny_models.build(head=head), random_images()
    explain = ClassActivationMaps(model, views=8)
    upright = explain(images)
    for mirrored, turns, view in symmetries(images, (1, 2)):
        turned = explain(np.ascontiguousarray(view))
        np.testing.assert_allclose(turned.logits, upright.logits, rtol=1e-4, atol=1e-6)
        for name in (*METHODS, "cbam_attention"):
            back = turned_back(getattr(turned, name).numpy(), mirrored, turns, (-2, -1))
            np.testing.assert_allclose(back, getattr(upright, name), rtol=1e-3, atol=1e-5, err_msg=name)


def test_one_view_is_what_it_was_before_there_were_more():
    model, images = tiny_models.build(), random_images()
    default, one = ClassActivationMaps(model)(images), ClassActivationMaps(model, views=1)(images)
    np.testing.assert_allclose(one.logits, model(images, training=False), rtol=1e-5, atol=1e-7)
    for name in ("logits", *METHODS, "cbam_attention"):
        np.testing.assert_array_equal(getattr(default, name), getattr(one, name))


@pytest.mark.parametrize(("total", "strength"), [(0.0005, 0.01), (0.05, 0.5), (4.95, 0.99)])
def test_a_map_fades_where_all_of_it_says_next_to_nothing(total, strength):
    evidence = np.zeros((1, 8, 8, 2), np.float32)
    evidence[0, 3:5, 3:5] = total / 8
    found = layer_integrated_gradients(tf.constant(evidence), tf.ones((4, 1, 8, 8, 2))).numpy()
    assert found.max() == pytest.approx(strength, rel=0.02)


@pytest.mark.parametrize("views", [1, 8])
def test_a_class_with_no_evidence_has_a_map_of_zeros(head, views):
    model = tiny_models.build(head=head)
    logits = model.get_layer("logits")
    kernel = logits.get_weights()[0]
    kernel[:, 1] = 0
    logits.set_weights([kernel, np.array([0.0, 200.0, 0.0])])
    explain = ClassActivationMaps(model, views=views)
    without, other = (explain(random_images(), [label] * 3, every_class=True) for label in (1, 0))
    maps = without.grad_cam_plus_plus_per_class.numpy()
    np.testing.assert_array_equal(without.grad_cam_plus_plus, 0)
    assert not maps[:, 1].any() and np.isfinite(maps).all() and maps[:, 0].any()
    assert not without.layer_integrated_gradients.numpy().any() and other.layer_integrated_gradients.numpy().any()


@pytest.mark.parametrize("views", [1, 8])
def test_a_model_in_mixed_precision_is_explained(views):
    full = tiny_models.build()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = tiny_models.build()
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(full.get_weights())
    expected, explanation = (ClassActivationMaps(model, views=views)(random_images()) for model in (full, mixed))
    for name in ("logits", *METHODS, "cbam_attention"):
        assert getattr(explanation, name).dtype == tf.float32
    for method in METHODS:
        np.testing.assert_allclose(getattr(explanation, method), getattr(expected, method), atol=0.1)
    np.testing.assert_allclose(explanation.cbam_attention, expected.cbam_attention, atol=0.02)


@pytest.mark.parametrize("views", [1, 8])
def test_the_backbone_runs_once_and_is_not_differentiated(views):
    model = tiny_models.build()
    explainer = ClassActivationMaps(model, views=views)

    def explain(images):
        return [output for output in vars(explainer(images)).values() if output is not None]

    graph = tf.function(explain).get_concrete_function(tf.TensorSpec([None, 24, 24, 3], tf.float32))
    definition = graph.graph.as_graph_def()
    bodies = [function for function in definition.library.function if "while_body" in function.signature.name]
    counts = Counter(node.op for function in bodies for node in function.node_def)
    # Two convolutions of the backbone, the gate's own and its repetition for the attention map.
    assert 0 < counts["Conv2D"] <= 4 and not any(op.startswith("Conv2DBackprop") for op in counts)


def test_a_batch_is_differentiated_at_once():
    """One backward pass for images and paths: the gradient of the one convolution of the head is there once."""
    explainer = ClassActivationMaps(tiny_models.build(head=tiny_models.deep_head))

    def explain(images):
        return explainer(images).layer_integrated_gradients

    graph = tf.function(explain).get_concrete_function(tf.TensorSpec([None, 24, 24, 3], tf.float32))
    functions = graph.graph.as_graph_def().library.function
    counts = Counter(node.op for function in functions for node in function.node_def)
    assert counts["Conv2DBackpropInput"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("views", [1, 8])
def test_images_of_one_batch_do_not_change_each_other(views):
    """Ten images are two chunks of one view, the second of them not full."""
    explain, images = ClassActivationMaps(tiny_models.build(head=tiny_models.deep_head), views=views), random_images(10)
    together = explain(images, every_class=True)
    alone = [explain(images[row : row + 1], every_class=True) for row in range(10)]
    for name, found in vars(together).items():
        expected = np.concatenate([getattr(explanation, name) for explanation in alone])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_models_of_another_form_are_refused():
    with pytest.raises(ValueError, match="must have a layer named 'feature_map'"):
        ClassActivationMaps(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]))
    image = keras.Input((8, 8, 3))
    features = keras.layers.Identity(name="feature_map")(keras.layers.Conv2D(4, 3, padding="same")(image))
    around = keras.layers.Concatenate()([features, image])
    with pytest.raises(ValueError, match="every path to the logits must lead through"):
        ClassActivationMaps(keras.Model(image, tiny_models.linear_head(around, 3)))
    with pytest.raises(ValueError, match="views must be one of 1, 8"):
        ClassActivationMaps(tiny_models.build(), views=4)


def test_reference_wants_a_class_for_each_image():
    with pytest.raises(ValueError, match="class_indices must hold one class for each of 3"):
        reference_maps("grad_cam_plus_plus", tiny_models.build(), random_images(), class_indices=[0])
