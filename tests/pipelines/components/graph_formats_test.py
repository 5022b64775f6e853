"""What the Pusher compares before it pushes a graph."""

import dataclasses

import numpy as np
import pytest

from pipelines.components import graph_formats
from pipelines.components.pusher import Pusher
from pipelines.orchestration.component import RunContext
from sperm_tf.config import PusherConfig
from tests import image_files
from tests.pipelines.components import pusher_test
from tests.serving.conftest import CLASS_NAMES, IMAGE_SIZE, export


def _answer():
    return {
        "status": np.array([b"ok", b"ok", b"empty"], object),
        "predicted_class": np.array([b"a", b"b", b""], object),
        "probabilities": np.array([[0.7, 0.3], [0.2, 0.8], [0, 0]], np.float32),
        "prediction_set": np.array([[True, False], [True, True], [False, False]]),
        "decision": np.array([b"accept", b"refer", b"refer"], object),
        "reason": np.array([b"confident", b"uncertain", b"unreadable"], object),
    }


def test_every_kind_of_difference_counts():
    assert graph_formats.compare(_answer(), _answer()) == {"num_different": 0, "max_probability_difference": 0.0}
    for name, row, value in (
        ("status", 2, b"ok"),
        ("predicted_class", 0, b"b"),
        ("prediction_set", 1, [False, True]),
        ("decision", 0, b"refer"),
        ("reason", 1, b"unfamiliar"),
    ):
        other = _answer()
        other[name][row] = value
        assert graph_formats.compare(_answer(), other)["num_different"] == 1, name
    other = _answer()
    other["probabilities"][0] += [0.01, -0.01]
    assert graph_formats.compare(_answer(), other)["max_probability_difference"] == pytest.approx(0.01, rel=1e-3)
    other["probabilities"][1] = np.nan
    assert graph_formats.compare(_answer(), other) == {"num_different": 1, "max_probability_difference": 1.0}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A Calibrator's folder."""
    from sperm_tf.serving.classifier import Classifier

    exported = export(tmp_path_factory, views=1)
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    Classifier(exported.model, tuple(CLASS_NAMES), IMAGE_SIZE, 1, exported.rule).save(folder)
    exported.path.rename(folder / "saved_model")
    return folder


@pytest.mark.slow
def test_graphs_are_compared_and_timed(model, tmp_path):
    images = [image_files.encode(image_files.random_pixels(seed=seed), "PNG") for seed in range(5)] + [b"no image"]
    saved_model, *graphs = graph_formats.write_formats(model, images, ("onnx", "litert"), tmp_path)
    assert [one.format for one in (saved_model, *graphs)] == ["saved_model", "onnx", "litert"]
    assert saved_model.runtime == "tensorflow" and saved_model.max_probability_difference == 0
    for one in graphs:
        assert one.is_equal and one.num_images == 6 and 0 < one.max_probability_difference < 1e-3
        assert one.num_bytes > 1000 and set(one.images_per_second) == {"1", "32"}
        assert min(one.images_per_second.values()) > 0
        assert (tmp_path / one.format / "model.json").is_file()


@pytest.mark.slow
def test_a_graph_that_differs_keeps_the_model_from_being_pushed(model, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.components.source_images.read_images", lambda *_: [])
    facts = graph_formats.GraphFacts("onnx", "onnxruntime", 1, 10, 0, 2e-4, {"1": 1.0, "32": 1.0})

    def pushed_with(one, number):
        def write(model, images, formats, folder):
            (folder / "onnx").mkdir()
            (folder / "onnx" / "model.onnx").write_text(str(number))
            return [one]

        monkeypatch.setattr(graph_formats, "write_formats", write)
        made = pusher_test.make_pusher(tmp_path)
        pusher = Pusher(
            PusherConfig(formats=("onnx",)), serving_model_dir=tmp_path / "serving" / "sperm", **made.inputs
        )
        return pusher.run(RunContext(tmp_path / f"root{number}")).properties

    plain = pusher_test.make_pusher(tmp_path).run(RunContext(tmp_path / "plain")).properties
    assert plain["version"] == 1
    result = pushed_with(facts, 1)
    assert (result["version"], result["formats"]) == (2, [dataclasses.asdict(facts)]), "the one before has no graph"
    pushed = tmp_path / "serving" / "sperm" / "2" / "assets.extra" / "onnx" / "model.onnx"
    assert pushed.read_text() == "1"
    assert pushed_with(facts, 2)["version"] == 2, "it has the graph already"
    for number, change in enumerate(({"num_different": 1}, {"max_probability_difference": 2e-3}), start=3):
        result = pushed_with(dataclasses.replace(facts, **change), number)
        assert not result["pushed"] and "the graph onnx differs from the SavedModel" in result["reasons"][0]
