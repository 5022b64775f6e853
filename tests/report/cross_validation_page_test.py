import base64
import csv
import hashlib
import html
import io
import itertools
import json
import re

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from sperm_tf.evaluation.cross_validation import analysis, label_quality, oof
from sperm_tf.report.cross_validation import fold_plot, labels, page
from sperm_tf.report.cross_validation.page import write_report
from tests.evaluation.cross_validation.oof_tables import CLASS_NAMES, draw_table, write_fits
from tests.report.build_test import LOADING, Page

MODELS = {"simple_cnn": 0.6, "efficientnet_b0": 1.6}
INFO = {"title": "HuSHeM", "name": "hushem", "config": "clean", "version": "1.0.0"}
SECTIONS = (
    "summary",
    "method",
    "models",
    "errors",
    "calibration",
    "comparisons",
    "training",
    "labels",
    "glossary",
)


def read_image(image_id, *, height=40, width=50):
    seed = int(hashlib.sha256(image_id.encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def draw_tables(models=MODELS, **kwargs):
    return {
        name: draw_table(skill=skill, num_groups=140, seed=seed, **kwargs)
        for seed, (name, skill) in enumerate(models.items())
    }


def write(folder, tables, *, issues=None, info=INFO, reader=read_image, fits=()):
    first = next(iter(tables.values()))
    results = analysis.analyze(tables, oof.class_names(first), bootstrap_samples=100)
    results = json.loads(json.dumps(results))
    report = folder / "report.html"
    files = write_report(
        report, dataset_info=info, results=results, label_issues=issues, read_image=reader, fits=list(fits)
    )
    assert files[0] == report
    return results, report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables():
    return draw_tables()


@pytest.fixture(scope="module")
def issues(tables):
    return label_quality.find_label_issues(tables["simple_cnn"], model="simple_cnn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def written(tables, issues, folder):
    write_fits(folder, dict.fromkeys(MODELS, 2))
    fits = json.loads((folder / "fits.json").read_text())
    return write(folder, tables, issues=issues, fits=fits)


@pytest.fixture(scope="module")
def report(written):
    return written[1]


@pytest.fixture(scope="module")
def parsed(report):
    return Page(report)


def section(report, name):
    """Text of one section."""
    start = report.index(f'<section id="{name}"')
    return Page(report[start : report.index("</section>", start) + len("</section>")])


def pictures_of(parsed):
    """The pictures of a page, decoded, by their description."""
    found = {}
    for picture in parsed.named("img"):
        content = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
        found.setdefault(picture["alt"], np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
    return found


def test_html_is_well_formed_loads_nothing_and_runs_nothing(parsed, report):
    assert parsed.errors == []
    identifiers = [attributes["id"] for _, attributes in parsed.tags if attributes.get("id")]
    assert len(identifiers) == len(set(identifiers))
    targets = [link["href"][1:] for link in parsed.named("a") if link["href"].startswith("#")]
    assert set(targets) <= set(identifiers)
    for tag, attributes in parsed.tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form"}
        for name in LOADING & set(attributes):
            assert attributes[name].startswith(("data:image/png;base64,", "#")), (tag, name)
    assert not re.findall(r"url\(\s*['\"]?(?!#)", report)
    policy = [meta["content"] for meta in parsed.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_section_is_there_and_no_heading_skips_a_level(parsed):
    assert [attributes["id"] for attributes in parsed.named("section")] == list(SECTIONS)
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for drawing in [*parsed.named("svg"), *parsed.named("img")]:
        assert len(drawing.get("aria-label") or drawing["alt"]) > 20


def test_nothing_undefined_is_printed(parsed):
    assert not re.search(r"\b(None|nan|NaN|inf|True|False|Undefined)\b", parsed.text)


def test_headline_is_the_mean_over_folds_of_the_best_model(report, tables):
    test = oof.select(tables["efficientnet_b0"], part=oof.TEST)
    accuracies = [
        sklearn.metrics.accuracy_score(oof.labels(rows), oof.probabilities(rows).argmax(axis=1))
        for _, rows in test.groupby(["repeat", "fold"])
    ]
    text = section(report, "summary").text
    assert len(accuracies) == 10
    assert f"The most accurate of 2 models, efficientnet_b0 , put {100 * np.mean(accuracies):.1f} %" in text
    assert "No split by patient." in text
    assert "two labels" not in text  # near duplicates of these tables carry one label
    assert "20 trained networks" in Page(report).text


def test_table_shows_every_model_with_both_intervals(report, written):
    text = section(report, "models").text
    for name, model in written[0]["models"].items():
        accuracy, spread = model["over_folds"]["accuracy"], model["pooled"]["accuracy"]
        assert f"{name} 2 {100 * accuracy['mean']:.1f} ± {100 * accuracy['sd']:.1f}" in text
        for letter, bounds in (("B", spread["bootstrap_95"]), ("W", spread["wilson_95"])):
            assert f"{letter} {100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}" in text
        assert f"{model['pooled']['macro_f1']['value']:.3f}" in text
        for figures in model["pooled"]["per_class"].values():
            assert f"{figures['recall']['value']:.3f}" in text


def test_confusion_matrices_equal_scikit_learns(report, tables):
    text = section(report, "errors").text
    for name, table in tables.items():
        test = oof.select(table, part=oof.TEST)
        counts = sklearn.metrics.confusion_matrix(oof.labels(test), oof.probabilities(test).argmax(axis=1))
        shares = counts / counts.sum(axis=1, keepdims=True)
        rows = " ".join(
            f"{label} " + " ".join(f"{100 * share:.1f} % {count}" for share, count in zip(*both, strict=True))
            for label, both in zip(CLASS_NAMES, zip(shares, counts, strict=True), strict=True)
        )
        assert f"{name} {' '.join(CLASS_NAMES)} {rows}" in text


def test_every_model_has_a_reliability_diagram(report):
    diagrams = section(report, "calibration").named("img")
    assert [picture["alt"].split(".")[0] for picture in diagrams] == [
        f"Reliability diagram of {name}" for name in MODELS
    ]


def test_paired_tests_are_shown_with_their_outcome(report, written):
    (pair,) = written[0]["comparisons"]
    text = section(report, "comparisons").text
    assert f"efficientnet_b0 − simple_cnn +{100 * pair['accuracy']['difference']:.1f}" in text
    assert pair["accuracy"]["p_value_holm"] < 0.05 and "efficientnet_b0 is more accurate" in text
    for test in pair["mcnemar"]:
        assert f"simple_cnn, efficientnet_b0 {test['repeat'] + 1} {test['only_first']} {test['only_second']}" in text


@pytest.mark.slow
def test_an_undecided_pair_is_not_called_a_difference(tmp_path):
    _, report = write(tmp_path, draw_tables({"simple_cnn": 1.5, "vit_tiny": 1.5}))
    assert "no difference in accuracy is shown" in section(report, "comparisons").text


@pytest.mark.slow
def test_training_is_summarized_by_model(report, tmp_path, tables):
    assert "simple_cnn 10 22 (20–24) 15 " in section(report, "training").text
    fits = [{"model": "simple_cnn", "repeat": 0, "fold": 0, "num_epochs": 7, "best_epoch": 7, "seconds": 90.0}]
    fits[0] |= {"backend": "jax", "validation_accuracy": 0.625}
    _, other = write(tmp_path, tables, fits=[*fits, fits[0] | {"repeat": 5, "seconds": 1e6}])  # not analysed yet
    text = section(other, "training").text
    assert "simple_cnn 1 of 10 7 7 the last one 1×" in text
    assert "validation 62.5 %" in text and "1 min 30 s all 1 min 30 s jax" in text
    assert "efficientnet_b0" not in text


def test_the_worst_labels_come_first_with_their_pictures(report, issues):
    assert len(issues.rows) > labels.MAX_PICTURES
    shown = section(report, "labels")
    pictures = pictures_of(shown)
    assert len(shown.named("img")) == labels.MAX_PICTURES == 60
    order = [shown.text.index(row.image_id) for row in issues.rows[:60]]
    assert order == sorted(order)
    for index, row in enumerate(issues.rows[:60], start=1):
        assert f"{index}. labelled {row.given_label} , suggested {row.suggested_label}" in shown.text
        picture = pictures[f"Image {row.image_id}, labelled {row.given_label}"]
        np.testing.assert_array_equal(picture, read_image(row.image_id))
    assert issues.rows[60].image_id not in shown.text
    assert f"{len(issues.rows) - 60} more are in label_issues.csv" in shown.text
    assert "A list to look at, not a verdict." in shown.text


def test_the_whole_list_lies_beside_the_page(written, folder, issues):
    with (folder / page.LABEL_ISSUES_FILE).open(newline="") as file:
        assert [row["image_id"] for row in csv.DictReader(file)] == [row.image_id for row in issues.rows]


def test_expected_errors_of_every_class_pair_are_shown(report, issues):
    text = section(report, "labels").text
    for pair in issues.summarize()["pairs"]:
        row = f"{pair['given_label']} {pair['suggested_label']} {pair['expected_errors']} "
        assert (row in text) == bool(pair["expected_errors"] or pair["num_listed"])


@pytest.mark.slow
def test_near_duplicates_with_another_label_stand_beside_the_image(tables, tmp_path):
    table = tables["efficientnet_b0"]
    found = label_quality.find_label_issues(table)
    test = oof.select(table, part=oof.TEST, repeat=0)
    worst = found.rows[0]
    twin = test[test["label"] != CLASS_NAMES.index(worst.given_label)].iloc[0]
    pairs = [(worst.image_id, twin["image_id"])]
    found = label_quality.find_label_issues(table, near_duplicates=pairs)
    _, report = write(tmp_path, tables, issues=found)
    shown, label = section(report, "labels"), CLASS_NAMES[twin["label"]]
    assert f"Near duplicates with another label: {twin['image_id']} ({label})" in shown.text
    assert f"near duplicate, labelled {label}" in shown.text
    assert "1 pair of images looks so alike" in shown.text
    np.testing.assert_array_equal(
        pictures_of(shown)[f"Image {twin['image_id']}, labelled {label}"], read_image(twin["image_id"])
    )


def test_large_images_are_made_small_and_wrong_ones_refused():
    def decode(uri):
        return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))

    assert decode(labels.to_data_uri("a", read_image("a", height=300, width=600))).size == (144, 72)
    assert decode(labels.to_data_uri("a", read_image("a", height=20, width=30))).size == (30, 20)
    for wrong in (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"read_image must give uint8 \[H, W, 3\]. Received: .*'cell.png'"):
            labels.to_data_uri("cell.png", wrong)


def test_one_model_without_fits_labels_or_pictures(tmp_path):
    tables = draw_tables({"vit_tiny": 1.2}, num_repeats=1)
    _, report = write(tmp_path, tables, reader=None)
    parsed = Page(report)
    assert parsed.errors == []
    assert "The model vit_tiny put" in parsed.text and "One repeat only" in parsed.text
    assert "A comparison needs two models" in parsed.text and "not recorded" in parsed.text
    assert "Labels were not examined" in parsed.text
    assert not (tmp_path / page.LABEL_ISSUES_FILE).exists()
    found = label_quality.find_label_issues(tables["vit_tiny"])
    _, report = write(tmp_path, tables, issues=found, reader=None)
    shown = section(report, "labels")
    assert "Without pictures" in shown.text and found.rows[0].image_id in shown.text and not shown.named("img")


def test_a_class_that_was_never_predicted_is_a_dash(tmp_path):
    table = draw_table(skill=1.5)
    table[["p_normal", "p_tapered"]] = np.stack(
        [table["p_normal"] + table["p_tapered"], 0 * table["p_tapered"]], axis=1
    )
    _, report = write(tmp_path, {"simple_cnn": table})
    text = section(report, "models").text
    assert re.search(r"tapered \d+ – 0\.000", text)
    assert not re.search(r"\b(None|nan)\b", Page(report).text)


def test_names_from_outside_are_escaped(tmp_path):
    evil = "<script>alert(1)</script>"
    table = draw_table(skill=0.8, class_names=("a<b", "c&d", "e"))
    names = {name: f"{name}/{evil}.png" for name in table["image_id"].unique()}
    table["image_id"] = table["image_id"].map(names)
    found = label_quality.find_label_issues(table, model=evil)
    info = {"title": evil, "notes": [evil], "citation": evil, "name": evil}
    _, report = write(tmp_path, {"simple_cnn": table}, issues=found, info=info)
    assert evil not in report and html.escape(evil) in report
    parsed = Page(report.replace("<wbr>", ""))  # which needs no end
    assert parsed.errors == [] and not parsed.named("script")
    assert "c&d" in parsed.text and "a<b" in parsed.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, "No split by patient."),
        ({"has_origins": True}, "One source of data."),
        ({"is_synthetic": True}, "Synthetic data."),
    ],
)
def test_the_limit_of_the_data_is_said(info, expected, tmp_path, tables):
    _, report = write(tmp_path, tables, info={"title": "own images"} | info)
    banners = {"No split by patient.", "One source of data.", "Synthetic data."}
    assert {name for name in banners if name in section(report, "summary").text} == {expected}


