"""A trained classifier in Python: files in, class names and probabilities out.

    import sperm_tf

    classifier = sperm_tf.load_model("smids")
    for prediction in classifier.predict(["cell.png"]):
        print(prediction.file, prediction.predicted_class, prediction.probabilities)

The first call compiles; batches of files are cheaper than single ones.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

import sperm_tf.models.weights  # noqa: F401  (registers the layers that a .keras file may hold)
from sperm_tf.config_checks import check_choice
from sperm_tf.data.decode import encode_png
from sperm_tf.decision import rule as rule_lib
from sperm_tf.models.classifier import LOGITS
from sperm_tf.models.views import FEATURES, build_answering_model
from sperm_tf.runtimes.registry import INFO_FILE
from sperm_tf.served_names import (
    ACCEPT,
    CONFIDENT,
    FORMATS,
    MAP_OUTPUTS,
    OK,
    REASONS,
    REFER,
    SAVED_MODEL,
)
from sperm_tf.serving.files import RAISE, File, batches, name_of, read_crops
from sperm_tf.serving.prediction import Prediction, Predictions
from sperm_tf.serving.sources import MODEL_FILE

if TYPE_CHECKING:
    from sperm_tf.serving.signatures import ServedClassifier

_BATCH_SIZE = 32
_MAPS_AT_ONCE = 8  # maps need what every layer answered


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """A model with what is needed to use it.

    Attributes:
        keras_model: of `sperm_tf.models.classifier.build_classifier`; its outputs are logits.
        class_names: in the order of the logits.
        image_size: side of the model's input in pixels.
        views: what an answer is averaged over: 1 is the image as it is, 8 all its rotations by right angles and their
            mirror images.
        rule: how sure an answer is, and when to refer; None refers every image as `not_calibrated`.
        card: text of the model card, Markdown; empty where there is none.
    """

    keras_model: keras.Model
    class_names: tuple[str, ...]
    image_size: int
    views: int = 1
    rule: rule_lib.DecisionRule | None = dataclasses.field(default=None, repr=False)
    card: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        num_outputs = self.keras_model.output_shape[-1]
        if len(self.class_names) != num_outputs or len(set(self.class_names)) != num_outputs:
            raise ValueError(
                f"class_names must hold {num_outputs} different names, one for each output of the model. Received: "
                f"class_names={list(self.class_names)}. Pass them in the order of the logits."
            )

    def __getstate__(self) -> dict[str, Any]:
        """Its fields: what it built from them for itself, a graph among it, does not travel to another process."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def predict(self, files: Sequence[File] | File, *, errors: str = RAISE, refuse_fields: bool = True) -> Predictions:
        """Classifies image files (formats: docs/microscopy.md); a bad one is reported and leaves the others unharmed.

        Args:
            files: paths, the bytes of files, open files, images of Pillow, or pixels, uint8, 0-255, [H, W] grey,
                [H, W, 3] RGB or [H, W, 4] RGBA, in any mixture; or one of them.
            errors: `raise`, or `rows` for services: a path that names no file becomes a row `unreadable`.
            refuse_fields: whether a whole field of view is refused; False predicts it as if it were a crop, for
                benchmarks of the network alone.

        Returns:
            One prediction for each file, in their order: a list, with `to_frame`.

        Raises:
            FileNotFoundError: a path names nothing, or is a pattern or an address; nothing was classified.
            IsADirectoryError: a path names a folder.
            TypeError: something else was given.
            ValueError: a file is a whole field of view, which `pipelines.fields` takes, and `errors` is `raise`.
        """
        ask = functools.partial(self._predict_batch, errors, refuse_fields)
        return self._collect(ask, batches(files, _BATCH_SIZE, errors=errors))

    def explain(self, files: Sequence[File] | File, *, every_class: bool = False, errors: str = RAISE) -> Predictions:
        """Classifies images and computes attribution maps, as the signature `explain` of the exported model does.

        `overlay` of a prediction lays its map over the image.

        Args:
            files: as for `predict`.
            every_class: whether to map every class by Grad-CAM++, as the signature `explain_classes` does.
            errors: as for `predict`.

        Returns:
            One prediction for each file, in their order, with `maps`; none for a file without an answer.

        Raises:
            FileNotFoundError: a path names nothing, or is a pattern or an address; nothing was classified.
            IsADirectoryError: a path names a folder.
            TypeError: something else was given.
            ValueError: Keras does not run on TensorFlow; or a file is a whole field of view, as for `predict`.
        """
        ask = functools.partial(self._explain_by, every_class, errors)
        return self._collect(ask, batches(files, _MAPS_AT_ONCE, errors=errors))

    def export(self, directory: str | os.PathLike[str], *, format: str = SAVED_MODEL) -> None:
        """Writes the classifier for a server or a runtime.

        `saved_model` is for TensorFlow Serving, with preprocessing and explanation in its graph, and carries warm-up
        requests with an empty image, so that the first caller does not wait. `onnx`, `openvino` and `litert` hold the
        network with its decision rule and OOD score, from pixels to decisions; `sperm_tf.load_model` opens them with
        `runtime=`, and reads and resizes files itself.

        Args:
            directory: where it goes; it must not exist, or be empty.
            format: of `sperm_tf.served_names.FORMATS`.

        Raises:
            ValueError: the directory is in use, there is no such format, or Keras does not run on TensorFlow.
            ImportError: a package that converts is not installed; the message names it.
        """
        check_choice("format", format, FORMATS)
        folder = pathlib.Path(directory)
        if format == SAVED_MODEL:
            self._export_saved_model(folder)
            return
        from sperm_tf.runtimes.conversion import write_graph

        write_graph(
            self.keras_model,
            folder,
            format=format,
            class_names=self.class_names,
            views=self.views,
            rule=self.rule,
        )

    def _export_saved_model(self, folder: pathlib.Path) -> None:
        from sperm_tf.serving.export import export_saved_model
        from sperm_tf.serving.warmup import write_warmup_requests

        export_saved_model(
            self.keras_model,
            folder,
            class_names=list(self.class_names),
            image_size=self.image_size,
            views=self.views,
            rule=self.rule,
        )
        empty = np.full([self.image_size, self.image_size, 3], 127, np.uint8)
        write_warmup_requests(folder, [encode_png(empty)])

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Writes a folder that `load_model` opens again, with rule and views, which a `.keras` file alone lacks.

        Args:
            directory: must not exist, or be empty.

        Raises:
            ValueError: the directory is in use.
        """
        folder = pathlib.Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ValueError(f"directory must not exist, or be empty. Received: {str(folder)!r}. Name another.")
        self.keras_model.save(folder / MODEL_FILE)
        info = {"class_names": list(self.class_names), "image_size": self.image_size, "views": self.views}
        (folder / INFO_FILE).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        if self.rule is not None:
            self.rule.write(folder, model=folder / MODEL_FILE)

    def _collect(
        self, ask: Callable[[Sequence[File]], Iterator[Prediction]], parts: Iterator[Sequence[File]]
    ) -> Predictions:
        return Predictions((prediction for part in parts for prediction in ask(part)), self.class_names)

    def _predict_batch(self, errors: str, refuse_fields: bool, files: Sequence[File]) -> Iterator[Prediction]:
        from sperm_tf.data.preprocess import preprocess_batch

        contents, read = read_crops(files, errors=errors, refuse_fields=refuse_fields)
        images, decoded = preprocess_batch(contents, self.image_size)
        statuses = [
            found.decode() if status == OK else status for status, found in zip(read, decoded.numpy(), strict=True)
        ]
        answers = self._answer(images.numpy()[[status == OK for status in statuses]])
        for file, status in zip(files, statuses, strict=True):
            name = name_of(file)
            yield dataclasses.replace(next(answers), file=name) if status == OK else Prediction(name, status)

    def _explain_by(self, every_class: bool, errors: str, files: Sequence[File]) -> Iterator[Prediction]:
        contents, read = read_crops(files, errors=errors)
        explain = self._explain_classes if every_class else self._explain
        answers = {name: value.numpy() for name, value in explain(contents).items()}
        for row, (file, content) in enumerate(zip(files, contents, strict=True)):
            status = answers["status"][row].decode() if read[row] == OK else read[row]
            if status != OK:
                yield Prediction(name_of(file), status)
                continue
            found = self._to_prediction(
                answers["probabilities"][row],
                answers["prediction_set"][row],
                answers["reason"][row].decode(),
                answers["unfamiliarity"][row],
            )
            maps = {name: answers[name][row] for name in MAP_OUTPUTS if name in answers}
            yield dataclasses.replace(found, file=name_of(file), maps=maps, image=content)

    @functools.cached_property
    def _explain(self) -> Callable[[list[bytes]], dict[str, Any]]:
        return self._compile(self._served.explain)

    @functools.cached_property
    def _explain_classes(self) -> Callable[[list[bytes]], dict[str, Any]]:
        return self._compile(self._served.explain_classes)

    @functools.cached_property
    def _served(self) -> ServedClassifier:
        from sperm_tf.serving.signatures import ServedClassifier

        return ServedClassifier(
            self.keras_model,
            class_names=list(self.class_names),
            image_size=self.image_size,
            views=self.views,
            rule=self.rule,
        )

    def _compile(self, function: Callable[[Any], Any]) -> Callable[[list[bytes]], dict[str, Any]]:
        import tensorflow as tf

        return tf.function(function, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)

    def _answer(self, images: np.ndarray) -> Iterator[Prediction]:
        if not len(images):
            return
        batch_size = _BATCH_SIZE // self.views  # of files; the network sees that many in every view
        answers = self._answering_model.predict(images.astype(np.float32), batch_size=batch_size, verbose=0)
        decisions = rule_lib.decide(self.rule, answers[LOGITS], answers[FEATURES])
        columns = [keras.ops.convert_to_numpy(column) for column in vars(decisions).values()]
        for probabilities, members, reason, unfamiliarity in zip(*columns, strict=True):
            yield self._to_prediction(probabilities, members, REASONS[reason], unfamiliarity)

    def _to_prediction(
        self, probabilities: np.ndarray, members: np.ndarray, reason: str, unfamiliarity: float
    ) -> Prediction:
        """The prediction for an image that was read."""
        return Prediction(
            file="",
            status=OK,
            predicted_class=self.class_names[int(np.argmax(probabilities))],
            probabilities=dict(zip(self.class_names, probabilities.tolist(), strict=True)),
            prediction_set=tuple(name for name, belongs in zip(self.class_names, members, strict=True) if belongs),
            decision=ACCEPT if reason == CONFIDENT else REFER,
            reason=reason,
            unfamiliarity=float(unfamiliarity),
        )

    @functools.cached_property
    def _answering_model(self) -> keras.Model:
        return build_answering_model(self.keras_model, views=self.views)
