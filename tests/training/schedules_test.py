import math

import numpy as np
import pytest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_schedule, keras
    import keras

    from sperm_tf.training.schedules import build_schedule


def _rates(schedule, steps):
    return [float(keras.ops.convert_to_numpy(schedule(step))) for step in steps]


def test_constant_without_warm_up_is_a_number():
    assert build_schedule("constant", peak=0.1, num_steps=50, warmup_share=0.0) == 0.1


def test_constant_rises_linearly_then_stays():
    schedule = build_schedule("constant", peak=0.1, num_steps=100, warmup_share=0.2)
    expected = [0.1 * min(step / 20, 1) for step in range(101)]
    np.testing.assert_allclose(_rates(schedule, range(101)), expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("warmup_steps", (0, 10, 40))
def test_cosine_rises_linearly_then_falls_to_zero(warmup_steps):
    schedule = build_schedule("cosine", peak=0.1, num_steps=40, warmup_share=warmup_steps / 40)

    def expected(step):
        if step < warmup_steps:
            return 0.1 * step / warmup_steps
        progress = (step - warmup_steps) / max(40 - warmup_steps, 1)
        return 0.05 * (1 + math.cos(math.pi * progress))

    steps = range(41)
    np.testing.assert_allclose(_rates(schedule, steps), [expected(step) for step in steps], rtol=1e-5, atol=1e-8)


def test_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="'constant' or 'cosine'"):
        build_schedule("linear", peak=0.1, num_steps=10, warmup_share=0.0)
