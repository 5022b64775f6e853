"""One reviewer's way through a pile of images: what to look at first, what was decided, what comes next."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Sequence

from sperm_tf.review import records
from sperm_tf.review.items import Item, Predictor
from sperm_tf.review.journal import Content, Journal
from sperm_tf.review.records import Review
from sperm_tf.served_names import ACCEPT, UNFAMILIAR


class Session:
    """The worklist of one browser tab.

    Attributes:
        predictor: the model.
        journal: where verdicts go.
        items: the readable images in the order in which they were added; others refer to them by position.
        problems: the files without an answer.
        order: positions of `items`, those to look at first at the front.
        current: position of the image that is shown; None where there is none left.
        verdicts: pixel SHA-256 -> the last review of that image, by whomever.
        damaged_lines: numbers of the journal's lines that are no review.
        lacks_map: whether the current image was shown before its attribution map was computed.
    """

    def __init__(self, predictor: Predictor, journal: Journal):
        self.predictor, self.journal = predictor, journal
        self.items: list[Item] = []
        self.problems: list[Item] = []
        self.order: list[int] = []
        self.current: int | None = None
        self.verdicts: dict[str, Review] = {}
        self.damaged_lines: tuple[int, ...] = ()
        self.problem = ""
        self.lacks_map = False
        self._shown: list[int] = []  # before the current one, the last one last
        self._lock = threading.RLock()  # a tab may send two clicks at once

    def add(self, items: Sequence[Item]) -> None:
        """Takes up images and sorts the worklist anew; images that were judged before come last.

        Args:
            items: with and without a prediction.

        Raises:
            JournalError: the journal's file was changed by another program.
            OSError: the journal cannot be read.
        """
        with self._lock:
            self._learn(self.journal.read())
            for item in items:
                (self.items if item.is_readable else self.problems).append(item)
            self.order = sorted(range(len(self.items)), key=self._urgency)
            self._shown = []
            self.current = self._next_pending(start=0)

    def judge(self, shown: int | None, label: str | None, *, reviewer: str, comment: str = "") -> Review | None:
        """Keeps a verdict on the image that is shown, and goes on to the next.

        Other files of the worklist with the same pixels get the same verdict, each a line of its own.

        Args:
            shown: position of the image that the person saw. Where another one is current (a second click that
                arrives late), nothing is kept: nobody has seen that one.
            label: a class; None for `cannot tell`.
            reviewer: initials; not empty.
            comment: any text.

        Returns:
            The review; None where nothing was kept.

        Raises:
            ValueError: the label is no class of the model, the initials are missing, or the journal's file was changed
                by another program.
            OSError: the journal cannot be written; the image stays current.
        """
        if label is not None and label not in self.predictor.class_names:
            raise ValueError(f"label must be one of {', '.join(self.predictor.class_names)}. Received: label={label!r}")
        if not records.one_line(reviewer):
            raise ValueError(
                "initials must be filled in before the first verdict. Received: none. Type them into the field Your "
                "initials, or start the page with --initials"
            )
        with self._lock:
            if shown is None or shown != self.current:
                return None
            item = self.items[shown]
            for twin in self._twins(item):
                self.journal.append(self._review(twin, label, reviewer, comment), twin.data, twin.source_format)
            content = self.journal.append(self._review(item, label, reviewer, comment), item.data, item.source_format)
            self._learn(content)
            self._shown.append(shown)
            self.current = self._next_pending(start=self.order.index(shown) + 1)
            return content.reviews[-1]

    def show(self, position: int) -> None:
        """Goes to an image of the worklist."""
        with self._lock:
            if position in self.order and position != self.current:
                if self.current is not None:
                    self._shown.append(self.current)
                self.current = position

    def skip(self) -> None:
        """Goes to the next image of the worklist, whether it was judged or not; from the last one to the first."""
        with self._lock:
            if self.order:
                place = -1 if self.current is None else self.order.index(self.current)
                self.show(self.order[(place + 1) % len(self.order)])

    def back(self) -> None:
        """Goes to the image that was shown before, to look again or to decide otherwise."""
        with self._lock:
            if self._shown:
                self.current = self._shown.pop()

    def upcoming(self, count: int) -> list[Item]:
        """The images that the person is likely to see after the current one, the next one first."""
        with self._lock:
            if self.current is None:
                return []
            place = self.order.index(self.current) + 1
            following = self.order[place:] + self.order[: place - 1]
            pending = [position for position in following if self.verdict_of(self.items[position]) is None]
            return [self.items[position] for position in pending[:count]]

    def verdict_of(self, item: Item) -> Review | None:
        """The last review of an image, by whomever; None where there is none."""
        return self.verdicts.get(item.pixel_sha256)

    @property
    def num_judged(self) -> int:
        """Images of the worklist that somebody has judged."""
        return sum(self.verdict_of(item) is not None for item in self.items)

    def _twins(self, item: Item) -> list[Item]:
        """Other files of the worklist with the same pixels, each once: reports know an image by its file."""
        twins = {other.sha256: other for other in self.items if other.pixel_sha256 == item.pixel_sha256}
        return [other for digest, other in twins.items() if digest != item.sha256]

    def _learn(self, content: Content) -> None:
        self.verdicts = records.latest(content.reviews)
        self.damaged_lines = content.damaged_lines
        self.problem = content.problem

    def _next_pending(self, *, start: int) -> int | None:
        turned = self.order[start:] + self.order[:start]
        return next((position for position in turned if self.verdict_of(self.items[position]) is None), None)

    def _urgency(self, position: int) -> tuple[bool, int, float, int]:
        """What is judged comes last, what is accepted before it, what is unlike the training images first."""
        item = self.items[position]
        prediction = item.prediction
        is_judged = self.verdict_of(item) is not None
        if prediction.reason == UNFAMILIAR:  # its probabilities say little
            return is_judged, 0, -prediction.unfamiliarity, position
        rank = 2 if prediction.decision == ACCEPT else 1
        return is_judged, rank, max(prediction.probabilities.values()), position

    def _review(self, item: Item, label: str | None, reviewer: str, comment: str) -> Review:
        prediction = item.prediction
        agrees = label == prediction.predicted_class
        now = datetime.datetime.now(datetime.UTC)
        return Review(
            time_utc=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            file=item.name,
            pixel_sha256=item.pixel_sha256,
            image="",
            predicted_class=prediction.predicted_class,
            probabilities=json.dumps(prediction.probabilities, ensure_ascii=False),
            prediction_set=json.dumps(prediction.prediction_set, ensure_ascii=False),
            decision=prediction.decision,
            reason=prediction.reason,
            verdict=records.CANNOT_TELL if label is None else records.AGREE if agrees else records.CORRECT,
            label=label or "",
            reviewer=reviewer,
            comment=comment,
            group=item.group,
            model=self.predictor.name,
            sha256=item.sha256,
            model_digest=self.predictor.digest,
        )
