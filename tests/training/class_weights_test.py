import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from sperm_tf.training.class_weights import class_weights


def test_equals_scikit_learn():
    labels = np.array([0] * 7 + [1] * 2 + [2] * 11)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    weights = class_weights(labels, 3)
    assert weights.dtype == "float32"
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "message"),
    (
        (np.array([0, 2]), "none of class 1"),
        (np.array([0, 1, 3]), "0 ... 2"),
        (np.array([-1, 0, 1]), "0 ... 2"),
        (np.eye(3), "integers of shape"),
    ),
)
def test_refuses_other_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        class_weights(labels, 3)
