"""The analysis of out-of-fold tables against scikit-learn, loops and what must hold."""

import json
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from statsmodels.stats.proportion import proportion_confint

from sperm_tf.evaluation.cross_validation import analysis, oof, oof_metrics
from sperm_tf.evaluation.metrics import calibration
from tests.evaluation.cross_validation.oof_tables import CLASS_NAMES, draw_table, leak_near_duplicate

SAMPLES = 400
SKILLS = {"efficientnet_b0_cbam": 2.6, "simple_cnn": 1.0, "efficientnet_b0": 2.4}


@pytest.fixture(scope="module")
def tables():
    return {name: draw_table(skill=skill, seed=seed) for seed, (name, skill) in enumerate(SKILLS.items())}


@pytest.fixture(scope="module")
def results(tables):
    return analysis.analyze(tables, CLASS_NAMES, bootstrap_samples=SAMPLES)


def rows_of(table, repeat, fold=None):
    rows = oof.select(table, part=oof.TEST, repeat=repeat, fold=fold)
    probabilities = oof.probabilities(rows)
    return oof.labels(rows), probabilities.argmax(axis=1), probabilities


def expected_figures(labels, predicted, probabilities):
    return {
        "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
        "macro_f1": sklearn.metrics.f1_score(labels, predicted, average="macro", labels=range(4), zero_division=0),
        "kappa": sklearn.metrics.cohen_kappa_score(labels, predicted),
        "mcc": sklearn.metrics.matthews_corrcoef(labels, predicted),
        "nll": sklearn.metrics.log_loss(labels, probabilities, labels=range(4)),
        "brier": np.mean(((probabilities - np.eye(4)[labels]) ** 2).sum(axis=1)),
        "ece": calibration.ece(probabilities, labels),
    }


def test_every_fold_equals_scikit_learn(tables, results):
    folds = results["models"]["simple_cnn"]["folds"]
    assert [(fold["repeat"], fold["fold"]) for fold in folds] == [(r, f) for r in range(2) for f in range(5)]
    for fold in folds:
        labels, predicted, probabilities = rows_of(tables["simple_cnn"], fold["repeat"], fold["fold"])
        for name, value in expected_figures(labels, predicted, probabilities).items():
            assert fold[name] == pytest.approx(value), name
        expected = sklearn.metrics.precision_recall_fscore_support(
            labels, predicted, labels=range(4), zero_division=np.nan
        )
        for index, name in enumerate(CLASS_NAMES):
            found = fold["per_class"][name]
            values = [np.nan if found[key] is None else found[key] for key in ("precision", "recall", "f1", "support")]
            assert values == pytest.approx([column[index] for column in expected], nan_ok=True)


def test_means_over_folds(results):
    model = results["models"]["efficientnet_b0"]
    values = [fold["macro_f1"] for fold in model["folds"]]
    assert model["over_folds"]["macro_f1"] == pytest.approx({"mean": np.mean(values), "sd": np.std(values, ddof=1)})
    recalls = [fold["per_class"]["tapered"]["recall"] for fold in model["folds"]]
    assert model["over_folds"]["per_class"]["tapered"]["recall"]["mean"] == pytest.approx(np.mean(recalls))


def test_pooled_figures_are_means_over_repeats(tables, results):
    model = results["models"]["efficientnet_b0_cbam"]
    repeats = [expected_figures(*rows_of(tables["efficientnet_b0_cbam"], repeat)) for repeat in range(2)]
    for name in oof_metrics.FIGURES:
        assert [one[name] for one in model["repeats"]] == pytest.approx([one[name] for one in repeats])
        assert model["pooled"][name]["value"] == pytest.approx(np.mean([one[name] for one in repeats]))
        lower, upper = model["pooled"][name]["bootstrap_95"]
        assert lower < model["pooled"][name]["value"] < upper


def test_wilson_counts_every_image_once(tables, results):
    labels, predicted, _ = rows_of(tables["simple_cnn"], 0)
    pooled = results["models"]["simple_cnn"]["pooled"]
    expected = proportion_confint((labels == predicted).sum(), len(labels), method="wilson")
    assert pooled["accuracy"]["wilson_95"] == pytest.approx(expected)
    of_class = labels == 2
    expected = proportion_confint((predicted[of_class] == 2).sum(), of_class.sum(), method="wilson")
    assert pooled["per_class"]["pyriform"]["recall"]["wilson_95"] == pytest.approx(expected)


