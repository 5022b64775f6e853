import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global check_layer, keras, PositionEmbedding
    import keras

    from sperm_tf.layers.position_embedding import PositionEmbedding
    from tests.layers.layer_checks import check_layer


@pytest.mark.parametrize("precision", ("float32", "mixed_bfloat16", "mixed_float16"))
def test_position_embedding(precision, tmp_path):
    features = np.random.default_rng(0).standard_normal((3, 4, 5, 6)).astype("float32")
    check_layer(
        PositionEmbedding,
        {},
        features,
        reference=lambda features, weights: features + weights["embeddings"],
        num_weights=1,
        tmp_path=tmp_path,
        precision=precision,
    )


@pytest.mark.parametrize("shape", ((4, 6), (None, 4, 6)))
def test_refuses_what_has_no_known_size(shape):
    with pytest.raises(ValueError, match=r"feature map .* of a known size"):
        PositionEmbedding()(keras.Input(shape))
