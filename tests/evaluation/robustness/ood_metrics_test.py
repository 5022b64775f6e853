import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from sperm_tf.evaluation.robustness import ood_metrics


def draw_answers(seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for fold in range(5):
        scale = 10.0**fold  # every network measures in units of its own
        for kind, count, shift in (("tested", 60, 0), ("grey", 20, 1), ("blank", 20, 9)):
            for number in range(count):
                distance = scale * max(rng.normal(2 + shift), 0)
                name = f"{kind}_{fold}_{number // 2}"
                limit = scale * 4
                refused = distance > limit
                rows.append(
                    (fold, kind, name, name, distance / limit, rng.uniform(0.4, 1), ("a", "b", "non-sperm")[number % 3],
                     "refer" if refused else "accept",
                     "unfamiliar" if refused else "confident")
                )  # fmt: skip
    columns = ["fold", "kind", "image_id", "group_id", "unfamiliarity", "confidence", "predicted", "decision", "reason"]
    return pd.DataFrame(rows, columns=columns)


def test_auroc_is_scikit_learns_for_any_weights():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 12, 200).astype(float), rng.random(200) < 0.3
    weights = rng.integers(0, 4, (5, 200)).astype(float)
    found = ood_metrics.weighted_auroc(scores, positive, weights)
    expected = [roc_auc_score(positive, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(ood_metrics.weighted_auroc(scores, positive, weights * ~positive)).all()


def test_figures_are_those_of_each_fold_averaged():
    answers = draw_answers()
    found = ood_metrics.describe_strangers(answers)
    means = []
    for kind in ("blank", "grey"):
        expected = []
        for _, rows in answers.groupby("fold"):
            chosen = rows[rows["kind"].isin([kind, "tested"])]
            expected.append(roc_auc_score(chosen["kind"] == kind, chosen["unfamiliarity"]))
        figure = found["kinds"][kind]["auroc"]["unfamiliarity"]
        assert figure["value"] == pytest.approx(np.mean(expected))
        assert figure["bootstrap_95"][0] <= figure["value"] <= figure["bootstrap_95"][1]
        means.append(np.mean(expected))
    assert found["mean_auroc"]["unfamiliarity"]["value"] == pytest.approx(np.mean(means))
    assert found["mean_auroc"]["doubt"]["value"] == pytest.approx(0.5, abs=0.06)
    rows = answers[answers["kind"] == "tested"]
    tested = found["kinds"]["tested"]
    assert tested["accepted"]["value"] == pytest.approx((rows["decision"] == "accept").mean())
    as_sperm = (rows["decision"] == "accept") & (rows["predicted"] != "non-sperm")
    assert tested["accepted_as_sperm"]["value"] == pytest.approx(as_sperm.mean())
    assert 0 < as_sperm.mean() < tested["accepted"]["value"]
    assert "auroc" not in tested and tested["num_images"] == 300


def test_crops_of_a_few_pictures_count_as_those_pictures():
    answers = draw_answers()
    blank = answers["kind"] == "blank"
    answers.loc[blank, "group_id"] = ["one.png", "two.png"] * 50
    answers.loc[blank, "reason"] = "unfamiliar"
    entry = ood_metrics.describe_strangers(answers)["kinds"]["blank"]
    assert (entry["num_images"], entry["num_groups"]) == (100, 2)
    assert entry["unfamiliar"]["value"] == 1
    assert entry["unfamiliar"]["wilson_95"] == pytest.approx(proportion_confint(2, 2, method="wilson"), abs=1e-6)
    assert entry["auroc"]["unfamiliarity"]["value"] > 0.9 and entry["auroc"]["unfamiliarity"]["bootstrap_95"] is None


def test_copies_of_images_in_their_groups_say_nothing_new():
    answers = draw_answers()
    copies = [answers.assign(image_id=answers["image_id"] + f"_{number}") for number in range(3)]
    once, thrice = (ood_metrics.describe_strangers(table) for table in (answers, pd.concat(copies)))
    for score in ood_metrics.SCORES:
        expected = once["mean_auroc"][score]["bootstrap_95"]
        assert thrice["mean_auroc"][score]["bootstrap_95"] == pytest.approx(expected)
        for kind in ("blank", "grey"):
            expected = once["kinds"][kind]["auroc"][score]["bootstrap_95"]
            assert thrice["kinds"][kind]["auroc"][score]["bootstrap_95"] == pytest.approx(expected)
