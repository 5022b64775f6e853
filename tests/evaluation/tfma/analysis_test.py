"""TFMA's figures against scikit-learn's, on answers that the SavedModel gave outside TFMA."""

import numpy as np
import pytest
import sklearn.metrics

from sperm_tf.data import examples
from sperm_tf.evaluation.metrics import classification
from tests.evaluation import fixtures


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global analysis, beam, PipelineOptions, tf, tfma, validation
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_model_analysis as tfma
    from apache_beam.options.pipeline_options import PipelineOptions

    from sperm_tf.evaluation.tfma import analysis, validation


pytestmark = pytest.mark.integration

BAD_ROWS = (4, 17)


def ask_directly(saved_model, shards):
    """image_id -> (label, source_format, probabilities), through another signature."""
    model = tf.saved_model.load(str(saved_model))
    rows = [examples.from_example(serialized.numpy()) for serialized in examples.read_serialized(shards)]
    answers = model.signatures["serving_default"](tf.constant([row["image"] for row in rows]))["probabilities"].numpy()
    return {
        row["image_id"].decode(): (row["label"], row["source_format"].decode(), answer)
        for row, answer in zip(rows, answers, strict=True)
    }


def run_analysis(folder, models, output):
    """Analyzes the split in `folder`; returns the configuration, the rows and the pipeline."""
    config = analysis.make_eval_config(
        num_classes=4,
        slice_by=("label_name", "source_format"),
        min_accuracy=0.75,
        min_macro_f1=0.5,
        max_accuracy_drop=0.02,
    )
    output.mkdir()
    (output / "answers").mkdir()
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    rows = analysis.analyze(
        pipeline,
        config,
        shards=examples.shard_paths(folder / "examples", "test"),
        models=models,
        output=output / "eval_result",
        answers_dir=output / "answers",
    )
    return config, rows, pipeline


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """A folder with a split that has two unreadable images, and a flat model compared with a mixed-up one."""
    folder = tmp_path_factory.mktemp("analysis")
    fixtures.write_examples(folder / "examples", num_images=60, bad_rows=BAD_ROWS)
    models = {
        analysis.CANDIDATE: fixtures.export_model(folder / "candidate", sharpness=1e-4),
        analysis.BASELINE: fixtures.export_model(folder / "baseline", shift=1),
    }
    return folder, models


@pytest.fixture(scope="module")
def lean(split):
    """Folder of the output, and what `run_analysis` returns."""
    folder, models = split
    return folder / "lean", *run_analysis(folder, models, folder / "lean")


@pytest.fixture(scope="module")
def analyzed(split, lean):
    """TFMA's output, the configuration, the rows, and what the models answer outside TFMA."""
    folder, models = split
    output, config, rows, _ = lean
    shards = examples.shard_paths(folder / "examples", "test")
    return output / "eval_result", config, rows, {name: ask_directly(path, shards) for name, path in models.items()}


def slices_of(eval_result, model_name):
    result = tfma.load_eval_result(str(eval_result), model_name=model_name)
    return {key: metrics_by_output[""] for key, metrics_by_output in result.slicing_metrics}


def value_of(figure):
    return figure["doubleValue"]


def compare(found, rows):
    """Holds one slice against scikit-learn."""
    labels = np.array([label for label, _, _ in rows])
    probabilities = np.array([probabilities for _, _, probabilities in rows])
    predicted = np.where(probabilities.any(axis=1), probabilities.argmax(axis=1), classification.NO_ANSWER)
    assert value_of(found[""]["example_count"]) == len(rows)
    assert value_of(found[""]["accuracy"]) == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    macro = sklearn.metrics.f1_score(labels, predicted, labels=range(4), average="macro", zero_division=0)
    assert value_of(found[""]["macro_f1"]) == pytest.approx(macro)
    report = sklearn.metrics.precision_recall_fscore_support(labels, predicted, labels=range(4), zero_division=np.nan)
    for index in range(4):
        of_class = found[f"classId:{index}"]
        values = [value_of(of_class[name]) for name in ("precision", "recall", "f1")]
        np.testing.assert_allclose(np.array(values, float), [column[index] for column in report[:3]])
        if len(set(labels.tolist())) > 1:
            area = sklearn.metrics.roc_auc_score(labels == index, probabilities[:, index])
            assert value_of(of_class["auc"]) == pytest.approx(area)
        else:
            assert np.isnan(float(value_of(of_class["auc"])))


@pytest.mark.parametrize("model", ["CANDIDATE", "BASELINE"])
def test_overall_and_every_slice_equal_scikit_learn(analyzed, model):
    model_name = getattr(analysis, model)
    eval_result, _, _, direct = analyzed
    slices = slices_of(eval_result, model_name)
    rows = list(direct[model_name].values())
    compare(slices.pop(()), rows)
    assert len(slices) == 4 + 2
    for ((feature, value),), found in slices.items():
        name_of = {"label_name": lambda row: fixtures.CLASS_NAMES[row[0]], "source_format": lambda row: row[1]}[feature]
        compare(found, [row for row in rows if name_of(row) == value])


def test_argmax_decides_where_no_probability_reaches_one_half(analyzed):
    _, _, _, direct = analyzed
    highest = [probabilities.max() for _, _, probabilities in direct[analysis.CANDIDATE].values()]
    assert 0.1 < np.mean(np.array(highest) < 0.5) < 0.9  # both kinds occur, so the comparison above says something


