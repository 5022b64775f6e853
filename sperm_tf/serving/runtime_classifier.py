"""A trained classifier in a runtime other than TensorFlow: files in, class names and probabilities out.

import sperm_tf

classifier = sperm_tf.load_model("smids", runtime="onnxruntime")
for prediction in classifier.predict(["cell.png"]):
    print(prediction.file, prediction.predicted_class, prediction.probabilities)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sperm_tf.runtimes.model import RuntimeModel
from sperm_tf.served_names import OK
from sperm_tf.serving.files import RAISE, File, batches, name_of, read_crops
from sperm_tf.serving.prediction import Prediction, Predictions, prediction_of_row

_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True, eq=False)
class RuntimeClassifier:
    """A model with what is needed to use it, without TensorFlow and Keras.

    Attributes:
        model: the opened graph.
        card: text of the model card, Markdown; empty where there is none.
    """

    model: RuntimeModel
    card: str = dataclasses.field(default="", repr=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.model.class_names

    @property
    def image_size(self) -> int:
        """Side of the network's input in pixels."""
        return self.model.image_size

    @property
    def views(self) -> int:
        """Number of views that a prediction is averaged over, 1 or 8."""
        return self.model.views

    @property
    def runtime(self) -> str:
        """Name of the runtime."""
        return self.model.runtime

    def predict(self, files: Sequence[File] | File, *, errors: str = RAISE) -> Predictions:
        """Classifies image files, as `Classifier.predict` does.

        Args:
            files: paths, the bytes of files, open files, images of Pillow, or pixels, uint8, 0-255, [H, W] grey,
                [H, W, 3] RGB or [H, W, 4] RGBA, in any mixture; or one of them.
            errors: `raise`, or `rows` for services: a path that names no file becomes a row `unreadable`.

        Returns:
            One prediction for each file, in their order: a list, with `to_frame`.

        Raises:
            FileNotFoundError: a path names nothing, or is a pattern or an address; nothing was classified.
            IsADirectoryError: a path names a folder.
            TypeError: something else was given.
            ValueError: a file is a whole field of view, which `pipelines.fields` takes, and `errors` is `raise`.
        """
        predictions = Predictions((), self.class_names)
        for part in batches(files, _BATCH_SIZE, errors=errors):
            contents, statuses = read_crops(part, errors=errors)
            answer = self.model.predict(contents)
            for row, (file, status) in enumerate(zip(part, statuses, strict=True)):
                name = name_of(file)
                refused = Prediction(name, status)
                predictions.append(prediction_of_row(answer, row, file=name) if status == OK else refused)
        return predictions

    def explain(self, files: Sequence[File] | File, *, errors: str = RAISE) -> Predictions:
        """Refuses: attribution maps need gradients, which these runtimes do not compute.

        Raises:
            ValueError: always; the message says what explains.
        """
        raise ValueError(
            f"runtime must be 'tensorflow' for explain. Received: runtime={self.runtime!r}. Open the model again "
            "without runtime=, or ask the served signature explain."
        )
