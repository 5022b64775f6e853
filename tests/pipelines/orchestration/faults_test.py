"""Faults of disks and processes: nothing wrong is taken for right, and nothing that was there is lost."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from pipelines import run as command
from pipelines.components.pusher import push, pushed_versions
from pipelines.orchestration import artifacts, locks, verification
from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.data.examples import shard_path
from sperm_tf.evaluation.tfma.baseline import PUSH_FILE, PUSHED_SUMS, PushedVersionError, newest_pushed
from tests.helpers import ROOT, flip_bit
from tests.pipelines.components.pusher_test import DIGESTS, make_pusher, make_saved_model
from tests.pipelines.orchestration.component_test import Double, Number, NumberConfig, make

BROKEN = {
    "empty": "",
    "truncated": '{"producer": "Number", "files": {"val',
    "not JSON": "\x00\x01 no JSON",
    "a list": "[1, 2]",
    "a number": "3",
    "other types": '{"producer": 3, "files": [], "model_digest": 1}',
}


@pytest.fixture
def context(tmp_path):
    Number.runs = Double.runs = 0
    return RunContext(tmp_path / "root")


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_stage_that_works_reads_only_what_was_written(context):
    number = Number(NumberConfig(3)).run(context)
    flip_bit(number.directory / "value.txt")  # 3 becomes 2: the size is the same, and so would be the type
    before = files_of(number.directory)
    message = r"Double must read what Number wrote\. Received: .*value\.txt: .*Move .* away, .* and run again"
    with pytest.raises(StageError, match=message):
        Double(None, number=Number(NumberConfig(3))).run(context)
    assert files_of(number.directory) == before and not list(context.pipeline_root.glob("Double/[!.]*"))
    number.directory.rename(context.pipeline_root / "away")
    made = Double(None, number=Number(NumberConfig(3))).run(context)
    assert (made.directory / "value.txt").read_text() == "6"


def test_a_stage_that_is_reused_reads_nothing(context, monkeypatch):
    for component in make(3):
        component.run(context)
    monkeypatch.setattr(artifacts, "changed_files", None)
    again = make(3)
    assert again[1].run(context) and again[1].was_reused


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_stage_with_a_broken_record_is_made_again_beside_it(content, context, capsys):
    artifact = Number(NumberConfig(3)).run(context)
    (artifact.directory / artifacts.ARTIFACT_FILE).write_text(content)
    before = files_of(artifact.directory)
    with pytest.raises(ValueError, match=rf"directory={artifact.directory}, whose artifact\.json cannot .* Run the"):
        artifacts.Artifact.read(artifact.directory)
    assert "artifact.json cannot be used" in Number(NumberConfig(3)).plan(context).reason
    again = Number(NumberConfig(3)).run(context)
    assert (Number.runs, again.digest) == (2, artifact.digest)
    kept = artifact.directory.with_name(f"{artifact.directory.name}.bak")
    assert files_of(kept) == before and f"The old one is kept: {kept}" in capsys.readouterr().err


def test_what_was_kept_is_never_replaced(context):
    directory = Number(NumberConfig(3)).run(context).directory
    for _ in range(2):
        (directory / artifacts.ARTIFACT_FILE).write_text("")
        (directory / "value.txt").write_text("mine")
        Number(NumberConfig(3)).run(context)
    kept = sorted(path.name for path in directory.parent.glob("*.bak*"))
    assert kept == [f"{directory.name}.bak", f"{directory.name}.bak2"]
    assert all((directory.parent / name / "value.txt").read_text() == "mine" for name in kept)


def test_a_flipped_bit_in_the_record_is_found(context):
    directory = Number(NumberConfig(3)).run(context).directory
    record = directory / artifacts.ARTIFACT_FILE
    text = record.read_text()
    record.write_text(text.replace('"value": 3', '"value": 2'))
    assert record.read_text() != text and artifacts.find(directory) is None


def test_an_artifact_of_an_earlier_version_is_used_and_known_by_its_one_digest(context):
    number = Number(NumberConfig(3)).run(context)
    record = number.directory / artifacts.ARTIFACT_FILE
    fields = json.loads(record.read_text())
    del fields["sha256"], fields["record_sha256"]
    record.write_text(json.dumps(fields))
    reused = Number(NumberConfig(3))
    assert reused.run(context).sha256 == {} and reused.was_reused
    report = verification.verify(context.pipeline_root, context.pipeline_root / "serving")
    assert (report.differences, report.unchecked) == ([], [number.directory])
    flip_bit(number.directory / "value.txt")
    with pytest.raises(StageError, match=r"value\.txt"):
        Double(None, number=Number(NumberConfig(3))).run(context)


def test_a_truncated_file_of_records_is_not_finished(tmp_path):
    class Shards(Number):
        def execute(self, inputs, output, context):
            shard_path(output, "train", 0, 1).parent.mkdir()
            shard_path(output, "train", 0, 1).write_bytes(bytes(range(256)))
            return {}

    artifact = Shards(NumberConfig()).run(RunContext(tmp_path))
    (name,) = artifact.files
    os.truncate(artifact.directory / name, artifact.files[name] - 5)
    again = Shards(NumberConfig())
    assert again.run(RunContext(tmp_path)).digest == artifact.digest and not again.was_reused


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "variables", str(PUSH_FILE), str(PUSHED_SUMS)]
)
def test_a_damaged_version_that_is_served_is_pushed_again(name, tmp_path, capsys):
    context, base = RunContext(tmp_path / "root"), tmp_path / "serving" / "sperm"
    make_pusher(tmp_path).run(context)
    if name == "variables":
        shutil.rmtree(base / "1" / name)
    else:
        flip_bit(base / "1" / name)
    damaged = files_of(base / "1")
    again = make_pusher(tmp_path)
    assert again.plan(context).action == "run"
    assert again.run(context).properties["version"] == 2
    assert files_of(base / "1") == damaged and (base / "2" / "variables" / "variables.index").is_file()
    assert str(base / "1") in capsys.readouterr().err
    third = make_pusher(tmp_path)
    assert third.run(context) and third.was_reused


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_record_of_a_push_is_named_and_the_model_is_pushed_beside_it(content, tmp_path, capsys):
    base = tmp_path / "serving"
    model = make_saved_model(tmp_path / "model")
    push(model, base, DIGESTS)
    (base / "1" / PUSH_FILE).write_text(content)
    with pytest.raises(PushedVersionError, match=rf"Received: {base / '1' / PUSH_FILE}, which .* move .* away, "):
        newest_pushed(base, model_digest="other", examples_digest="e")
    assert push(model, base, DIGESTS) == 2
    assert "The model is pushed again, as the next version" in capsys.readouterr().err
    assert (base / "1" / PUSH_FILE).read_text() == content


def test_a_damaged_version_is_not_compared_with(tmp_path):
    push(make_saved_model(tmp_path / "model"), tmp_path / "serving", DIGESTS)
    assert newest_pushed(tmp_path / "serving", model_digest="other", examples_digest="e").digest == "m"
    flip_bit(tmp_path / "serving" / "1" / "saved_model.pb")
    with pytest.raises(PushedVersionError, match=r"Received: .*saved_model\.pb, which is missing or has another "):
        newest_pushed(tmp_path / "serving", model_digest="other", examples_digest="e")


@pytest.mark.parametrize("blessing", ["evaluation", "explanation_blessing", "infra_blessing"])
def test_a_push_reads_every_blessing_again(blessing, tmp_path):
    pusher = make_pusher(tmp_path)
    flip_bit(next(path for path in sorted((tmp_path / blessing).iterdir())))
    with pytest.raises(StageError, match=f"Received: {tmp_path / blessing}"):
        pusher.run(RunContext(tmp_path / "root"))
    assert not pushed_versions(tmp_path / "serving" / "sperm")


def test_a_blessing_that_someone_put_there_does_not_count(tmp_path):
    pusher = make_pusher(tmp_path, ("EXPLANATION_BLESSED", "INFRA_BLESSED"))
    (tmp_path / "evaluation" / "BLESSED").touch()
    (reason,) = pusher.run(RunContext(tmp_path / "root")).properties["reasons"]
    assert "the Evaluator did not bless the model" in reason


@pytest.fixture
def root(context, tmp_path):
    """A root with two stages, a push and a prepared dataset."""
    from sperm_tf.file_digests import SUMS_FILE, digest_files, write_sums

    for component in make(3):
        component.run(context)
    push(make_saved_model(tmp_path / "model"), context.pipeline_root / "serving" / "sperm", DIGESTS)
    dataset = context.pipeline_root / "datasets" / "1a2b" / "smids" / "clean" / "1.0.0"
    dataset.mkdir(parents=True)
    for name in ("dataset_info.json", "smids-fold_1.tfrecord-00000-of-00001", "excluded.csv"):
        (dataset / name).write_text(name)
    write_sums(dataset / SUMS_FILE, digest_files(dataset))
    return context.pipeline_root


def test_verify_finds_a_flipped_bit_in_every_file(root, capsys):
    files = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(files) == 12
    argv = ["run", "--verify", f"--pipeline_root={root}"]
    assert command.main(argv) == 0
    assert capsys.readouterr().out == "8 files were compared with their SHA-256: all are as they were written.\n"
    for path in files:
        whole = path.read_bytes()
        flip_bit(path)
        assert command.main(argv) == 1, path
        output = capsys.readouterr().out
        assert str(path) in output or (path.name == PUSHED_SUMS.name and "differ" in output), path
        assert "made anew" in output or "pushed anew" in output or "prepares it anew" in output, "a remedy"
        path.write_bytes(whole)
    assert command.main(argv) == 0


def test_verify_names_a_root_that_holds_nothing(tmp_path, capsys):
    assert command.main(["run", "--verify", f"--pipeline_root={tmp_path / 'none'}"]) == 1
    assert "pipeline_root must hold the results of a run. Received:" in capsys.readouterr().err


def test_no_logic_goes_by_the_order_of_times(context, tmp_path):
    """A clock that jumps back, and files that are copied: every time is another one."""
    for component in make(3):
        component.run(context)
    base = tmp_path / "serving"
    for name in ("m1", "m2"):
        push(make_saved_model(tmp_path / name, name), base, DIGESTS | {"model_digest": name})
    for number, path in enumerate(sorted([*context.pipeline_root.rglob("*"), *base.rglob("*")], reverse=True)):
        os.utime(path, (10_000 - number, 10_000 - number))
    again = make(3)
    again[1].run(context)
    assert again[0].was_reused and again[1].was_reused
    assert newest_pushed(base, model_digest="other", examples_digest="e").digest == "m2"
    assert push(tmp_path / "m2", base, DIGESTS | {"model_digest": "m2"}) == 2


FULL_DISK = """
import pathlib, resource, sys
from pipelines.orchestration.component import Component, RunContext, StageError