def test_figures_have_no_intervals_and_the_counts_are_there(analyzed):
    eval_result, _, _, _ = analyzed
    overall = slices_of(eval_result, analysis.CANDIDATE)[()]
    for name in ("accuracy", "macro_f1", "macro_auc"):
        assert list(overall[""][name]) == ["doubleValue"]
    matrix = overall[""]["multi_class_confusion_matrix_at_thresholds"]["multiClassConfusionMatrixAtThresholds"]
    entries = matrix["matrices"][0]["entries"]
    assert sum(entry["numWeightedExamples"] for entry in entries) == 60
    assert sum(entry["numWeightedExamples"] for entry in entries if entry.get("predictedClassId") == -1) == len(
        BAD_ROWS
    )


def test_every_row_is_answered_once_with_what_the_model_says(analyzed):
    _, _, rows, direct = analyzed
    assert sorted(row["image_id"] for row in rows) == sorted(direct[analysis.CANDIDATE])
    for row in rows:
        label, source_format, probabilities = direct[analysis.CANDIDATE][row["image_id"]]
        assert (row["label"], row["source_format"]) == (label, source_format)
        np.testing.assert_allclose(row["probabilities"], probabilities, atol=1e-6)
    unanswered = [row for row in rows if row["status"] != "ok"]
    assert [row["status"] for row in unanswered] == ["unknown_format"] * len(BAD_ROWS)
    assert not np.any([row["probabilities"] for row in unanswered])
    assert {row["decision"] for row in unanswered} == {"refer"} and not np.any(
        [row["prediction_set"] for row in unanswered]
    )
    for row in rows:
        assert (row["decision"] == "accept") == (max(row["probabilities"]) > 0.6)
        assert row["status"] != "ok" or row["prediction_set"][int(np.argmax(row["probabilities"]))]
        assert row["unfamiliarity"] == (0.5 if row["status"] == "ok" else 0)


def test_thresholds_hold_overall_and_not_in_slices(analyzed):
    eval_result, config, _, _ = analyzed
    slices = slices_of(eval_result, analysis.CANDIDATE)
    assert min(value_of(found[""]["accuracy"]) for found in slices.values()) < 0.75
    assert validation.read_checks(eval_result, config)["blessed"]


def test_checks_name_the_baseline(analyzed):
    eval_result, config, _, direct = analyzed
    verdict = validation.read_checks(eval_result, config)
    assert verdict["blessed"]
    change = next(check for check in verdict["checks"] if check["kind"] == "change from baseline")
    rows = direct[analysis.BASELINE].values()
    expected = np.mean([label == probabilities.argmax() and probabilities.any() for label, _, probabilities in rows])
    assert change["baseline_value"] == pytest.approx(expected)
    assert change["value"] > 0.5


def test_probabilities_that_are_not_finite_are_no_answer():
    answers = {
        "probabilities": np.array([[np.nan, 1], [0.4, 0.6]], np.float32),
        "status": np.array([b"ok", b"ok"]),
        "decision": np.array([b"accept", b"accept"], object),
    }
    cleaned = analysis._clean_answers(answers)
    assert cleaned["decision"].tolist() == [b"refer", b"accept"]
    assert cleaned["status"].tolist() == [b"not_finite", b"ok"]
    np.testing.assert_array_equal(cleaned["probabilities"], np.array([[0, 0], [0.4, 0.6]], np.float32))


def count_transforms(pipeline):
    """Leaves of a graph, and those which exchange data between workers."""
    transforms = pipeline.to_runner_api().components.transforms.values()
    leaves = [one.spec.urn for one in transforms if one.spec.urn and not one.subtransforms]
    return len(leaves), leaves.count("beam:transform:group_by_key:v1")


def test_what_is_left_out_of_the_graph_changes_no_result(split, lean, monkeypatch):
    folder, models = split
    output, config, rows, pipeline = lean
    monkeypatch.setattr(analysis, "_UNUSED_EXTRACTORS", ())
    monkeypatch.setattr(analysis, "_OUTPUTS", ("metrics", "plots", "attributions", "validations"))
    _, whole_rows, whole_pipeline = run_analysis(folder, models, folder / "whole")
    (num, num_exchanges), (whole, whole_exchanges) = map(count_transforms, (pipeline, whole_pipeline))
    print(f"{num} transforms instead of {whole}, {num_exchanges} exchanges instead of {whole_exchanges}")
    assert num_exchanges <= whole_exchanges - 2 and num < 0.85 * whole
    for model_name in (analysis.CANDIDATE, analysis.BASELINE):
        found, expected = (
            dict(tfma.load_eval_result(str(path / "eval_result"), model_name=model_name).slicing_metrics)
            for path in (output, folder / "whole")
        )
        assert repr(sorted(found.items())) == repr(sorted(expected.items())) and len(found) == 7
    assert validation.read_checks(output / "eval_result", config) == validation.read_checks(
        folder / "whole" / "eval_result", config
    )
    assert sorted(rows, key=str) == sorted(whole_rows, key=str)
    plots = tfma.load_eval_result(str(folder / "whole" / "eval_result"), model_name=analysis.CANDIDATE).plots
    assert not any(found for _, found in plots), "there was none to be left out"
