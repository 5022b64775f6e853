"""The published page: its figures are those of the results, and it leaves nothing out silently."""

import copy
import re
import warnings

import numpy as np
import pytest
from PIL import Image

from sperm_tf.evaluation.cross_validation import analysis, fits_file, relatives
from sperm_tf.evaluation.metrics import intervals
from sperm_tf.models.registry import DEFAULT_BACKBONES
from sperm_tf.report.published import literature, results_page, results_plots, results_tables
from tests.evaluation.cross_validation.oof_tables import CLASS_NAMES, draw_table


def analyze(class_names=CLASS_NAMES, num_repeats=2, **skills):
    tables = {
        name: draw_table(skill=skill, seed=seed, class_names=class_names, num_repeats=num_repeats)
        for seed, (name, skill) in enumerate(skills.items())
    }
    content = analysis.analyze(tables, class_names, bootstrap_samples=100)
    for name, model in content["models"].items():
        model["fits"] = fits_file.summarize([], "", num_repeats=2)
        model["relatives"] = relatives.summarize(tables[name], None)
    return content


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Draws only for tests of the plots; drawing is most of the time."""
    if "plots" not in request.node.name:
        for name in ("accuracies", "confusion_matrix", "reliability"):
            monkeypatch.setattr(results_plots, name, lambda path, *args, **kwargs: path.touch())


@pytest.fixture(scope="module")
def hushem():
    return analyze(
        simple_cnn=1.2, efficientnet_b0=2.0, efficientnet_b0_cbam=2.1, efficientnet_lite0_cbam=2.2, vit_tiny=1.5
    )


@pytest.fixture(scope="module")
def smids():
    return analyze(("normal", "abnormal", "non-sperm"), efficientnet_lite0_cbam=3.0)


def render(results, tmp_path, notes=None):
    (tmp_path / "results").mkdir(exist_ok=True)
    if notes is not None:
        (tmp_path / "results" / "notes.md").write_text(notes, encoding="utf-8")
    written = results_page.write_page(results, results_dir=tmp_path / "results", page=tmp_path / "results.md")
    return written[0].read_text(encoding="utf-8"), written[1:]


def section(text, title, level="##"):
    return text.split(f"\n{level} {title}\n")[1].split(f"\n{level} ")[0]


def with_accuracy(content, mean, model="efficientnet_lite0_cbam"):
    changed = copy.deepcopy(content)
    changed["models"][model]["over_folds"]["accuracy"]["mean"] = mean
    return changed


def test_every_row_says_its_version_and_how_many_images_had_a_relative_elsewhere(hushem, tmp_path):
    known = copy.deepcopy(hushem)
    known["models"]["vit_tiny"]["relatives"] = {"dataset_version": "3.0.0", "num_with_relative_elsewhere": [4, 0]}
    found = section(render({"hushem": known}, tmp_path)[0], "Dataset version and relatives", "###")
    assert f"| `vit_tiny` | 3.0.0 | 4, 0 | {known['num_images']} |" in found
    assert "| `simple_cnn` | not recorded | not searched |" in found


def test_every_model_has_its_row(hushem, tmp_path):
    text, _ = render({"hushem": hushem}, tmp_path)
    for name in DEFAULT_BACKBONES:
        model = hushem["models"][name]
        mean, sd = model["over_folds"]["accuracy"]["mean"], model["over_folds"]["accuracy"]["sd"]
        pooled = model["pooled"]
        low, high = pooled["accuracy"]["bootstrap_95"]
        assert f"| `{name}` | {100 * mean:.1f} ± {100 * sd:.1f} | [{100 * low:.1f}, {100 * high:.1f}] |" in text
        row = re.search(rf"\| `{name}` \| [\d.]+ ± .*", section(text, "Accuracy and agreement", "###"))[0]
        low, high = pooled["accuracy"]["wilson_95"]
        assert f"[{100 * low:.1f}, {100 * high:.1f}]" in row
        for figure in ("macro_f1", "kappa", "mcc", "nll", "brier", "ece"):
            low, high = pooled[figure]["bootstrap_95"]
            assert f"{pooled[figure]['value']:.3f} [{low:.3f}, {high:.3f}]" in text, figure
    for name in CLASS_NAMES:
        recall = hushem["models"]["efficientnet_lite0_cbam"]["pooled"]["per_class"][name]["recall"]
        low, high = recall["bootstrap_95"]
        assert f"{recall['value']:.3f} [{low:.3f}, {high:.3f}]" in text


def test_the_page_opens_with_the_comparison_then_cbam_then_the_literature(hushem, smids, tmp_path):
    text, _ = render({"hushem": hushem, "smids": smids}, tmp_path)
    headings = re.findall(r"^##+ (.*)$", text, flags=re.MULTILINE)[:5]
    assert headings == [
        "Comparison",
        "Models and datasets",
        "CBAM or none",
        "Literature, SMIDS",
        "Literature, HuSHeM",
    ]
    compared = section(text, "Models and datasets", "###")
    for content, name in ((hushem, "efficientnet_lite0_cbam"), (smids, "efficientnet_lite0_cbam")):
        model = content["models"][name]
        accuracy, (low, high) = model["over_folds"]["accuracy"], model["pooled"]["accuracy"]["bootstrap_95"]
        f1, (f1_low, f1_high) = model["pooled"]["macro_f1"]["value"], model["pooled"]["macro_f1"]["bootstrap_95"]
        cells = (
            f"| {100 * accuracy['mean']:.1f} ± {100 * accuracy['sd']:.1f} [{100 * low:.1f}, {100 * high:.1f}] "
            f"| {f1:.3f} [{f1_low:.3f}, {f1_high:.3f}] |"
        )
        assert cells in next(row for row in compared.splitlines() if row.startswith(f"| `{name}` |"))
    assert next(row for row in compared.splitlines() if "`vit_tiny`" in row).count("*not measured yet*") == 1


def test_missing_models_and_datasets_are_said_to_be_missing(smids, tmp_path):
    text, _ = render({"smids": smids}, tmp_path)
    assert "Not measured yet: `simple_cnn`, `efficientnet_b0`, `efficientnet_b0_cbam` and `vit_tiny`." in text
    assert text.count("| `vit_tiny` | *not measured yet* |") == 3
    assert "| **here:** `vit_tiny` | *not measured yet* |" in text
    assert "A comparison needs two models; so far there is one." in text
    assert "No predictions yet: `results/hushem/` holds no model." in section(text, "HuSHeM")
    assert text.count("| HuSHeM | accuracy ≥ 93.9 % | *not measured yet* | – | open |") == 1


def test_without_any_predictions_the_page_says_so(tmp_path):
    text, files = render({}, tmp_path)
    assert files == []
    assert "Repeats so far: none." in text
    assert text.count("No predictions yet") == 2
    assert "No network started from ImageNet" not in text


def test_without_the_target_model_its_tables_say_so(tmp_path):
    text, _ = render({"hushem": analyze(simple_cnn=2.0)}, tmp_path)
    assert "Not measured yet." in section(text, "Classes, `efficientnet_lite0_cbam`", "###")
    assert "| HuSHeM | accuracy ≥ 93.9 % | *not measured yet*" in text


@pytest.mark.parametrize(
    ("mean", "outcomes"),
    [
        (0.9019, ["not met, 0.0 points short", "not met, 0.8 points short"]),
        (0.902, ["**met**", "not met, 0.8 points short"]),
        (0.91, ["**met**", "**met**"]),
    ],
)
def test_targets_are_judged_by_the_mean_over_folds(smids, tmp_path, mean, outcomes):
    text, _ = render({"smids": with_accuracy(smids, mean)}, tmp_path)
    rows = re.findall(r"\| SMIDS \| accuracy ≥ [\d.]+ % .*\| (.*) \|", text)
    assert rows == outcomes


def test_a_target_takes_two_repeats(smids, tmp_path):
    once = with_accuracy(smids, 0.95)
    once["models"]["efficientnet_lite0_cbam"]["num_repeats"] = 1
    assert "reached, but by 1 repeat only" in render({"smids": once}, tmp_path)[0]


@pytest.mark.parametrize("weights", ["imagenet", "imagenet_lite0", "synthetic_lite0"])
def test_what_started_from_imagenet_is_said(smids, tmp_path, weights):
    changed = copy.deepcopy(smids)
    changed["models"]["efficientnet_lite0_cbam"]["fits"]["weights"] = [weights]
    text, _ = render({"smids": changed}, tmp_path)
    assert "**ImageNet weights started** `efficientnet_lite0_cbam` on SMIDS; the others" in text
    assert "No network started from ImageNet" not in text
    assert "| `efficientnet_lite0_cbam`, from ImageNet | " in text
    shown = "ImageNet, synthetic_lite0" if weights == "synthetic_lite0" else "ImageNet"
    assert re.search(rf"\*\*here:\*\* `efficientnet_lite0_cbam` \|.*\| {shown} \|", text)
    changed["models"]["efficientnet_lite0_cbam"]["fits"]["weights"] = ["synthetic"]
    text, _ = render({"smids": changed}, tmp_path)
    assert "No network started from ImageNet weights." in text
    assert re.search(r"\*\*here:\*\* `efficientnet_lite0_cbam` \|.*\| synthetic \|", text)


def test_paired_tests_are_shown_and_read_out(hushem, tmp_path):
    text, _ = render({"hushem": hushem}, tmp_path)
    tests = section(text, "Paired tests", "###")
    assert tests.count(" − ") == 10
    pair = next(
        pair
        for pair in hushem["comparisons"]
        if (pair["first"], pair["second"]) == ("efficientnet_b0", "efficientnet_b0_cbam")
    )
    test = pair["accuracy"]
    values = [f"{100 * value:+.1f}".replace("-", "−") for value in (test["difference"], *test["interval"])]
    assert f"| `efficientnet_b0_cbam` − `efficientnet_b0` | {values[0]} [{values[1]}, {values[2]}] |" in tests
    first = pair["mcnemar"][0]
    assert f"| `efficientnet_b0` / `efficientnet_b0_cbam` | {first['only_first']} / {first['only_second']}, p " in tests
    assert f"{values[0]} [{values[1]}, {values[2]}] points" in text
    assert "no difference is shown." in text


@pytest.mark.parametrize(
    ("difference", "p_value", "sentence"),
    [
        (0.02, 0.01, "CBAM is more accurate."),
        (-0.02, 0.01, "CBAM is less accurate."),
        (0.02, 0.05, "no difference is shown."),
    ],
)
def test_cbam_is_judged_after_holm(hushem, tmp_path, difference, p_value, sentence):
    changed = copy.deepcopy(hushem)
    for pair in changed["comparisons"]:
        pair["accuracy"] |= {"difference": difference, "p_value": 0.001, "p_value_holm": p_value}
    assert sentence in render({"hushem": changed}, tmp_path)[0]


def test_only_honest_rows_stand_in_the_comparison(hushem, tmp_path):
    text, _ = render({"hushem": hushem}, tmp_path)
    beside = section(text, "Literature, HuSHeM", "###")
    compared, apart = beside.split("**Published, protocol not comparable:**")
    for row in literature.HONEST["hushem"]:
        assert f"| {row.work} | {100 * row.accuracy:.1f} ± {100 * row.sd:.1f} |" in compared
    assert "| MobileNetV3, fine-tuned (spermtriage) | 79.2 ± 6.7 | [73.6, 84.3] | ImageNet |" in compared
    assert "2606.20438" not in compared
    low, high = intervals.wilson(31, 33)
    assert (round(100 * low, 1), round(100 * high, 1)) == (80.4, 98.3)
    assert "| the paper (arXiv:2606.20438) | 93.9 | [80.4, 98.3] | 0.948 | ImageNet |" in apart


def test_notes_are_copied_verbatim(hushem, tmp_path):
    notes = "One *remark* with <b>tags</b>, {{ braces }} & a | bar.\n\n### Its own heading\n"
    text, _ = render({"hushem": hushem}, tmp_path, notes)
    assert notes.strip() in section(text, "Departures and remarks")
    (tmp_path / "results" / "notes.md").unlink()
    assert "Departures and remarks" not in render({"hushem": hushem}, tmp_path)[0]


@pytest.mark.slow
def test_plots_are_linked_small_and_repeat(hushem, smids, tmp_path):
    text, files = render({"hushem": hushem, "smids": smids}, tmp_path)
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert {(tmp_path / link).resolve() for link in links} == {path.resolve() for path in files}
    assert len(links) == 6
    before = [path.read_bytes() for path in files]
    for path in files:
        assert path.stat().st_size < 120_000
        with Image.open(path) as image:
            assert image.width <= 1000
            assert np.asarray(image.convert("L")).std() > 5, "something is drawn"
    again, _ = render({"hushem": hushem, "smids": smids}, tmp_path)
    assert again == text
    assert [path.read_bytes() for path in files] == before


def test_the_plotted_model_is_the_released_one_or_else_the_most_accurate_by_folds(hushem):
    changed = with_accuracy(hushem, 0.999, "vit_tiny")
    assert results_page.best_model(changed) == "vit_tiny"
    assert results_page.shown_model("hushem", changed) == "efficientnet_lite0_cbam"
    del changed["models"]["efficientnet_lite0_cbam"]
    assert results_page.shown_model("hushem", changed) == "vit_tiny"


def test_links_are_relative_to_the_page(smids, tmp_path):
    (tmp_path / "figures").mkdir()
    results_page.write_page({"smids": smids}, results_dir=tmp_path / "figures", page=tmp_path / "pages" / "one.md")
    assert "](../figures/smids/accuracy.png)" in (tmp_path / "pages" / "one.md").read_text(encoding="utf-8")


def test_a_dataset_of_ones_own_has_figures_but_no_literature(smids, tmp_path):
    text, _ = render({"my_images": smids}, tmp_path)
    own = section(text, "my_images")
    assert "protocol not comparable" not in text and "### Literature" not in text
    assert "](results/my_images/accuracy.png)" in own
    assert "| `efficientnet_lite0_cbam` |" in own


def test_undefined_figures_are_dashes(smids, tmp_path):
    changed = copy.deepcopy(smids)
    changed["models"]["efficientnet_lite0_cbam"]["pooled"]["per_class"]["normal"]["precision"] = {
        "value": None, "bootstrap_95": None,
    }  # fmt: skip
    assert re.search(r"\| normal \| \d+ \| – \|", render({"smids": changed}, tmp_path)[0])


def test_tables_are_well_formed(hushem, smids, tmp_path):
    text, _ = render({"hushem": hushem, "smids": smids}, tmp_path)
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    assert "None" not in text
    assert "nan" not in text


def test_numbers_are_written_plainly():
    assert results_tables.p_value(0.0004) == "< 0.001"
    assert results_tables.p_value(0.0312) == "0.031"
    test = {"difference": -0.0004, "interval": [-0.021, 0.02]}
    assert results_tables.difference(test, scale=100, digits=1) == "0.0 [−2.1, +2.0]"


@pytest.mark.parametrize("dataset", ["smids", "hushem"])
def test_plots_have_room_for_their_labels(dataset, hushem, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that collapsed is a warning, and labels that are cut off
        results_page._write_plots(dataset, hushem, tmp_path)
    rows = [results_page._published_row(row) for row in literature.HONEST[dataset]]
    assert rows and not any("http" in row["label"] for row in rows)
