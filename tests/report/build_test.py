import html.parser
import itertools
import json
import re
import shutil

import pytest

from sperm_tf.report import build, plots
from sperm_tf.report.sections import training
from sperm_tf.report.stages import STAGES
from tests.report import fixtures

SECTIONS = (
    "summary",
    "data",
    "defects",
    "training",
    "evaluation",
    "trust",
    "explanations",
    "serving",
    "model-card",
    "lineage",
    "glossary",
)
VOID = {"meta", "img", "br", "link", "input", "hr"}
LOADING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "xlink:href"}


class Page(html.parser.HTMLParser):
    """Collects what the tests ask, and complains of elements that are not closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.errors, self.tags, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        self.errors += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(f"</{tag}> at line {self.getpos()[0]}")

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fixtures.make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    return write(run, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(report):
    return Page(report)


def write(directories, output):
    build.build_report(directories, output)
    return (output / "report.html").read_text(encoding="utf-8")


def copy(run, tmp_path):
    return {name: shutil.copytree(path, tmp_path / name) for name, path in run.items()}


def test_html_is_well_formed_and_identifiers_are_unique(page):
    assert page.errors == []
    identifiers = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(identifiers) == len(set(identifiers))
    targets = [link["href"][1:] for link in page.named("a") if link["href"].startswith("#")]
    assert set(targets) <= set(identifiers)


def test_nothing_is_loaded_and_nothing_is_run(page, report):
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "base", "form"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in LOADING & set(attributes):
            assert attributes[name].startswith(("data:image/png;base64,", "#")), (tag, name)
    assert not re.findall(r"url\(\s*['\"]?(?!#)", report)
    assert "@import" not in report
    policy = [meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_section_and_class_is_there(page):
    sections = [attributes["id"] for attributes in page.named("section")]
    assert sections == list(SECTIONS)
    for name in fixtures.CLASS_NAMES:
        assert f"True class: {name}" in page.text
    assert page.text.count("5 images,") == len(fixtures.CLASS_NAMES)


def test_headings_never_skip_a_level(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_images_and_plots_have_words(page):
    pictures = page.named("img")
    assert len(pictures) == 80
    assert all(len(picture["alt"]) > 20 for picture in pictures)
    drawings = page.named("svg")
    assert len(drawings) == 6
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 30 for drawing in drawings)


def test_headline_shows_the_figures_with_both_intervals(report, run):
    page = Page(report[: report.index('<section id="data"')])
    metrics = json.loads((run["evaluator"] / "metrics.json").read_text())
    accuracy, macro_f1 = metrics["accuracy"], metrics["macro_f1"]
    for bounds in (accuracy["wilson_95"], accuracy["bootstrap_95"]):
        assert f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f} %" in page.text
    assert f"{100 * accuracy['value']:.1f} %" in page.text
    assert f"{macro_f1['value']:.3f}" in page.text
    assert "Evaluation: blessed" in page.text and "Pushed: version 3" in page.text
    right = sum(metrics["confusion_matrix"]["counts"][index][index] for index in range(4))
    assert f"Of 86 test images that took no part in its training, the model put {right} into the right" in page.text


def test_table_of_classes_shows_the_evaluators_figures(page, run):
    metrics = json.loads((run["evaluator"] / "metrics.json").read_text())
    for name in fixtures.CLASS_NAMES:
        recall = metrics["per_class"][name]["recall"]
        low, high = recall["wilson_95"]
        assert re.search(rf"{name} .*{recall['value']:.3f} W {low:.2f}–{high:.2f}", page.text)


def test_thirds_by_measured_quality_are_in_order_with_their_ranges(page, run):
    figures = json.loads((run["evaluator"] / "metrics.json").read_text())["slices"]["cnr"]
    ranges = {"low": "below 2.50", "medium": "2.50 to 4.04", "high": "4.04 and more"}
    rows = [
        f"contrast to noise {third} {words} {figures[third]['num_examples']} {figures[third]['accuracy']['value']:.3f}"
        for third, words in ranges.items()
    ]
    places = [page.text.index(row) for row in rows]
    assert places == sorted(places)
    assert "shorter side, pixels all alike" in page.text


def test_real_data_have_no_synthetic_banner_and_say_that_no_patient_split_is_possible(page):
    assert "Synthetic data" not in page.text
    assert "No split by patient is possible" in page.text
    assert "not a medical device" in page.text.lower()


def test_synthetic_data_have_a_banner(tmp_path):
    page = Page(write(fixtures.make_run(tmp_path, dataset="synthetic_sperm"), tmp_path))
    assert "Synthetic data. Every image behind this report was drawn by a program." in page.text
    assert "No split by patient" not in page.text
    assert "> **Synthetic data.**" in (tmp_path / "model_card.md").read_text()


@pytest.mark.parametrize(
    ("num_origins", "stated"),
    (
        (7, "Images of one given group (patient, donor or slide) stay in one split."),
        (0, "No groups were given with the images: cells of one person may stand in both"),
    ),
)
def test_ones_own_images_are_not_called_a_release(num_origins, stated, tmp_path):
    run = fixtures.make_run(tmp_path, dataset="own_images")
    path = run["example_gen"] / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_origins": num_origins}))
    write(run, tmp_path)
    card = (tmp_path / "model_card.md").read_text()
    assert stated in card and "the labels that came with the images" in card
    assert "No split by patient is possible" not in card and "dataset's authors" not in card


def test_description_of_the_dataset_keeps_its_paragraphs_and_lists(report):
    page = Page(report[report.index('<section id="data"') : report.index('<section id="defects"')])
    assert "<p>Crops of stained human sperm heads.</p>" in report
    assert len(page.named("li")) == 2
    assert re.search(r"Defects: one two lines The end\.", page.text)


def test_long_lists_are_capped_and_counted(page):
    assert "identical pixels: another copy is kept: 216 images" in page.text
    assert "and 16 more, in excluded.csv" in page.text
    assert page.texts.count("identical pixels; the related image is kept") == 200 + 24
    assert all("open" not in details for details in page.named("details"))


def test_names_from_outside_are_inert(tmp_path):
    odd = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'.bmp"
    page = Page(write(fixtures.make_run(tmp_path, odd_name=odd), tmp_path))
    assert page.errors == []
    assert page.named("script") == [] and all(picture["src"].startswith("data:") for picture in page.named("img"))
    assert odd in "".join(page.texts)
    assert any(odd in picture["alt"] for picture in page.named("img"))


def test_markup_in_class_names_is_inert_in_plots_and_model_card(run, tmp_path):
    odd = "<b onmouseover=x>&"
    changed = copy(run, tmp_path)
    for stage, file in (("evaluator", "metrics.json"), ("example_gen", "dataset.json"), ("trainer", "history.json")):
        path = changed[stage] / file
        path.write_text(path.read_text().replace('"normal"', json.dumps(odd)).replace('"frozen"', json.dumps(odd)))
    report = write(changed, tmp_path)
    assert Page(report).errors == []
    assert Page(report).named("b") == [{} for _ in range(4)]  # those of the chips
    assert "<b onmouseover" not in report + (tmp_path / "model_card.md").read_text()


def test_addresses_that_are_no_web_page_become_no_link(run, tmp_path):
    changed = copy(run, tmp_path)
    path = changed["example_gen"] / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "homepage": "javascript:alert(1)"}))
    assert "javascript:" not in write(changed, tmp_path)


def test_files_outside_the_artifact_are_not_shown(run, tmp_path):
    changed = copy(run, tmp_path)
    secret = tmp_path / "secret.png"
    shutil.copy(next((changed["explainer"] / "images").iterdir()), secret)
    path = changed["explainer"] / "explanations.json"
    content = json.loads(path.read_text())
    content["images"] = [{**content["images"][0], "files": {"image": "../secret.png", "cbam_attention": str(secret)}}]
    path.write_text(json.dumps(content))
    assert Page(write(changed, tmp_path)).named("img") == []


@pytest.mark.parametrize("missing", [*STAGES, "all"])
def test_a_missing_stage_breaks_nothing(run, tmp_path, missing):
    directories = {} if missing == "all" else {name: path for name, path in run.items() if name != missing}
    page = Page(write(directories, tmp_path))
    assert page.errors == []
    assert [attributes["id"] for attributes in page.named("section")] == list(SECTIONS)
    assert "no artifact" in page.text


@pytest.mark.parametrize(("stage", "content"), [*((name, "{}") for name in STAGES), ("*", "{"), ("*", "[1]")])
def test_empty_or_damaged_json_breaks_nothing(run, tmp_path, stage, content):
    changed = copy(run, tmp_path)
    for name in STAGES if stage == "*" else [stage]:
        for path in changed[name].glob("*.json"):
            path.write_text(content)
    assert Page(write(changed, tmp_path)).errors == []


def test_a_model_that_was_not_pushed(run, tmp_path):
    changed = copy(run, tmp_path)
    (changed["evaluator"] / "BLESSED").rename(changed["evaluator"] / "NOT_BLESSED")
    reason = "the Evaluator did not bless the model: see validation.json"
    pushed = {"pushed": False, "model_name": "sperm_hushem", "reasons": [reason]}
    (changed["pusher"] / "pushed.json").write_text(json.dumps(pushed))
    text = Page(write(changed, tmp_path)).text
    assert "Evaluation: not blessed" in text and "Pushed: no" in text and reason in text
    assert "docker run" not in text


def test_a_model_that_is_no_better_than_chance_is_called_so(run, page, tmp_path):
    warning = "No better than chance, as far as these images can show."
    assert warning not in page.text
    changed = copy(run, tmp_path)
    path = changed["evaluator"] / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["accuracy"]["wilson_95"] = [0.25, 0.6]  # the largest class holds 22 of 86 images, 25.6 %
    path.write_text(json.dumps(metrics))
    text = Page(write(changed, tmp_path)).text
    assert warning in text and "not above 25.6 %" in text


@pytest.mark.parametrize(
    ("weights", "is_file"),
    [("none", False), ("imagenet", False), ("imagenet_lite0", False), ("smids@1", False), ("runs/1/model.keras", True)],
)
def test_initial_weights_of_a_file_may_have_seen_the_test_images(run, tmp_path, weights, is_file):
    changed = copy(run, tmp_path)
    path = changed["trainer"] / "artifact.json"
    path.write_text(path.read_text().replace('"weights": "none"', f'"weights": "{weights}"'))
    report = write(changed, tmp_path)
    summary = Page(report[: report.index('<section id="data"')]).text
    card = (tmp_path / "model_card.md").read_text()
    assert ("took no part in its training" in report + card) == (not is_file)
    remark = "Training started from weights of a file, and it is unknown whether those have seen the test images."
    assert (remark in summary) == (remark in card) == is_file
    assert ("the weights of the file runs/1/model.keras" in card) == is_file
    assert ("the initial weights may have seen them" in card) == is_file


@pytest.mark.parametrize("views", [1, 8])
def test_averaging_over_views_is_told(run, tmp_path, views):
    changed = copy(run, tmp_path)
    path = changed["trainer"] / "artifact.json"
    path.write_text(path.read_text().replace('"seed": 0', f'"views": {views}, "seed": 0'))
    report = Page(write(changed, tmp_path)).text
    card = (tmp_path / "model_card.md").read_text()
    assert (
        ("Predictions averaged over 8 views" in report)
        == ("averaged over 8 views of the image" in card)
        == (views == 8)
    )
    assert ("Predictions averaged over nothing" in report) == (views == 1)


def test_thresholds_that_bless_anything_are_called_so(run, page, tmp_path):
    remark = "these checks would bless any model"
    assert remark not in page.text
    changed = copy(run, tmp_path)
    path = changed["evaluator"] / "validation.json"
    path.write_text(path.read_text().replace('"threshold": 0.5', '"threshold": 0.0'))
    assert remark in Page(write(changed, tmp_path)).text


def test_failed_checks_of_the_serving_trial_are_listed(run, page, tmp_path):
    assert "1 of 1 check passed" in page.text
    changed = copy(run, tmp_path)
    failed = {"signature": "explain", "demand": "has maps", "passed": False, "detail": "found: none"}
    (changed["infra_validator"] / "report.json").write_text(json.dumps({"blessed": False, "checks": [failed]}))
    text = Page(write(changed, tmp_path)).text
    assert "0 of 1 check passed" in text and "explain has maps found: none" in text


@pytest.mark.parametrize(
    ("failure", "sentence", "output"),
    [
        (
            {"kind": "timeout", "timeout_s": 300.0, "stderr": ["a", "b <c>"]},
            "it was stopped after 5 min 0 s.",
            "a\nb <c>",
        ),
        ({"kind": "exit", "exit_code": -9, "stderr": []}, "its process ended with exit code -9.", ""),
        (None, "", ""),
        ({"other": 1}, "the reason was not recorded.", ""),
    ],
)
def test_a_serving_trial_without_an_answer_is_told_in_words(run, tmp_path, failure, sentence, output):
    changed = copy(run, tmp_path)
    (changed["infra_validator"] / "report.json").write_text(json.dumps({"checks": [], "failure": failure}))
    page = Page(write(changed, tmp_path))
    assert page.errors == []
    assert ("The serving trial did not finish" in page.text) == bool(sentence)
    assert sentence in page.text
    assert (output in page.texts) == bool(output)
    assert "The last lines of its standard error" in page.text or not output
    assert "{'" not in page.text


def test_serving_commands_quote_the_path(run, tmp_path):
    changed = copy(run, tmp_path)
    pushed = {"pushed": True, "model_name": "sperm", "version": 1, "path": "/models/my base/sperm/1", "reasons": []}
    (changed["pusher"] / "pushed.json").write_text(json.dumps(pushed))
    text = Page(write(changed, tmp_path)).text
    assert "--dir '/models/my base/sperm/1'" in text
    assert "-v '/models/my base/sperm:/models/sperm:ro'" in text


def test_a_run_without_explanations_says_so(run, tmp_path):
    changed = copy(run, tmp_path)
    undefined = {"num_images": 0, "max_relative_difference": None, "median_relative_difference": None}
    agreement = {"layer_integrated_gradients": undefined, "grad_cam_plus_plus": undefined}
    (changed["explainer"] / "explanations.json").write_text(json.dumps({"images": [], "agreement": agreement}))
    page = Page(write(changed, tmp_path))
    assert page.errors == [] and page.named("img") == []
    assert "No image was explained." in page.text


@pytest.mark.slow
def test_maps_are_judged_against_the_baselines(run, page, tmp_path):
    assert "Measured on 9 test images in which a segmentation found a head, of 12 looked at" in page.text
    assert (
        "The map of integrated gradients is better than both in deletion; it is not in insertion and share on the head."
        in page.text
    )
    assert "layer integrated gradients 0.204 ✓" in page.text
    assert "centre prior (baseline) 0.404 0.40" in page.text
    assert "no blessing" not in page.text and "Maps: nothing demanded" in page.text
    changed = copy(run, tmp_path)
    failed = {"figure": "insertion_auc", "value": 0.5, "versus": {}, "passed": False}
    (changed["explanation_validator"] / "validation.json").write_text(
        json.dumps({"blessed": False, "checks": [failed]})
    )
    (changed["explanation_validator"] / "EXPLANATION_BLESSED").unlink()
    text = Page(write(changed, tmp_path)).text
    assert "no blessing The configuration demands that the map of integrated gradients be better than" in text
    assert "better than both baselines in insertion" in text
    assert "Maps: not blessed" in text
    assert "neither deletion nor insertion" not in text
    path = changed["explanation_validator"] / "figures.json"
    figures = json.loads(path.read_text())
    figures["methods"]["layer_integrated_gradients"]["deletion_auc"]["versus"]["centre"]["beats"] = False
    path.write_text(json.dumps(figures))
    assert (
        "The map of integrated gradients is better than both in neither deletion nor insertion."
        in Page(write(changed, tmp_path)).text
    )
    path.unlink()
    text = Page(write(changed, tmp_path)).text
    assert "The maps were not measured." in text and "no blessing" in text


def test_undefined_figures_are_dashes(run, tmp_path):
    changed = copy(run, tmp_path)
    path = changed["evaluator"] / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["per_class"]["normal"]["precision"] = {"value": None, "wilson_95": None, "bootstrap_95": None}
    metrics["macro_f1"]["bootstrap_95"] = None
    path.write_text(json.dumps(metrics))
    page = Page(write(changed, tmp_path))
    assert page.errors == []
    assert re.search(r"normal 22 – ", page.text)


def test_the_same_artifacts_give_the_same_bytes(run, report, tmp_path):
    assert write(run, tmp_path) == report


def test_lineage_names_every_digest(page, run):
    for directory in run.values():
        digest = json.loads((directory / "artifact.json").read_text())["digest"]
        assert digest[:12] in page.text
    assert "tensorflow 2.21.0" in page.text


def test_model_card_in_markdown_holds_the_figures_and_the_limits(run, tmp_path):
    write(run, tmp_path)
    card = (tmp_path / "model_card.md").read_text()
    accuracy = json.loads((run["evaluator"] / "metrics.json").read_text())["accuracy"]["value"]
    assert f"Accuracy {100 * accuracy:.1f}" in card
    for heading in ("Intended use", "Out of scope", "Limits", "Ethical considerations"):
        assert f"## {heading}\n" in card
    assert "Selective classification: " in card and "Calibration has not been assessed" not in card
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables}) == 1 and "| --- |" in tables[1]


def test_what_is_accepted_and_referred_is_told(page, run):
    trust = json.loads((run["evaluator"] / "metrics.json").read_text())["trust"]
    accepted, right = trust["selection"]["accepted"], trust["selection"]["accuracy_of_accepted"]
    for figure in (accepted, right, trust["sets"]["coverage"]):
        low, high = figure["wilson_95"]
        assert f"{100 * figure['value']:.1f} %" in page.text
        assert f"{100 * low:.1f}–{100 * high:.1f} %" in page.text
    assert "at least 71.2 %" in page.text and "295 calibration images" in page.text
    assert "with 95 % confidence, at most 5 % of the accepted predictions are wrong" in page.text
    assert f"{trust['scores']['ece']['value']:.3f}" in page.text
    referred = trust["selection"]["reasons"]["uncertain"]
    assert f"the probability is below the threshold {referred}" in page.text
    assert "Calibration has not been assessed" not in page.text


def test_a_model_that_guarantees_nothing_refers_everything(run, tmp_path):
    changed = copy(run, tmp_path)
    path = changed["calibrator"] / "decision.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "min_confidence": None, "num_images": 21}))
    text = Page(write(changed, tmp_path)).text
    assert "Every image is referred to an expert. 21 calibration images are too few" in text


def test_a_model_that_nobody_calibrated_is_called_so(run, tmp_path):
    text = Page(write({name: path for name, path in run.items() if name != "calibrator"}, tmp_path)).text
    assert "Nobody calibrated this model: it refers every image to an expert." in text
    assert "of predictions with a probability of 90 %, 9 in 10 need not be right" in text


def test_an_unknown_stage_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"directories must be named after stages.*Received: trainr"):
        build.build_report({"trainr": tmp_path}, tmp_path)


def test_training_curve_marks_phase_and_kept_epoch():
    values = {"training": [3.0, 2.0, 1.0], "validation": [3.0, 1.0, 2.0]}
    svg = plots.training_curve(values, title="Loss", description="d", phases=["a", "b", "b"], best_epoch=2)
    assert "kept: 2" in svg and ">a</text>" in svg and ">b</text>" in svg
    assert not re.findall(r"#[0-9a-f]{6}", svg), "a colour that does not follow the page's theme"


@pytest.mark.parametrize(
    ("recorded", "checkpoint", "expected"),
    [(2, "last", 2), (None, "last", 3), (None, "best", 2), (9, "best", 2), (None, "", 2)],
)
def test_the_epoch_that_was_kept_is_the_recorded_one_or_the_recipes(recorded, checkpoint, expected):
    assert training._kept_epoch(recorded, {"checkpoint": checkpoint}, [3.0, 1.0, 2.0]) == expected


def test_training_curve_without_a_phase_change_names_no_phase():
    svg = plots.training_curve({"validation": [2.0, 1.0]}, title="Loss", description="d", phases=["full", "full"])
    assert ">full</text>" not in svg and ">training</text>" not in svg
