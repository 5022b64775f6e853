import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from sperm_tf.evaluation.robustness import attack_metrics


def test_shares_are_counted_for_every_attack():
    rows = [
        (attack, epsilon, f"image_{number}", f"group_{number % 6}", 0, int(number < wrong), decision)
        for attack, epsilon, wrong in (("none", 0, 1), ("fgsm", 2, 4), ("pgd", 2, 7))
        for number, decision in enumerate(["accept", "refer"] * 4)
    ]
    columns = ["attack", "epsilon", "image_id", "group_id", "label", "predicted", "decision"]
    found = attack_metrics.describe_attacks(pd.DataFrame(rows, columns=columns))
    assert [(entry["attack"], entry["epsilon"], entry["num_images"]) for entry in found] == [
        ("none", 0, 8),
        ("fgsm", 2, 8),
        ("pgd", 2, 8),
    ]
    assert [entry["accuracy"]["value"] for entry in found] == pytest.approx([7 / 8, 4 / 8, 1 / 8])
    assert [entry["accepted_wrong"]["value"] for entry in found] == pytest.approx([1 / 8, 2 / 8, 4 / 8])
    low, high = found[1]["accuracy"]["bootstrap_95"]
    assert low < 0.5 < high
    assert found[1]["accuracy"]["wilson_95"] == pytest.approx(proportion_confint(4, 8, method="wilson"), abs=1e-6)


def test_copies_of_images_in_their_groups_say_nothing_new():
    columns = ["attack", "epsilon", "group_id", "label", "predicted", "decision"]
    rows = [("pgd", 2, f"group_{number // 2}", 0, number % 3 // 2, "accept") for number in range(40)]
    table = pd.DataFrame(rows, columns=columns)
    (once,), (thrice,) = (attack_metrics.describe_attacks(pd.concat([table] * count)) for count in (1, 3))
    assert thrice["accuracy"]["bootstrap_95"] == pytest.approx(once["accuracy"]["bootstrap_95"])
