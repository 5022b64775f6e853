"""The page on trust: its metrics are those of the decisions and audits, and it leaves nothing out silently."""

import copy
import dataclasses

import pytest
from PIL import Image

from sperm_tf.config import CalibratorConfig
from sperm_tf.evaluation.attribution.attribution_metrics import describe_explanations
from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS
from sperm_tf.report.published import robustness, trust_page, trust_plots, trust_summary, trust_tables, trust_targets
from tests.evaluation.attribution.attribution_metrics_test import draw_answers
from tests.evaluation.cross_validation.oof_tables import draw_table
from tests.report.published.robustness_figures import robustness_figures


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global oof_trust
    from sperm_tf.evaluation.cross_validation import oof_trust


SMIDS = ("normal", "abnormal", "non-sperm")
STRANGERS = {
    "num_folds": 5,
    "mean_auroc": {
        "unfamiliarity": {"value": 0.971, "bootstrap_95": [0.96, 0.98]},
        "doubt": {"value": 0.612, "bootstrap_95": [0.6, 0.63]},
    },
    "kinds": {
        "tested": {
            "num_images": 600,
            "accepted": {"value": 0.61, "wilson_95": [0.57, 0.65]},
            "accepted_as_sperm": {"value": 0.4, "wilson_95": [0.36, 0.44]},
            "unfamiliar": {"value": 0.012, "wilson_95": [0.01, 0.02]},
        },
        "uniform_noise": {
            "num_images": 200,
            "num_groups": 3,
            "accepted": {"value": 0.005, "wilson_95": [0.001, 0.03]},
            "accepted_as_sperm": {"value": 0.0, "wilson_95": [0.0, 0.02]},
            "unfamiliar": {"value": 0.995, "wilson_95": [0.97, 1.0]},
            "auroc": {
                "unfamiliarity": {"value": 0.999, "bootstrap_95": [0.998, 1.0]},
                "doubt": {"value": 0.7, "bootstrap_95": [0.65, 0.75]},
            },
        },
    },
}
TRANSFER = {
    "num_images": 216,
    "num_folds": 5,
    "auroc": {"value": 0.71, "bootstrap_95": [0.64, 0.77]},
    "sensitivity": {"value": 0.8, "bootstrap_95": [0.75, 0.85]},
    "specificity": {"value": 0.5, "bootstrap_95": [0.4, 0.6]},
    "accepted": {"value": 0.0, "bootstrap_95": [0.0, 0.0], "wilson_95": [0.0, 0.017]},
    "accepted_right": {"value": None, "bootstrap_95": None},
    "unfamiliar": {"value": 0.99, "bootstrap_95": [0.98, 1.0]},
}
ATTACKS = [
    {
        "attack": "pgd",
        "epsilon": 4,
        "num_images": 120,
        "accuracy": {"value": 0.125, "bootstrap_95": [0.071, 0.19]},
        "accepted": {"value": 0.6, "bootstrap_95": [0.51, 0.69]},
        "accepted_wrong": {"value": 0.55, "bootstrap_95": [0.46, 0.64]},
    }
]


@pytest.fixture(scope="module")
def decisions():
    table = draw_table(skill=2.6, num_groups=600, num_repeats=2, class_names=SMIDS)
    return {"efficientnet_b0_cbam": oof_trust.describe(table, CalibratorConfig(), bootstrap_samples=100)}


def render(decisions, audits, tmp_path):
    (tmp_path / "results" / "smids").mkdir(parents=True, exist_ok=True)
    page, *pictures = trust_page.write_page(
        {"smids": decisions}, {"smids": audits}, results_dir=tmp_path / "results", page=tmp_path / "trust.md"
    )
    return page.read_text(encoding="utf-8"), sorted(pictures)