@pytest.mark.slow
def test_the_same_content_gives_the_same_bytes(tables, issues, tmp_path):
    (tmp_path / "again").mkdir()
    _, first = write(tmp_path, tables, issues=issues)
    _, second = write(tmp_path / "again", tables, issues=issues)
    assert first == second


def test_no_model_no_report(tmp_path):
    with pytest.raises(ValueError, match=r"results must hold at least one model\. Received: none"):
        write_report(
            tmp_path / "r.html", dataset_info=INFO, results={"models": {}}, label_issues=None, read_image=None, fits=[]
        )
    assert not (tmp_path / "r.html").exists()


def test_fold_plot_draws_every_fold_in_the_colours_of_the_page():
    folds = [(repeat, 0.7 + 0.01 * fold) for repeat in range(3) for fold in range(5)]
    rows = [{"label": "vit_tiny", "value": 0.72, "interval": [0.7, 0.74], "folds": [*folds, (2, None)]}]
    svg = fold_plot.draw(rows, title="Accuracy", description="d")
    empty = fold_plot.draw([rows[0] | {"folds": []}], title="Accuracy", description="d")
    assert svg.count("<use ") - empty.count("<use ") == 15
    assert ">vit_tiny</text>" in svg and ">0.720</text>" in svg
    assert not re.findall(r"#[0-9a-f]{6}", svg), "a colour that does not follow the page's theme"
    fold_plot.draw([rows[0] | {"value": None, "interval": None, "folds": []}], title="Empty", description="d")
