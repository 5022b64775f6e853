import json
import pathlib

import pytest

from pipelines.components.infra_validator import BAD_IMAGES, InfraValidator
from pipelines.orchestration.component import RunContext
from sperm_tf.config import InfraValidatorConfig
from tests.evaluation import fixtures


@pytest.fixture(scope="module")
def examples_artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("infra")
    fixtures.write_examples(folder / "examples", num_images=8)
    return fixtures.make_artifact(folder / "examples", "ExampleGen")


def validate(tmp_path, examples_artifact, model, **config):
    component = InfraValidator(InfraValidatorConfig(num_images=4, **config), model=model, examples=examples_artifact)
    artifact = component.run(RunContext(tmp_path / "runs"))
    report = json.loads((artifact.directory / "report.json").read_text(encoding="utf-8"))
    flags = {path.name for path in artifact.directory.iterdir()} - {"artifact.json", "report.json"}
    assert flags == {"INFRA_BLESSED" if report["blessed"] else "INFRA_NOT_BLESSED"}
    assert artifact.properties["blessed"] == report["blessed"]
    return report


@pytest.mark.slow
def test_a_good_model_is_blessed(tmp_path, examples_artifact, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = fixtures.make_model(pathlib.Path("model"))  # a relative path, as of a relative pipeline root
    report = validate(pathlib.Path(), examples_artifact, model)
    assert report["blessed"], [check for check in report["checks"] if not check["passed"]]
    assert report["asked"]["unreadable_rows"] == sorted(BAD_IMAGES)
    answers = report["answers"]["signatures"]
    assert set(answers) == {"serving_default", "serving_examples", "explain", "explain_classes"}
    statuses = answers["serving_examples"]["outputs"]["status"]["values"]
    assert statuses == ["ok", "unknown_format", "unknown_format", "ok", "ok", "ok"]
    assert answers["serving_default"]["second_call_s"] > 0


@pytest.mark.slow
def test_a_broken_saved_model_is_not_blessed(tmp_path, examples_artifact):
    model = fixtures.make_model(tmp_path / "model")
    saved_model = model.directory / "saved_model" / "saved_model.pb"
    saved_model.write_bytes(saved_model.read_bytes()[:1000])
    model = fixtures.make_artifact(model.directory, "Trainer")
    report = validate(tmp_path, examples_artifact, model)
    assert not report["blessed"]
    assert report["failure"]["kind"] == "exit"
    assert any("Cannot parse" in line for line in report["failure"]["stderr"])


@pytest.mark.slow
def test_a_model_that_needs_this_process_is_not_blessed(tmp_path, examples_artifact):
    """A Python function in the graph answers where it was exported, and nowhere else."""
    import tensorflow as tf

    def needs_sperm_tf(image_bytes):
        import sperm_tf.data.examples

        assert sperm_tf.data.examples.SPLITS
        return image_bytes

    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes):
            return {"status": tf.py_function(needs_sperm_tf, [image_bytes], tf.string)}

    module, directory = Served(), tmp_path / "model"
    tf.saved_model.save(module, str(directory / "saved_model"), signatures={"serving_default": module.serve})
    loaded = tf.saved_model.load(str(directory / "saved_model"))
    loaded.signatures["serving_default"](tf.constant([b"works here"]))
    (directory / "model.json").write_text(json.dumps({"class_names": list(fixtures.CLASS_NAMES)}), encoding="utf-8")
    report = validate(tmp_path, examples_artifact, fixtures.make_artifact(directory, "Trainer"))
    assert not report["blessed"]
    assert report["failure"]["exit_code"] == 1
    assert any("callback" in line for line in report["failure"]["stderr"])


@pytest.mark.slow
def test_a_model_that_hangs_is_not_blessed(tmp_path, examples_artifact):
    import tensorflow as tf

    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes):
            count = tf.while_loop(lambda i: i >= 0, lambda i: (i + 1) % 7, [tf.constant(0)])[0]
            return {"status": tf.repeat(tf.strings.as_string(count), tf.size(image_bytes))}

    module, directory = Served(), tmp_path / "model"
    tf.saved_model.save(module, str(directory / "saved_model"), signatures={"serving_default": module.serve})
    (directory / "model.json").write_text(json.dumps({"class_names": list(fixtures.CLASS_NAMES)}), encoding="utf-8")
    report = validate(tmp_path, examples_artifact, fixtures.make_artifact(directory, "Trainer"), timeout_s=8)
    assert not report["blessed"]
    assert report["failure"]["kind"] == "timeout"


@pytest.mark.slow
def test_a_model_that_breaks_the_contract_is_not_blessed_and_says_where(tmp_path, examples_artifact):
    model = fixtures.make_model(tmp_path / "model")
    (model.directory / "model.json").write_text(json.dumps({"class_names": ["a", "b", "c", "d"]}), encoding="utf-8")
    model = fixtures.make_artifact(model.directory, "Trainer")
    report = validate(tmp_path, examples_artifact, model)
    assert report["failure"] is None
    failed = {check["demand"] for check in report["checks"] if not check["passed"]}
    assert "class names are the model's" in failed
