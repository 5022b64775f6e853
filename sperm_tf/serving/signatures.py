"""Signatures of the exported model: preprocessing, classification, decision and attribution as TensorFlow functions."""

from __future__ import annotations

import keras
import tensorflow as tf

from sperm_tf.data import image_formats
from sperm_tf.data.preprocess import preprocess_batch
from sperm_tf.data.row_chunks import IMAGES_AT_ONCE, map_chunks
from sperm_tf.decision import rule as rule_lib
from sperm_tf.explain.activation_maps import ClassActivationMaps
from sperm_tf.models.batch_norm_folding import fold_batch_norm
from sperm_tf.models.classifier import LOGITS
from sperm_tf.models.views import FEATURES, build_answering_model
from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import (
    ACCEPT,
    CBAM_ATTENTION,
    CONFIDENT,
    GRAD_CAM_PLUS_PLUS,
    GRAD_CAM_PLUS_PLUS_PER_CLASS,
    LAYER_INTEGRATED_GRADIENTS,
    OK,
    REASONS,
    REFER,
    UNREADABLE,
)


class ServedClassifier:
    """A classifier that takes files and predicts row by row: a bad file never changes other rows.

    Every answer is a dict of tensors with one row for each row of the input:

    * `status`: string [B], `ok` or why the row could not be read, see `sperm_tf.served_names.STATUSES`;
    * `predicted_class`: string [B], empty for a row that is not ok;
    * `probabilities`: float32 [B, C], 0-1, calibrated, zeros for a row that is not ok (JSON has no NaN);
    * `class_names`: string [B, C], the names that belong to the columns of `probabilities` and `prediction_set`;
    * `prediction_set`: bool [B, C], the classes that the image may belong to; none for a row that is not ok;
    * `decision`: string [B], `accept`, or `refer` for an image that a person has to look at;
    * `reason`: string [B], why: `confident` where the decision is `accept`, else `unreadable` or one of
      `sperm_tf.served_names.REASONS`;
    * `unfamiliarity`: float32 [B], distance from the training images, lack of contrast or unusual composition, above 1
      where it is a reason to refer.

    Attributes:
        network: the model that computes: `model` with its BatchNormalization folded into convolutions.

    Args:
        model: of the form that `sperm_tf.explain.activation_maps.ClassActivationMaps` takes; its outputs are logits.
        class_names: name of each of the C classes, in the order of the logits.
        image_size: side S of the model's input in pixels.
        views: 1, or 8 to average the logits of every image over its eight views, see `sperm_tf.models.views`. Eight
            images, or one in its eight views, go through the model at once.
        rule: how sure an answer is, and when to refer; None refers every image as `not_calibrated`.

    Raises:
        ValueError: the arguments do not fit each other, or the model has another form.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        class_names: list[str],
        image_size: int,
        views: int = 1,
        rule: rule_lib.DecisionRule | None = None,
    ):
        _check(model, class_names=class_names, image_size=image_size)
        self.network = fold_batch_norm(model)
        self._model = build_answering_model(self.network, views=views)
        self._explainer = ClassActivationMaps(self.network, views=views)
        self._class_names = list(class_names)
        self._views = views
        self._image_size = image_size
        self._rule = rule

    def classify(self, image_bytes: tf.Tensor) -> ServedAnswer:
        """Classifies files.

        Args:
            image_bytes: string [B], the bytes of PNG, JPEG, BMP or GIF files.

        Returns:
            The answer described at the class.
        """
        images, statuses = self._read(image_bytes)
        answers = map_chunks(
            lambda rows: self._model(rows, training=False),
            (images,),
            size=max(1, IMAGES_AT_ONCE // self._views),
            signature={
                name: tf.TensorSpec(output.shape[1:], output.dtype) for name, output in self._model.output.items()
            },
        )
        return self._answer(answers[LOGITS], answers[FEATURES], statuses)

    def classify_examples(self, examples: tf.Tensor) -> ServedAnswer:
        """Classifies the feature `image` of examples.

        Args:
            examples: string [B], serialized `tf.train.Example`s; where one is damaged or has no `image`, the status
                is `empty`.

        Returns:
            The answer described at the class.
        """
        features = {"image": tf.io.FixedLenFeature([], tf.string, default_value="")}
        image_bytes = image_formats.map_isolated(
            lambda example: tf.io.parse_single_example(example, features)["image"], examples, tf.constant("")
        )
        return self.classify(image_bytes)

    def explain(self, image_bytes: tf.Tensor) -> ServedAnswer:
        """Classifies files and makes attribution maps of the predicted class, in one pass.

        Args:
            image_bytes: string [B], as for `classify`.

        Returns:
            The answer described at the class and maps, 0-1, zeros for a row that is not ok. At the resolution of
            `sperm_tf.models.classifier.explained_layer`: `layer_integrated_gradients` and `grad_cam_plus_plus`,
            float32 [B, h, w]. For models with CBAM also `cbam_attention`, float32 [B, h', w'], at the resolution of the
            last CBAM. Every map covers the padded square; `sperm_tf.explain.overlay` lays it over the image.
        """
        return self._explain(image_bytes, every_class=False)

    def explain_classes(self, image_bytes: tf.Tensor) -> ServedAnswer:
        """As `explain`, with the Grad-CAM++ map of every class, each of which costs a backward pass.

        Args:
            image_bytes: string [B], as for `classify`.

        Returns:
            What `explain` returns, and `grad_cam_plus_plus_per_class`, float32 [B, C, h, w].
        """
        return self._explain(image_bytes, every_class=True)

    def _explain(self, image_bytes, *, every_class):
        images, statuses = self._read(image_bytes)
        explanation = self._explainer(images, every_class=every_class)
        answer = self._answer(explanation.logits, explanation.features, statuses)
        num_rows = tf.shape(statuses)[0]
        is_ok = tf.cast(tf.equal(statuses, OK), tf.float32)[:, None, None]
        answer[LAYER_INTEGRATED_GRADIENTS] = explanation.layer_integrated_gradients[:num_rows] * is_ok
        answer[GRAD_CAM_PLUS_PLUS] = explanation.grad_cam_plus_plus[:num_rows] * is_ok
        if explanation.grad_cam_plus_plus_per_class is not None:
            per_class = explanation.grad_cam_plus_plus_per_class[:num_rows] * is_ok[:, None]
            answer[GRAD_CAM_PLUS_PLUS_PER_CLASS] = per_class
        if explanation.cbam_attention is not None:
            answer[CBAM_ATTENTION] = explanation.cbam_attention[:num_rows] * is_ok
        return answer

    def _read(self, image_bytes):
        images, statuses = preprocess_batch(image_bytes, self._image_size)
        # Convolutions refuse an empty batch: it gets a blank row, which the answer leaves out.
        is_empty = tf.cast(tf.equal(tf.size(statuses), 0), tf.int32)
        images = tf.pad(images, [[0, is_empty], [0, 0], [0, 0], [0, 0]])
        return tf.cast(images, tf.float32), statuses

    def _answer(self, logits: tf.Tensor, features: tf.Tensor, statuses: tf.Tensor) -> ServedAnswer:
        num_rows = tf.shape(statuses)[0]
        is_ok = tf.equal(statuses, OK)
        decisions = rule_lib.decide(self._rule, logits[:num_rows], features[:num_rows])
        predicted = tf.gather(tf.constant(self._class_names), tf.argmax(decisions.probabilities, axis=1))
        is_accepted = is_ok & tf.equal(decisions.reason, REASONS.index(CONFIDENT))
        return {
            "status": statuses,
            "predicted_class": tf.where(is_ok, predicted, ""),
            "probabilities": tf.where(is_ok[:, None], decisions.probabilities, 0),
            "class_names": tf.tile(tf.constant([self._class_names]), [num_rows, 1]),
            "prediction_set": decisions.prediction_set & is_ok[:, None],
            "decision": tf.where(is_accepted, ACCEPT, REFER),
            "reason": tf.where(is_ok, tf.gather(tf.constant(REASONS), decisions.reason), UNREADABLE),
            "unfamiliarity": tf.where(is_ok, decisions.unfamiliarity, 0),
        }


def _check(model, *, class_names, image_size):
    if model.output_shape[-1] != len(class_names):
        raise ValueError(
            f"class_names must hold {model.output_shape[-1]} names, one for each output of the model. "
            f"Received: class_names={list(class_names)}. Pass them in the order of the logits"
        )
    if len(set(class_names)) != len(class_names):
        raise ValueError(f"class_names must differ from each other. Received: class_names={list(class_names)}")
    if tuple(model.input_shape[1:3]) != (image_size, image_size):
        raise ValueError(
            f"image_size must be the side of the model's input, {model.input_shape[1]} pixels. "
            f"Received: image_size={image_size}. Pass the image_size that the model was built with"
        )
