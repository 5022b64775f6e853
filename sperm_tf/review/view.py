"""The parts of the page as HTML: worklist, the image that is looked at, and what is left to say."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

from sperm_tf.probabilities import write_probability
from sperm_tf.report import text
from sperm_tf.review import pictures, records, wording
from sperm_tf.review.items import Item, Predictor
from sperm_tf.review.maps import MapPicture, picture_uri, shown_pixels
from sperm_tf.review.records import Review
from sperm_tf.review.session import Session
from sperm_tf.served_names import ACCEPT


def render_head(predictor: Predictor) -> str:
    """The title, what is shown, the model, and what this is not."""
    return _render(
        "head.html.j2",
        notice=wording.NOTICE,
        scope=predictor.scope,
        model=predictor.name,
        digest=predictor.digest[:12],
    )


def render_welcome(predictor: Predictor) -> str:
    """What stands where the images will be, or why there are none."""
    return _render("empty.html.j2", scope=predictor.scope)


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


def render_thumbnails(session: Session) -> str:
    """The small pictures of the worklist, as styles: sent once, not with the list after every verdict."""
    uris = [pictures.data_uri(item.thumbnail) for item in session.items]
    return _render("thumbnails.html.j2", uris=uris)


def render_card(session: Session, picture: MapPicture | None) -> str:
    """The current image with everything that the model says about it; or what was achieved, when none is left.

    Args:
        session: of the tab.
        picture: the attribution map of the current image; None while it is computed.
    """
    if session.current is None:
        return (
            _render("finished.html.j2", **_achievement(session)) if session.items else render_welcome(session.predictor)
        )
    item = session.items[session.current]
    prediction, rule = item.prediction, session.predictor.rule
    verdict = session.verdict_of(item)
    return _render(
        "card.html.j2",
        item=item,
        place=session.order.index(session.current) + 1,
        total=len(session.order),
        picture=picture_uri(shown_pixels(item)),
        map=picture,
        is_accepted=prediction.decision == ACCEPT,
        words=wording.describe(prediction, rule),
        earlier=verdict and {**vars(verdict), "text": describe_verdict(verdict)},
    )


def render_map(item: Item, picture: MapPicture) -> str:
    """The attribution map of an image whose card was shown before it was there; the page puts it into that card."""
    return _render("late_map.html.j2", item=item, map=picture)


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
        "scope": session.predictor.scope,
    }


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
