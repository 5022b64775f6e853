"""What the page's buttons do: from a click to a `Session`, and from there to what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from sperm_tf.review import view
from sperm_tf.review.items import Item, Predictor
from sperm_tf.review.journal import Journal
from sperm_tf.review.maps import Maps
from sperm_tf.review.reader import Reader
from sperm_tf.review.session import Session
from sperm_tf.served_names import ACCEPT

PREDICTED, NO_CELL = object(), object()
"""Stand for the predicted class, whichever it is, and for what is no cell."""
_NUM_AHEAD = 3  # images whose maps are computed before they are shown
_MAP_TIMEOUT_S = 0.05  # a card that waits longer than this for its map is shown without, and the map follows


class Actions:
    """The events of the page; every method returns new values for the page's parts.

    These are, in order: the session, the position of the image that is shown, the status line, the worklist, the card,
    whether there is something to judge, the button that agrees, and the comment.

    Args:
        predictor: the model.
        journal: where verdicts go.
        maps: of that model.
    """

    def __init__(self, predictor: Predictor, journal: Journal, maps: Maps):
        self._predictor, self._journal, self._maps = predictor, journal, maps

    def open(self, items: Sequence[Item]) -> list[Any]:
        """Shows images whose predictions are known, in a tab that was just opened; returns the thumbnails, too."""
        session = Session(self._predictor, self._journal)
        try:
            session.add(items)
            status = view.render_status(_warn_of_damage(session))
        except (OSError, ValueError) as error:
            status = view.render_status(f"Not read: {error}", is_problem=True)
        return [*self._show(session, status), view.render_thumbnails(session)]

    def add(
        self,
        session: Session | None,
        files: list[str] | None,
        group: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio looks for it there)
    ) -> list[Any]:
        """Classifies what was dropped in; returns the thumbnails, no files, and whether their place stays open, too."""
        assert isinstance(self._predictor, Reader)  # the page of a run offers nothing to drop images on
        session = session or Session(self._predictor, self._journal)
        try:
            items = self._predictor.read(
                files or [],
                group=group or "",
                on_progress=lambda done, total: progress((done, total), desc="Reading images", unit="images"),
            )
            session.add(items)
            status = view.render_status(_warn_of_damage(session))
        except (OSError, ValueError) as error:
            status = view.render_status(f"Not read: {error}", is_problem=True)
        return [*self._show(session, status), view.render_thumbnails(session), None, gr.update(open=not session.items)]

    def judge(self, label: Any, session: Session | None, shown: float | None, reviewer: str, comment: str) -> list[Any]:
        """Keeps a verdict and shows the next image; where that fails, the image and the comment stay.

        Args:
            label: a class, `PREDICTED`, `NO_CELL`, or None for `cannot tell`.
            session: of the tab.
            shown: position of the image that the person saw.
            reviewer: initials.
            comment: any text.
        """
        if session is None:
            return _restarted()
        if shown is None:
            return [gr.skip()] * 8
        if label is PREDICTED:
            label = session.items[int(shown)].prediction.predicted_class
        try:
            given = {"reviewer": reviewer or "", "comment": comment or ""}
            if label is NO_CELL:
                review = session.remove(int(shown), **given)
            else:
                review = session.judge(int(shown), label, **given)
        except (OSError, ValueError) as error:
            return [*self._show(session, view.render_status(f"Not saved: {error}", is_problem=True))[:-1], comment]
        if review is None and session.current != int(shown) and int(shown) not in session.order:
            return self._show(session, view.render_status("Taken out: the cell that you drew was not kept."))
        if review is None:  # a second press, before the next image was drawn
            item = session.items[int(shown)]
            earlier = session.verdict_of(item)
            if earlier is not None and earlier.label == ("" if label in (None, NO_CELL) else label):
                return [gr.skip()] * 8
            words = f"Not kept: the page had gone on by then. To decide on {item.name}, go back to it with ←."
            return [*self._show(session, view.render_status(words, is_problem=True))[:-1], comment]
        saved = f"Saved: {review.file}, {view.describe_verdict(review)}. {session.problem}".rstrip()
        return self._show(session, view.render_status(" ".join(filter(None, [saved, _warn_of_damage(session)]))))

    def show(self, session: Session | None, event: gr.EventData) -> list[Any]:
        """Shows an image of the worklist."""
        if session is None:
            return _restarted()
        session.show(int(event.position))
        return self._show(session)

    def back(self, session: Session | None) -> list[Any]:
        """Shows the image that was shown before."""
        if session is None:
            return _restarted()
        session.back()
        return self._show(session)

    def skip(self, session: Session | None) -> list[Any]:
        """Shows the next image without a verdict."""
        if session is None:
            return _restarted()
        session.skip()
        return self._show(session)

    def use_field(self, session: Session | None, event: gr.EventData) -> list[Any]:
        """Goes to a cell of the field, or takes up one that was drawn there; returns the thumbnails, too."""
        if session is None:
            return [*_restarted(), gr.skip()]
        status = ""
        try:
            if event.what == "leaf":
                session.leaf(int(event.step))
            elif event.what == "cell":
                session.show_cell(event.field, int(event.cell))
            else:
                session.draw(event.field, [float(end) for end in event.box])
        except (OSError, ValueError) as error:
            status = view.render_status(f"Not taken: {error}", is_problem=True)
        return [*self._show(session, status), view.render_thumbnails(session)]

    def draw_field(self, session: Session | None) -> Any:
        """The picture of the field that is shown."""
        return gr.skip() if session is None else view.render_field(session)

    def draw_map(self, session: Session | None) -> Any:
        """The attribution map that the card of the current image still lacks, as soon as it is computed."""
        if session is None or session.current is None or not session.lacks_map:
            return gr.skip()
        item = session.items[session.current]
        picture = self._maps.find(item)
        assert picture is not None  # without a time limit
        return view.render_map(item, picture)

    def _show(self, session: Session, status: str = "") -> list[Any]:
        agree, picture = gr.skip(), None
        if session.current is not None:
            item = session.items[session.current]
            picture = self._maps.find(item, timeout_s=_MAP_TIMEOUT_S)
            self._maps.prefetch(session.upcoming(_NUM_AHEAD))
            session.lacks_map = picture is None
            # Nothing invites to agree with what the model itself does not stand for.
            variant = "primary" if item.prediction.decision == ACCEPT else "secondary"
            answer = f": {item.prediction.predicted_class}" if item.prediction.predicted_class else ""
            agree = gr.update(value=f"A · agree{answer}", variant=variant, interactive=not item.is_drawn)
        return [
            session,
            session.current,
            status,
            view.render_worklist(session),
            view.render_card(session, picture),
            gr.update(visible=session.current is not None),
            agree,
            "",
        ]


def _restarted() -> list[Any]:
    """What a tab is told that was opened before the page's program was started again."""
    words = "The page was started again: nothing was kept. Reload it."
    return [gr.skip(), gr.skip(), view.render_status(words, is_problem=True), *[gr.skip()] * 5]


def _warn_of_damage(session: Session) -> str:
    if not session.damaged_lines:
        return ""
    lines = ", ".join(map(str, session.damaged_lines[:5]))
    return f"reviews.csv holds {len(session.damaged_lines)} damaged line(s), which are left as they are: line {lines}."
