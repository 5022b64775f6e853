"""What is trusted in a folder of scores: nothing that differs from its digest."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.bulk_inference import merging
from pipelines.bulk_inference import output as output_lib
from pipelines.bulk_inference.inputs import Crop, CropList
from pipelines.bulk_inference.output import ScoreFolder
from pipelines.bulk_inference.shards import ScoreFolderError
from pipelines.field_analysis.field_folder import FieldFolder
from sperm_tf.evaluation.quantification import scores_file
from tests.helpers import ROOT, flip_bit

NUM, SIZE = 10, 4
RECORD = {
    **dict.fromkeys(ScoreFolder.identity, "same"),
    "shard_size": SIZE,
    "num_files": NUM,
    "columns": [],
    "model": "m",
}
CROPS = CropList(pathlib.Path("/crops"), (), tuple(Crop(f"{number}.png", 1, 2) for number in range(NUM)))
SCHEMA = scores_file.schema(("normal", "tapered"), (), RECORD)


def rows(number):
    names = [crop.file for crop in CROPS.crops[number * SIZE : (number + 1) * SIZE]]
    row = {
        "status": "ok",
        "predicted_class": "normal",
        "decision": "refer",
        "reason": "",
        "p_normal": 0.75,
        "model": "m",
    }
    return [row | {"file": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in names]


def score(folder, *, scored=None):
    """As `runner.run` does, with rows that need no model; returns the summary."""
    with folder.locked():
        record = folder.claim(RECORD, CROPS)
        if not folder.is_finished():
            missing = [] if folder.has_whole_table() else folder.missing_shards(record)
            for number in missing:
                folder.shards.write(number, pa.Table.from_pylist(rows(number), SCHEMA))
            if scored is not None:
                scored.extend(missing)
            merging.merge(folder, record, SCHEMA)
        return folder.finish()


def write_shards(folder):
    """All of them, without a merge; returns the record of the run."""
    folder.path.mkdir()
    record = folder.claim(RECORD, CROPS)
    for number in range(3):
        folder.shards.write(number, pa.Table.from_pylist(rows(number), SCHEMA))
    return record


@pytest.fixture
def finished(tmp_path):
    folder = ScoreFolder(tmp_path / "out")
    score(folder)
    return folder


@pytest.fixture
def half(tmp_path):
    """The shards are there, the merged table is not."""
    folder = ScoreFolder(tmp_path / "half")
    return folder, write_shards(folder)


def test_sha256sum_reads_the_list_of_digests(finished):
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=finished.path, capture_output=True, text=True)
    names = ("inputs.parquet", "scores.parquet", "scores.csv", "summary.json")
    assert done.stdout.splitlines() == [f"{name}: OK" for name in sorted(names)], done.stderr


@pytest.mark.parametrize("offset", [0, 40, -400], ids=str)
def test_a_shard_with_a_flipped_bit_is_scored_again(offset, half):
    folder, _ = half
    content = bytearray(folder.shards.path(1).read_bytes())
    content[offset] ^= 4
    folder.shards.path(1).write_bytes(content)
    scored = []
    score(folder, scored=scored)
    assert scored == [1]
    assert pq.read_table(folder.path / "scores.parquet").to_pylist() == [
        {**dict.fromkeys(SCHEMA.names), **row} for number in range(3) for row in rows(number)
    ]


@pytest.mark.parametrize("damage", ["truncated", "no digest", "digest of another"])
def test_a_shard_that_cannot_be_trusted_is_scored_again(damage, half):
    folder, record = half
    path, digest = folder.shards.path(2), folder.shards.digest_path(2)
    if damage == "truncated":
        os.truncate(path, path.stat().st_size - 1)
    elif damage == "no digest":
        digest.unlink()
    else:
        digest.write_text(folder.shards.digest_path(0).read_text())
    assert folder.missing_shards(record) == [2]


def test_a_shard_that_changes_before_the_merge_stops_it(half):
    folder, record = half
    flip_bit(folder.shards.path(0))
    with pytest.raises(
        ScoreFolderError, match=rf"Received: {folder.shards.path(0)}, which .* Run the same command again"
    ):
        merging.merge(folder, record, SCHEMA)
    assert not (folder.path / "scores.parquet").exists()
    scored = []
    score(folder, scored=scored)
    assert scored == [0]


def test_a_list_of_images_that_changes_during_a_run_stops_it(half):
    folder, record = half
    flip_bit(folder.path / "inputs.parquet")
    with pytest.raises(
        ScoreFolderError, match=rf"Received: {folder.path}/inputs\.parquet, .* Delete .*/shards, and run"
    ):
        merging.merge(folder, record, SCHEMA)


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "summary.json", "inputs.parquet"])
@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_a_finished_folder_with_a_damaged_file_is_not_finished(name, damage, finished, capsys):
    before = {path.name: path.read_bytes() for path in finished.path.iterdir()}
    path = finished.path / name
    flip_bit(path) if damage == "flipped" else path.unlink()
    damaged = path.read_bytes() if damage == "flipped" else None
    assert not finished.is_finished()
    scored = []
    score(finished, scored=scored)
    assert scored == ([0, 1, 2] if name == "scores.parquet" else [])
    after = {path.name: path.read_bytes() for path in finished.path.iterdir()}
    assert {name: after[name] for name in before if name != "run.json"} == {
        name: content for name, content in before.items() if name != "run.json"
    }
    assert after.get(f"{name}.bak") == damaged
    assert (f"{name} is not as it was written: kept as {name}.bak" in capsys.readouterr().err) == (damage == "flipped")


def test_scores_that_differ_are_not_read(finished):
    assert len(scores_file.read(finished.path).table) == NUM
    flip_bit(finished.path / "scores.parquet")
    with pytest.raises(scores_file.ScoresError, match=r"scores\.parquet.*, whose SHA-256 is not that in SHA256SUMS"):
        scores_file.read(finished.path)


def test_scores_of_an_earlier_version_have_no_digests_and_are_read(finished):
    (finished.path / "SHA256SUMS").unlink()
    assert finished.is_finished() and len(scores_file.read(finished.path).table) == NUM
    (finished.path / "scores.parquet").unlink()
    assert not finished.is_finished()


@pytest.mark.parametrize(
    "content", ["", '{"model": "m', "\x00", "[]", "3", '{"model": 1, "record_sha256": "0"}'], ids=repr
)
def test_a_broken_record_of_a_run_is_named_and_nothing_is_touched(content, finished):
    (finished.path / "run.json").write_text(content)
    before = {path.name: path.read_bytes() for path in finished.path.iterdir()}
    for call in (finished.earlier_runtime, lambda: finished.claim(RECORD, CROPS)):
        with pytest.raises(ScoreFolderError, match=rf"Received: {finished.path}/run\.json, .* Nothing .* --output"):
            call()
    assert {path.name: path.read_bytes() for path in finished.path.iterdir()} == before


def test_a_flipped_bit_in_the_record_of_a_run_is_found(finished):
    text = (finished.path / "run.json").read_text()
    changed = text.replace(f'"num_files": {NUM}', f'"num_files": {NUM + 1}')
    assert changed != text
    (finished.path / "run.json").write_text(changed)
    with pytest.raises(ScoreFolderError, match=r"its content has not the SHA-256 in record_sha256"):
        finished.claim(RECORD, CROPS)


@pytest.mark.parametrize("damage", ["empty", "another number"])
def test_a_scale_that_differs_from_the_one_that_was_measured_is_named(damage, tmp_path):
    folder = FieldFolder(tmp_path)
    scale = {"head_length_px": 36.0, "pixel_size_um": 0.125, "source": "estimated"}
    folder.write_scale(scale)
    assert folder.read_scale() == scale
    text = (tmp_path / "scale.json").read_text()
    (tmp_path / "scale.json").write_text("" if damage == "empty" else text.replace("0.125", "0.127"))
    with pytest.raises(ScoreFolderError, match=rf"Received: {tmp_path}/scale\.json, .* Delete it and .* measured anew"):
        folder.read_scale()


def test_a_damaged_list_of_digests_is_named(finished):
    (finished.path / "SHA256SUMS").write_text("no digest\n")
    message = re.escape(str(finished.path / "SHA256SUMS"))
    with pytest.raises(ScoreFolderError, match=message):
        finished.is_finished()
    with pytest.raises(scores_file.ScoresError, match=message):
        scores_file.read(finished.path)


def test_shards_are_joined_to_larger_groups_of_rows(half, monkeypatch):
    folder, _ = half
    monkeypatch.setattr(merging, "_GROUP_ROWS", 6)
    score(folder)
    with pq.ParquetFile(folder.path / "scores.parquet") as file:
        assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [8, 2]
        assert [row["file"] for row in file.read().to_pylist()] == [crop.file for crop in CROPS.crops]
    before = (folder.path / "scores.parquet").read_bytes()
    flip_bit(folder.path / "scores.csv")
    score(folder)
    assert (folder.path / "scores.parquet").read_bytes() == before, "of its own rows, too"


def test_copies_are_counted_across_shards_and_unreadable_files_are_none(half):
    folder, _ = half
    table = pa.Table.from_pylist(rows(0), SCHEMA).to_pylist()
    unreadable = [{**row, "status": "unreadable", "sha256": ""} for row in table[2:]]
    folder.shards.write(1, pa.Table.from_pylist(table, SCHEMA))
    folder.shards.write(2, pa.Table.from_pylist(unreadable, SCHEMA))
    assert score(folder)["num_copies"] == 4


@pytest.mark.parametrize("moment", ["write_sums", "replacing", "digest_files"])
def test_a_merge_that_is_killed_is_done_again_without_scoring(moment, half, monkeypatch):
    folder, record = half

    def kill(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(output_lib, moment, kill)
        with pytest.raises(KeyboardInterrupt):
            merging.merge(folder, record, SCHEMA)
    assert not folder.is_finished()
    scored = []
    assert score(folder, scored=scored)["counts"]["status"] == {"ok": NUM} and scored == []


@pytest.mark.parametrize("moment", ["digest_file", "replacing"])
def test_a_claim_that_is_killed_is_taken_up(moment, tmp_path, monkeypatch):
    folder = ScoreFolder(tmp_path / "out")

    def kill(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(output_lib, moment, kill)
        with pytest.raises(KeyboardInterrupt):
            score(folder)
    assert score(folder)["counts"]["status"] == {"ok": NUM}


def test_no_logic_goes_by_the_order_of_times(half):
    folder, _ = half
    for number, path in enumerate(sorted(folder.path.rglob("*"))):
        os.utime(path, (9_000 - number, 9_000 - number))
    scored = []
    score(folder, scored=scored)
    os.utime(folder.path / "scores.parquet", (1, 1))
    assert scored == [] and folder.is_finished()


def test_a_second_run_is_refused_and_told_which_process_works(finished):
    with (
        finished.locked(),
        pytest.raises(ScoreFolderError, match=rf"another run \(process {os.getpid()} on .*Wait for"),
    ):
        finished.locked().__enter__()


FULL_DISK = """
import pathlib, resource, sys
from tests.pipelines.bulk_inference.score_folder_test import ScoreFolder, score

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    score(ScoreFolder(pathlib.Path(sys.argv[1])))
except OSError as error:
    print(error)
"""


def test_a_full_disk_names_the_file_and_what_was_written_is_kept(half):
    folder, _ = half
    shards = {path.name: path.read_bytes() for path in (folder.path / "shards").iterdir()}
    limit = max(map(len, shards.values())) + 200  # less than the merged table has
    arguments = [sys.executable, "-c", FULL_DISK, str(folder.path), str(limit)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert re.search(
        rf"{folder.path}/scores\.\w+ cannot be written: .* is kept\. Make room on the disk", done.stdout
    ), done
    assert {path.name: path.read_bytes() for path in (folder.path / "shards").iterdir()} == shards
    scored = []
    score(folder, scored=scored)
    assert scored == [] and json.loads((folder.path / "summary.json").read_text())["num_files"] == NUM
