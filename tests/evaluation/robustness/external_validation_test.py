import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from sperm_tf.evaluation.robustness import external_validation


def draw_answers(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(80) < 0.4
    rows = []
    for fold in range(5):
        for number, is_normal in enumerate(truth):
            p_normal = 1 / (1 + np.exp(-rng.normal(1.5 if is_normal else -1)))
            reason = rng.choice(["confident", "uncertain", "unfamiliar"])
            predicted = "normal" if p_normal > 0.5 else rng.choice(["abnormal", "non-sperm"])
            decision = "accept" if reason == "confident" else "refer"
            rows.append(
                (fold, f"image_{number:02d}", f"g{number // 2}", int(is_normal), p_normal, predicted, decision, reason)
            )
    columns = ["fold", "image_id", "group_id", "is_normal", "p_normal", "predicted", "decision", "reason"]
    return pd.DataFrame(rows, columns=columns)


def test_figures_are_scikit_learns_averaged_over_the_networks():
    answers = draw_answers()
    found = external_validation.describe_transfer(answers.sample(frac=1, random_state=0))
    folds = [rows for _, rows in answers.groupby("fold")]
    truth, says = answers["is_normal"] == 1, answers["predicted"] == "normal"
    accepted = answers["decision"] == "accept"
    expected = {
        "auroc": np.mean([roc_auc_score(rows["is_normal"], rows["p_normal"]) for rows in folds]),
        "sensitivity": recall_score(~truth, ~says),
        "specificity": recall_score(truth, says),
        "accepted": accepted.mean(),
        "accepted_right": (truth == says)[accepted].mean(),
        "unfamiliar": (answers["reason"] == "unfamiliar").mean(),
    }
    assert found["num_images"] == 80 and found["num_folds"] == 5
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value), name
        low, high = found[name]["bootstrap_95"]
        assert low < value < high
    asked = {"sensitivity": (~truth).sum() / 5, "accepted_right": accepted.sum() / 5, "unfamiliar": 80}
    for name, count in asked.items():
        bounds = proportion_confint(expected[name] * count, count, method="wilson")
        assert found[name]["wilson_95"] == pytest.approx(bounds), name


def test_where_nothing_is_accepted_its_accuracy_is_undefined():
    found = external_validation.describe_transfer(draw_answers().assign(decision="refer"))
    assert found["accepted"]["value"] == 0 and found["accepted"]["wilson_95"][1] > 0.04
    assert found["accepted_right"] == {"value": None, "bootstrap_95": None, "wilson_95": None}


def test_copies_of_images_in_their_groups_say_nothing_new():
    answers = draw_answers()
    copies = [answers.assign(image_id=answers["image_id"] + f"_{number}") for number in range(3)]
    once, thrice = (external_validation.describe_transfer(table) for table in (answers, pd.concat(copies)))
    for name in ("auroc", "sensitivity", "specificity", "accepted", "accepted_right", "unfamiliar"):
        assert thrice[name]["bootstrap_95"] == pytest.approx(once[name]["bootstrap_95"]), name


def test_few_normal_spermatozoa_have_no_interval_however_many_others_there_are():
    answers = draw_answers()
    few = answers["group_id"].isin(["g0", "g1", "g2", "g3"])
    found = external_validation.describe_transfer(answers.assign(is_normal=few.astype(int)))
    for name in ("auroc", "specificity"):
        assert found[name]["value"] is not None and found[name]["bootstrap_95"] is None
    assert found["sensitivity"]["bootstrap_95"] is not None
