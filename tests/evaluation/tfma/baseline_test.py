import json

from sperm_tf.evaluation.tfma import baseline


def push(folder, version, *, model="old", examples="same"):
    record = folder / str(version) / baseline.PUSH_FILE
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"model_digest": model, "examples_digest": examples}), encoding="utf-8")


def find(folder):
    return baseline.newest_pushed(folder, model_digest="candidate", examples_digest="same")


def test_the_newest_version_by_number_is_chosen(tmp_path):
    push(tmp_path, 9, model="nine")
    push(tmp_path, 10, model="ten")
    found = find(tmp_path)
    assert (found.path, found.digest) == (tmp_path / "10", "ten")
    assert "version 10" in found.reason


def test_the_candidate_is_never_its_own_baseline(tmp_path):
    push(tmp_path, 1)
    push(tmp_path, 2, model="candidate")
    assert find(tmp_path).path == tmp_path / "1"


def test_a_version_from_other_examples_is_no_baseline(tmp_path):
    push(tmp_path, 1, examples="other")
    found = find(tmp_path)
    assert (found.path, found.digest) == (None, "")
    assert "other examples" in found.reason


def test_nothing_pushed_is_no_baseline(tmp_path):
    assert "no other version has been pushed" in find(tmp_path / "missing").reason
    (tmp_path / "3").mkdir()  # put there by someone else
    (tmp_path / "notes.txt").touch()
    push(tmp_path, 4, model="candidate")
    assert find(tmp_path).path is None
