import dataclasses

import numpy as np
import pytest

from sperm_tf.review.journal import Journal


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Session, view
    from sperm_tf.review import view
    from sperm_tf.review.session import Session


@pytest.fixture
def session(reader, journal, files):
    session = Session(reader, journal)
    session.add(files, group="P 1")
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
        assert review.model_digest == session.reader.digest and review.time_utc.endswith("Z")


def test_a_second_click_that_comes_late_judges_no_unseen_image(session, journal):
    first = session.current
    assert session.judge(first, "normal").label == "normal"
    assert session.judge(first, "normal") is None
    assert len(journal.read().reviews) == 1 and session.current != first


def test_one_can_go_back_and_decide_otherwise(session, journal):
    first = _current(session)
    session.judge(session.current, "normal")
    session.skip()
    session.back()
    session.back()
    assert _current(session) == first and session.verdict_of(first).label == "normal"
    session.judge(session.current, None)
    assert session.verdict_of(first).verdict == "cannot_tell"
    assert [review.verdict for review in journal.read().reviews][-1] == "cannot_tell"
    assert session.num_judged == 1


def test_the_same_images_dropped_in_another_day_are_known(session, reader, journal, files):
    judged = [_current(session).name]
    session.judge(session.current, "abnormal")
    another_day = Session(reader, Journal(journal.folder))
    another_day.add(files)
    assert another_day.items[another_day.order[-1]].name == judged[0]
    assert another_day.num_judged == 1 and _current(another_day).name != judged[0]


def test_what_is_not_kept_stays_current(session, journal):
    first = session.current
    journal.folder.joinpath("reviews.csv").write_text("spoilt by another program\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the columns"):
        session.judge(first, "normal")
    assert session.current == first and session.num_judged == 0
    with pytest.raises(ValueError, match="label must be one of normal, abnormal, non-sperm"):
        session.judge(first, "tapered")


@pytest.mark.parametrize(("highest", "is_faint"), [(0.3, True), (0.9, False)])
def test_a_map_that_says_next_to_nothing_is_called_so(session, monkeypatch, highest, is_faint):
    monkeypatch.setattr(session.reader, "explain", lambda item: np.full((6, 6), highest, np.float32))
    card = view.render_card(session)
    assert ("Next to nothing in the image speaks for" in card) == is_faint
    assert ("Where the network looked for" in card) != is_faint
