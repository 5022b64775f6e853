"""Learning rate over a phase of the training."""

from __future__ import annotations

import keras


def build_schedule(
    name: str, *, peak: float, num_steps: int, warmup_share: float
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A linear rise from zero to `peak`, then constant or a cosine to zero at the last step.

    Args:
        name: `constant` or `cosine` (Loshchilov and Hutter 2017, without restarts).
        peak: highest learning rate.
        num_steps: training steps of the phase.
        warmup_share: share, 0-1, of the steps over which the rate rises.

    Returns:
        A learning rate for `keras.optimizers`: a function of the step, or a number where it never changes.

    Raises:
        ValueError: the name is unknown.
    """
    warmup_steps = round(warmup_share * num_steps)
    if name == "constant":
        if not warmup_steps:
            return peak
        return keras.optimizers.schedules.PolynomialDecay(0.0, warmup_steps, end_learning_rate=peak, power=1.0)
    if name == "cosine":
        # A warm-up over the whole phase leaves no step to decay in; Keras divides by their number.
        decay_steps = max(num_steps - warmup_steps, 1)
        if not warmup_steps:
            return keras.optimizers.schedules.CosineDecay(peak, decay_steps)
        return keras.optimizers.schedules.CosineDecay(0.0, decay_steps, warmup_target=peak, warmup_steps=warmup_steps)
    raise ValueError(f"schedule must be 'constant' or 'cosine'. Received: schedule={name!r}.")
