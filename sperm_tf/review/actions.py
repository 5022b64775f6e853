"""What the page's buttons do: from a click to a `Session`, and from there to what the page shows."""

from __future__ import annotations

from typing import Any

import gradio as gr

from sperm_tf.review import view
from sperm_tf.review.journal import Journal
from sperm_tf.review.reader import Reader
from sperm_tf.review.session import Session
from sperm_tf.served_names import ACCEPT

PREDICTED = object()
"""Stands for the predicted class, whichever it is."""


class Actions:
    """The events of the page; every method answers new values for the page's parts.

    These are, in order: the session, the position of the image that is shown, the status line, the worklist, the card,
    whether there is something to judge, the button that agrees, and the comment.

    Args:
        reader: the model.
        journal: where verdicts go.
    """

    def __init__(self, reader: Reader, journal: Journal):
        self._reader, self._journal = reader, journal

    def add(
        self,
        session: Session | None,
        files: list[str] | None,
        group: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio looks for it there)
    ) -> list[Any]:
        """Classifies what was dropped in; answers two more values: no files, and whether their place stays open."""
        session = session or Session(self._reader, self._journal)
        try:
            session.add(
                files or [],
                group=group or "",
                on_progress=lambda done, total: progress((done, total), desc="Reading images", unit="images"),
            )
            status = view.render_status(_warn_of_damage(session))
        except (OSError, ValueError) as error:
            status = view.render_status(f"Not read: {error}", is_problem=True)
        return [*_show(session, status), None, gr.update(open=not session.items)]

    def judge(self, label: Any, session: Session | None, shown: float | None, reviewer: str, comment: str) -> list[Any]:
        """Keeps a verdict and shows the next image; where that fails, the image and the comment stay.

        Args:
            label: a class, `PREDICTED`, or None for `cannot tell`.
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
            review = session.judge(int(shown), label, reviewer=reviewer or "", comment=comment or "")
        except (OSError, ValueError) as error:
            return [*_show(session, view.render_status(f"Not saved: {error}", is_problem=True))[:-1], comment]
        if review is None:  # a second press, before the next image was drawn
            item = session.items[int(shown)]
            earlier = session.verdict_of(item)
            if earlier is not None and earlier.label == (label or ""):
                return [gr.skip()] * 8
            words = f"Not kept: the page had gone on by then. To decide on {item.name}, go back to it with ←."
            return [*_show(session, view.render_status(words, is_problem=True))[:-1], comment]
        saved = f"Saved: {review.file}, {view.describe_verdict(review)}. {session.problem}".rstrip()
        return _show(session, view.render_status(" ".join(filter(None, [saved, _warn_of_damage(session)]))))

    def show(self, session: Session | None, event: gr.EventData) -> list[Any]:
        """Shows an image of the worklist."""
        if session is None:
            return _restarted()
        session.show(int(event.position))
        return _show(session)

    def back(self, session: Session | None) -> list[Any]:
        """Shows the image that was shown before."""
        if session is None:
            return _restarted()
        session.back()
        return _show(session)

    def skip(self, session: Session | None) -> list[Any]:
        """Shows the next image without a verdict."""
        if session is None:
            return _restarted()
        session.skip()
        return _show(session)


def _restarted() -> list[Any]:
    """What a tab is told that was opened before the page's program was started again."""
    words = "The page was started again: nothing was kept. Reload it, and drop the images in again."
    return [gr.skip(), gr.skip(), view.render_status(words, is_problem=True), *[gr.skip()] * 5]


def _show(session: Session, status: str = "") -> list[Any]:
    agree = gr.skip()
    if session.current is not None:
        prediction = session.items[session.current].prediction
        # Nothing invites to agree with what the model itself does not stand for.
        variant = "primary" if prediction.decision == ACCEPT else "secondary"
        agree = gr.update(value=f"A · agree: {prediction.predicted_class}", variant=variant)
    return [
        session,
        session.current,
        status,
        view.render_worklist(session),
        view.render_card(session),
        gr.update(visible=session.current is not None),
        agree,
        "",
    ]


def _warn_of_damage(session: Session) -> str:
    if not session.damaged_lines:
        return ""
    lines = ", ".join(map(str, session.damaged_lines[:5]))
    return f"reviews.csv holds {len(session.damaged_lines)} damaged line(s), which are left as they are: line {lines}."