@pytest.mark.simulation
def test_the_group_bootstrap_equals_one_written_as_a_loop(tables, results):
    table = tables["efficientnet_b0"]
    repeats = [oof.select(table, part=oof.TEST, repeat=repeat).sort_values("image_id") for repeat in range(2)]
    groups = repeats[0]["group_id"].to_numpy()
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    rng, drawn = np.random.default_rng(9), []
    for _ in range(200):
        rows = np.concatenate([members[index] for index in rng.integers(len(members), size=len(members))])
        figures = []
        for repeat in repeats:
            labels, probabilities = oof.labels(repeat)[rows], oof.probabilities(repeat)[rows]
            predicted = probabilities.argmax(axis=1)
            figures.append(
                [
                    (labels == predicted).mean(),
                    sklearn.metrics.f1_score(labels, predicted, average="macro"),
                    sklearn.metrics.cohen_kappa_score(labels, predicted),
                    sklearn.metrics.matthews_corrcoef(labels, predicted),
                    calibration.nll(probabilities, labels),
                    calibration.brier(probabilities, labels),
                    (predicted[labels == 1] == 1).mean(),
                ]
            )
        drawn.append(np.mean(figures, axis=0))
    expected = np.percentile(drawn, [2.5, 97.5], axis=0)
    pooled = results["models"]["efficientnet_b0"]["pooled"]
    found = [pooled[name]["bootstrap_95"] for name in ("accuracy", "macro_f1", "kappa", "mcc", "nll", "brier")]
    found.append(pooled["per_class"]["tapered"]["recall"]["bootstrap_95"])
    widths = expected[1] - expected[0]
    np.testing.assert_allclose((np.array(found) - expected.T) / widths[:, None], 0, atol=0.2)


def test_repeating_the_same_answers_does_not_narrow_the_interval():
    once = draw_table(num_repeats=1)
    # Other folds bring the images into another order, in which each must keep its weight.
    copies = oof.join([once.assign(repeat=repeat, fold=(once["fold"] + repeat) % 5) for repeat in range(4)])
    bounds = [
        analysis.analyze({"simple_cnn": table}, CLASS_NAMES, bootstrap_samples=SAMPLES)["models"]["simple_cnn"][
            "pooled"
        ]
        for table in (once, copies)
    ]
    for name in oof_metrics.FIGURES:
        assert bounds[0][name]["bootstrap_95"] == pytest.approx(bounds[1][name]["bootstrap_95"]), name


def test_groups_widen_the_interval():
    """Groups of six whose images are right or wrong together, against the same answers taken as independent."""
    table = draw_table(num_repeats=1, largest_group=6, num_groups=80)
    first = table.groupby(["part", "fold", "group_id"]).transform("first")
    for column in (name for name in table.columns if name.startswith("p_")):
        table[column] = first[column]
    single = table.assign(group_id=table["image_id"])
    widths = []
    for one in (table, single):
        result = analysis.analyze({"simple_cnn": one}, CLASS_NAMES, bootstrap_samples=SAMPLES)
        lower, upper = result["models"]["simple_cnn"]["pooled"]["accuracy"]["bootstrap_95"]
        widths.append(upper - lower)
    assert widths[0] > 1.5 * widths[1]


def test_the_interval_of_ece_is_about_the_figure_even_when_calibration_is_perfect():
    rng = np.random.default_rng(5)
    table = draw_table(num_repeats=1, num_groups=240, largest_group=1)
    table = table[table["part"] == oof.TEST].reset_index(drop=True)
    probabilities = rng.dirichlet([0.4] * 4, size=len(table))
    table["label"] = [rng.choice(4, p=one) for one in probabilities]
    table[[f"p_{name}" for name in CLASS_NAMES]] = probabilities
    result = analysis.analyze({"simple_cnn": table}, CLASS_NAMES, bootstrap_samples=SAMPLES)
    ece = result["models"]["simple_cnn"]["pooled"]["ece"]
    assert ece["bootstrap_95"][0] < ece["value"] < ece["bootstrap_95"][1]
    resampled = calibration.ece(
        probabilities, oof.labels(table), rng.multinomial(240, np.full(240, 1 / 240), size=SAMPLES).astype(float)
    )
    assert np.mean(resampled > ece["value"]) > 0.9, "without the shift the interval would lie above the figure"


