import dataclasses
import hashlib
import io
import math
import shutil
import tarfile

import numpy as np
import pytest

from tests import image_files
from tests.microscopy.tiff_bytes import RGB, page, tiff

NUM_CROPS = 12
pytestmark = pytest.mark.integration


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global CLASS_NAMES, Classifier, decode_rgb, export, export_saved_model, Exported, IMAGE_SIZE, Journal, make_rule
    global pixel_sha256, read_reviews, review, runner, scores_file, ScoredRun, Session, tf
    import tensorflow as tf

    from pipelines import review
    from pipelines.bulk_inference import runner
    from pipelines.bulk_inference.scored_images import ScoredRun
    from sperm_tf.data.decode import decode_rgb
    from sperm_tf.data.identity import pixel_sha256
    from sperm_tf.evaluation.quantification import scores_file
    from sperm_tf.review.journal import Journal
    from sperm_tf.review.last_verdicts import read_reviews
    from sperm_tf.review.session import Session
    from sperm_tf.serving.classifier import Classifier
    from sperm_tf.serving.export import export_saved_model
    from tests.decision.rules import make_rule
    from tests.serving.conftest import CLASS_NAMES, IMAGE_SIZE, Exported, export


def _crop(slide, number):
    return image_files.encode(image_files.random_pixels(40, 50, seed=10 * slide + number), "PNG")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A tiny model whose rule accepts half of the crops; read only."""
    model = export(tmp_path_factory, views=1).model
    crops = [_crop(slide, number) for slide in (1, 2) for number in range(NUM_CROPS // 2)]
    everything = {"familiarity": None, "max_distance": math.inf, "max_faintness": math.inf}
    rule = make_rule(min_confidence=0.0, **everything)
    predictions = Classifier(model, tuple(CLASS_NAMES), IMAGE_SIZE, rule=rule).predict(crops)
    rule = dataclasses.replace(
        rule, min_confidence=float(np.median([max(p.probabilities.values()) for p in predictions]))
    )
    path = tmp_path_factory.mktemp("exported") / "sperm" / "1"
    export_saved_model(model, path, class_names=CLASS_NAMES, image_size=IMAGE_SIZE, views=1, rule=rule)
    return Exported(model, path, rule)


@pytest.fixture(scope="module")
def scored(exported, tmp_path_factory):
    """A finished run over two tars and one file that is no image, with a column slide; read only."""
    folder = tmp_path_factory.mktemp("scored")
    rows = ["file,slide"]
    for slide in (1, 2):
        with tarfile.open(folder / f"slide_{slide}.tar", "w") as archive:
            for number in range(NUM_CROPS // 2):
                content = _crop(slide, number)
                info = tarfile.TarInfo(f"cell_{number}.png")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                rows.append(f"slide_{slide}.tar!{info.name},S{slide}")
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "crops.csv").write_text("\n".join([*rows, "broken.png,S1"]) + "\n", encoding="utf-8")
    runner.run(runner.Request(str(exported.path), str(folder / "crops.csv"), folder / "scores", shard_size=5))
    return folder / "scores"


def _table(scored):
    return scores_file.read(scored).table.set_index("file")


def test_the_referred_crops_are_opened_with_the_predictions_of_the_scores(scored):
    run, table, told = ScoredRun(scored), _table(scored), []
    items = run.read(on_progress=lambda *progress: told.append(progress))
    referred = table[table["decision"] == "refer"]
    assert 1 < len(referred) - 1 < NUM_CROPS, "the fixture must show both decisions"
    assert [item.name for item in items] == list(referred.index)
    assert told == [(number, len(referred)) for number in range(1, len(referred) + 1)]
    assert [item.name for item in items if not item.is_readable] == ["broken.png"]
    for item in items:
        row = referred.loc[item.name]
        if not item.is_readable:
            assert item.prediction.status == row["status"] == "unknown_format"
            continue
        assert hashlib.sha256(item.data).hexdigest() == item.sha256 == row["sha256"]
        assert item.pixel_sha256 == pixel_sha256(decode_rgb(item.data).pixels)
        prediction = item.prediction
        assert prediction.probabilities == {name: float(row[f"p_{name}"]) for name in CLASS_NAMES}
        assert "|".join(prediction.prediction_set) == row["prediction_set"]
        for field in ("predicted_class", "decision", "reason", "unfamiliarity"):
            assert getattr(prediction, field) == row[field]
        assert item.group == row["slide"]
    assert run.scope == f"{len(referred) - 1} referred of {NUM_CROPS} scored images, folder scores"


def test_all_opens_the_accepted_ones_too(scored):
    items = ScoredRun(scored, shows_all=True).read()
    assert [item.name for item in items] == list(_table(scored).index)
    assert {item.prediction.decision for item in items if item.is_readable} == {"accept", "refer"}


def test_nothing_is_predicted_again_and_no_model_is_opened_before_a_map_is_asked_for(scored, exported, monkeypatch):
    opened = []
    load = tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda *args: opened.append(args) or load(*args))
    run = ScoredRun(scored)
    item = next(item for item in run.read() if item.is_readable)
    assert not opened and run.rule == exported.rule
    served = load(str(exported.path)).signatures["explain"](image_bytes=tf.constant([item.data]))
    np.testing.assert_allclose(run.explain(item), served["layer_integrated_gradients"].numpy()[0], atol=1e-5)


def test_verdicts_are_found_by_the_digest_that_the_scores_give_an_image(scored, tmp_path):
    run, table = ScoredRun(scored), _table(scored)
    session = Session(run, Journal(tmp_path))
    session.add(run.read())
    highest = [max(session.items[position].prediction.probabilities.values()) for position in session.order]
    assert highest == sorted(highest), "the least sure first"
    while session.current is not None:
        session.judge(session.current, "tapered", reviewer="AB")
    reviews = read_reviews(tmp_path)
    referred = table[(table["decision"] == "refer") & (table["status"] == "ok")]
    assert set(reviews) == set(referred["sha256"])
    for file, row in referred.iterrows():
        verdict = reviews[row["sha256"]]
        assert (verdict.file, verdict.predicted_class) == (file, row["predicted_class"])
        assert (verdict.class_after_review, verdict.initials) == ("tapered", "AB")
        assert verdict.model_digest == row["model_digest"]


def test_an_image_that_changed_since_is_named_and_not_judged(scored, exported, tmp_path):
    (tmp_path / "crops").mkdir()
    for seed in range(4):
        content = image_files.encode(image_files.random_pixels(40, 50, seed=seed), "PNG")
        (tmp_path / "crops" / f"{seed}.png").write_bytes(content)
    runner.run(runner.Request(str(exported.path), str(tmp_path / "crops"), tmp_path / "out"))
    (tmp_path / "crops" / "0.png").write_bytes(image_files.encode(image_files.random_pixels(40, 50, seed=99), "PNG"))
    (tmp_path / "crops" / "1.png").unlink()
    statuses = {item.name: item.prediction.status for item in ScoredRun(tmp_path / "out", shows_all=True).read()}
    assert statuses == {"0.png": "changed", "1.png": "changed", "2.png": "ok", "3.png": "ok"}
    (tmp_path / "crops").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"images must be the folder .* where they are now with --images"):
        ScoredRun(tmp_path / "out").read()
    moved = ScoredRun(tmp_path / "out" / "scores.csv", images=str(tmp_path / "moved"), shows_all=True)
    assert sum(item.is_readable for item in moved.read()) == 2


def test_scores_that_know_no_images_are_refused(scored, tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(scored / "scores.parquet").drop(["sha256"]), tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match="scores must hold a digest of each image"):
        ScoredRun(tmp_path)
    with pytest.raises(ValueError, match=r"scores must be a scores\.parquet or the folder that holds it"):
        ScoredRun(tmp_path / "nothing")


def test_the_command_opens_the_scores_and_keeps_verdicts_inside_them(scored, tmp_path, monkeypatch, capsys):
    pytest.importorskip("gradio")
    from sperm_tf.review.page import Page

    scores = tmp_path / "copy"
    shutil.copytree(scored, scores)
    seen = []
    monkeypatch.setattr(Page, "wait", lambda page: seen.append([len(page._items), page._initials]))
    monkeypatch.setattr(Page, "launch", lambda page, **where: "http://127.0.0.1:1")
    assert review.main(["review", f"--scores={scores}", "--initials=AB"]) == 0
    output = capsys.readouterr()
    num_referred = int((_table(scored)["decision"] == "refer").sum())
    assert seen == [[num_referred, "AB"]]
    assert f"Verdicts go to: {(scores / 'reviews').resolve()}" in output.out and (scores / "reviews").is_dir()
    assert output.err.splitlines()[0] == f"Opening the scores in {scores} ..."
    assert f"Reading {num_referred - 1} referred of {NUM_CROPS} scored images, folder copy ..." in output.err
    assert review.main(["review", f"--scores={scores}", "--all", f"--output={tmp_path / 'elsewhere'}"]) == 0
    assert seen[-1] == [NUM_CROPS + 1, ""] and (tmp_path / "elsewhere").is_dir()
    capsys.readouterr()
    assert review.main(["review", f"--scores={tmp_path / 'nothing'}"]) == 1
    assert "Run python -m pipelines.score first" in capsys.readouterr().err and not (tmp_path / "nothing").exists()


def test_a_model_that_is_gone_leaves_the_map_out_and_says_so(scored, tmp_path, monkeypatch):
    run = ScoredRun(scored)
    item = next(item for item in run.read() if item.is_readable)
    monkeypatch.setattr(run, "_saved_model", tmp_path / "gone")
    with pytest.raises(ValueError, match=r"the model is no longer at .*gone"):
        run.explain(item)


def test_a_tiff_is_scored_reviewed_and_known_by_its_own_digest(exported, tmp_path):
    pixels = image_files.random_pixels(40, 50, seed=10)
    crops = {
        "a.png": image_files.encode(pixels, "PNG"),
        "b.tif": tiff(page(pixels, RGB, planar=True)),
        "two.tif": tiff(page(pixels, RGB), page(pixels[::-1], RGB)),
    }
    for name, content in crops.items():
        (tmp_path / name).write_bytes(content)
    request = runner.Request(str(exported.path), str(tmp_path), tmp_path / "scores", overlays="all")
    runner.run(request)
    table = _table(tmp_path / "scores")
    assert list(table["status"]) == ["ok", "ok", "unknown_format"]  # several planes are never the first one
    for column in ("predicted_class", "p_normal", "decision", "snr"):
        assert table[column]["a.png"] == table[column]["b.tif"], column
    assert table["sha256"]["b.tif"] == hashlib.sha256(crops["b.tif"]).hexdigest()
    assert table["intensity_mapping"].fillna("").to_dict() == {
        "a.png": "",
        "b.tif": "0-255 to 0-255 (8 bits a sample)",
        "two.tif": "",
    }
    assert table["pixel_size_um"].isna().all()
    assert (tmp_path / "scores" / table["overlay"]["b.tif"]).is_file()
    items = {item.name: item for item in ScoredRun(tmp_path / "scores", shows_all=True).read()}
    assert items["b.tif"].sha256 == table["sha256"]["b.tif"]
    assert items["b.tif"].pixel_sha256 == items["a.png"].pixel_sha256 == pixel_sha256(pixels)
    session = Session(ScoredRun(tmp_path / "scores", shows_all=True), Journal(tmp_path / "reviews"))
    session.add(items.values())
    session.judge(session.current, "tapered", reviewer="AB")  # the same pixels: one verdict on both files
    assert set(read_reviews(tmp_path / "reviews")) == {table["sha256"]["a.png"], table["sha256"]["b.tif"]}


def test_where_nothing_is_read_the_planes_are_named(exported, tmp_path):
    from pipelines.bulk_inference.unreadable import explain_nothing_read

    pixels = image_files.random_pixels(40, 50, seed=11)
    (tmp_path / "two.tif").write_bytes(tiff(page(pixels, RGB), page(pixels[::-1], RGB)))
    summary = runner.run(runner.Request(str(exported.path), str(tmp_path), tmp_path / "scores"))
    message = explain_nothing_read(summary, tmp_path / "scores")
    assert "plane must be one of the 2 planes of two.tif: 'page=0', 'page=1'" in message