def test_the_page_shows_the_figures_of_every_repeat(decisions, tmp_path, monkeypatch):
    monkeypatch.setattr(trust_plots, "trust", lambda path, *args, **kwargs: path.touch())
    page, _ = render(decisions, {}, tmp_path)
    for number, repeat in enumerate(decisions["efficientnet_b0_cbam"]["repeats"]):
        line = next(
            line for line in page.splitlines() if line.startswith(f"| `efficientnet_b0_cbam`, repeat {number} | 0.")
        )
        assert f"{repeat['scores']['ece']['value']:.3f} [" in line
        assert f"], expected {repeat['scores']['ece']['by_chance']:.3f} |" in line
        accepted = repeat["selection"]["accepted"]
        low, high = accepted["bootstrap_95"]
        assert f"| {100 * accepted['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}] |" in page
        assert f"| {100 * repeat['sets']['coverage']['value']:.1f} [" in page
    assert "*Not measured yet*: `python -m pipelines.audit --preset=smids" in page
    assert "*not measured yet* | open |" in page


@pytest.mark.slow
def test_ood_inputs_are_shown_with_the_own_images_that_are_referred(decisions, tmp_path, monkeypatch):
    monkeypatch.setattr(trust_plots, "trust", lambda path, *args, **kwargs: path.touch())
    audits = {
        "efficientnet_b0_cbam": {
            "strangers": STRANGERS,
            "transfer": TRANSFER,
            "attacks": ATTACKS,
            "corruptions": robustness_figures(),
            "explanations": describe_explanations(draw_answers()),
        }
    }
    page, pictures = render(decisions, audits, tmp_path)
    assert [path.name for path in pictures] == [
        "corruptions_efficientnet_b0_cbam.png",
        "explanations_efficientnet_b0_cbam.png",
        "trust.png",
    ]
    assert all(path.is_file() and f"(results/smids/{path.name})" in page for path in pictures)
    assert "`efficientnet_b0_cbam`, 60 test images:" in page
    assert page.count("| Debris |") == 1
    deletion = audits["efficientnet_b0_cbam"]["explanations"]["methods"]["grad_cam"]["deletion_auc"]
    assert f"| Grad-CAM | {deletion['value']:.3f} (" in page
    assert (
        "| *the dataset's own test images* | 600 | – | – | 1.2 [1.0, 2.0] | 61.0 [57.0, 65.0] | 40.0 [36.0, 44.0] |"
        in page
    )
    assert "| uniform noise | 200 of 3 | 0.999 [0.998, 1.000] | 0.700 [0.650, 0.750] | 99.5 [97.0, 100.0] |" in page
    assert "| OOD detection, AUROC | ≥ 0.97 | 0.971 [0.960, 0.980] | **met** |" in page
    assert "| `efficientnet_b0_cbam` | 216 | 0.710 [0.640, 0.770] |" in page
    assert page.count("0.000 [0.000, 0.017] | – | 0.990 [0.980, 1.000] |") == 1
    assert "| `efficientnet_b0_cbam`, PGD, 4 | 120 | 12.5 [7.1, 19.0] | 60.0 [51.0, 69.0] | 55.0 [46.0, 64.0] |" in page
    assert "Not measured yet" not in page


@pytest.mark.parametrize("known", [0.97, 0.5])
def test_a_control_that_memorised_few_shuffled_labels_says_nothing(decisions, tmp_path, monkeypatch, known):
    monkeypatch.setattr(trust_plots, "trust", lambda path, *args, **kwargs: path.touch())
    alike = {
        "rank_correlation": {"value": 0.31, "bootstrap_95": [0.25, 0.36]},
        "structural_similarity": {"value": 0.62, "bootstrap_95": [0.6, 0.65]},
    }
    labels = {
        "num_folds": 1,
        "num_images": 40,
        "train_accuracy": known,
        "methods": {"layer_integrated_gradients": alike},
    }
    page, _ = render(decisions, {"efficientnet_b0_cbam": {"labels": labels}}, tmp_path)
    assert f"of which it memorised {100 * known:.0f}\u00a0%." in page.replace("\n", " ")
    assert "| layer integrated gradients | 0.310 [0.250, 0.360] | 0.620 [0.600, 0.650] |" in page
    assert ("these metrics say nothing about the maps" in page) is (known < 0.9)


def test_audited_models_stand_side_by_side(decisions, tmp_path, monkeypatch):
    monkeypatch.setattr(trust_plots, "trust", lambda path, *args, **kwargs: path.touch())
    monkeypatch.setattr(robustness, "plot_robustness", lambda path, *args, **kwargs: path.touch())
    audits = {name: {"corruptions": robustness_figures()} for name in ("vit_tiny", "simple_cnn")}
    page, _ = render(decisions, audits, tmp_path)
    assert page.index("| `simple_cnn` | 100 [94, 100] | 70") < page.index("| `vit_tiny` | 100 [94, 100] | 70")
    assert "Chen et al. 2024)" in page
    page, _ = render(decisions, {}, tmp_path)
    assert "All networks in one table" not in page


