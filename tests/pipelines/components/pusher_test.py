import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipelines.components.pusher import BLESSINGS, NotBlessedError, Pusher, check_blessings, push, pushed_versions
from pipelines.orchestration.artifacts import Artifact, digest_directory, list_files
from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.config import PusherConfig
from sperm_tf.evaluation.tfma.baseline import PUSH_FILE
from tests.helpers import ROOT

GIVEN = tuple(file for _, file, _ in BLESSINGS.values())
DIGESTS = {"model_digest": "m", "examples_digest": "e", "evaluation_digest": "v"}


def make_saved_model(folder, content="graph"):
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables" / "variables.index").write_text(content)
    return folder


def make_pusher(tmp_path, blessings=GIVEN, baseline=None):
    directories = {name: tmp_path / name for name in ("examples", "model", *BLESSINGS)}
    for directory in directories.values():
        directory.mkdir(exist_ok=True)
    if not (directories["model"] / "saved_model").exists():
        make_saved_model(directories["model"] / "saved_model")
    for directory, (_, name, _) in BLESSINGS.items():
        (directories[directory] / name).unlink(missing_ok=True)
        if name in blessings:
            (directories[directory] / name).touch()
    verdict = {"baseline": baseline or {"configured": "none"}}
    (directories["evaluation"] / "validation.json").write_text(json.dumps(verdict))
    inputs = {name: make_artifact(directory, {}) for name, directory in directories.items()}
    for name in BLESSINGS:
        inputs[name] = make_artifact(directories[name], {"model": inputs["model"].reference()})
    return Pusher(PusherConfig(), serving_model_dir=tmp_path / "serving" / "sperm", **inputs)


def make_artifact(directory, inputs):
    digest, files = digest_directory(directory), list_files(directory)
    return Artifact(directory, directory.name, "", digest, {}, inputs, {}, {}, {}, "", 0.0, files)


def test_a_blessed_model_becomes_version_1(tmp_path):
    artifact = make_pusher(tmp_path).run(RunContext(tmp_path / "root"))
    version = tmp_path / "serving" / "sperm" / "1"
    assert artifact.properties["path"] == str(version)
    assert (version / "variables" / "variables.index").read_text() == "graph"
    record = json.loads((version / PUSH_FILE).read_text())
    assert record["model_digest"] == digest_directory(tmp_path / "model")


@pytest.mark.parametrize("blessings", [(), *itertools.combinations(GIVEN, 1), *itertools.combinations(GIVEN, 2)])
def test_without_all_blessings_nothing_is_pushed(tmp_path, blessings):
    pusher = make_pusher(tmp_path, blessings)
    artifact = pusher.run(RunContext(tmp_path / "root"))
    assert not artifact.properties["pushed"]
    assert len(artifact.properties["reasons"]) == len(BLESSINGS) - len(blessings)
    assert not pushed_versions(tmp_path / "serving" / "sperm")
    with pytest.raises(NotBlessedError):
        check_blessings(**{name: pusher.inputs[name] for name in ("model", *BLESSINGS)})


def test_what_was_pushed_since_the_comparison_is_not_overruled(tmp_path):
    compared = {"configured": "latest_pushed", "model": None}
    pusher = make_pusher(tmp_path, baseline=compared)
    digests = {"model_digest": "other", "examples_digest": pusher.inputs["examples"].digest, "evaluation_digest": "v"}
    push(make_saved_model(tmp_path / "other", "other graph"), tmp_path / "serving" / "sperm", digests)
    artifact = pusher.run(RunContext(tmp_path / "root"))
    assert artifact.properties["reasons"] == [
        "another version was pushed since the model was compared with the newest: run again"
    ]
    assert list(pushed_versions(tmp_path / "serving" / "sperm")) == [1]
    again = make_pusher(tmp_path, baseline=compared | {"model": {"path": "1", "digest": "other"}})
    assert again.run(RunContext(tmp_path / "root")).properties["version"] == 2


def test_another_model_s_blessings_do_not_count(tmp_path):
    pusher = make_pusher(tmp_path)
    other = make_artifact(make_saved_model(tmp_path / "other" / "saved_model", "other graph").parent, {})
    pusher.inputs["model"] = other
    reasons = pusher.run(RunContext(tmp_path / "root")).properties["reasons"]
    assert [reason.split(":")[0] for reason in reasons] == [
        "the Evaluator blessed another model",
        "the ExplanationValidator blessed another model",
        "the InfraValidator blessed another model",
    ]


def test_a_model_that_was_altered_after_its_blessing_is_not_pushed(tmp_path):
    pusher = make_pusher(tmp_path)
    (tmp_path / "model" / "saved_model" / "saved_model.pb").write_text("altered")
    with pytest.raises(StageError, match=r"Received: .*saved_model\.pb: missing, or not as model wrote it"):
        pusher.run(RunContext(tmp_path / "root"))
    assert not pushed_versions(tmp_path / "serving" / "sperm")


def test_a_file_that_a_person_left_beside_the_model_harms_nothing(tmp_path):
    pusher = make_pusher(tmp_path)
    (tmp_path / "model" / "notes.xlsx").write_text("mine")
    assert pusher.run(RunContext(tmp_path / "root")).properties["pushed"]


def test_a_second_run_pushes_nothing_and_a_lost_version_comes_back(tmp_path):
    context = RunContext(tmp_path / "root")
    make_pusher(tmp_path).run(context)
    again = make_pusher(tmp_path)
    again.run(context)
    assert again.was_reused
    base = tmp_path / "serving" / "sperm"
    (base / "1" / PUSH_FILE).write_text('{"model_digest": "another"}')
    lost = make_pusher(tmp_path)
    assert lost.run(context).properties["version"] == 2


def test_a_model_that_is_no_longer_the_newest_version_is_pushed_again(tmp_path):
    context, base = RunContext(tmp_path / "root"), tmp_path / "serving" / "sperm"
    make_pusher(tmp_path).run(context)
    (base / "2").mkdir()
    again = make_pusher(tmp_path)
    assert again.plan(context).action == "run", "TensorFlow Serving serves the newest"
    assert again.run(context).properties["version"] == 3


def test_versions_grow_and_the_same_push_is_found_again(tmp_path):
    base = tmp_path / "serving"
    model = make_saved_model(tmp_path / "model")
    (base / "7").mkdir(parents=True)
    assert push(model, base, DIGESTS) == 8
    assert push(model, base, {**DIGESTS, "evaluation_digest": "repeated"}) == 8
    assert push(model, base, {**DIGESTS, "model_digest": "other"}) == 9
    assert push(model, base, DIGESTS) == 10, "TensorFlow Serving serves the newest"
    assert list(pushed_versions(base)) == [7, 8, 9, 10]


@pytest.mark.integration
def test_kill_9_during_the_copy_leaves_no_version(tmp_path):
    model = make_saved_model(tmp_path / "model")
    for index in range(3000):
        (model / "variables" / f"part-{index}").write_bytes(os.urandom(2000))
    code = (
        "import pathlib, sys; from pipelines.components.pusher import push;"
        f"push(pathlib.Path({str(model)!r}), pathlib.Path({str(tmp_path / 'serving')!r}), {DIGESTS!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not list((tmp_path / "serving" / ".pushing").glob("variables/*")):
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not pushed_versions(tmp_path / "serving")
    assert push(model, tmp_path / "serving", DIGESTS) == 1
    assert len(list((tmp_path / "serving" / "1" / "variables").iterdir())) == 3001
