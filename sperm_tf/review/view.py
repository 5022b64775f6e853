"""The parts of the page as HTML: worklist, the image that is looked at, and what is left to say."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sperm_tf.probabilities import write_probability
from sperm_tf.report import text
from sperm_tf.review import pictures, records, wording
from sperm_tf.review.items import Item, Predictor
from sperm_tf.review.maps import MapPicture, picture_uri, shown_pixels
from sperm_tf.review.records import Review
from sperm_tf.review.session import Session
from sperm_tf.served_names import ACCEPT

_FIELD_SIDE = 1100  # pixels; larger fields are drawn smaller


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
        words=None if item.is_drawn else wording.describe(prediction, rule),
        earlier=verdict and {**vars(verdict), "text": describe_verdict(verdict)},
    )


def render_field(session: Session) -> str:
    """The field that is shown, with every cell that was found in it or drawn; what is current has a thick box."""
    fields = session.predictor.fields
    names = list(fields.names)
    if not names:
        return ""
    facts: dict[str, Any] = {"name": session.field, "place": names.index(session.field) + 1, "total": len(names)}
    try:
        pixels = fields.read(session.field)
    except ValueError as error:
        return _render("field.html.j2", **facts, problem=str(error), picture="", boxes=(), size=(0, 0))
    picture = pictures.data_uri(pictures.encode(pixels, max_side=_FIELD_SIDE, image_format="JPEG"))
    size = pixels.shape[1], pixels.shape[0]
    return _render("field.html.j2", **facts, problem="", picture=picture, boxes=list(_boxes(session)), size=size)


def _boxes(session: Session) -> Iterator[dict[str, Any]]:
    """The boxes of the field that is shown."""
    positions = {
        (item.place.cell, item.place.box): position
        for position, item in enumerate(session.items)
        if item.place is not None and item.place.field == session.field
    }
    verdicts = {review.sha256: review for review in session.verdicts.values()}
    for found in session.predictor.fields.list_found(session.field):
        position = positions.pop((found.cell, found.box), None)
        review = verdicts.get(found.sha256) if found.sha256 else None
        state = "cut" if found.is_cut else "found"
        yield _box(found.box, str(found.cell), state, review, position, session.current) | {"cell": found.cell}
    for (_, box), position in positions.items():
        review = session.verdict_of(session.items[position])
        if position in session.order:
            yield _box(box, "+", "drawn", review, position, session.current) | {"cell": 0}


def _box(
    box: tuple[int, int, int, int], label: str, state: str, review: Review | None, position: int | None, current: Any
) -> dict[str, Any]:
    is_removed = review is not None and review.verdict == records.NO_CELL
    return {
        "box": box,
        "label": f"{label} {review.label}" if review and review.label else label,
        "state": "removed" if is_removed else state,
        "is_current": position is not None and position == current,
    }


def render_map(item: Item, picture: MapPicture) -> str:
    """The attribution map of an image whose card was shown before it was there; the page puts it into that card."""
    return _render("late_map.html.j2", item=item, map=picture)


def describe_verdict(review: Review) -> str:
    """`abnormal`, `normal instead of abnormal`, `cannot tell`, `no cell` or `added: normal`."""
    if not review.label:
        return review.verdict.replace("_", " ")
    if review.verdict == records.ADD:
        return f"added: {review.label}"
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
    if item.is_drawn:
        return "drawn, no class yet"
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
