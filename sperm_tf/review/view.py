"""The parts of the page as HTML: worklist, the image that is looked at, and what is left to say."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np

from sperm_tf.data.decode import decode_rgb
from sperm_tf.explain.overlay import draw_overlay
from sperm_tf.probabilities import write_probability
from sperm_tf.report import text
from sperm_tf.review import pictures, records, wording
from sperm_tf.review.reader import Item, Reader
from sperm_tf.review.records import Review
from sperm_tf.review.session import Session
from sperm_tf.served_names import ACCEPT

_PICTURE_SIDE = 640  # pixels; larger images are drawn smaller
_FAINT = 0.5  # highest place of a map that says next to nothing, see sperm_tf.explain.activation_maps.FAINT


def render_head(reader: Reader) -> str:
    """The title, the model, and what this is not."""
    return _render("head.html.j2", notice=wording.NOTICE, model=reader.name, digest=reader.digest[:12])


def render_welcome() -> str:
    """What stands where the images will be."""
    return _render("empty.html.j2")


def render_status(message: str, *, is_problem: bool = False) -> str:
    """What became of the last action."""
    return _render("status.html.j2", message=message, is_problem=is_problem)


def render_worklist(session: Session) -> str:
    """The images, those to look at first at the top, and the files that could not be read."""
    entries = [_entry(session, position) for position in session.order]
    problems = [
        {"name": item.name, "text": wording.describe_problem(item.prediction.status)} for item in session.problems
    ]
    return _render("worklist.html.j2", entries=entries, problems=problems, num_judged=session.num_judged)


def render_card(session: Session) -> str:
    """The current image with everything that the model says about it; or what was achieved, when none is left."""
    if session.current is None:
        return _render("finished.html.j2", **_achievement(session)) if session.items else render_welcome()
    item = session.items[session.current]
    prediction, rule = item.prediction, session.reader.rule
    pixels = np.asarray(pictures.shrink(decode_rgb(item.data).pixels, max_side=_PICTURE_SIDE))
    heat_map = session.reader.explain(item)
    verdict = session.verdict_of(item)
    return _render(
        "card.html.j2",
        item=item,
        place=session.order.index(session.current) + 1,
        total=len(session.order),
        picture=_picture(pixels),
        overlay=_picture(draw_overlay(pixels, heat_map)),
        is_map_faint=float(heat_map.max()) < _FAINT,
        is_accepted=prediction.decision == ACCEPT,
        words=wording.describe(prediction, rule),
        earlier=verdict and {**vars(verdict), "text": describe_verdict(verdict)},
    )


def describe_verdict(review: Review) -> str:
    """`abnormal`, `normal instead of abnormal` or `cannot tell`."""
    if review.verdict == records.CANNOT_TELL:
        return "cannot tell"
    return review.label if review.verdict == records.AGREE else f"{review.label} instead of {review.predicted_class}"


def _entry(session: Session, position: int) -> dict[str, Any]:
    item = session.items[position]
    review = session.verdict_of(item)
    return {
        "position": position,
        "name": item.name,
        "thumbnail": pictures.data_uri(item.thumbnail),
        "state": "done" if review else item.prediction.decision,
        "text": describe_verdict(review) if review else _summarize(item),
        "is_current": position == session.current,
    }


def _summarize(item: Item) -> str:
    highest = max(item.prediction.probabilities.values())
    return f"{item.prediction.predicted_class}, {write_probability(highest)}"


def _achievement(session: Session) -> dict[str, Any]:
    reviews = [review for review in map(session.verdict_of, session.items) if review]
    kept = Counter(review.label for review in session.verdicts.values() if review.label)
    return {
        "verdicts": Counter(review.verdict for review in reviews),
        "num_images": len(session.items),
        "num_problems": len(session.problems),
        "kept": sorted(kept.items()),
        "folder": str(session.journal.folder.resolve()),
    }


def _picture(pixels: np.ndarray) -> str:
    return pictures.data_uri(pictures.encode(pixels, max_side=_PICTURE_SIDE))


def _render(template: str, **facts: Any) -> str:
    return _environment().get_template(template).render(**facts)


@functools.cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sperm_tf.review"),
        autoescape=True,  # names of files come from outside
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update({"probability": write_probability, "plural": text.plural})
    return environment
