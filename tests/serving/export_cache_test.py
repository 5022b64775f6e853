"""Exports of released models are kept: by all that they follow from, whole, and for two processes at once."""

import dataclasses
import pathlib
import subprocess
import sys

import pytest

from sperm_tf.models import released
from sperm_tf.serving import export_cache
from tests.helpers import ROOT

RELEASE = released.read_manifest()["smids"]
CONTENT = {"saved_model.pb": b"graph", "variables/variables.index": b"weights"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(export_cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


class Export:
    """Stands in for the export of a network; counts how often it was needed."""

    def __init__(self):
        self.count = 0

    def __call__(self, folder):
        self.count += 1
        for name, content in CONTENT.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def read(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_kept_export_is_copied_and_stays_untouched(tmp_path):
    export = Export()
    assert [export_cache.copy_export(RELEASE, tmp_path / str(number), export) for number in range(3)] == [
        False,
        True,
        True,
    ]
    assert export.count == 1
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"changed by its owner")
    export_cache.copy_export(RELEASE, tmp_path / "again", export)
    assert [read(tmp_path / name) for name in ("0", "2", "again")] == [CONTENT] * 3


@pytest.mark.parametrize("damage", ("changed", "missing", "added", "unlisted"))
def test_a_damaged_export_is_made_anew(tmp_path, cache, damage):
    export = Export()
    export_cache.copy_export(RELEASE, tmp_path / "0", export)
    (entry,) = [path for path in (cache / "exports").iterdir() if path.is_dir()]
    file = entry / "saved_model" / "saved_model.pb"
    {
        "changed": lambda: file.write_bytes(b"grapH"),
        "missing": file.unlink,
        "added": lambda: (entry / "saved_model" / "other").write_bytes(b""),
        "unlisted": (entry / "files.json").unlink,
    }[damage]()
    assert not export_cache.copy_export(RELEASE, tmp_path / "1", export)
    assert export.count == 2 and read(tmp_path / "1") == CONTENT
    assert export_cache.copy_export(RELEASE, tmp_path / "2", export)


def test_whatever_changes_the_export_is_another_key(monkeypatch):
    keys = {export_cache.export_key(RELEASE)}
    for change in (
        {"sha256": "0" * 64},
        {"rule": {**RELEASE.rule, "decision.json": "0" * 64}},
        {"views": 9 - RELEASE.views},  # 1 or 8
        {"image_size": 96},
        {"class_names": RELEASE.class_names[::-1]},
        {"model": dataclasses.replace(RELEASE.model, name="simple_cnn")},
    ):
        keys.add(export_cache.export_key(dataclasses.replace(RELEASE, **change)))
    monkeypatch.setattr(export_cache, "__version__", "99")
    keys.add(export_cache.export_key(RELEASE))
    monkeypatch.setattr(export_cache.importlib.metadata, "version", lambda name: f"{name} of tomorrow")
    keys.add(export_cache.export_key(RELEASE))
    monkeypatch.setattr(export_cache, "_source_digest", lambda: "another graph")
    keys.add(export_cache.export_key(RELEASE))
    assert len(keys) == 10


def test_an_export_that_fails_leaves_nothing(tmp_path, cache):
    def fail(folder):
        Export()(folder)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        export_cache.copy_export(RELEASE, tmp_path / "0", fail)
    assert not (tmp_path / "0").exists()
    assert not export_cache.copy_export(RELEASE, tmp_path / "1", Export())
    assert read(tmp_path / "1") == CONTENT


def test_a_cache_that_cannot_be_written_is_left_out(tmp_path, cache):
    cache.write_text("a file, no folder")
    export = Export()
    for name in "01":
        assert not export_cache.copy_export(RELEASE, tmp_path / name, export)
        assert read(tmp_path / name) == CONTENT
    assert export.count == 2


def test_two_processes_export_once(tmp_path):
    code = """
import pathlib, sys, time
from sperm_tf.models import released
from sperm_tf.serving import export_cache
def export(folder):
    with open(sys.argv[2], "a") as log:
        log.write("exported\\n")
    folder.mkdir()
    time.sleep(1)
    (folder / "saved_model.pb").write_bytes(b"graph")
export_cache.copy_export(released.read_manifest()["smids"], pathlib.Path(sys.argv[1]), export)
"""
    arguments = [sys.executable, "-c", code]
    running = [
        subprocess.Popen([*arguments, tmp_path / name, tmp_path / "log"], cwd=ROOT, stderr=subprocess.PIPE)
        for name in "ab"
    ]
    for process in running:
        assert process.wait(60) == 0, process.stderr.read()
        process.stderr.close()
    assert (tmp_path / "log").read_text() == "exported\n"
    assert [read(tmp_path / name) for name in "ab"] == [{"saved_model.pb": b"graph"}] * 2


def test_where_the_cache_lies(monkeypatch):
    assert export_cache.cache_folder().name == "cache"
    monkeypatch.delenv(export_cache.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert export_cache.cache_folder() == pathlib.Path("/somewhere/sperm_tf")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert export_cache.cache_folder() == pathlib.Path("/home/someone/.cache/sperm_tf")
