import json
import zipfile

import numpy as np
import pytest

from sperm_tf.fields.annotations import ANNOTATORS, AnnotatedFields, AnnotationError, parse_labelme
from tests.helpers import sperm_parsing

SQUARE = [[10, 20], [30, 20], [30, 50], [10, 50]]
FRONT = [[5, 20], [15, 20], [15, 50], [5, 50]]


def shape(label, points, group_id=1):
    return {"label": label, "points": points, "group_id": group_id, "shape_type": "polygon", "flags": {}}


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "SpermParsing"
    for folder in ("images", *ANNOTATORS):
        (root / folder).mkdir(parents=True)
    (root / "split.csv").write_text(
        "image,official_split,date,session\nb.jpg,val,2022-10-29,1\na.jpg,train,2022-10-29,0\n"
    )
    for name in "ab":
        (root / "images" / f"{name}.jpg").write_bytes(name.encode())
        shapes = [shape("Nucleus", SQUARE), shape("Acrosome", FRONT), shape("Tail", [[0, 0], [9, 9], [0, 9]], 2)]
        for annotator in ANNOTATORS:
            (root / annotator / f"{name}.json").write_text(json.dumps({"shapes": shapes}))
    return root


def test_a_head_is_nucleus_and_acrosome_of_one_group():
    cells = parse_labelme(
        json.dumps({"shapes": [shape("Nucleus", SQUARE), shape("Acrosome", FRONT), shape("Vacuole", [[0, 0]] * 3)]})
    )
    assert [cell.group_id for cell in cells] == [1]
    assert cells[0].box() == (5, 20, 30, 50)
    assert cells[0].box(("Acrosome",)) == (5, 20, 15, 50)
    assert cells[0].box(("Tail",)) is None
    np.testing.assert_array_equal(cells[0].polygons["Nucleus"][0], SQUARE)


def test_polygons_without_a_cell_or_of_two_points_are_left_out():
    shapes = [shape("Nucleus", SQUARE, None), shape("Tail", SQUARE[:2]), shape("Leukocyte", SQUARE)]
    assert parse_labelme(json.dumps({"shapes": shapes})) == []


def test_a_folder_and_a_zip_are_read_alike(release, tmp_path):
    archive = tmp_path / "SpermParsing.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in release.rglob("*"):
            file.write(path, path.relative_to(release.parent))
    for source in (release, release.parent, archive):
        fields = AnnotatedFields(source)
        assert [(record.image, record.official_split, record.session) for record in fields] == [
            ("a.jpg", "train", 0),
            ("b.jpg", "val", 1),
        ]
        assert fields.read_image("a.jpg") == b"a"
        assert [cell.box() for cell in fields.read_cells("b.jpg", "annotator_2")] == [(5, 20, 30, 50), None]


def test_what_is_no_release_is_refused(release, tmp_path):
    with pytest.raises(AnnotationError, match=r"path must be SpermParsing\.zip or the folder"):
        AnnotatedFields(tmp_path / "images")
    (release / "annotator_1" / "a.json").write_text("{}")
    with pytest.raises(AnnotationError, match=r"Received: annotator_1/a\.json"):
        AnnotatedFields(release).read_cells("a.jpg")


@pytest.mark.integration
def test_the_release_has_the_cells_that_it_is_known_to_have():
    fields = AnnotatedFields(sperm_parsing())
    assert len(fields) == 280
    assert sum(record.official_split == "val" for record in fields) == 56
    assert sum(len(fields.read_cells(record.image)) for record in fields) == 1979
