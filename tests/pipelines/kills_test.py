"""Merge, push and release that are killed at any step, and done again."""

import functools
import json
import signal
import zipfile

import pandas  # noqa: F401  (what the work imports when it runs, before the forks: each would take a second for it)
import pyarrow.compute
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet  # noqa: F401
import pytest
import xlsxwriter  # noqa: F401

from pipelines.bulk_inference import spreadsheet
from pipelines.model_release import publishing
from pipelines.orchestration.component import RunContext
from sperm_tf.config import ModelConfig
from sperm_tf.evaluation.tfma.baseline import changed_in
from sperm_tf.file_digests import digest_file
from sperm_tf.models import released
from tests.kills import contents, kill_at_every_step
from tests.pipelines.bulk_inference import score_folder_test
from tests.pipelines.bulk_inference.score_folder_test import ScoreFolder
from tests.pipelines.components import pusher_test

SIGNALS = pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)


def merge(folder):
    """As `pipelines.score` does where every shard is finished."""
    score_folder_test.score(ScoreFolder(folder))
    parquet = folder / "scores.parquet"
    if not spreadsheet.path_of(parquet).is_file():
        spreadsheet.write(parquet)


def merged(folder):
    """Names and contents of the files; the spreadsheet names the time, so of that its rows alone."""
    with zipfile.ZipFile(folder / "scores.xlsx") as file:
        return {**contents(folder), "scores.xlsx": file.read("xl/worksheets/sheet1.xml")}


@SIGNALS
def test_a_merge_that_is_killed_leaves_the_same_scores(number, tmp_path):
    template, whole = tmp_path / "template", tmp_path / "whole"
    score_folder_test.write_shards(ScoreFolder(template))
    merge(whole)
    copies = kill_at_every_step(f"{__name__}:merge", template, tmp_path / "killed", number)
    assert len(copies) > 20
    expected = merged(whole)
    for copy in copies:
        assert merged(copy) == expected, copy


def push(folder):
    pusher_test.make_pusher(folder).run(RunContext(folder / "root"))


def pushed(folder):
    """What a push leaves, but what names the time or the folder."""
    found = {name: content for name, content in contents(folder).items() if name.startswith(("serving", "root"))}
    (stage,) = (folder / "root" / "Pusher").glob("[!.]*")
    found = {name.replace(stage.name, "<key>"): content for name, content in found.items()}
    for name, varying in (
        ("serving/sperm/1/assets.extra/push.json", ("pushed_at",)),
        ("root/Pusher/<key>/pushed.json", ("path",)),
    ):
        found[name] = {key: value for key, value in json.loads(found[name]).items() if key not in varying}
    for name in ("serving/sperm/1/assets.extra/SHA256SUMS", "root/Pusher/<key>/artifact.json"):
        assert found.pop(name)
    return found


@SIGNALS
def test_a_push_that_is_killed_leaves_one_version(number, tmp_path):
    template, whole = tmp_path / "template", tmp_path / "whole"
    for folder in (template, whole):
        folder.mkdir()
        pusher_test.make_pusher(folder)
    push(whole)
    copies = kill_at_every_step(f"{__name__}:push", template, tmp_path / "killed", number)
    assert len(copies) > 20
    expected = pushed(whole)
    for copy in copies:
        assert pushed(copy) == expected, copy
        assert not changed_in(copy / "serving" / "sperm" / "1")


def release(folder, *, content, new_version):
    """As `pipelines.release` does, with files that need no model."""
    with publishing.prepared(folder / "released") as unfinished:
        (unfinished / "smids.npz").write_bytes(content)
        (unfinished / "smids").mkdir()
        (unfinished / "smids" / "decision.json").write_bytes(content * 2)
        packed = released.Release(
            name="smids",
            file="smids.npz",
            sha256=digest_file(unfinished / "smids.npz"),
            num_bytes=len(content),
            model=ModelConfig(name="simple_cnn"),
            class_names=("a", "b"),
            image_size=32,
            views=1,
            training={},
            folder=unfinished,
            rule={"decision.json": digest_file(unfinished / "smids" / "decision.json")},
        )
        publishing.publish(
            packed,
            folder / "released",
            new_version=new_version,
            describe=lambda one: f"{one.name}, version {one.version}: {one.sha256}",
            cards_dir=folder / "cards",
        )


replace_release = functools.partial(release, content=b"second", new_version=False)
keep_release = functools.partial(release, content=b"second", new_version=True)


@SIGNALS
@pytest.mark.parametrize("work", ["replace_release", "keep_release"])
def test_a_release_that_is_killed_loses_no_release(work, number, tmp_path):
    template, whole = tmp_path / "template", tmp_path / "whole"
    for folder in (template, whole):
        release(folder, content=b"first", new_version=False)
    globals()[work](whole)
    copies = kill_at_every_step(f"{__name__}:{work}", template, tmp_path / "killed", number)
    assert len(copies) > 20
    expected = contents(whole)
    for copy in copies:
        assert contents(copy) == expected, copy
    manifest = released.read_manifest(whole / "released")
    kept = {"smids@1": b"first", "smids": b"second"} if work == "keep_release" else {"smids": b"second"}
    assert {name: one.verify().read_bytes() for name, one in manifest.items()} == kept
    assert {name: (one.verify_rule() / "decision.json").read_bytes() for name, one in manifest.items()} == {
        name: content * 2 for name, content in kept.items()
    }
    assert manifest["smids"].version == len(kept)


def test_an_earlier_release_that_is_damaged_is_not_kept(tmp_path):
    release(tmp_path, content=b"first", new_version=False)
    (tmp_path / "released" / "smids.npz").write_bytes(b"other")
    before = contents(tmp_path)
    with pytest.raises(released.WeightsError, match=r"weights 'smids' must have the SHA-256 .* is damaged"):
        release(tmp_path, content=b"second", new_version=True)
    assert contents(tmp_path) == before
