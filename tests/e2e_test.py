"""The whole pipeline on small data; the first run is a command, as a user gives it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

from pipelines.bulk_inference import model as scoring_model
from pipelines.orchestration import verification
from pipelines.orchestration.artifacts import Artifact, fingerprint
from sperm_tf.config import ExampleGenConfig
from sperm_tf.file_digests import read_sums
from tests.forked_run import ForkedRun
from tests.helpers import ROOT, flip_bit, real_data_dir

STAGES = (
    "ExampleGen",
    "ExampleValidator",
    "Transform",
    "Trainer",
    "Calibrator",
    "Evaluator",
    "Explainer",
    "ExplanationValidator",
    "InfraValidator",
    "Pusher",
    "Report",
)
QUICK = (
    "--config.drawn_fields=1",
    "--config.transform.image_size=32",
    "--config.trainer.full_epochs=2",
    "--config.explainer.images_per_class=1",
    "--config.explanation_validator.num_images=4",
    "--config.infra_validator.num_images=2",
    "--config.evaluator.bootstrap_samples=200",
    "--config.evaluator.min_accuracy=0",  # two epochs are not enough for a blessing
)
MODEL = ("--config.trainer.model.name=simple_cnn", "--config.trainer.model.weights=none")
FORMATS = ("onnx", "openvino", "litert")
SMALL = ("--config.example_gen.num_images=100", f"--config.pusher.formats={','.join(FORMATS)}", *MODEL, *QUICK)

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def run(root, *arguments):
    return ForkedRun(f"--pipeline_root={root}", *arguments).wait()


def finished(root, stage):
    """The finished artifacts of a stage."""
    return [Artifact.read(path.parent) for path in sorted((root / stage).glob("*/artifact.json"))]


class Demo(NamedTuple):
    """The first run: where, what it printed, its seconds, and the artifacts of every stage after it."""

    root: pathlib.Path
    output: str
    duration_s: float
    artifacts: dict[str, list[Artifact]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    started = time.monotonic()
    command = [sys.executable, "-m", "pipelines.run", f"--pipeline_root={root}", *SMALL]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = done.stdout
    assert done.returncode == 0, output
    return Demo(root, output, time.monotonic() - started, {stage: finished(root, stage) for stage in STAGES})


def test_every_stage_leaves_one_artifact_and_a_model_is_pushed(demo):
    root, output, _, artifacts = demo
    assert {stage: len(found) for stage, found in artifacts.items()} == dict.fromkeys(STAGES, 1)
    (pushed,) = artifacts["Pusher"]
    assert pushed.properties["version"] == 1
    version = root / "serving" / "sperm_synthetic" / "1"
    assert (version / "saved_model.pb").is_file()
    assert [one["format"] for one in pushed.properties["formats"]] == ["saved_model", *FORMATS]
    assert all((version / "assets.extra" / name / "model.json").is_file() for name in FORMATS)
    assert scoring_model.find(str(version)).fastest_runtime() == "openvino"
    assert f"Pushed: {pushed.properties['path']}" in output
    assert "1 fields (ok 1)" in output and (root / "fields" / "1" / "report" / "slide.html").is_file()
    assert "Traceback" not in output
    assert not [path for stage in STAGES for path in (root / stage).glob(".*.tmp")]


def test_verify_lists_every_file_in_which_a_bit_was_flipped(demo, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(demo.root, root, ignore=shutil.ignore_patterns(".*"))
    assert not verification.verify(root, root / "serving").differences
    records = {"artifact.json", "push.json", "SHA256SUMS"}
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name not in records]
    # Of the cells in fields the tables have digests, pictures and crops have none.
    listed = {sums.parent / name for sums in (root / "fields").rglob("SHA256SUMS") for name in read_sums(sums)}
    files = [path for path in files if path in listed or root / "fields" not in path.parents]
    assert listed
    for path in files:
        flip_bit(path)
    found = {difference.path for difference in verification.verify(root, root / "serving").differences}
    assert found == set(files)


def test_lineage_is_read_by_following_the_digests(demo):
    by_digest = {artifact.digest: artifact for (artifact,) in demo.artifacts.values()}
    (report,) = demo.artifacts["Report"]
    seen, waiting = set(), [report]
    while waiting:
        artifact = waiting.pop()
        seen.add(artifact.producer)
        waiting += [by_digest[reference["digest"]] for reference in artifact.inputs.values()]
    assert seen == set(STAGES)


def test_a_second_run_reuses_everything(demo):
    started = time.monotonic()
    status, output = run(demo.root, *SMALL)
    assert status == 0, output
    assert output.count("reused") == len(STAGES)
    assert time.monotonic() - started < demo.duration_s / 2


def test_a_changed_training_option_reruns_from_the_trainer_on(demo):
    root = demo.root
    status, output = run(root, *SMALL, "--config.trainer.label_smoothing=0.1", "--dry_run")
    assert status == 0, output
    actions = [line.split()[:2] for line in output.splitlines() if line.startswith(("run", "reuse"))]
    assert actions == [["reuse" if index < 3 else "run", stage] for index, stage in enumerate(STAGES)]
    assert "label_smoothing: 0.0 -> 0.1" in output
    assert len(finished(root, "Trainer")) == 1


def test_an_unblessed_model_is_reported_but_not_pushed(demo):
    root = demo.root
    status, output = run(root, *SMALL, "--config.evaluator.min_accuracy=1.0")
    assert status == 3, output
    assert "the Evaluator did not bless the model" in output
    assert [path.name for path in (root / "serving" / "sperm_synthetic").glob("[0-9]*")] == ["1"]


def test_tfma_opens_the_evaluation(demo):
    import tensorflow_model_analysis as tfma

    (evaluation,) = demo.artifacts["Evaluator"]
    result = tfma.load_eval_result(str(evaluation.directory / "eval_result"))
    slices = {str(key) for key, _ in result.slicing_metrics}
    assert "()" in slices
    assert sum("label_name" in key for key in slices) == 4


def test_the_evaluation_says_when_to_trust_the_answers(demo):
    (calibrated,), (evaluation,) = demo.artifacts["Calibrator"], demo.artifacts["Evaluator"]
    trust = json.loads((evaluation.directory / "metrics.json").read_text())["trust"]
    assert trust["num_answered"] == evaluation.properties["num_examples"]
    assert calibrated.properties["num_images"] >= 5
    assert not calibrated.properties["guarantees"] and trust["selection"]["num_accepted"] == 0  # far too few images
    (report,) = demo.artifacts["Report"]
    assert "Every image is referred to an expert." in (report.directory / "report.html").read_text(encoding="utf-8")


def test_saved_model_cli_lists_the_signatures(demo):
    (pushed,) = demo.artifacts["Pusher"]
    script = "from tensorflow.python.tools.saved_model_cli import main; main()"
    command = [sys.executable, "-c", script, "show", "--dir", pushed.properties["path"], "--all"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in ("serving_default", "serving_examples", "explain", "explain_classes"):
        assert f"signature_def['{name}']" in output


@pytest.mark.timeout(1500)
def test_kill_9_in_every_stage_and_the_next_run_finishes(demo, tmp_path):
    for stage in STAGES:
        started = ForkedRun(f"--pipeline_root={tmp_path}", *SMALL)
        deadline = time.monotonic() + 240
        # The Trainer is killed in its second epoch, so that the next run has something to resume.
        begun = ".*.work/state/epoch-0001" if stage == "Trainer" else ".*.tmp"
        while not list((tmp_path / stage).glob(begun)):
            assert started.poll() is None, f"the run ended before {stage}: {started.printed()}"
            assert time.monotonic() < deadline, f"{stage} did not start"
            time.sleep(0.002)
        os.kill(started.pid, signal.SIGKILL)
        started.wait()
        assert not finished(tmp_path, stage), f"{stage} was over before it was killed"
    status, output = run(tmp_path, *SMALL)
    assert status == 0, output
    for stage in ("ExampleGen", "Transform"):
        assert finished(tmp_path, stage)[0].digest == demo.artifacts[stage][0].digest
    assert [path.name for path in (tmp_path / "serving" / "sperm_synthetic").glob("[0-9]*")] == ["1"]
    history = [
        json.loads((finished(root, "Trainer")[0].directory / "history.json").read_text())
        for root in (tmp_path, demo.root)
    ]
    assert history[0]["loss"] == history[1]["loss"], "a resumed training repeats the uninterrupted one"


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("preset", "num_examples", "model", "views"),
    [("hushem", 216, "simple_cnn", 8), ("smids", 2947, "efficientnet_lite0_cbam", 1)],
)
def test_the_real_datasets_run_end_to_end(preset, num_examples, model, views, tmp_path, request):
    if preset == "smids":  # prepared once for all tests; HuSHeM is prepared by the run
        from pipelines.components.example_gen import describe_source

        source = describe_source(
            ExampleGenConfig(dataset=preset, builder_config="clean", manual_dir=str(real_data_dir()))
        )
        prepared = tmp_path / "datasets" / fingerprint(source)[:16]
        shutil.copytree(request.getfixturevalue("prepared_smids"), prepared)
    status, output = run(
        tmp_path,
        f"--preset={preset}",
        f"--manual_dir={real_data_dir()}",
        *QUICK,
        "--config.trainer.full_epochs=1",
        f"--config.trainer.model.name={model}",
        f"--config.trainer.views={views}",
        "--config.trainer.model.weights=none",
        "--config.transform.image_size=64",  # so that maps have more than one cell
        "--config.explainer.images_per_class=2",
        "--config.trainer.view_consistency=0",  # half a step; tests/training has it
        "--config.calibrator.max_training_images=300",
    )
    assert status == 0, output
    (examples,) = finished(tmp_path, "ExampleGen")
    assert sum(examples.properties["num_examples"].values()) == num_examples
    assert len(list((tmp_path / "datasets").iterdir())) == 1
    (report,) = finished(tmp_path, "Report")
    html = (report.directory / "report.html").read_text(encoding="utf-8")
    for name in examples.properties["class_names"]:
        assert name in html
    assert html.count("data:image/png;base64,") >= 2 * len(examples.properties["class_names"])
