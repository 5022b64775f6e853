"""One reviewer's way through a pile of images: what to look at first, what was decided, what comes next."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sperm_tf.review import fields as fields_lib
from sperm_tf.review import records
from sperm_tf.review.fields import FoundBox
from sperm_tf.review.items import Item, Predictor
from sperm_tf.review.journal import Content, Journal
from sperm_tf.review.records import Review
from sperm_tf.review.verdicts import make_review
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
        field: address of the field that is shown; empty where the images are of none.
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
        self.field = predictor.fields.names[0] if predictor.fields and predictor.fields.names else ""
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
            for item in (*items, *self._restore_drawn(items)):
                (self.items if item.is_readable else self.problems).append(item)
            self.order = sorted(range(len(self.items)), key=self._urgency)
            self._shown = []
            self._go(self._next_pending(start=0))

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
        if label is None and shown is not None and self.items[shown].is_drawn:
            raise ValueError("a cell that you draw must get a class. Received: none. Choose one, or take it out with X")
        if label is not None and label not in self.predictor.class_names:
            raise ValueError(f"label must be one of {', '.join(self.predictor.class_names)}. Received: label={label!r}")
        _check_initials(reviewer)
        with self._lock:
            if shown is None or shown != self.current:
                return None
            item = self.items[shown]
            agrees = label == item.prediction.predicted_class
            verdict = records.CANNOT_TELL if label is None else records.AGREE if agrees else records.CORRECT
            return self._keep(shown, records.ADD if item.is_drawn else verdict, label or "", reviewer, comment)

    def remove(self, shown: int | None, *, reviewer: str, comment: str = "") -> Review | None:
        """Keeps that the cell which is shown is none, and goes on; one that was drawn and not kept yet is dropped.

        Args:
            shown: as for `judge`.
            reviewer: initials; not empty.
            comment: any text.

        Returns:
            The review; None where nothing was kept.

        Raises:
            ValueError: the image is of no field, the initials are missing, or the journal's file was changed.
            OSError: the journal cannot be written; the image stays current.
        """
        if shown is not None and self.items[shown].place is None:
            raise ValueError("only a cell that was found in a field can be none. Received: a crop. Choose a class")
        _check_initials(reviewer)
        with self._lock:
            if shown is None or shown != self.current:
                return None
            item = self.items[shown]
            if not item.is_drawn or self.verdict_of(item) is not None:
                return self._keep(shown, records.NO_CELL, "", reviewer, comment)
            place = self.order.index(shown)
            self.order.remove(shown)
            self._shown = [position for position in self._shown if position != shown]
            self._go(self._next_pending(start=place))
            return None

    def show(self, position: int) -> None:
        """Goes to an image of the worklist."""
        with self._lock:
            if position in self.order and position != self.current:
                if self.current is not None:
                    self._shown.append(self.current)
                self._go(position)

    def show_cell(self, field: str, cell: int) -> None:
        """Goes to a cell of a field, which enters the worklist if it is not in it.

        Args:
            field: its address.
            cell: its number.

        Raises:
            ValueError: the border cuts the cell, so that it has no prediction.
        """
        with self._lock:
            places = [item.place for item in self.items]
            found = [
                index for index, place in enumerate(places) if place and (place.field, place.cell) == (field, cell)
            ]
            if found:
                self._enter(found[0])
            else:
                self._take(self.predictor.fields.open_cell(field, cell))

    def draw(self, field: str, box: Sequence[float]) -> None:
        """Takes up a cell that a person drew, which is kept with its verdict; goes to the cell that was found there.

        Args:
            field: address of the field.
            box: as for `sperm_tf.review.fields.cut_cell`.

        Raises:
            ValueError: the box is none, or the field cannot be read.
        """
        item = fields_lib.cut_cell(self.predictor.fields, field, box)
        found = fields_lib.find_same(self.predictor.fields, item)
        if found is not None and not self._is_removed(found):
            self.show_cell(field, found.cell)
            return
        with self._lock:
            known = [position for position, other in enumerate(self.items) if other.pixel_sha256 == item.pixel_sha256]
            if known:
                self._enter(known[0])
            else:
                self._take(item)

    def leaf(self, step: int) -> None:
        """Shows the field before or after the one that is shown; the image that is judged stays."""
        with self._lock:
            names = list(self.predictor.fields.names)
            self.field = names[(names.index(self.field) + step) % len(names)]

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
                self._go(self._shown.pop())

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
        if item.is_drawn:
            return True, 3, 0.0, position
        is_judged = self.verdict_of(item) is not None
        if prediction.reason == UNFAMILIAR:  # its probabilities say little
            return is_judged, 0, -prediction.unfamiliarity, position
        rank = 2 if prediction.decision == ACCEPT else 1
        return is_judged, rank, max(prediction.probabilities.values()), position

    def _go(self, position: int | None) -> None:
        """Makes an image the current one, and shows its field."""
        self.current = position
        place = self.items[position].place if position is not None else None
        if place is not None:
            self.field = place.field

    def _take(self, item: Item) -> None:
        """Takes up one more image, and goes to it."""
        if not item.is_readable:
            raise ValueError(f"{item.name} is no longer what was scored: start the page with --images, or score again")
        self.items.append(item)
        self._enter(len(self.items) - 1)

    def _enter(self, position: int) -> None:
        """Goes to an image, which enters the worklist behind the current one if it is not in it."""
        if position not in self.order:
            place = len(self.order) if self.current is None else self.order.index(self.current) + 1
            self.order.insert(place, position)
        self.show(position)

    def _is_removed(self, found: FoundBox) -> bool:
        """Whether somebody said last that a found cell is none."""
        last = [review.verdict for review in self.verdicts.values() if review.sha256 == found.sha256]
        return last == [records.NO_CELL]

    def _restore_drawn(self, items: Sequence[Item]) -> list[Item]:
        fields = self.predictor.fields
        known = {item.pixel_sha256 for item in (*self.items, *items)}
        reviews = [review for digest, review in self.verdicts.items() if digest not in known]
        return list(fields_lib.restore_drawn(fields, reviews, self.journal.read_image)) if fields else []

    def _keep(self, shown: int, verdict: str, label: str, reviewer: str, comment: str) -> Review:
        item = self.items[shown]
        given = verdict, label, reviewer, comment
        for twin in self._twins(item):
            self.journal.append(make_review(self.predictor, twin, *given), twin.data, twin.source_format)
        content = self.journal.append(make_review(self.predictor, item, *given), item.data, item.source_format)
        self._learn(content)
        self._shown.append(shown)
        self._go(self._next_pending(start=self.order.index(shown) + 1))
        return content.reviews[-1]


def _check_initials(reviewer: str) -> None:
    if not records.one_line(reviewer):
        raise ValueError(
            "initials must be filled in before the first verdict. Received: none. Type them into the field Your "
            "initials, or start the page with --initials"
        )
