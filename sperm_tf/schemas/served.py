"""Outputs of a served model, by their names (`sperm_tf.served_names`)."""

from typing import Any, NotRequired, TypedDict


class ServedAnswer(TypedDict):
    """The outputs of every signature, one row for each of the B rows of the request; arrays or tensors.

    Attributes:
        status: string [B], `ok` or why the row could not be read, one of `STATUSES`.
        predicted_class: string [B], empty for a row that is not ok.
        probabilities: float32 [B, C], 0-1, calibrated, zeros for a row that is not ok (JSON has no NaN).
        class_names: string [B, C], the names that belong to the columns of `probabilities` and `prediction_set`.
        prediction_set: bool [B, C], the classes that the image may belong to.
        decision: string [B], `accept` or `refer`.
        reason: string [B], one of `REASONS`, or `unreadable`.
        unfamiliarity: float32 [B], the out-of-distribution score in units of the highest that is accepted.
        layer_integrated_gradients: of `explain` and `explain_classes`: float32 [B, h, w], 0-1, of the predicted class.
        grad_cam_plus_plus: as that.
        grad_cam_plus_plus_per_class: of `explain_classes` alone: float32 [B, C, h, w].
        cbam_attention: of `explain` and `explain_classes`, and of models with CBAM: float32 [B, h', w'].
    """

    status: Any
    predicted_class: Any
    probabilities: Any
    class_names: Any
    prediction_set: Any
    decision: Any
    reason: Any
    unfamiliarity: Any
    layer_integrated_gradients: NotRequired[Any]
    grad_cam_plus_plus: NotRequired[Any]
    grad_cam_plus_plus_per_class: NotRequired[Any]
    cbam_attention: NotRequired[Any]
