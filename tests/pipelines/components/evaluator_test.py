import csv
import dataclasses
import json
import shutil

import pytest
import sklearn.metrics

from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.config import EvaluatorConfig
from tests.evaluation import fixtures

pytestmark = pytest.mark.integration


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Evaluator, tfma
    import tensorflow_model_analysis as tfma

    from pipelines.components.evaluator import Evaluator


CONFIG = EvaluatorConfig(baseline="latest_pushed", min_accuracy=0.5, min_macro_f1=0.5, bootstrap_samples=100)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Examples with one unreadable image, a good model and a mixed-up one."""
    folder = tmp_path_factory.mktemp("evaluator")
    fixtures.write_examples(folder / "examples", num_images=48, bad_rows=(5,))
    return {
        "root": folder,
        "examples": fixtures.make_artifact(folder / "examples", "ExampleGen"),
        "good": fixtures.make_model(folder / "good"),
        "mixed_up": fixtures.make_model(folder / "mixed_up", shift=1),
    }


def make_evaluator(world, model, serving_model_dir, **changes):
    return Evaluator(
        dataclasses.replace(CONFIG, **changes),
        serving_model_dir=serving_model_dir,
        examples=world["examples"],
        model=world[model],
    )


def push(world, model, serving_model_dir, version, *, examples_digest=None):
    """What the Pusher leaves behind."""
    target = serving_model_dir / str(version)
    shutil.copytree(world[model].directory / "saved_model", target)
    (target / "assets.extra").mkdir()
    record = {
        "model_digest": world[model].digest,
        "examples_digest": examples_digest or world["examples"].digest,
    }
    (target / "assets.extra" / "push.json").write_text(json.dumps(record), encoding="utf-8")


def read(artifact, name):
    return json.loads((artifact.directory / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def first(world):
    """The good model's evaluation, before anything was pushed."""
    serving = world["root"] / "serving" / "drawn"
    context = RunContext(world["root"] / "runs")
    return make_evaluator(world, "good", serving).run(context), serving, context


