"""What watches a training from inside `fit`."""

from __future__ import annotations

import math

import keras


class NonFiniteLossError(ArithmeticError):
    """The loss is no longer a finite number; training on would be of no use.

    Attributes:
        epoch: counted from 1.
        step: of the epoch, counted from 1; None where the validation loss is meant.
        learning_rate: at that step.
    """

    def __init__(self, *, loss: float, epoch: int, step: int | None, learning_rate: float):
        self.epoch = epoch
        self.step = step
        self.learning_rate = learning_rate
        where = "in validation" if step is None else f"at step {step}"
        super().__init__(
            f"loss must be finite. Received: loss={loss} in epoch {epoch}, {where}, at learning rate "
            f"{learning_rate:.3g}. Lower the learning rate of this phase, lengthen warmup_share, or use precision "
            "'float32' or 'mixed_bfloat16' where it is 'mixed_float16'; and look for pixels or labels that are not "
            "finite."
        )


def current_learning_rate(model: keras.Model) -> float:
    """The learning rate of the next step."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


class FiniteLossGuard(keras.callbacks.Callback):
    """Raises `NonFiniteLossError` at the first step, or validation, whose loss is not finite."""

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the epoch."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        """Checks the mean loss of the epoch so far, which one non-finite step spoils for good."""
        self._check(logs["loss"], step=batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        """Checks the validation loss, where there is one."""
        if "val_loss" in logs:
            self._check(logs["val_loss"], step=None)

    def _check(self, loss: float, *, step: int | None) -> None:
        if not math.isfinite(loss):
            rate = current_learning_rate(self.model)
            raise NonFiniteLossError(loss=float(loss), epoch=self._epoch, step=step, learning_rate=rate)


class StopAfterEpoch(keras.callbacks.Callback):
    """Ends `fit` after one epoch, so that the progress bar may still count up to the last one of the training."""

    def on_epoch_end(self, epoch, logs=None):
        """Requests that `fit` stop."""
        self.model.stop_training = True