class Large(Component):
    def execute(self, inputs, output, context):
        (output / "large").write_bytes(bytes(1 << 20))
        return {}

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    print(Large().run(RunContext(pathlib.Path(sys.argv[1]))).files)
except StageError as error:
    print(f"stopped: {error}")
"""


def test_a_full_disk_stops_a_stage_with_a_remedy_and_leaves_nothing_half_written(tmp_path):
    def start(limit):
        arguments = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(limit)]
        return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    said = start(1 << 16)
    assert said.startswith(f"stopped: Large must be able to write into {tmp_path / 'Large'}. Received: "), said
    assert "File too large" in said and "Make room on the disk, and run again" in said
    assert not list(tmp_path.glob("Large/*/artifact.json"))
    assert start(1 << 22) == "{'large': 1048576}\n"


def test_a_root_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StageError, match=rf"pipeline_root must be a folder that can be written to.*{tmp_path}/file"):
        Number(NumberConfig(1)).run(RunContext(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_lock_names_the_process_that_holds_it(tmp_path):
    with (
        locks.held(tmp_path / ".lock"),
        pytest.raises(locks.LockedError, match=rf"another run \(process {os.getpid()} on .*, since 2"),
        locks.held(tmp_path / ".lock"),
    ):
        pass
    (tmp_path / ".lock.owner").write_text("process 1, which was killed")
    with locks.held(tmp_path / ".lock"):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock.owner").read_text()
    assert not (tmp_path / ".lock.owner").exists()