def test_a_target_is_met_by_the_mean_over_the_repeats(decisions):
    changed = copy.deepcopy(decisions)
    first, second = changed["efficientnet_b0_cbam"]["repeats"]
    first["scores"]["ece"]["value"], second["scores"]["ece"]["value"] = 0.012, 0.028
    first["selection"]["accepted"]["value"], second["selection"]["accepted"]["value"] = 0.7, 0.49
    rows = trust_targets.targets(changed, {}, "efficientnet_b0_cbam").splitlines()
    assert next(row for row in rows if "ECE" in row).endswith("| 0.020 | **met** |")
    assert "59.5" in next(row for row in rows if "Accepted predictions" in row)
    assert next(row for row in rows if "Accepted predictions" in row).endswith("| not met |")


def test_nothing_accepted_is_said(decisions):
    changed = copy.deepcopy(decisions)
    selection = changed["efficientnet_b0_cbam"]["repeats"][0]["selection"]
    selection["num_accepted"], selection["accuracy_of_accepted"]["value"] = 0, None
    assert "| `efficientnet_b0_cbam`, repeat 0 | nothing | – |" in trust_tables.selection(changed)
    assert trust_targets.targets(changed, {}, "efficientnet_b0_cbam").count("not met") >= 1


def test_other_guarantees_accept_more_for_more_risk(decisions):
    entries = decisions["efficientnet_b0_cbam"]["guarantees"]
    assert [entry["max_risk"] for entry in entries] == list(oof_trust.MAX_RISKS)
    for repeat in range(2):
        accepted = [entry["repeats"][repeat]["accepted"] for entry in entries]
        assert accepted == sorted(accepted) and accepted[-1] > accepted[0]


