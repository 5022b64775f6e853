import dataclasses

import numpy as np
import pytest

from sperm_tf.training.field_samples import draw_sample


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global keras, TINY, train_parser
    import keras

    from sperm_tf.training.field_recipe import ParserRecipe, train_parser

    TINY = ParserRecipe(num_drawn=1, num_epochs=2, epoch_steps=1, batch_size=1, crop_px=32, weights="none")


@pytest.fixture(autouse=True)
def _tiny_network(monkeypatch):
    """A network of one convolution for each output, whose training is traced in a second."""

    def build(weights):
        assert weights == "none"
        images = keras.Input((None, None, 3))
        features = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="block3a_conv")(images / 255)
        outputs = {"parts": 5, "vacuoles": 1, "centers": 1, "offsets": 2}
        return keras.Model(
            images, {name: keras.layers.Conv2D(count, 1, name=name)(features) for name, count in outputs.items()}
        )

    monkeypatch.setattr("sperm_tf.training.field_recipe.build_field_parser", build)


def weights_of(model):
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on(tmp_path, monkeypatch):
    samples = [draw_sample(3, seed=2, height=64, width=64)]
    whole = weights_of(train_parser(samples, TINY, work_dir=tmp_path / "whole", verbose=0))

    fit = keras.Model.fit

    def stop(model, *args, initial_epoch, **kwargs):
        if initial_epoch == 1:
            raise KeyboardInterrupt
        return fit(model, *args, initial_epoch=initial_epoch, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.Model, "fit", stop)
        train_parser(samples, TINY, work_dir=tmp_path / "stopped", verbose=0)
    resumed = weights_of(train_parser(samples, TINY, work_dir=tmp_path / "stopped", verbose=0))
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="training has another learning_rate"):
        train_parser(samples, dataclasses.replace(TINY, learning_rate=1.0), work_dir=tmp_path / "whole")
