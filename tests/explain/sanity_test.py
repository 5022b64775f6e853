import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.metrics import structural_similarity

from sperm_tf.config import ModelConfig


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_classifier, explain, ExplainedClassifier, keras, sanity, tiny_models
    import keras

    from sperm_tf.explain import sanity
    from sperm_tf.explain.methods import ExplainedClassifier, explain
    from sperm_tf.models.classifier import build_classifier
    from tests import tiny_models


SIDE = 24
PERTURBATIONS = ("noise", "shift", "small_rotation", "quarter_turn")


def random_images(count=4, seed=0):
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.uniform(0, 255, (count, SIDE, SIDE, 3)), (0, 2, 2, 0)).astype(np.float32)


def test_weights_are_taken_away_from_the_head_down_and_stay_away():
    model = tiny_models.build(seed=5)
    before = [weights.copy() for weights in model.get_weights()]
    changed, stages = [], []
    for stage, emptied in sanity.randomise_cascade(model):
        stages.append(stage)
        changed.append(
            {
                layer.name
                for layer, other in zip(model.layers, emptied.layers, strict=True)
                if any(not np.array_equal(a, b) for a, b in zip(layer.get_weights(), other.get_weights(), strict=True))
            }
        )
    assert stages == ["trained", "logits", "cbam", "conv2"]
    convolutions = {layer.name for layer in model.layers if layer.name.startswith("conv2d")}
    assert changed == [set(), {"logits"}, {"logits", "cbam_top"}, {"logits", "cbam_top"} | convolutions]
    for kept, weights in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weights)


@pytest.mark.slow
def test_no_two_stages_have_one_name():
    config = ModelConfig(weights="none", cbam_after=("block5", "top"))
    stages = sanity.weight_stages(build_classifier(config, num_classes=3, image_size=32))
    names = [name for name, _ in stages]
    assert names[:3] == ["logits", "cbam", "top"] and "cbam_block5" in names and len(set(names)) == len(names)
    layers = [layer for _, found in stages for layer in found]
    assert len(set(layers)) == len(layers) and {"cbam_top", "cbam_block5"} < set(layers)


def test_a_backbone_that_was_never_unfrozen_is_randomised_too():
    model = build_classifier(ModelConfig(name="simple_cnn"), num_classes=3, image_size=32)
    stages = sanity.weight_stages(model)
    for layer in model.layers[:-1]:
        layer.trainable = False
    assert sanity.weight_stages(model) == stages and len(stages) > 3


def test_constants_of_the_input_follow_into_the_copy():
    image = keras.Input((SIDE, SIDE, 3))
    scaled = keras.layers.Normalization(name="scale")
    features = keras.layers.GlobalAveragePooling2D()(scaled(image))
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(features))
    scaled.adapt(random_images())
    _, copy = next(sanity.randomise_cascade(model))
    images = random_images(seed=1)
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-5)


@pytest.mark.slow
def test_maps_of_the_network_change_and_an_edge_detector_is_found_out():
    model, images, classes = tiny_models.build(head=tiny_models.deep_head, seed=5), random_images(), [0, 1, 2, 0]
    last = {}
    for stage, emptied in sanity.randomise_cascade(model):
        if stage == "trained":
            classifier = ExplainedClassifier(emptied)
            trained = {name: explain(name, classifier, images, classes) for name in ("grad_cam_plus_plus", "edges")}
            np.testing.assert_allclose(
                trained["grad_cam_plus_plus"],
                explain("grad_cam_plus_plus", ExplainedClassifier(model), images, classes),
                atol=1e-5,
            )
        else:
            last = {name: explain(name, classifier, images, classes) for name in trained}
    alike = {name: sanity.similarities(trained[name], last[name]) for name in trained}
    assert alike["grad_cam_plus_plus"]["rank_correlation"].mean() < 0.8
    np.testing.assert_allclose(alike["edges"]["rank_correlation"], 1)
    np.testing.assert_allclose(alike["edges"]["structural_similarity"], 1)


def test_similarities_equal_scipy_and_scikit_image():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 1, (2, 3, 16, 16))
    alike = sanity.similarities(first, second)
    for row in range(3):
        ranks = [stats.rankdata(maps[row].ravel()) for maps in (first, second)]
        assert alike["rank_correlation"][row] == pytest.approx(np.corrcoef(*ranks)[0, 1])
        whole = structural_similarity(first[row], second[row], data_range=1.0, full=True)[1].mean()
        assert alike["structural_similarity"][row] == pytest.approx(whole)
    even = np.zeros((3, 16, 16))
    np.testing.assert_array_equal(sanity.similarities(first, even)["rank_correlation"], 0)
    np.testing.assert_array_equal(sanity.similarities(even, even)["rank_correlation"], 1)
    left = np.zeros((16, 16), bool)
    left[:, :8] = True
    half = np.concatenate([first[:, :, :8], second[:, :, 8:]], axis=2)
    np.testing.assert_allclose(sanity.similarities(first, half, where=left)["rank_correlation"], 1)
    with pytest.raises(ValueError, match="of one shape"):
        sanity.similarities(first, second[:2])


def test_every_perturbation_is_tried():
    assert set(PERTURBATIONS) == set(sanity.PERTURBATIONS)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_map_that_follows_the_image_is_stable(name):
    """The red channel itself is such a map; one that stands still while the image moves is not."""
    images = random_images()
    perturbation = sanity.PERTURBATIONS[name]
    where = perturbation.has_seen(SIDE)
    changed = perturbation.apply(images)
    assert changed.shape == images.shape and np.abs(changed - images).max() > 1
    follows = sanity.similarities(images[..., 0] / 255, perturbation.undo(changed[..., 0]) / 255, where=where)
    assert follows["rank_correlation"].min() > (0.8 if name == "noise" else 0.95)
    if name == "noise":
        return
    stands = sanity.similarities(images[..., 0] / 255, perturbation.undo(images[..., 0]) / 255, where=where)
    assert stands["rank_correlation"].mean() < follows["rank_correlation"].mean() - 0.03