def test_the_confusion_matrix_sums_over_repeats(tables, results):
    expected = sum(sklearn.metrics.confusion_matrix(*rows_of(tables["simple_cnn"], repeat)[:2]) for repeat in range(2))
    model = results["models"]["simple_cnn"]
    np.testing.assert_array_equal(model["confusion_matrix"]["counts"], expected)
    assert sum(item["count"] for item in model["reliability"]) == expected.sum() == 2 * results["num_images"]


def test_pairs_are_compared_fold_by_fold(tables, results):
    pairs = [(pair["first"], pair["second"]) for pair in results["comparisons"]]
    order = ["simple_cnn", "efficientnet_b0", "efficientnet_b0_cbam"]
    assert pairs == [(order[0], order[1]), (order[0], order[2]), (order[1], order[2])]
    pair = results["comparisons"][1]
    folds = [results["models"][name]["folds"] for name in pairs[1]]
    differences = [second["macro_f1"] - first["macro_f1"] for first, second in zip(*folds, strict=True)]
    test = pair["macro_f1"]
    assert test["num_differences"] == 10
    assert test["difference"] == pytest.approx(np.mean(differences))
    table = tables["simple_cnn"]
    ratios = []
    for repeat in range(2):
        for fold in range(5):
            num_test = len(oof.select(table, part="test", repeat=repeat, fold=fold))
            num_calibration = len(oof.select(table, part="calibration", repeat=repeat, fold=fold))
            ratios.append(num_test / (results["num_images"] - num_test - 2 * num_calibration))
    assert pair["test_train_ratio"] == pytest.approx(np.mean(ratios))
    uncorrected = scipy.stats.ttest_1samp(differences, 0).statistic
    assert test["statistic"] == pytest.approx(uncorrected * np.sqrt(0.1 / (0.1 + np.mean(ratios))))


def test_holm_is_over_all_pairs(results):
    for name in ("accuracy", "macro_f1"):
        raw = [pair[name]["p_value"] for pair in results["comparisons"]]
        corrected = [pair[name]["p_value_holm"] for pair in results["comparisons"]]
        order = np.argsort(raw)
        running = np.minimum(np.maximum.accumulate(np.sort(raw) * [3, 2, 1]), 1)
        np.testing.assert_allclose(np.array(corrected)[order], running)


def test_mcnemar_is_run_for_each_repeat(tables, results):
    pair = results["comparisons"][0]
    assert [test["repeat"] for test in pair["mcnemar"]] == [0, 1]
    for test in pair["mcnemar"]:
        labels, first, _ = rows_of(tables["simple_cnn"].sort_values("image_id"), test["repeat"])
        _, second, _ = rows_of(tables["efficientnet_b0"].sort_values("image_id"), test["repeat"])
        only_first = ((first == labels) & (second != labels)).sum()
        only_second = ((first != labels) & (second == labels)).sum()
        assert (test["only_first"], test["only_second"]) == (only_first, only_second)
        assert test["p_value"] == pytest.approx(scipy.stats.binomtest(only_first, only_first + only_second).pvalue)


@pytest.mark.slow
def test_one_model_alone_and_models_with_unequal_repeats():
    short, long = draw_table(num_repeats=1, seed=1), draw_table(num_repeats=2, seed=2)
    alone = analysis.analyze({"vit_tiny": short}, CLASS_NAMES, bootstrap_samples=100)
    assert alone["comparisons"] == []
    # Folds of the first repeat are drawn before those of the second: they are the same in both tables.
    both = analysis.analyze({"vit_tiny": short, "simple_cnn": long}, CLASS_NAMES, bootstrap_samples=100)
    (pair,) = both["comparisons"]
    assert (pair["first"], pair["second"], pair["num_repeats"]) == ("simple_cnn", "vit_tiny", 1)
    assert pair["accuracy"]["num_differences"] == 5
    assert len(pair["mcnemar"]) == 1


