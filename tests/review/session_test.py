import dataclasses
import hashlib

import numpy as np
import pytest

from sperm_tf.review.journal import Journal
from sperm_tf.review.last_verdicts import read_reviews
from tests.review.reviews import make_image


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Maps, Session, view
    from sperm_tf.review import view
    from sperm_tf.review.maps import Maps
    from sperm_tf.review.session import Session


@pytest.fixture
def session(reader, journal, files):
    session = Session(reader, journal)
    session.add(reader.read(files, group="P 1"))
    return session


def _current(session):
    return session.items[session.current]


def test_those_to_look_at_come_first(session):
    predictions = [session.items[position].prediction for position in session.order]
    decisions = [prediction.decision for prediction in predictions]
    assert decisions == sorted(decisions, reverse=True) and set(decisions) == {"accept", "refer"}
    for decision in ("refer", "accept"):
        highest = [max(p.probabilities.values()) for p in predictions if p.decision == decision]
        assert highest == sorted(highest)
    assert session.current == session.order[0]
    assert sorted(item.name for item in session.problems) == ["empty.png", "gone.png", "scan.tif"]


def test_images_unlike_the_training_images_come_before_all_others(session):
    last = session.order[-1]
    for position, distance in ((last, 3.0), (session.order[-2], 2.0)):
        item = session.items[position]
        strange = dataclasses.replace(item.prediction, reason="unfamiliar", decision="refer", unfamiliarity=distance)
        session.items[position] = dataclasses.replace(item, prediction=strange)
    assert sorted(session.order, key=session._urgency)[:2] == [last, session.order[-2]]


def test_after_a_verdict_the_next_image_comes_until_none_is_left(session, journal):
    seen = []
    while session.current is not None:
        seen.append(_current(session).name)
        session.judge(session.current, "normal", reviewer="ab", comment="c")
    assert seen == [session.items[position].name for position in session.order]
    reviews = journal.read().reviews
    assert [review.file for review in reviews] == seen and session.num_judged == 6
    for review in reviews:
        agrees = review.predicted_class == "normal"
        assert review.verdict == ("agree" if agrees else "correct")
        assert (review.reviewer, review.comment, review.group, review.model) == ("ab", "c", "P 1", "tiny")
        assert review.model_digest == session.predictor.digest and review.time_utc.endswith("Z")


def test_a_second_click_that_comes_late_judges_no_unseen_image(session, journal):
    first = session.current
    assert session.judge(first, "normal", reviewer="ab").label == "normal"
    assert session.judge(first, "normal", reviewer="ab") is None
    assert len(journal.read().reviews) == 1 and session.current != first


def test_one_can_go_back_and_decide_otherwise(session, journal):
    first = _current(session)
    session.judge(session.current, "normal", reviewer="ab")
    session.skip()
    session.back()
    session.back()
    assert _current(session) == first and session.verdict_of(first).label == "normal"
    session.judge(session.current, None, reviewer="ab")
    assert session.verdict_of(first).verdict == "cannot_tell"
    assert [review.verdict for review in journal.read().reviews][-1] == "cannot_tell"
    assert session.num_judged == 1


def test_the_same_images_dropped_in_another_day_are_known(session, reader, journal, files):
    judged = [_current(session).name]
    session.judge(session.current, "abnormal", reviewer="ab")
    another_day = Session(reader, Journal(journal.folder))
    another_day.add(reader.read(files))
    assert another_day.items[another_day.order[-1]].name == judged[0]
    assert another_day.num_judged == 1 and _current(another_day).name != judged[0]


def test_what_is_not_kept_stays_current(session, journal):
    first = session.current
    journal.folder.joinpath("reviews.csv").write_text("spoilt by another program\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the columns"):
        session.judge(first, "normal", reviewer="ab")
    assert session.current == first and session.num_judged == 0
    with pytest.raises(ValueError, match="label must be one of normal, abnormal, non-sperm"):
        session.judge(first, "tapered", reviewer="ab")


@pytest.mark.parametrize("initials", ("", "  ", "\t\n"))
def test_no_verdict_is_kept_without_initials(session, journal, initials):
    first = session.current
    with pytest.raises(ValueError, match="initials must be filled in before the first verdict"):
        session.judge(first, "normal", reviewer=initials)
    assert session.current == first and not journal.read().reviews
    assert session.judge(first, "normal", reviewer="ab").reviewer == "ab"


def test_files_with_the_same_pixels_get_one_verdict_and_a_line_each(reader, journal, tmp_path):
    for name, kind in (("a.png", "PNG"), ("b.bmp", "BMP"), ("copy of a.png", "PNG")):
        (tmp_path / name).write_bytes(make_image(1, kind))
    (tmp_path / "other.png").write_bytes(make_image(2))
    session = Session(reader, journal)
    session.add(reader.read([tmp_path / name for name in ("a.png", "b.bmp", "copy of a.png", "other.png")]))
    while _current(session).name == "other.png":
        session.skip()
    session.judge(session.current, "abnormal", reviewer="ab")
    expected = {hashlib.sha256(make_image(1, kind)).hexdigest() for kind in ("PNG", "BMP")}
    verdicts = read_reviews(journal.folder)
    assert set(verdicts) == expected and len(journal.read().reviews) == 2
    assert {verdict.class_after_review for verdict in verdicts.values()} == {"abnormal"}
    assert session.num_judged == 3 and _current(session).name == "other.png"


def test_a_run_without_referred_images_says_so(reader, journal, monkeypatch):
    assert "Drop in images" in view.render_card(Session(reader, journal), None)
    monkeypatch.setattr(reader, "scope", "0 referred of 40 scored images, folder scores")
    session = Session(reader, journal)
    session.add([])
    card = view.render_card(session, None)
    assert "Nothing to review" in card and "0 referred of 40 scored images, folder scores" in card and "--all" in card


def test_what_comes_next_is_foreseen(session):
    while session.current is not None:
        foreseen = session.upcoming(2)
        session.judge(session.current, "normal", reviewer="ab")
        assert foreseen[:1] == ([] if session.current is None else [_current(session)])
    assert session.upcoming(2) == []


@pytest.mark.parametrize(("highest", "is_faint"), [(0.3, True), (0.9, False)])
def test_a_map_that_says_next_to_nothing_is_called_so(session, monkeypatch, highest, is_faint):
    monkeypatch.setattr(session.predictor, "explain", lambda item: np.full((6, 6), highest, np.float32))
    maps = Maps(session.predictor)
    card = view.render_card(session, maps.find(_current(session)))
    maps.close()
    assert ("next to nothing in the image speaks for" in card) == is_faint
    assert ("bright parts spoke for" in card) != is_faint
