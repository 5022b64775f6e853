"""The images of a finished run with their predictions, for the review page: nothing is predicted a second time."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.bulk_inference import model as scoring_model
from pipelines.bulk_inference import output as score_folder
from pipelines.bulk_inference.reader import CropReader
from sperm_tf.decision import rule as rule_lib
from sperm_tf.decision.rule import DecisionRule
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.microscopy import to_served_if_readable
from sperm_tf.review.items import CHANGED, CellPlace, Item, identify
from sperm_tf.runtimes.registry import TENSORFLOW
from sperm_tf.served_names import EXPLAIN, OK, REFER, SHOWN_MAP, UNREADABLE
from sperm_tf.serving.prediction import Prediction
from sperm_tf.serving.sources import EXTRA

_GROUP_COLUMNS = ("patient", "slide")  # of the run's table; what the images of one cannot be torn apart by


class ScoredRun:
    """A finished run of `pipelines.score`; a `sperm_tf.review.items.Predictor`.

    Attributes:
        scores: that were read.
        name: of the model.
        digest: SHA-256 of the model's file, as the scores give it.
        scope: what the page says that it shows.
        fields: the fields that the images are cells of; None where they are of none.

    Args:
        folder: that scores went to, or a file in it.
        images: folder that the addresses of the images start from; empty for the one of then.
        shows_all: show accepted images, too.

    Raises:
        ValueError: the scores cannot be read, or are of a version that kept no digest of each image.
    """

    def __init__(self, folder: pathlib.Path, *, images: str = "", shows_all: bool = False):
        self.folder = folder.parent if folder.is_file() else folder
        self.scores = scores_file.read(self.folder)
        record = self.scores.record
        if scores_file.IMAGE_DIGEST not in self.scores.table:
            raise ValueError(
                f"scores must hold a digest of each image. Received: {self.folder}, which an earlier version wrote "
                "without: nobody can tell whether these are the images that were scored. Score again, into a new "
                "--output."
            )
        self.name, self.digest = record["model"], record["model_digest"]
        self._images = pathlib.Path(images or record["root"]).expanduser()
        model = self.folder / score_folder.MODEL
        self._saved_model = pathlib.Path(record["saved_model"] or model / scoring_model.SAVED_MODEL)
        self.rule: DecisionRule | None = rule_lib.read(model) or rule_lib.read(self._saved_model / EXTRA)
        is_referred = self.scores.table[scores_file.DECISION] == REFER
        self._table = self.scores.table if shows_all else self.scores.table[is_referred]
        shown, of = (int((table[scores_file.STATUS] == OK).sum()) for table in (self._table, self.scores.table))
        kind = "" if shows_all else "referred "
        self._shown = f"{shown:,} {kind}of {of:,}"
        self.scope = f"{self._shown} scored images, folder {self.folder.resolve().name}"
        self.fields: Any = None
        self._explain: Callable[[Any], Any] | None = None
        self._lock = threading.Lock()

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the logits."""
        return self.scores.class_names

    def __len__(self) -> int:
        return len(self._table)

    def read(self, *, on_progress: Callable[[int, int], None] = lambda done, total: None) -> list[Item]:
        """Reads the images, which stay in memory; one that has changed since it was scored has no prediction.

        Args:
            on_progress: is told the number of images done, and of all, after each.

        Raises:
            ValueError: the folder of the images is gone.
            OSError: a share does not answer.
        """
        if not self._images.is_dir():
            raise ValueError(
                f"images must be the folder that the addresses of the scored images start from. Received: "
                f"{self._images}, which is gone. Name the folder where they are now with --images"
            )
        reader = CropReader(self._images)
        try:
            items = []
            for item in self._read_rows(reader):
                items.append(item)
                on_progress(len(items), len(self))
            return items
        finally:
            reader.close()

    def explain(self, item: Item) -> np.ndarray:
        """The attribution map of the predicted class, by the model that scored; opens it when first called.

        Raises:
            ValueError: there is no map; the message says why.
            OSError: the model cannot be read.
        """
        import tensorflow as tf

        with self._lock:
            self._explain = self._explain or self._open_model()
            try:
                return self._explain(tf.constant([item.data])).numpy()[0]
            except tf.errors.OpError as error:
                raise ValueError(f"the model could not compute it: {error.message}") from error

    def _open_model(self) -> Callable[[Any], Any]:
        import tensorflow as tf

        record = self.scores.record
        if not self._saved_model.is_dir() and record.get("runtime", TENSORFLOW) != TENSORFLOW:
            self._prepare_saved_model()
        path = self._saved_model
        if not path.is_dir():
            raise ValueError(f"the model is no longer at {path}.")
        if record["saved_model"] and scoring_model.find(str(path)).digest != record["model_digest"]:
            raise ValueError(f"{path} is not the model that scored.")
        if not scoring_model.serves_maps(str(path)):
            raise ValueError(f"{path} does not serve {SHOWN_MAP}. Score again with this version, into a new --output.")
        signature = scoring_model.load(str(path)).signatures[EXPLAIN]
        # One output: what only the other maps need is then left out of the graph.
        return tf.function(lambda encoded: signature(image_bytes=encoded)[SHOWN_MAP], autograph=False)

    def _prepare_saved_model(self) -> None:
        """Where another runtime than TensorFlow scored: it does not compute maps."""
        model = scoring_model.find(self.scores.record["source"])
        if model.digest != self.digest:
            raise ValueError(f"{self.scores.record['source']} is not the model that scored.")
        model.check_saved_model()
        self._saved_model = model.prepare(self.folder / score_folder.MODEL)

    def _read_rows(self, reader: CropReader) -> Iterator[Item]:
        for row in self._table.to_dict("records"):
            yield self.read_row(row, reader)

    def read_row(self, row: Mapping[Any, Any], reader: CropReader) -> Item:
        """The image of a row of the scores, with its prediction.

        Args:
            row: column -> value.
            reader: of the images.
        """
        group = find_group_column(self.scores.record["columns"])
        prediction = _to_prediction(row, self.class_names)
        if prediction.status != OK:
            return Item(b"", prediction)
        content = reader.read_unchanged(prediction.file, row[scores_file.IMAGE_DIGEST])
        if content is None:
            return Item(b"", Prediction(prediction.file, CHANGED))
        served = to_served_if_readable(content, name=prediction.file)
        item = Item(served, prediction, group=str(row[group]) if group else "", place=self.find_place(row))
        return identify(item, content)

    def find_place(self, row: Mapping[Any, Any]) -> CellPlace | None:
        """Where the cell of a row is in its field; None where the images come from no field."""
        return None


def find_group_column(columns: Sequence[str]) -> str | None:
    """The column of a run's table that says which images cannot be torn apart; None where there is none."""
    found = {name.casefold(): name for name in columns}
    return next((found[name] for name in _GROUP_COLUMNS if name in found), None)


def _to_prediction(row: Mapping[Any, Any], class_names: Sequence[str]) -> Prediction:
    if row[scores_file.STATUS] != OK:
        return Prediction(row[scores_file.FILE], row[scores_file.STATUS] or UNREADABLE)
    return Prediction(
        file=row[scores_file.FILE],
        status=OK,
        predicted_class=row[scores_file.PREDICTED],
        probabilities={name: float(row[f"{scores_file.PROBABILITY_PREFIX}{name}"]) for name in class_names},
        prediction_set=tuple(row[scores_file.PREDICTION_SET].split(scores_file.SET_SEPARATOR)),
        decision=row[scores_file.DECISION],
        reason=row[scores_file.REASON],
        unfamiliarity=float(row[scores_file.UNFAMILIARITY]),
    )