def test_the_plot_is_a_small_picture_of_the_same_bytes(decisions, tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for path in (first, second):
        trust_plots.trust(path, decisions["efficientnet_b0_cbam"]["repeats"][0], title="SMIDS")
    assert first.read_bytes() == second.read_bytes() and len(first.read_bytes()) < 100_000
    with Image.open(first) as image:
        assert image.width > 800


def maps_audit(*, insertion, likeness):
    """An audit of the maps: the one that is shown beats the baselines but for, perhaps, insertion."""
    wins = {"deletion_auc": True, "insertion_auc": insertion, "energy_in_head": True}
    figures = {name: {"versus": {"centre": {"beats": won}, "edges": {"beats": True}}} for name, won in wins.items()}
    stages = {
        name: {"rank_correlation": {"value": value}} for name, value in zip(("logits", "stem"), likeness, strict=True)
    }
    maps = {"methods": {"layer_integrated_gradients": figures}, "sanity": {"layer_integrated_gradients": stages}}
    return {"efficientnet_b0_cbam": {"explanations": maps}}


@pytest.mark.parametrize(
    ("insertion", "likeness", "outcomes"),
    [
        (True, (0.3, 0.1), ["in all three | **met**", "0.10 | **met**", "0.30 | **met**"]),
        (False, (0.8, 0.1), ["not in insertion | not met", "0.10 | **met**", "0.80 | not met"]),
        (False, (0.2, 0.6), ["not in insertion | not met", "0.60 | not met", "0.60 | not met"]),
    ],
)
def test_the_shown_map_is_held_against_its_targets(decisions, insertion, likeness, outcomes):
    audits = maps_audit(insertion=insertion, likeness=likeness)
    rows = trust_targets.targets(decisions, audits, "efficientnet_b0_cbam").splitlines()[-3:]
    assert all(row.endswith(f"| {outcome} |") for row, outcome in zip(rows, outcomes, strict=True))
    words = "beats both baselines: deletion, insertion and the share on the head |"
    assert rows[0].startswith(f"| Attribution map shown, layer integrated gradients, {words}")


def test_a_figure_that_is_not_defined_is_not_met(decisions):
    audits = maps_audit(insertion=True, likeness=(0.3, 0.1))
    maps = audits["efficientnet_b0_cbam"]["explanations"]
    del maps["methods"]["layer_integrated_gradients"]["energy_in_head"]
    maps["sanity"]["layer_integrated_gradients"]["stem"]["rank_correlation"]["value"] = None
    rows = trust_targets.targets(decisions, audits, "efficientnet_b0_cbam").splitlines()[-3:]
    assert rows[0].endswith("| not in the share on the head | not met |")
    assert rows[1].endswith("| – | open |")


def test_targets_of_maps_that_nobody_measured_are_open(decisions):
    rows = trust_targets.targets(decisions, {}, "efficientnet_b0_cbam").splitlines()[-3:]
    assert all(row.endswith("| *not measured yet* | open |") for row in rows)


def test_the_first_screen_answers_the_question_for_every_dataset(decisions, tmp_path, monkeypatch):
    monkeypatch.setattr(trust_plots, "trust", lambda path, *args, **kwargs: path.touch())
    monkeypatch.setattr(robustness, "plot_robustness", lambda path, *args, **kwargs: path.touch())
    audits = {
        "efficientnet_b0_cbam": {
            "strangers": STRANGERS,
            "transfer": TRANSFER,
            "attacks": ATTACKS,
            "corruptions": robustness_figures(),
        }
        | maps_audit(insertion=False, likeness=(0.3, 0.1))["efficientnet_b0_cbam"]
    }
    overview = trust_summary.overview({"SMIDS": (decisions["efficientnet_b0_cbam"], audits["efficientnet_b0_cbam"])})
    shown = {row.split(" | ")[-1].strip("* |"): row.split(" | ")[1] for row in overview.splitlines()[2:]}
    assert shown["Out-of-distribution inputs"] == "0.5\u00a0% (uniform noise)"
    assert shown["External validation"] == "0.0\u00a0%"
    assert shown["Adversarial attacks"] == "55.0\u00a0% (PGD, 4 grey levels)"
    assert shown["Attribution maps"] == "in 2 of 3 metrics"
    severe = [row for row in robustness_figures()["severities"] if row["severity"] == 5]
    worst = max(row["accepted_wrong"]["value"] for row in severe)
    assert shown["Corruptions"].startswith(f"{100 * worst:.1f}\u00a0%")
    repeats = decisions["efficientnet_b0_cbam"]["repeats"]
    accepted = sum(repeat["selection"]["accepted"]["value"] for repeat in repeats) / len(repeats)
    page, _ = render(decisions, {}, tmp_path)
    first_screen = page.split("## Method")[0]
    assert f"`efficientnet_b0_cbam` accepts {100 * accepted:.1f}\u00a0% of the predictions" in first_screen
    assert first_screen.count("*not measured yet*") == 5
    assert len(first_screen.splitlines()) < 40
    sections = {row.split(" | ")[-1].strip("* |") for row in overview.splitlines()[2:]}
    assert sections <= {line.removeprefix("### ") for line in page.splitlines()}


def test_the_first_screen_says_where_nothing_is_accepted(decisions):
    changed = copy.deepcopy(decisions["efficientnet_b0_cbam"])
    changed["repeats"][0]["selection"]["accuracy_of_accepted"]["value"] = None
    assert "accepts no prediction" in trust_summary.sentence("HuSHeM", "efficientnet_b0_cbam", changed)
    assert "| nothing accepted |" in trust_summary.overview({"HuSHeM": (changed, {})})


def test_the_strengths_of_poisson_noise_are_those_of_the_benchmark(decisions, tmp_path, monkeypatch):
    monkeypatch.setattr(trust_plots, "trust", lambda path, *args, **kwargs: path.touch())
    monkeypatch.setattr(robustness, "plot_robustness", lambda path, *args, **kwargs: path.touch())
    changed = dataclasses.replace(CORRUPTIONS["poisson_noise"], strengths=(70, 26, 13, 6, 2))
    monkeypatch.setitem(CORRUPTIONS, "poisson_noise", changed)
    page, _ = render(decisions, {"efficientnet_b0_cbam": {"corruptions": robustness_figures()}}, tmp_path)
    assert "Poisson noise are 70, 26, 13, 6 and 2 photons where the image is white." in page
