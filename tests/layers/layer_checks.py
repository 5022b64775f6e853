"""The one helper that every layer of the project is tested with."""

import keras
import numpy as np

TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 3e-2, "mixed_float16": 4e-3}


def check_layer(layer_class, config, inputs, *, reference, num_weights, tmp_path, precision="float32"):
    """Holds a layer against a NumPy reference, in its numbers, dtypes, configuration and saved form.

    Args:
        layer_class: the class, registered for serialization.
        config: its constructor's arguments.
        inputs: float32 array that the layer is called with.
        reference: function of (inputs float64, weights by path without the layer's name) -> float64 outputs.
        num_weights: number of variables expected.
        tmp_path: folder to save in.
        precision: dtype policy.
    """
    keras.utils.set_random_seed(0)
    layer = layer_class(**config, dtype=precision, name="tested")
    outputs = layer(inputs)
    assert len(layer.weights) == num_weights
    assert layer.compute_output_shape(inputs.shape) == inputs.shape == tuple(outputs.shape)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    assert all(weight.dtype == "float32" for weight in layer.weights)

    # Nothing may pass because a weight starts at zero.
    generator = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(0.5 * generator.standard_normal(weight.shape))
    weights = {weight.path.split("/", 1)[1]: np.asarray(weight, "float64") for weight in layer.weights}
    expected = reference(inputs.astype("float64"), weights)
    scale = np.abs(expected).max()
    outputs = np.asarray(keras.ops.cast(layer(inputs), "float32"))
    np.testing.assert_allclose(outputs / scale, expected / scale, atol=TOLERANCE[precision])

    restored = layer_class.from_config(layer.get_config())
    assert restored.get_config() == layer.get_config()
    for name, value in config.items():
        assert restored.get_config()[name] == value

    model_input = keras.Input(inputs.shape[1:])
    model = keras.Model(model_input, layer(model_input))
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.ops.cast(reloaded(inputs), "float32"), outputs)

    trainable = keras.Model(model_input, keras.layers.GlobalAveragePooling2D()(model.output))
    trainable.compile("sgd", "mse")
    before = [np.asarray(weight) for weight in layer.weights]
    trainable.fit(inputs, np.ones((len(inputs), inputs.shape[-1])), verbose=0)
    for old, weight in zip(before, layer.weights, strict=True):
        assert not np.array_equal(old, np.asarray(weight)), f"{weight.path} gets no gradient"
