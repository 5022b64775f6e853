"""A whole field of view handed in where a crop is expected."""

import numpy as np
import pytest

from sperm_tf.data.decode import encode_png
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.served_names import FIELD_OF_VIEW, OK
from tests import image_files
from tests.fields.drawn_fields import draw_field
from tests.serving.conftest import CLASS_NAMES, IMAGE_SIZE, export

pytestmark = pytest.mark.integration
FIELD = encode_png(draw_field(((200, 200, 0.3), (600, 250, 1.2), (900, 700, 2.5)))[0])
CROP = image_files.encode(image_files.random_pixels(40, 50, seed=1), "PNG")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory, views=1)


def test_score_gives_a_field_a_status_of_its_own(exported, tmp_path):
    from pipelines.bulk_inference import runner, unreadable

    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "crop.png").write_bytes(CROP)
    (folder / "field.png").write_bytes(FIELD)
    summary = runner.run(runner.Request(model=str(exported.path), input=str(folder), output=tmp_path / "out"))
    rows = scores_file.read(tmp_path / "out").table.set_index("file")
    assert rows["status"].to_dict() == {"crop.png": OK, "field.png": FIELD_OF_VIEW}
    field = rows.loc["field.png"]
    assert (field["predicted_class"], field["decision"]) == ("", "refer")
    assert np.isnan([field[name] for name in rows if name.startswith("p_")]).all() and len(field["sha256"]) == 64
    assert "1 of these: this looks like a field of view: use pipelines.fields" in runner.describe(summary)
    (folder / "crop.png").unlink()
    summary = runner.run(runner.Request(model=str(exported.path), input=str(folder), output=tmp_path / "only"))
    assert "use pipelines.fields" in unreadable.explain_nothing_read(summary, tmp_path / "only")


@pytest.mark.parametrize("method", ("predict", "explain"))
def test_a_classifier_refuses_a_field_by_name(exported, tmp_path, method):
    from sperm_tf.serving.classifier import Classifier

    path = tmp_path / "field.png"
    path.write_bytes(FIELD)
    classifier = Classifier(exported.model, CLASS_NAMES, IMAGE_SIZE)
    with pytest.raises(
        ValueError, match=r"Received: .*field\.png; this looks like a field of view: use pipelines\.fields"
    ):
        getattr(classifier, method)([CROP, path])
    crop, field = getattr(classifier, method)([CROP, path], errors="rows")
    assert (crop.status, field.status, field.decision) == (OK, FIELD_OF_VIEW, "refer")