@pytest.mark.slow
def test_the_same_model_twice_does_not_differ(tables):
    table = tables["simple_cnn"]
    both = analysis.analyze({"simple_cnn": table, "vit_tiny": table}, CLASS_NAMES, bootstrap_samples=100)
    (pair,) = both["comparisons"]
    assert pair["accuracy"]["p_value"] == pair["macro_f1"]["p_value_holm"] == pair["mcnemar"][0]["p_value"] == 1


@pytest.mark.slow
def test_results_are_json_and_repeat(tables, results):
    text = json.dumps(results, allow_nan=False, sort_keys=True)
    again = analysis.analyze(tables, CLASS_NAMES, bootstrap_samples=SAMPLES)
    assert json.dumps(again, allow_nan=False, sort_keys=True) == text


def test_a_class_that_is_never_predicted_is_undefined_not_wrong():
    table = draw_table(num_repeats=1)
    columns = [f"p_{name}" for name in CLASS_NAMES]
    values = table[columns].to_numpy()
    values[:, 3] = 0
    table[columns] = values / values.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = analysis.analyze({"simple_cnn": table}, CLASS_NAMES, bootstrap_samples=100)
    model = result["models"]["simple_cnn"]
    assert model["pooled"]["per_class"]["amorphous"]["precision"] == {"value": None, "bootstrap_95": None}
    assert model["over_folds"]["per_class"]["amorphous"]["precision"] == {"mean": None, "sd": None}
    assert model["pooled"]["per_class"]["amorphous"]["recall"]["value"] == 0
    json.dumps(result, allow_nan=False)


def test_agreement_equals_scikit_learns_for_many_matrices():
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 9, size=(5, 3, 3))
    found = oof_metrics.agreement_from_counts(counts)
    for index, matrix in enumerate(counts):
        labels, predicted = (np.repeat(axis.ravel(), matrix.ravel()) for axis in np.indices((3, 3)))
        assert found["kappa"][index] == pytest.approx(sklearn.metrics.cohen_kappa_score(labels, predicted))
        assert found["mcc"][index] == pytest.approx(sklearn.metrics.matthews_corrcoef(labels, predicted))
    constant = oof_metrics.agreement_from_counts(np.array([[5, 0], [0, 0]]))
    assert np.isnan(constant["kappa"])
    assert constant["mcc"] == 0
    figures = oof_metrics.figures_of(np.zeros(3, int), np.tile([0.9, 0.1], (3, 1)), ["a", "b"])
    assert np.isnan(figures["kappa"])
    assert figures["mcc"] == 0


def test_a_near_duplicate_across_folds_is_refused(tables):
    leaked, group = leak_near_duplicate(tables["simple_cnn"])
    with pytest.raises(oof.OofError, match=f"simple_cnn: near duplicates must be tested in one fold.*'{group}'"):
        analysis.analyze({"simple_cnn": leaked}, CLASS_NAMES, bootstrap_samples=100)


def test_models_on_other_images_or_folds_are_refused(tables):
    table = tables["simple_cnn"]

    def analyze(other):
        analysis.analyze({"simple_cnn": table, "vit_tiny": other}, CLASS_NAMES, bootstrap_samples=100)

    with pytest.raises(oof.OofError, match="vit_tiny: images, labels and groups must be those of simple_cnn"):
        analyze(draw_table(data_seed=5))
    swapped = table.copy()
    swapped.loc[table["fold"] == 0, "fold"], swapped.loc[table["fold"] == 1, "fold"] = 1, 0
    with pytest.raises(oof.OofError, match="vit_tiny: folds must be those of simple_cnn"):
        analyze(swapped)


def test_other_classes_and_no_tables_are_refused(tables):
    with pytest.raises(oof.OofError, match=r"simple_cnn: classes must be a, b\. Received: normal"):
        analysis.analyze({"simple_cnn": tables["simple_cnn"]}, ["a", "b"])
    with pytest.raises(oof.OofError, match="at least one model"):
        analysis.analyze({}, CLASS_NAMES)
