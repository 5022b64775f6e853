"""The ExplanationValidator on a small trained model, against the figures of the page computed by hand."""

import json

import numpy as np
import pandas as pd
import pytest

import sperm_tf
from pipelines.components import measured_images
from pipelines.components.explanation_validator import ExplanationValidator, judge
from pipelines.components.source_images import SourceImage, read_images, sample
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.config import MAP_FIGURES, ExplanationValidatorConfig
from sperm_tf.explain import faithfulness
from sperm_tf.served_names import SERVED_MAPS, SHOWN_MAP
from tests import examples_fixture


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global explain, ExplainedClassifier
    from sperm_tf.explain.methods import ExplainedClassifier, explain


def validate(trained, transformed, root, **config):
    component = ExplanationValidator(
        ExplanationValidatorConfig(num_images=8, **config), model=trained, examples=transformed
    )
    return component.run(RunContext(root))


@pytest.fixture(scope="module")
def validated(trained, transformed, tmp_path_factory):
    return validate(trained, transformed, tmp_path_factory.mktemp("root"))


def read(artifact, name):
    return json.loads((artifact.directory / name).read_text(encoding="utf-8"))


def test_served_maps_are_measured_beside_the_baselines_on_test_images(validated, trained, transformed):
    rows = pd.read_csv(validated.directory / "answers.csv")
    chosen = sample(read_images(transformed, ["test"]), 8)
    assert len(chosen) == 8
    assert sorted(set(rows["image_id"])) == [image.image_id for image in chosen]
    assert set(rows["method"].dropna()) == {*SERVED_MAPS, *faithfulness.BASELINES}
    served = sperm_tf.load_model(trained.directory)
    measured = measured_images.prepare(chosen, served)
    assert served.views == 8
    classifier = ExplainedClassifier(served.keras_model, views=8)
    classes = classifier.probabilities(measured.pixels).argmax(axis=1)
    maps = explain(SHOWN_MAP, classifier, measured.pixels, classes)
    fractions = faithfulness.default_fractions()
    curves = faithfulness.deletion_curves(classifier.probabilities, measured.pixels, maps, classes, fractions=fractions)
    expected = dict(zip((image.image_id for image in chosen), faithfulness.area_under(curves, fractions), strict=True))
    found = rows[(rows["method"] == SHOWN_MAP) & (rows["figure"] == "deletion_auc")].set_index("image_id")["value"]
    assert found.to_dict() == pytest.approx(expected, rel=1e-3)
    with_head = rows[rows["figure"] == "mask_area_share"]["image_id"]
    figures = read(validated, "figures.json")
    assert figures["num_heads"] == len(with_head) == 8 - validated.properties["num_heads_not_found"]
    assert figures["methods"][SHOWN_MAP]["deletion_auc"]["value"] == pytest.approx(found[with_head].mean(), rel=1e-4)


def test_without_demands_every_model_is_blessed(validated):
    assert validated.properties["blessed"] and (validated.directory / "EXPLANATION_BLESSED").is_file()
    assert read(validated, "validation.json") == {"blessed": True, "checks": []}


def test_maps_that_fail_the_demands_are_not_blessed(trained, transformed, tmp_path):
    # Three epochs of 16 images teach nothing, so no map can show what the answer depends on.
    artifact = validate(trained, transformed, tmp_path, must_beat_baselines=("deletion_auc", "energy_in_head"))
    verdict = read(artifact, "validation.json")
    assert [check["figure"] for check in verdict["checks"]] == ["deletion_auc", "energy_in_head"]
    assert verdict["blessed"] == artifact.properties["blessed"] == all(check["passed"] for check in verdict["checks"])
    assert not verdict["blessed"]
    assert (artifact.directory / "EXPLANATION_NOT_BLESSED").is_file()
    assert not (artifact.directory / "EXPLANATION_BLESSED").exists()


def compared(*beats):
    return {
        "value": 0.1,
        "versus": {name: {"beats": won} for name, won in zip(("centre", "edges"), beats, strict=True)},
    }


@pytest.mark.parametrize(
    ("cells", "blessed"),
    [
        ({"deletion_auc": compared(True, True)}, True),
        ({"deletion_auc": compared(True, False)}, False),
        ({"deletion_auc": compared(False, True)}, False),
        ({"insertion_auc": compared(True, True)}, False),  # what was to be checked was not measured
        ({}, False),
    ],
)
def test_the_map_that_is_shown_must_beat_both_baselines(cells, blessed):
    config = ExplanationValidatorConfig(must_beat_baselines=("deletion_auc",))
    assert judge({"methods": {SHOWN_MAP: cells}}, config)["blessed"] is blessed


def test_an_unreadable_image_is_left_out(trained):
    good = [examples_fixture.encode(examples_fixture.draw(label, 0)) for label in range(3)]
    contents = [good[0], b"no image", good[1], b"", good[2]]
    sources = [SourceImage(str(number), "", min(number, 3), content) for number, content in enumerate(contents)]
    measured = measured_images.prepare(sources, sperm_tf.load_model(trained.directory))
    assert [source.image_id for source in measured.sources] == ["0", "2", "4"]
    assert measured.labels == ["normal", "pyriform", "amorphous"]
    assert measured.pixels.shape == (3, 32, 32, 3) and measured.pixels.std(axis=(1, 2, 3)).min() > 1
    rows = [{"row": 2, "figure": "a", "value": 1.0}, {"row": 0, "figure": "a", "value": 2.0}]
    named = measured.name_rows(rows, ["normal", "normal", "tapered"])
    assert named["image_id"].tolist() == ["4", "0"] and named["predicted"].tolist() == ["tapered", "normal"]


def test_without_a_readable_image_nothing_is_measured_and_no_demand_is_met(trained, tmp_path):
    (tmp_path / "examples").mkdir()
    splits = examples_fixture.default_splits()
    splits["test"] = [row | {"image": b"no image"} for row in splits["test"]]
    examples_fixture.write_examples(tmp_path / "examples", splits)
    unreadable = Artifact(tmp_path / "examples", "", "", "e", {}, {}, {}, {}, {}, "", 0.0, {})
    artifact = validate(trained, unreadable, tmp_path / "root")
    assert read(artifact, "figures.json") == {"methods": {}} and artifact.properties["num_images"] == 0
    assert artifact.properties["blessed"]
    demanding = validate(trained, unreadable, tmp_path / "root", must_beat_baselines=("deletion_auc",))
    assert not demanding.properties["blessed"]


def test_figures_that_can_be_demanded_are_those_that_are_measured():
    assert {*MAP_FIGURES, "likeness_to_other_maps"} == set(faithfulness.FIGURES)
    with pytest.raises(ValueError, match="must_beat_baselines must be one of deletion_auc"):
        ExplanationValidatorConfig(must_beat_baselines=("beauty",))


@pytest.mark.parametrize("name", ["non-sperm", "quality non-sperm", "Debris"])
def test_non_sperm_has_no_head_to_look_at(name, trained):
    served = sperm_tf.load_model(trained.directory)
    pixels = np.full((32, 32, 3), 220, np.uint8)
    pixels[12:20, 12:20] = 60
    source = SourceImage("a", "", 0, examples_fixture.encode(pixels))
    assert measured_images.prepare([source], served).heads[0] is not None
    names = (name, *served.class_names[1:])
    renamed = type(served)(served.keras_model, names, served.image_size)
    measured = measured_images.prepare([source], renamed)
    assert measured.heads == [None] and measured.num_heads_not_found == 0
