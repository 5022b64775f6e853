import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sperm_tf.data.decode import decode_rgb
from sperm_tf.data.identity import pixel_sha256
from tests import image_files
from tests.fields.drawn_fields import draw_field
from tests.review.reviews import make_image


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Classifier, digest_classifier, Familiarity, load_model, Reader, tf, tiny_models
    import tensorflow as tf

    from sperm_tf.decision.familiarity import Familiarity
    from sperm_tf.review.reader import Reader, digest_classifier
    from sperm_tf.serving.classifier import Classifier
    from sperm_tf.serving.loading import load_model
    from tests import tiny_models


def test_answers_are_those_of_the_classifier(reader, files):
    told = []
    items = reader.read(files, group="P 1", on_progress=lambda *progress: told.append(progress))
    expected = reader.classifier.predict(files, errors="rows")
    names = [file.rsplit("/", 1)[1] for file in files]
    assert [item.prediction for item in items] == [
        dataclasses.replace(answer, file=name) for answer, name in zip(expected, names, strict=True)
    ]
    statuses = {item.name: item.prediction.status for item in items if not item.is_readable}
    assert statuses == {"empty.png": "empty", "scan.tif": "unknown_format", "gone.png": "unreadable"}
    decisions = {item.prediction.decision for item in items if item.is_readable}
    assert decisions == {"accept", "refer"}, "the fixture must show both"
    assert items[0].pixel_sha256 == pixel_sha256(decode_rgb(make_image(0)).pixels)
    assert told == [(0, len(files))]


@pytest.mark.slow
@pytest.mark.parametrize("views", (1, 8))
def test_the_map_is_that_of_the_served_model(classifier, files, tmp_path, views):
    averaged = dataclasses.replace(classifier, views=views)
    items = [item for item in Reader(averaged, name="tiny").read(files) if item.is_readable]
    reader = Reader(averaged, name="tiny")
    averaged.export(tmp_path / "1")
    explain = tf.saved_model.load(str(tmp_path / "1")).signatures["explain"]
    served = explain(image_bytes=tf.constant([item.data for item in items]))["layer_integrated_gradients"].numpy()
    for item, expected in zip(items, served, strict=True):
        np.testing.assert_allclose(reader.explain(item), expected, atol=1e-4)
    assert np.ptp(served) > 0.5


def test_a_warm_reader_builds_no_graph_for_the_first_person(classifier, files):
    reader = Reader(classifier, name="tiny")
    reader.warm_up()
    item = next(item for item in reader.read(files) if item.is_readable)
    reader.explain(item)
    assert reader._explain.experimental_get_tracing_count() == 1


def test_the_digest_is_that_of_the_model_however_it_is_stored(classifier, rule, tmp_path):
    digest = digest_classifier(classifier)
    classifier.keras_model.save(tmp_path / "model.keras")
    assert digest_classifier(load_model(tmp_path / "model.keras", class_names=classifier.class_names)) == digest
    familiar = dataclasses.replace(
        rule, familiarity=Familiarity(np.zeros(4), np.eye(4), np.zeros(())), max_distance=1.0, max_faintness=1.0
    )
    others = [
        dataclasses.replace(classifier, views=8),
        dataclasses.replace(classifier, class_names=classifier.class_names[::-1]),
        dataclasses.replace(classifier, rule=rule),
        dataclasses.replace(classifier, rule=dataclasses.replace(rule, min_confidence=0.5)),
        dataclasses.replace(classifier, rule=familiar),
        dataclasses.replace(
            classifier, rule=dataclasses.replace(familiar, familiarity=Familiarity(np.ones(4), np.eye(4), np.zeros(())))
        ),
        Classifier(tiny_models.build(image_size=24, seed=1), classifier.class_names, 24),
    ]
    assert len({digest, *map(digest_classifier, others)}) == 1 + len(others)


@pytest.mark.slow
def test_what_pillow_alone_refuses_is_shown_like_any_other(reader, tmp_path):
    """A PNG whose text has a wrong checksum: the model reads it, so the page must."""
    text = PngImagePlugin.PngInfo()
    text.add_text("stain", "Giemsa")
    pixels = decode_rgb(make_image(0)).pixels
    content = image_files.encode(pixels, "PNG", pnginfo=text).replace(b"Giemsa", b"giemsa")
    with pytest.raises(OSError):
        Image.open(io.BytesIO(content)).load()
    (tmp_path / "cell.png").write_bytes(content)
    (item,) = reader.read([str(tmp_path / "cell.png")])
    assert item.is_readable and item.pixel_sha256 == pixel_sha256(pixels)


def test_a_field_of_view_leaves_the_other_images(reader, files, tmp_path):
    field = tmp_path / "field.png"
    pixels, _ = draw_field([(300, 300, 0.3), (700, 500, 1.2), (1000, 200, 2.0), (400, 800, 0.0)])
    field.write_bytes(image_files.encode(pixels, "PNG"))
    items = list(reader.read([files[0], str(field), files[1]]))
    assert [item.prediction.status for item in items] == ["ok", "field_of_view", "ok"]
    assert [item.is_readable for item in items] == [True, False, True]
