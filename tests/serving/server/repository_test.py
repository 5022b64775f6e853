"""Versions that come and go while requests run."""

import json
import pathlib
import threading
import time

import pytest

from tests.serving.server import running
from tests.serving.server.app_test import PREDICT, instances, wait_until
from tests.serving.server.running import MadeUp, Versions, call


def version_of(reply):
    """The version that the made-up model put into the row of a file of one byte."""
    return round((reply["predictions"][0]["unfamiliarity"] - 1) * 16)


def current(url):
    return version_of(call(url + PREDICT, instances(b"x"))[2])


def test_a_new_version_takes_over_without_a_request_lost():
    source = Versions()
    with running.thread(source) as url:
        found, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                found.append(call(url + PREDICT, instances(b"x")))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for version in (2, 3, 4):
            wait_until(lambda: len(found) > 8)
            source.versions = {**source.versions, version: MadeUp(version)}
            wait_until(lambda version=version: version_of(found[-1][2]) == version)
        stop.set()
        for thread in threads:
            thread.join()
    assert {code for code, *_ in found} == {200}
    assert {version_of(reply) for *_, reply in found} == {1, 2, 3, 4}


def test_a_request_that_waits_is_finished_by_its_version():
    slow = MadeUp(1)
    slow.gate = threading.Event()
    source = Versions()
    source.versions = {1: slow}
    with running.thread(source) as url:
        replies = []
        waiting = threading.Thread(target=lambda: replies.append(call(url + PREDICT, instances(b"x"))))
        waiting.start()
        wait_until(lambda: slow.batches)
        source.versions = {2: MadeUp(2)}
        wait_until(lambda: call(f"{url}/v1/models/sperm/versions/1")[0] == 404)
        slow.gate.set()
        waiting.join()
        assert replies[0][0] == 200 and version_of(replies[0][2]) == 1 and current(url) == 2


def test_a_version_that_cannot_be_opened_changes_nothing(monkeypatch):
    source = Versions()
    with running.thread(source) as url:
        source.versions = {**source.versions, 2: ValueError("model.onnx is damaged")}
        wait_until(lambda: len(call(f"{url}/v1/models/sperm")[2]["model_version_status"]) == 2)
        newest, served = call(f"{url}/v1/models/sperm")[2]["model_version_status"]
        assert (newest["version"], newest["state"]) == ("2", "END")
        assert newest["status"] == {"error_code": "UNKNOWN", "error_message": "ValueError: model.onnx is damaged"}
        assert (served["version"], served["state"]) == ("1", "AVAILABLE") and current(url) == 1
        assert 'sperm_tf_failed_loads_total{model="sperm"} 1.0' in call(f"{url}/metrics")[2]
        source.versions = {**source.versions, 2: MadeUp(2)}
        time.sleep(0.3)
        assert current(url) == 1, "it is tried again after a minute"
        monkeypatch.setattr("sperm_tf.serving.server.repository.RETRY_S", 0.0)
        wait_until(lambda: current(url) == 2)


def test_the_last_version_that_can_be_opened_stays():
    source = Versions()
    with running.thread(source) as url:
        source.versions = {2: ValueError("model.onnx is damaged")}
        wait_until(lambda: len(call(f"{url}/v1/models/sperm")[2]["model_version_status"]) == 2)
        time.sleep(0.2)
        assert current(url) == 1 and call(f"{url}/v2/health/ready")[0] == 200


def test_rolling_back_and_labels_that_move():
    source = Versions()
    source.versions = {1: MadeUp(1), 2: MadeUp(2), 3: MadeUp(3)}
    with running.thread(source) as url:
        assert current(url) == 3 and call(f"{url}/v1/models/sperm/versions/2")[0] == 404
        source.labels = {"stable": 1, "canary": 2, "wrong": 9}
        wait_until(lambda: call(f"{url}/v1/models/sperm/labels/canary")[0] == 200)
        for label, version in (("stable", 1), ("canary", 2)):
            assert version_of(call(f"{url}/v1/models/sperm/labels/{label}:predict", instances(b"x"))[2]) == version
        assert call(f"{url}/v1/models/sperm/labels/wrong:predict", instances(b"x"))[0] == 400
        source.labels = {"stable": 2}
        wait_until(lambda: call(f"{url}/v1/models/sperm/versions/1")[0] == 404)
        assert call(f"{url}/v1/models/sperm/labels/canary")[0] == 400
        assert version_of(call(f"{url}/v1/models/sperm/labels/stable:predict", instances(b"x"))[2]) == 2
        source.versions = {number: one for number, one in source.versions.items() if number < 3}
        wait_until(lambda: current(url) == 2)


def test_a_source_that_fails_leaves_what_is_served():
    source = Versions()
    with running.thread(source) as url:
        source.list = lambda: (_ for _ in ()).throw(OSError("the disk is gone"))
        time.sleep(0.2)
        assert current(url) == 1
        del source.list
        source.versions = {2: MadeUp(2)}
        wait_until(lambda: current(url) == 2)


def folder_of(path, *names):
    for name in names:
        (path / name).mkdir(parents=True)
        (path / name / "saved_model.pb").touch()
    return path


def test_the_layout_of_tensorflow_serving_is_read(tmp_path):
    from sperm_tf.serving.server.sources import FolderSource

    base = folder_of(tmp_path / "serving", "a/1", "a/12", "b/3", "b/.pushing", "b/x", ".hidden/1")
    (base / "b" / "4").mkdir()  # without a model
    (base / "b" / "labels.txt").touch()
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"a": {"stable": 1}}))
    options = {"runtime": "fastest", "warm_up": 8}
    found = FolderSource(base, labels=labels, **options).list()
    assert {name: sorted(listed.versions) for name, listed in found.items()} == {"a": [1, 12], "b": [3]}
    assert (found["a"].labels, found["b"].labels) == ({"stable": 1}, {})
    assert {name: sorted(one.versions) for name, one in FolderSource(base / "a", **options).list().items()} == {
        "a": [1, 12]
    }
    with pytest.raises(ValueError, match=r"which holds no version. Push a model, or export one"):
        FolderSource(folder_of(tmp_path / "empty", ".hidden/1"), **options).list()
    for wrong in ("", "[]", '{"a": 1}', '{"a": {"stable": "1"}}', '{"a": {"stable": true}}'):
        labels.write_text(wrong)
        with pytest.raises(ValueError, match="labels must be a JSON file of model, label and version"):
            FolderSource(base, labels=labels, **options).list()


def test_what_the_model_is_named_by(tmp_path, monkeypatch):
    from sperm_tf.serving.server.sources import FolderSource, ReleaseSource, find_source

    options = {"runtime": "fastest", "warm_up": 8, "labels": None}
    assert isinstance(find_source("smids", **options), ReleaseSource)
    assert list(find_source("smids@1", **options).list()) == ["smids"]
    assert list(find_source("smids@1", **options).list()["smids"].versions) == [1]
    with pytest.raises(ValueError, match=r"released models \(.*smids.*\) or a folder .* Received: model='smidz'"):
        find_source("smidz", **options)
    with pytest.raises(ValueError, match="labels must be left out for a released model"):
        find_source("smids", **{**options, "labels": pathlib.Path("labels.json")})
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path, "smids/1")
    assert isinstance(find_source("smids", **options), FolderSource)
