import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from sperm_tf.evaluation.quantification import counts
from sperm_tf.evaluation.quantification.class_roles import default_roles
from sperm_tf.evaluation.quantification.counts import SlideError
from sperm_tf.evaluation.quantification.prevalence import estimate_wrong

SMIDS = default_roles(("normal", "abnormal", "non-sperm"))


def _rows(specification):
    """`[(predicted, reason, number), ...]` -> scores; the predicted class None is an unreadable file."""
    rows = []
    for predicted, reason, number in specification:
        decision = "accept" if reason == "confident" else "refer"
        status = "unreadable" if predicted is None else "ok"
        rows += [
            {"status": status, "predicted_class": predicted or "", "decision": decision, "reason": reason}
        ] * number
    return pd.DataFrame(rows)


def test_what_is_no_spermatozoon_is_not_in_the_denominator():
    counted = counts.count(
        _rows(
            [
                ("normal", "confident", 9),
                ("normal", "uncertain", 3),
                ("abnormal", "confident", 200),
                ("abnormal", "unfamiliar", 4),
                ("non-sperm", "confident", 50),
                ("non-sperm", "uncertain", 2),
                (None, "unreadable", 5),
            ]
        ),
        SMIDS,
    )
    assert counted.classes == {"normal": 12, "abnormal": 204, "non-sperm": 52}
    assert (counted.num_files, counted.num_unreadable, counted.num_readable) == (273, 5, 268)
    assert counted.normal_share == 12 / 216
    assert counted.interval == pytest.approx(proportion_confint(12, 216, method="wilson"))
    assert counted.reasons == {"uncertain": 5, "unfamiliar": 4} and counted.referred_share == 9 / 268
    # 9 normal and 200 others are accepted, and 9 images are open.
    assert counted.bounds == (9 / 218, 18 / 218)


def test_whatever_the_referred_images_show_the_share_ends_between_the_bounds():
    random = np.random.default_rng(0)
    for _ in range(200):
        normal, abnormal, junk, referred = random.integers(0, 30, 4)
        specification = [("normal", "confident", normal), ("abnormal", "confident", abnormal)]
        specification += [("non-sperm", "confident", junk), ("abnormal", "uncertain", referred)]
        counted = counts.count(_rows([*specification, ("normal", "uncertain", 1)]), SMIDS)
        truth = random.multinomial(referred + 1, random.dirichlet([1, 1, 1]))
        num_sperm = normal + abnormal + truth[0] + truth[1]
        if num_sperm:
            lowest, highest = counted.bounds
            assert lowest - 1e-12 <= (normal + truth[0]) / num_sperm <= highest + 1e-12


def test_slides_and_replicates_are_told_apart():
    rows = _rows([("normal", "confident", 200), ("abnormal", "confident", 205), ("non-sperm", "confident", 10)])
    rows["slide"] = "S2"
    rows["replicate"] = ["A", "B"] * 207 + ["A"]
    other = _rows([("abnormal", "uncertain", 20)]).assign(slide="S1", replicate="A")
    first, second = counts.summarize(
        pd.concat([rows, other]), SMIDS, slide_column="slide", replicate_column="replicate"
    )
    assert (first.name, second.name) == ("S1", "S2")
    assert first.comparison is None and not first.is_enough and first.total.bounds == (0, 1)
    assert [part.num_sperm for part in second.replicates] == [203, 202] and second.is_enough
    assert [part.num_normal for part in second.replicates] == [100, 100] and second.comparison.agrees
    assert second.total.num_normal == 200
    (alone,) = counts.summarize(rows, SMIDS)
    assert alone.name == "" and len(alone.replicates) == 1 and alone.total.num_sperm == 405


def test_counts_are_corrected_for_known_errors():
    rows = _rows([("normal", "confident", 60), ("abnormal", "confident", 340), ("non-sperm", "confident", 100)])
    confusion = [[85, 15, 0], [13, 87, 0], [0, 0, 100]]
    (found,) = counts.summarize(rows, SMIDS, confusion=confusion)
    share, (low, high) = found.total.corrected
    assert share == pytest.approx((60 / 400 - 0.13) / (0.85 - 0.13), abs=1e-4)
    assert low < share < high < found.total.normal_share
    assert found.replicates[0].corrected == found.total.corrected
    assert counts.count(rows, SMIDS).corrected is None
    for num, is_known in ((500, True), (501, False)):
        strange = pd.concat([rows, _rows([("normal", "unfamiliar", num)])])
        found = counts.count(strange, SMIDS, confusion=confusion)
        assert (found.corrected is not None) == is_known
        assert found.correction == (counts.CORRECTED if is_known else counts.MOSTLY_UNFAMILIAR)


def test_accepted_normal_forms_that_are_likely_none():
    rows = _rows([("normal", "confident", 66), ("normal", "uncertain", 44), ("abnormal", "confident", 290)])
    confusion, confident = [[85, 15, 0], [13, 87, 0], [0, 0, 100]], [[50, 2, 0], [2, 60, 0], [0, 0, 90]]
    (found,) = counts.summarize(rows, SMIDS, confusion=confusion, confident=confident)
    expected = estimate_wrong([110, 290, 0], confusion, confident, part=SMIDS.is_normal, num_accepted=66)
    assert found.total.wrong_normal == expected and 0.02 < expected[0] < 0.3
    assert found.replicates[0].wrong_normal == found.total.wrong_normal
    assert counts.count(rows, SMIDS, confusion=confusion).wrong_normal is None
    strange = pd.concat([rows, _rows([("normal", "unfamiliar", 500)])])
    assert counts.count(strange, SMIDS, confusion=confusion, confident=confident).wrong_normal is None


def test_what_is_not_corrected_says_why():
    confusion = [[850, 150, 0], [130, 870, 0], [0, 0, 1000]]
    few = _rows([("normal", "confident", 3), ("abnormal", "confident", 397)])
    debris = _rows([("non-sperm", "confident", 5)])
    found = [counts.count(*case) for case in ((few, SMIDS), (debris, SMIDS))]
    assert [count.correction for count in found] == [counts.NO_ERRORS_KNOWN] * 2
    found = [counts.count(*case, confusion=confusion) for case in ((few, SMIDS), (debris, SMIDS))]
    assert [count.correction for count in found] == [counts.NO_MIX_FITS, counts.NOTHING_TO_COUNT]
    assert all(count.corrected is None for count in found)


def test_an_image_without_a_slide_is_refused():
    rows = _rows([("normal", "confident", 3)]).assign(slide=["S1", " ", "S2"], file=["a.png", "b.png", "c.png"])
    with pytest.raises(SlideError, match=r"every image must have a 'slide'. Received: 1 without, such as 'b.png'"):
        counts.summarize(rows, SMIDS, slide_column="slide")
    with pytest.raises(SlideError, match="must have a 'slide'"):
        counts.summarize(rows, SMIDS, replicate_column="slide")


def test_nothing_to_count_is_undefined_and_no_error():
    counted = counts.count(_rows([(None, "unreadable", 2)]), SMIDS)
    assert math.isnan(counted.normal_share) and math.isnan(counted.bounds[0]) and math.isnan(counted.interval[0])
    assert math.isnan(counted.referred_share) and not counted.is_enough and counted.num_referred == 0