def test_the_artifact_holds_what_it_promises(world, first):
    artifact, _, _ = first
    names = {path.name for path in artifact.directory.iterdir()}
    assert names == {"artifact.json", "eval_result", "predictions.csv", "metrics.json", "validation.json", "BLESSED"}
    assert tfma.load_eval_result(str(artifact.directory / "eval_result")).slicing_metrics
    with (artifact.directory / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert [row["image_id"] for row in rows if row["status"] != "ok"] == ["test_0005"]
    figures = read(artifact, "metrics.json")
    labels, predicted = ([int(row[name]) for row in rows] for name in ("label", "predicted"))
    assert figures["accuracy"]["value"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    assert figures["unanswered"] == [{"image_id": "test_0005", "status": "unknown_format"}]
    assert artifact.properties["accuracy"] == figures["accuracy"]["value"]


def test_tfma_and_metrics_json_agree(first):
    artifact, _, _ = first
    figures = read(artifact, "metrics.json")
    for check in read(artifact, "validation.json")["checks"]:
        assert check["value"] == pytest.approx(figures[check["metric"]]["value"])


def test_slices_by_measured_quality_are_the_same_in_tfma_and_in_metrics_json(first):
    artifact, _, _ = first
    figures = read(artifact, "metrics.json")
    with (artifact.directory / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    slices = dict(tfma.load_eval_result(str(artifact.directory / "eval_result")).slicing_metrics)
    assert {row["snr"] for row in rows} == {"low", "medium", "high", "unreadable"}
    for feature in ("snr", "cnr", "sharpness", "resolution"):
        for value, found in figures["slices"][feature].items():
            inside = [row for row in rows if row[feature] == value]
            accuracy = sum(row["label"] == row["predicted"] for row in inside) / len(inside)
            assert found["accuracy"]["value"] == pytest.approx(accuracy)
            assert slices[((feature, value),)][""][""]["accuracy"]["doubleValue"] == pytest.approx(accuracy)
    low, high = figures["quality_edges"]["snr"]
    assert 0 < low < high
    assert figures["quality_edges"]["resolution"] is None  # crops of one size


def test_a_model_below_the_minimum_is_not_blessed(world, tmp_path):
    artifact = make_evaluator(world, "good", tmp_path / "none", min_accuracy=0.99).run(RunContext(tmp_path))
    assert (artifact.directory / "NOT_BLESSED").is_file()
    assert not (artifact.directory / "BLESSED").exists()
    passed = {check["metric"]: check["passed"] for check in read(artifact, "validation.json")["checks"]}
    assert passed == {"accuracy": False, "macro_f1": True}
    assert artifact.properties["blessed"] is False


def test_answers_of_a_killed_run_are_not_counted(world, tmp_path):
    inputs = {"examples": world["examples"], "model": world["good"]}
    stale = tmp_path / "work" / "answers" / "part-00000-of-00009"
    stale.parent.mkdir(parents=True)
    stale.write_text(
        '{"image_id": "stale", "group_id": "g", "label": 0, "status": "ok", "probabilities": [1, 0, 0, 0]}\n'
    )
    (tmp_path / "output").mkdir()
    context = RunContext(tmp_path, work_dir=tmp_path / "work")
    properties = make_evaluator(world, "good", tmp_path).execute(inputs, tmp_path / "output", context)
    assert properties["num_examples"] == 48


def test_pushing_the_candidate_reuses_its_evaluation(world, first):
    artifact, serving, context = first
    push(world, "good", serving, 1)
    push(world, "mixed_up", serving, 2, examples_digest="of other images")
    again = make_evaluator(world, "good", serving)
    assert again.run(context).directory == artifact.directory
    assert again.was_reused


def test_a_worse_candidate_than_the_pushed_one_is_not_blessed(world, tmp_path):
    serving = tmp_path / "serving" / "drawn"
    push(world, "good", serving, 7)
    evaluator = make_evaluator(world, "mixed_up", serving, min_accuracy=0.0, min_macro_f1=0.0)
    artifact = evaluator.run(RunContext(tmp_path / "runs"))
    assert (artifact.directory / "NOT_BLESSED").is_file()
    validation = read(artifact, "validation.json")
    failed = [check for check in validation["checks"] if not check["passed"]]
    assert [(check["metric"], check["kind"]) for check in failed] == [("accuracy", "change from baseline")]
    assert validation["baseline"]["model"]["path"] == str(serving / "7")
    assert artifact.external == {"baseline_digest": world["good"].digest}


def test_a_better_candidate_than_a_named_baseline_is_blessed(world, tmp_path):
    baseline = world["mixed_up"].directory / "saved_model"
    artifact = make_evaluator(world, "good", tmp_path, baseline=str(baseline)).run(RunContext(tmp_path))
    assert (artifact.directory / "BLESSED").is_file()
    assert read(artifact, "validation.json")["baseline"]["model"]["path"] == str(baseline)


def test_a_baseline_from_other_examples_is_not_compared_and_the_reason_is_given(world, tmp_path):
    push(world, "good", tmp_path / "drawn", 1, examples_digest="of other images")
    evaluator = make_evaluator(world, "mixed_up", tmp_path / "drawn")
    baseline = evaluator._find_baseline({"examples": world["examples"], "model": world["mixed_up"]})
    assert baseline.path is None
    assert "may have been trained on these images" in baseline.reason


def test_a_baseline_with_other_classes_is_refused(world, tmp_path):
    foreign = fixtures.export_model(tmp_path / "foreign", class_names=("a", "b", "c"))
    with pytest.raises(StageError, match=r"baseline must answer the classes .*'a', 'b', 'c'"):
        make_evaluator(world, "good", tmp_path, baseline=str(foreign)).run(RunContext(tmp_path))


def test_a_model_of_other_classes_is_refused(world, tmp_path):
    other = fixtures.make_model(tmp_path / "other", class_names=("a", "b", "c"))
    with pytest.raises(StageError, match="must know the classes of the examples"):
        make_evaluator({**world, "other": other}, "other", tmp_path).run(RunContext(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slice_by": ("label", "colour")}, r"slice_by must hold .* Received: .*colour.* source_format"),
        ({"baseline": "/nowhere"}, r"baseline must be 'latest_pushed', 'none' or .* Received: baseline='/nowhere'"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_runs(world, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        make_evaluator(world, "good", tmp_path, **changes)
