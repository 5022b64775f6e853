"""The numbers against scikit-image's block means and a loop over pixels."""

import math

import numpy as np
import pytest
from skimage.measure import block_reduce


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global NUM_NUMBERS, SIDE, summarize_composition, tf
    import tensorflow as tf

    from sperm_tf.models.composition import NUM_NUMBERS, SIDE, summarize_composition


def draw(count=2, side=128, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(180, 6, (count, side, side, 3))
    images[:, side // 4 : side // 2, side // 3 : side // 2] -= rng.uniform(40, 120, (count, 1, 1, 3))
    return np.clip(images, 0, 255).astype(np.float32)


def summarize(images):
    return np.asarray(summarize_composition(images))


def radius(row, column, side):
    return math.hypot((row + 0.5) / (side / 2) - 1, (column + 0.5) / (side / 2) - 1)


def describe(image):
    """One image, [128, 128, 3], slowly."""
    pixels = image.astype(np.float64) / 255
    coarse = block_reduce(pixels, (4, 4, 1), np.mean)
    distance = np.linalg.norm(coarse - np.median(coarse.reshape(-1, 3), axis=0), axis=-1)
    rings = [[] for _ in range(7)]
    for row in range(32):
        for column in range(32):
            rings[min(int(radius(row, column, 32) * 6), 6)].append(distance[row, column])
    found = [math.log(np.mean(ring) + 0.003) for ring in rings]
    for _ in range(5):
        means = block_reduce(pixels, (2, 2, 1), np.mean)
        energy = ((pixels - np.kron(means, np.ones((2, 2, 1)))) ** 2).sum(axis=-1)
        side = len(pixels)
        middle = [energy[r, c] for r in range(side) for c in range(side) if radius(r, c, side) < 0.5]
        found.append(math.log(np.mean(middle) + 1e-5) / 2)
        pixels = means
    return found


def test_it_is_what_scikit_image_and_a_loop_make_of_it():
    images = draw()
    found = summarize(images)
    assert found.shape == (2, NUM_NUMBERS) and found.dtype == np.float32
    np.testing.assert_allclose(found, [describe(image) for image in images], rtol=1e-4)


@pytest.mark.parametrize("side", (24, 96, 127, 160, 300))
def test_other_sizes_are_resized_as_tensorflow_does(side):
    images = draw(side=side)
    resized = tf.image.resize(images, (SIDE, SIDE), method="bilinear", antialias=True)
    np.testing.assert_allclose(summarize(images), summarize(resized.numpy()), rtol=1e-4, atol=1e-4)


def test_all_views_of_an_image_have_one_composition():
    (image,) = draw(1)
    views = np.stack([np.rot90(each, turns) for each in (image, image[:, ::-1]) for turns in range(4)])
    found = summarize(views)
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-4)
    assert np.abs(summarize(np.roll(image, 20, axis=1)[None]) - found[0]).max() > 0.1


@pytest.mark.parametrize("side", [32, 96, 224])
def test_other_sizes_are_measured_at_one_scale(side):
    smooth = tf.image.resize(draw(), (16, 16))
    reference = summarize(tf.image.resize(smooth, (SIDE, SIDE), "bicubic"))
    found = summarize(tf.image.resize(smooth, (side, side), "bicubic"))
    np.testing.assert_allclose(found[:, :7], reference[:, :7], atol=0.25)


def test_a_graph_computes_the_same_and_knows_its_shape():
    images = draw()
    graph = tf.function(summarize_composition, autograph=False)
    np.testing.assert_allclose(graph(tf.constant(images)), summarize(images), atol=1e-5)
    shape = tf.TensorSpec([None, SIDE, SIDE, 3])
    assert graph.get_concrete_function(shape).structured_outputs.shape.as_list() == [None, NUM_NUMBERS]


def test_an_image_of_one_colour_is_finite():
    assert np.isfinite(summarize(np.full((1, SIDE, SIDE, 3), 255, np.float32))).all()
