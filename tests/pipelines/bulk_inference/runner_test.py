import dataclasses
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from pipelines import score, slide_report
from pipelines.bulk_inference import model as scoring_model
from pipelines.bulk_inference import progress, slides
from pipelines.components.pusher import push
from sperm_tf.data.quality import measure_quality
from sperm_tf.evaluation.quantification import scores_file
from tests import image_files
from tests.helpers import ROOT, flip_bit
from tests.pipelines.components.pusher_test import DIGESTS
from tests.serving.conftest import CLASS_NAMES, IMAGE_SIZE, export


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Classifier, load_model, overlay, runner, scored_images, tf
    import tensorflow as tf

    from pipelines.bulk_inference import runner, scored_images
    from sperm_tf.explain import overlay
    from sperm_tf.serving.classifier import Classifier
    from sperm_tf.serving.loading import load_model


pytestmark = pytest.mark.integration

PIXELS = {f"{name}.png": image_files.random_pixels(40 + seed, 50, seed=seed) for seed, name in enumerate("abcdef")}
BAD = {"bad.png": b"no image", "empty.bmp": b"", "short.png": image_files.encode(PIXELS["a.png"], "PNG")[:-600]}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory, views=1)


@pytest.fixture
def crops(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    for name, pixels in PIXELS.items():
        (folder / name).write_bytes(image_files.encode(pixels, "PNG"))
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
    rows = "".join(f"{name},S{len(name)}\n" for name in (*PIXELS, *BAD, "missing.png"))
    (folder / "table.csv").write_text(f"file,slide\n{rows}")
    return folder


def _request(exported, source, output, **changes):
    return runner.Request(model=str(exported.path), input=str(source), output=output, **changes)


def test_every_file_has_the_row_that_the_model_gives_it(exported, crops, tmp_path):
    summary = runner.run(_request(exported, crops / "table.csv", tmp_path / "out", shard_size=4, overlays="all"))
    scores = scores_file.read(tmp_path / "out")
    table = scores.table.set_index("file")
    assert list(table.index) == sorted([*PIXELS, *BAD, "missing.png"])
    assert scores.class_names == tuple(CLASS_NAMES)
    classifier = Classifier(exported.model, tuple(CLASS_NAMES), IMAGE_SIZE, rule=exported.rule)
    for expected in classifier.predict([crops / name for name in table.index], errors="rows"):
        name = pathlib.Path(expected.file).name
        row = table.loc[name]
        for field in ("status", "predicted_class", "decision", "reason"):
            assert row[field] == getattr(expected, field), (name, field)
        assert row["prediction_set"] == "|".join(expected.prediction_set) and row["slide"] == f"S{len(name)}"
        if expected.status == "ok":
            assert row["unfamiliarity"] == pytest.approx(expected.unfamiliarity, rel=1e-4)
            probabilities = [row[f"p_{label}"] for label in CLASS_NAMES]
            np.testing.assert_allclose(probabilities, list(expected.probabilities.values()), rtol=1e-4, atol=1e-6)
            quality = measure_quality(PIXELS[name])
            assert [row[key] for key in scores_file.QUALITY] == pytest.approx(list(vars(quality).values()), rel=1e-6)
            assert (tmp_path / "out" / row["overlay"]).is_file()
        else:
            assert row[[*scores_file.QUALITY, "unfamiliarity", "p_normal"]].isna().all() and row["overlay"] == ""
    assert summary["counts"]["status"] == {"empty": 1, "ok": 6, "undecodable": 1, "unknown_format": 1, "unreadable": 1}
    as_text = pd.read_csv(tmp_path / "out" / "scores.csv", keep_default_na=False, na_values={"cnr": [""]})
    assert list(as_text.columns) == list(scores.table.columns) and list(as_text["file"]) == list(table.index)
    np.testing.assert_allclose(as_text["cnr"], scores.table["cnr"], rtol=1e-6)
    copy = pd.read_excel(tmp_path / "out" / "scores.xlsx", keep_default_na=False, na_values={"cnr": [""]})
    assert list(copy.columns) == list(as_text.columns) and list(copy["file"]) == list(table.index)
    np.testing.assert_allclose(copy["cnr"], scores.table["cnr"], rtol=1e-6)


def test_a_saved_model_of_another_program_is_refused_before_anything_is_written(crops, tmp_path):
    class Foreign(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, images):
            return {"answer": images}

    tf.saved_model.save(Foreign(), str(tmp_path / "foreign"))
    request = runner.Request(model=str(tmp_path / "foreign"), input=str(crops / "table.csv"), output=tmp_path / "out")
    with pytest.raises(ValueError, match=r"model must be a SavedModel that sperm_tf exported. Received: .*foreign"):
        runner.run(request)
    assert not (tmp_path / "out").exists()


def test_a_model_of_before_the_map_is_named(exported, crops, tmp_path, monkeypatch):
    request = _request(exported, crops / "table.csv", tmp_path / "out")
    runner.run(request)
    monkeypatch.setattr(scoring_model, "SHOWN_MAP", "map_of_tomorrow")
    again = dataclasses.replace(request, output=tmp_path / "new", overlays="all")
    with pytest.raises(ValueError, match=r"an older one without\. Export it again"):
        runner.run(again)
    assert not (tmp_path / "new").exists()


def test_the_report_finds_the_images_and_the_maps_again(exported, crops, tmp_path):
    runner.run(dataclasses.replace(_request(exported, crops / "table.csv", tmp_path / "out"), overlays="all"))
    arguments = ["slide_report", f"--scores={tmp_path / 'out'}", f"--output={tmp_path / 'report'}"]
    assert slide_report.main(arguments) == 0
    page = (tmp_path / "report" / "slide.html").read_text(encoding="utf-8")
    assert page.count("Map of ") == len(PIXELS) and page.count('<section class="slide"') == 4
    assert (tmp_path / "report" / "slide.pdf").is_file()
    crops.rename(tmp_path / "moved")
    lines = []
    request = slides.Request(tmp_path / "out" / "scores.parquet", tmp_path / "later")
    slides.run(request, report=lines.append)
    assert len(lines) == 1 and "Name their folder with --images" in lines[0]
    slides.run(dataclasses.replace(request, images=str(tmp_path / "moved")), report=lines.append)
    assert len(lines) == 1 and (tmp_path / "later" / "slide.html").read_text(encoding="utf-8") == page
    alone = tmp_path / "alone" / "scores.parquet"
    alone.parent.mkdir()
    shutil.copy(tmp_path / "out" / "scores.parquet", alone)
    lines.clear()
    slides.run(dataclasses.replace(request, scores=alone, images=str(tmp_path / "moved")), report=lines.append)
    assert not lines  # the scores alone know which images they are of
    assert "data:image/jpeg" in (tmp_path / "later" / "slide.html").read_text(encoding="utf-8")
    table = pq.read_table(alone)
    pq.write_table(table.drop_columns(["sha256"]), alone)  # as an earlier version wrote it
    slides.run(dataclasses.replace(request, scores=alone, images=str(tmp_path / "moved")), report=lines.append)
    assert any("an earlier version scored without a digest" in line for line in lines)
    assert "There is no image to show" in (tmp_path / "later" / "slide.html").read_text(encoding="utf-8")
    with pytest.raises(scores_file.ScoresError, match=r"passed through: slide\. Received: 'patient'"):
        slides.run(dataclasses.replace(request, slide_column="patient"))


def test_columns_that_name_slides_are_found_however_they_are_written(exported, crops, tmp_path):
    rows = [f"{name},S{number % 2},P1\n" for number, name in enumerate(PIXELS)]
    for header, num_slides in (("File,SLIDE,patient", 2), ("File,Patient,Glass", 0)):
        (crops / "other.csv").write_text(f"{header}\n{''.join(rows)}")
        output, lines = tmp_path / f"out_{num_slides}", []
        runner.run(_request(exported, crops / "other.csv", output))
        request = slides.Request(output / "scores.parquet", output / "report")
        slides.run(request, report=lines.append)
        assert (output / "report" / "slide.html").read_text().count('<section class="slide"') == max(num_slides, 1)
        assert any("no column slide, but Patient, Glass" in line for line in lines) == (num_slides == 0)


@pytest.mark.parametrize("views", [1, 8])
def test_a_saved_model_knows_its_views_and_its_rule_wherever_it_lies(tmp_path_factory, tmp_path, views):
    exported = export(tmp_path_factory, views=views)
    shutil.copytree(exported.path, tmp_path / "served" / "3")
    found = scoring_model.find(str(tmp_path / "served" / "3"))
    assert (found.name, found.views, found.batch_size) == ("served/3", views, 32 // views)
    found.prepare(tmp_path / "scores")
    written = json.loads((tmp_path / "scores" / "decision.json").read_text())
    assert written["temperature"] == pytest.approx(exported.rule.temperature)


def test_a_second_run_scores_nothing_and_another_model_or_input_is_refused(exported, crops, tmp_path, monkeypatch):
    output = tmp_path / "out"
    lines = []
    runner.run(_request(exported, crops, output), report=lines.append)
    assert lines == ["1 .csv file was ignored."]
    before = {path: path.read_bytes() for path in sorted(output.rglob("scores.*"))}
    assert len(before) == 3 and not (output / "shards").exists()
    monkeypatch.setattr(scoring_model, "ask", None)
    lines = []
    runner.run(_request(exported, crops, output), report=lines.append)
    assert lines == ["All 9 files are scored already."]
    with pytest.raises(ValueError, match=r"differ in: --overlays\. Nothing there was touched"):
        runner.run(_request(exported, crops, output, overlays="all"))
    (crops / "new.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="differ in: --input"):
        runner.run(_request(exported, crops, output))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("mine")
    with pytest.raises(ValueError, match=r"new or empty.*thesis\.doc"):
        runner.run(_request(exported, crops, tmp_path / "full"))
    assert {path: path.read_bytes() for path in sorted(output.rglob("scores.*"))} == before
    assert [path.name for path in (tmp_path / "full").iterdir() if path.name != ".lock"] == ["thesis.doc"]


def test_the_model_and_the_quality_share_one_decoder(exported, crops, tmp_path):
    """A PNG whose text has a wrong checksum: Pillow alone refuses it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("stain", "Giemsa")
    content = image_files.encode(PIXELS["b.png"], "PNG", pnginfo=text).replace(b"Giemsa", b"giemsa")
    with pytest.raises(OSError):
        Image.open(io.BytesIO(content)).load()
    (crops / "b.png").write_bytes(content)
    runner.run(_request(exported, crops, tmp_path / "out", overlays="all"))
    row = scores_file.read(tmp_path / "out").table.set_index("file").loc["b.png"]
    assert row["status"] == "ok" and (tmp_path / "out" / row["overlay"]).is_file()
    expected = list(vars(measure_quality(PIXELS["b.png"])).values())
    assert [row[key] for key in scores_file.QUALITY] == pytest.approx(expected, rel=1e-6)


def test_a_run_that_reads_nothing_fails_and_says_why(exported, tmp_path, capsys):
    (tmp_path / "crops").mkdir()
    for number in range(3):
        (tmp_path / "crops" / f"{number}.bmp").write_bytes(image_files.bad_files()["bmp_run_length"][0])
    argv = ["score", f"--model={exported.path}", f"--input={tmp_path / 'crops'}", f"--output={tmp_path / 'out'}"]
    for _ in range(2):  # the second finds everything scored
        assert score.main(argv) == 1
        said = capsys.readouterr().err
        assert "3 files, none of them read (undecodable: 3); the first, 0.bmp" in said
        assert "8 bits a pixel, RLE8. Save it as PNG" in said and "new --output" in said
    assert list(scores_file.read(tmp_path / "out").table["status"]) == ["undecodable"] * 3
    (tmp_path / "crops" / "good.png").write_bytes(image_files.encode(PIXELS["a.png"], "PNG"))
    assert score.main([*argv[:3], f"--output={tmp_path / 'new'}"]) == 0


def test_copies_are_counted_and_named(exported, crops, tmp_path):
    shutil.copy(crops / "a.png", crops / "a (1).png")
    shutil.copy(crops / "bad.png", crops / "bad (1).png")  # what cannot be read counts nowhere
    name = "🔬" * 60 + ".png"
    (crops / name).write_bytes((crops / "b.png").read_bytes())
    summary = runner.run(_request(exported, crops, tmp_path / "out", shard_size=4, overlays="all"))
    assert summary["num_copies"] == 2 and "2 files are copies of others" in runner.describe(summary)
    table = scores_file.read(tmp_path / "out").table.set_index("file")
    assert table.loc["a.png", "sha256"] == table.loc["a (1).png", "sha256"]
    assert table.loc["a.png", "sha256"] == hashlib.sha256((crops / "a.png").read_bytes()).hexdigest()
    assert (tmp_path / "out" / table.loc[name, "overlay"]).is_file()
    assert table.loc["bad.png", list(scores_file.QUALITY)].isna().all()


def test_only_what_gets_an_overlay_is_explained(exported, crops, tmp_path, monkeypatch):
    explained, ask = [], scoring_model.ask

    def listen(saved_model, encoded, *, explain=False):
        answer = ask(saved_model, encoded, explain=explain)
        if explain:
            explained.extend(encoded)
        else:  # otherwise the rule of so small a model refers every image
            answer["decision"] = np.where([content == accepted for content in encoded], b"accept", b"refer")
        return answer

    accepted = (crops / "c.png").read_bytes()
    monkeypatch.setattr(scoring_model, "ask", listen)
    runner.run(_request(exported, crops / "table.csv", tmp_path / "out", overlays="referred"))
    assert sorted(explained) == sorted((crops / name).read_bytes() for name in PIXELS if name != "c.png")
    table = scores_file.read(tmp_path / "out").table.set_index("file")
    assert set(table.index[table["overlay"] != ""]) == set(PIXELS) - {"c.png"}


def test_a_model_that_an_older_version_left_in_the_folder_is_refused(crops, tmp_path, monkeypatch):
    request = runner.Request(model="hushem", input=str(crops), output=tmp_path / "out", overlays="all")
    monkeypatch.setattr(scoring_model, "serves_maps", lambda saved_model: False)
    with pytest.raises(ValueError, match=r"Delete that folder, and the same command exports it again"):
        runner.run(request)


def test_files_that_could_not_be_read_are_said_again(exported, crops, tmp_path):
    request = _request(exported, crops / "table.csv", tmp_path / "out")
    runner.run(request)
    lines = []
    runner.run(request, report=lines.append)
    assert lines[1] == "1 of them could not be read then; a new --output reads them again."


def test_an_input_that_goes_away_stops_the_run_and_is_gone_on_with(exported, crops, tmp_path, monkeypatch):
    request, listed = _request(exported, crops, tmp_path / "out", shard_size=4), runner.list_crops

    def list_and_lose(source):
        found = listed(source)
        crops.rename(tmp_path / "away")
        return found

    monkeypatch.setattr(runner, "list_crops", list_and_lose)
    with pytest.raises(Exception, match=r"is gone\. Bring it back and run the same command again"):
        runner.run(request)
    (tmp_path / "away").rename(crops)
    monkeypatch.setattr(runner, "list_crops", listed)
    assert runner.run(request)["counts"]["status"].get("unreadable", 0) == 0


def test_what_differs_from_its_digest_is_made_again(exported, calibrated, crops, tmp_path, monkeypatch, capsys):
    def stop(*arguments):
        raise KeyboardInterrupt

    request = runner.Request(str(calibrated), str(crops), tmp_path / "out", shard_size=4, runtime="tensorflow")
    with monkeypatch.context() as patch:
        patch.setattr(runner.merging, "merge", stop)
        with pytest.raises(KeyboardInterrupt):
            runner.run(request)
    variables = tmp_path / "out" / "model" / "saved_model" / "variables" / "variables.data-00000-of-00001"
    flip_bit(tmp_path / "out" / "shards" / "000001.parquet")
    flip_bit(variables)
    damaged = variables.read_bytes()
    scoring_model.load.cache_clear()
    runner.run(request)
    runner.run(dataclasses.replace(request, output=tmp_path / "whole"))
    assert variables.read_bytes() != damaged
    assert (variables.parents[2] / "saved_model.bak" / "variables" / variables.name).read_bytes() == damaged
    found, whole = (scores_file.read(tmp_path / name).table for name in ("out", "whole"))
    pd.testing.assert_frame_equal(found, whole, rtol=1e-5)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_a_pushed_version_that_was_changed_does_not_score(name, exported, crops, tmp_path):
    version = tmp_path / "serving" / "sperm" / str(push(exported.path, tmp_path / "serving" / "sperm", DIGESTS))
    flip_bit(version / name)
    with pytest.raises(ValueError, match=rf"model must be as it was written\. Received: {version / name}, which"):
        runner.run(runner.Request(str(version), str(crops), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_nothing_is_lost_or_doubled_after_a_kill(exported, crops, tmp_path):
    for number in range(600):
        os.link(crops / f"{'abcdef'[number % 6]}.png", crops / f"copy_{number:04d}.png")
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "pipelines.score", f"--model={exported.path}", f"--input={crops}"]
    process = subprocess.Popen(
        [*command, f"--output={output}", "--shard_size=4"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while len(list(output.glob("shards/[0-9]*.parquet"))) < 3:
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = {path.name: path.stat().st_mtime_ns for path in output.glob("shards/[0-9]*.parquet")}
    assert 3 <= len(finished) < 150, "it was to be killed on the way"
    scored = []
    original, scoring_model.ask = scoring_model.ask, lambda *args, **kwargs: (
        scored.append(len(args[1])), original(*args, **kwargs)
    )[1]  # fmt: skip
    try:
        runner.run(_request(exported, crops, output, shard_size=4))
    finally:
        scoring_model.ask = original
    assert sum(scored[1:]) == 609 - 4 * len(finished), "only the missing shards, after one question for class names"
    runner.run(_request(exported, crops, tmp_path / "whole", shard_size=4))
    killed, whole = (scores_file.read(folder).table for folder in (output, tmp_path / "whole"))
    assert list(killed["file"]) == sorted(path.name for path in crops.iterdir() if path.suffix != ".csv")
    pd.testing.assert_frame_equal(killed, whole, rtol=1e-5)


@pytest.fixture(scope="module")
def calibrated(exported, tmp_path_factory):
    """A folder as the Calibrator writes it, without a SavedModel."""
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    Classifier(exported.model, tuple(CLASS_NAMES), IMAGE_SIZE, 1, exported.rule).save(folder)
    return folder


def test_another_runtime_scores_as_tensorflow_does(exported, calibrated, crops, tmp_path):
    lines = []
    request = runner.Request(
        model=str(calibrated),
        input=str(crops / "table.csv"),
        output=tmp_path / "onnx",
        shard_size=4,
        runtime="onnxruntime",
        overlays="referred",
    )
    runner.run(request, report=lines.append)
    assert lines[0] == "Runtime: onnxruntime."
    runner.run(_request(exported, crops / "table.csv", tmp_path / "tensorflow", shard_size=4, overlays="referred"))
    found, expected = (scores_file.read(tmp_path / name).table for name in ("onnx", "tensorflow"))
    assert (found["model_digest"] != expected["model_digest"]).all(), "the weights' file; the SavedModel"
    other = ["model", "model_digest"]
    # A pixel of a resized image may be a grey level off.
    pd.testing.assert_frame_equal(found.drop(columns=other), expected.drop(columns=other), rtol=3e-3, atol=1e-3)
    assert all((tmp_path / "onnx" / name).is_file() for name in found["overlay"] if name)
    assert json.loads((tmp_path / "onnx" / "run.json").read_text())["runtime"] == "onnxruntime"


def test_a_run_goes_on_in_its_runtime(calibrated, crops, tmp_path):
    request = runner.Request(model=str(calibrated), input=str(crops), output=tmp_path / "out", runtime="onnxruntime")
    runner.run(request)
    lines = []
    runner.run(dataclasses.replace(request, runtime=""), report=lines.append)
    assert lines == ["Runtime: onnxruntime.", "All 9 files are scored already."]
    with pytest.raises(ValueError, match=r"whose scores differ in: --runtime\. Nothing there was touched"):
        runner.run(dataclasses.replace(request, runtime="openvino"))


def test_a_run_of_before_there_were_runtimes_goes_on(exported, crops, tmp_path):
    request = _request(exported, crops, tmp_path / "out")
    runner.run(request)
    file = tmp_path / "out" / "run.json"
    record = json.loads(file.read_text())
    del record["runtime"], record["record_sha256"]
    file.write_text(json.dumps(record))
    (tmp_path / "out" / "scores.xlsx").unlink()
    lines = []
    runner.run(request, report=lines.append)
    assert lines == ["All 9 files are scored already."]
    assert (tmp_path / "out" / "scores.xlsx").is_file(), "earlier versions wrote none"


def test_the_review_of_another_runtimes_scores_has_maps(calibrated, crops, tmp_path, monkeypatch):
    monkeypatch.chdir(calibrated.parent)  # the record has to say where the model is for any folder
    request = runner.Request(model=calibrated.name, input=str(crops), output=tmp_path / "out", runtime="onnxruntime")
    runner.run(request)
    monkeypatch.chdir(tmp_path)
    scored = scored_images.ScoredRun(tmp_path / "out", shows_all=True)
    item = next(item for item in scored.read() if item.data)
    heat_map = scored.explain(item)
    assert heat_map.ndim == 2 and 0 <= heat_map.min() <= heat_map.max() <= 1


def test_a_bare_saved_model_and_a_bare_graph_have_one_runtime_each(exported, calibrated, crops, tmp_path):
    request = _request(exported, crops, tmp_path / "out", runtime="onnxruntime")
    with pytest.raises(ValueError, match=r"runtime must be 'tensorflow' for a bare SavedModel.* Calibrator wrote"):
        runner.run(request)
    load_model(calibrated).export(tmp_path / "graph", format="onnx")
    request = dataclasses.replace(request, model=str(tmp_path / "graph"))
    for change in ({"runtime": "tensorflow"}, {"overlays": "all"}):
        with pytest.raises(ValueError, match="model must be one that TensorFlow opens, which overlays need, too"):
            runner.run(dataclasses.replace(request, **change))
    assert not (tmp_path / "out").exists()
    assert runner.run(dataclasses.replace(request, runtime=""))["runtime"] == "openvino", "the fastest"


WITHOUT_TENSORFLOW = """
import sys

from pipelines import score

status = score.main(["score", *sys.argv[1:]])
loaded = {"tensorflow", "keras", "sklearn"} & set(sys.modules)
assert status == 0 and not loaded, (status, loaded)
"""


def test_scoring_in_another_runtime_does_not_import_tensorflow(calibrated, crops, tmp_path):
    load_model(calibrated).export(tmp_path / "graph", format="onnx")
    arguments = [f"--model={tmp_path / 'graph'}", f"--input={crops}", f"--output={tmp_path / 'out'}"]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "Runtime: openvino." in run.stdout and "6 files" not in run.stderr


def test_flags_are_explained(capsys, tmp_path):
    assert score.main(["score", "--help"]) == 0 and "--overlays" in capsys.readouterr().out
    assert score.main(["score", "--model=smids"]) == 2 and "--input must be given" in capsys.readouterr().err
    assert score.main(["score", "--modell=smids"]) == 2 and "did you mean --model" in capsys.readouterr().err
    arguments = ["--model=smids", f"--input={tmp_path}", f"--output={tmp_path / 'out'}"]
    assert score.main(["score", *arguments]) == 1
    assert "input must hold images" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_progress_reads_as_a_sentence():
    assert progress.describe(1200, 10_000, 200, 4.0) == "1,200 of 10,000 files · 50/s · 2 min 56 s left"
    assert progress.describe(0, 10_000, 0, 0.0) == "0 of 10,000 files"


def test_a_column_of_the_scores_is_not_taken_from_the_table(exported, crops, tmp_path):
    (crops / "table.csv").write_text("file,decision\na.png,accept\n")
    with pytest.raises(scores_file.ScoresError, match="Received: decision"):
        runner.run(_request(exported, crops / "table.csv", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
