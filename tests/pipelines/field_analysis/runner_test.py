import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import roifile

from pipelines import fields as command
from pipelines import slide_report
from sperm_tf.data.decode import decode_rgb, encode_png
from sperm_tf.evaluation.fields.matching import match_boxes
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.fields.scale import ScaleError
from tests.fields.drawn_fields import box_of, draw_field
from tests.helpers import flip_bit
from tests.serving.conftest import CLASS_NAMES, export


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global runner, field_finding
    from pipelines.field_analysis import finding as field_finding
    from pipelines.field_analysis import runner


pytestmark = pytest.mark.integration

HEADS = {
    "a.png": ((200, 200, 0.3), (600, 250, 1.2), (15, 700, 1.5)),
    "b.png": ((300, 800, -0.7), (1100, 300, 0.0), (700, 600, 2.0), (640, 200, 0.4)),
}
BOXES = ["head_x0", "head_y0", "head_x1", "head_y1"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory, views=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder of fields with broken files among them, and the masks of the heads in each."""
    folder = tmp_path_factory.mktemp("fields")
    masks = {}
    for name, heads in HEADS.items():
        pixels, masks[name] = draw_field(heads)
        (folder / name).write_bytes(encode_png(pixels))
    (folder / "black.png").write_bytes(encode_png(np.zeros((600, 800, 3), np.uint8)))
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "short.png").write_bytes((folder / "a.png").read_bytes()[:-900])
    return folder, masks


def request(exported, folder, output, **changes):
    return runner.Request(model=str(exported.path), input=str(folder), output=output, shard_size=2, **changes)


@pytest.fixture(scope="module")
def finished(exported, drawn, tmp_path_factory):
    output = tmp_path_factory.mktemp("done") / "out"
    runner.run(request(exported, drawn[0], output), report=lambda line: None)
    return output


def test_every_field_has_a_row_with_a_status(finished):
    fields = pd.read_parquet(finished / "fields.parquet").set_index("file")
    assert fields["status"].to_dict() == {
        "a.png": "ok",
        "b.png": "ok",
        "black.png": "no_heads",
        "broken.jpg": "unknown_format",
        "empty.png": "empty",
        "short.png": "undecodable",
    }
    assert fields["num_heads"].to_dict() | {"a.png": 3, "b.png": 4} == fields["num_heads"].to_dict()
    assert fields.loc["a.png", "num_cut"] == 1
    pd.testing.assert_frame_equal(
        fields.reset_index()[["file", "status"]], pd.read_csv(finished / "fields.csv")[["file", "status"]]
    )


def test_cells_are_where_the_heads_are_and_have_the_columns_of_score(finished, drawn):
    cells = pd.read_parquet(finished / "cells.parquet")
    for name, masks in drawn[1].items():
        boxes = cells[cells["field"] == name][BOXES].to_numpy(float)
        assert len(match_boxes(np.array([box_of(mask) for mask in masks]), boxes)) == len(masks)
    scores = scores_file.read(finished / "scores").table
    assert set(scores.columns) <= set(cells.columns)
    scored = cells[cells["file"] != ""].set_index("file")
    for column in ("predicted_class", "decision", "sha256", f"p_{CLASS_NAMES[0]}"):
        assert scored[column].to_dict() == scores.set_index("file")[column].to_dict()
    cut = cells[cells["file"] == ""]
    assert cut["flags"].tolist() == ["cut_by_border"] and cut["predicted_class"].isna().all()
    assert len(pd.read_csv(finished / "cells.csv")) == len(pd.read_excel(finished / "cells.xlsx")) == len(cells) == 7


def test_crops_are_the_pixels_of_the_field(finished, drawn):
    cells = pd.read_parquet(finished / "cells.parquet")
    for cell in cells[(cells["file"] != "") & (cells["padded_share"] == 0)].itertuples():
        field = decode_rgb((drawn[0] / cell.field).read_bytes()).pixels
        crop = decode_rgb((finished / cell.file).read_bytes()).pixels
        x, y, side = int(cell.crop_x0), int(cell.crop_y0), int(cell.crop_side)
        np.testing.assert_array_equal(crop, field[y : y + side, x : x + side])


def test_other_programs_get_the_same_cells(finished):
    cells = pd.read_parquet(finished / "cells.parquet")
    geojson = json.loads((finished / "cells.geojson").read_text())
    assert len(geojson["features"]) == len(cells)
    for feature, cell in zip(geojson["features"], cells.itertuples(), strict=True):
        ring = np.array(feature["geometry"]["coordinates"][0])
        np.testing.assert_array_equal(ring[0], ring[-1])
        np.testing.assert_allclose(
            [*ring.min(axis=0), *ring.max(axis=0)], [getattr(cell, name) for name in BOXES], atol=2
        )
        assert feature["properties"]["objectType"] == "annotation"
    coco = json.loads((finished / "cells.coco.json").read_text())
    assert [row["id"] for row in coco["annotations"]] == list(range(1, len(cells) + 1))
    for row, cell in zip(coco["annotations"], cells.itertuples(), strict=True):
        assert row["bbox"] == [cell.head_x0, cell.head_y0, cell.head_x1 - cell.head_x0, cell.head_y1 - cell.head_y0]
        assert 0.5 < row["area"] / (row["bbox"][2] * row["bbox"][3]) < 0.95
    names = {row["id"]: row["file_name"] for row in coco["images"]}
    assert [names[row["image_id"]] for row in coco["annotations"]] == cells["field"].tolist()
    with zipfile.ZipFile(finished / "rois" / "000001_b.zip") as archive:
        rois = [roifile.ImagejRoi.frombytes(archive.read(name)) for name in sorted(archive.namelist())]
    assert len(rois) == 4
    for roi, cell in zip(rois, cells[cells["field"] == "b.png"].itertuples(), strict=True):
        np.testing.assert_allclose(
            [roi.left, roi.top, roi.right, roi.bottom], [getattr(cell, name) for name in BOXES], atol=3
        )
    assert {path.name for path in (finished / "overlays").iterdir()} == {
        "000000_a.png",
        "000001_b.png",
        "000002_black.png",
    }


def test_the_slide_report_takes_the_folder(finished, tmp_path):
    assert slide_report.main(["slide_report", f"--scores={finished}", f"--output={tmp_path}"]) == 0
    page = (tmp_path / "slide.html").read_text(encoding="utf-8")
    assert "Measures of the heads" in page and "b.png, cells marked" in page and "broken.jpg" in page


def test_a_run_that_was_stopped_goes_on(exported, drawn, finished, tmp_path, monkeypatch):
    output = tmp_path / "out"
    find = field_finding.FieldFinder._find
    seen = []

    def stop(self, index, field):
        if index == 2:
            raise KeyboardInterrupt
        seen.append(field.file)
        return find(self, index, field)

    monkeypatch.setattr(field_finding.FieldFinder, "_find", stop)
    with pytest.raises(KeyboardInterrupt):
        runner.run(request(exported, drawn[0], output), report=lambda line: None)
    monkeypatch.setattr(
        field_finding.FieldFinder,
        "_find",
        lambda self, index, field: seen.append(field.file) or find(self, index, field),
    )
    runner.run(request(exported, drawn[0], output), report=lambda line: None)
    assert sorted(seen) == sorted(path.name for path in drawn[0].iterdir())  # none twice
    columns = [*BOXES, "field", "predicted_class", "sha256"]
    pd.testing.assert_frame_equal(
        pd.read_parquet(output / "cells.parquet")[columns], pd.read_parquet(finished / "cells.parquet")[columns]
    )


def test_a_damaged_table_is_made_again_without_scoring(exported, drawn, finished, tmp_path):
    output, lines = tmp_path / "out", []
    shutil.copytree(finished, output)
    flip_bit(output / "cells.parquet")
    damaged = (output / "cells.parquet").read_bytes()
    runner.run(request(exported, drawn[0], output), report=lines.append)
    assert any("files are scored already" in line for line in lines), lines
    assert (output / "cells.parquet.bak").read_bytes() == damaged
    found, expected = (pd.read_parquet(folder / "cells.parquet") for folder in (output, finished))
    pd.testing.assert_frame_equal(found, expected)


def test_a_folder_of_other_cells_is_refused_and_a_finished_one_is_left_as_it_is(exported, drawn, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.p*")}
    lines = []
    runner.run(request(exported, drawn[0], finished), report=lines.append)
    assert lines == ["All 6 fields are done already."]
    changed = {"model": runner.Request("hushem", str(drawn[0]), finished, shard_size=2)}
    changed["crop_per_head"] = request(exported, drawn[0], finished, crop_per_head=4.0)
    changed["pixel_size_um"] = request(exported, drawn[0], finished, pixel_size_um=0.05)
    for name, other in changed.items():
        with pytest.raises(ValueError, match=rf"output must hold scores .* differ in: --{name}"):
            runner.run(other, report=lines.append)
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*.p*")}


def test_a_field_that_fails_stops_no_folder(exported, drawn, tmp_path, monkeypatch):
    def fail(pixels, head, per_head):
        raise MemoryError("too much")

    monkeypatch.setattr(field_finding, "cut_crop", fail)
    summary = runner.run(request(exported, drawn[0], tmp_path / "out"), report=lambda line: None)
    assert summary["field_statuses"]["failed"] == 2
    fields = pd.read_csv(tmp_path / "out" / "fields.csv").set_index("file")
    assert fields.loc["a.png", "message"] == "MemoryError: too much"


def test_a_pixel_size_that_disagrees_stops_with_the_remedy(exported, drawn, tmp_path):
    with pytest.raises(ScaleError, match="would fit"):
        runner.run(request(exported, drawn[0], tmp_path / "out", pixel_size_um=0.2), report=lambda line: None)


def test_columns_of_a_table_pass_through(exported, drawn, tmp_path):
    folder = tmp_path / "fields"
    shutil.copytree(drawn[0], folder)
    (folder / "table.csv").write_text("file,slide\na.png,S1\nb.png,S2\n")
    runner.run(request(exported, folder / "table.csv", tmp_path / "out"), report=lambda line: None)
    cells = pd.read_parquet(tmp_path / "out" / "cells.parquet")
    assert cells.groupby("slide")["field"].unique().map(list).to_dict() == {"S1": ["a.png"], "S2": ["b.png"]}
    (folder / "table.csv").write_text("file,flags\na.png,x\n")
    with pytest.raises(ValueError, match=r"columns of the table must not be called .* Received: flags"):
        runner.run(request(exported, folder / "table.csv", tmp_path / "other"), report=lambda line: None)


def test_fields_without_cells_give_empty_tables(exported, tmp_path, capsys):
    folder = tmp_path / "fields"
    folder.mkdir()
    (folder / "black.png").write_bytes(encode_png(np.zeros((600, 800, 3), np.uint8)))
    arguments = ["fields", f"--model={exported.path}", f"--input={folder}", f"--output={tmp_path / 'out'}"]
    assert command.main(arguments) == 0
    assert "1 fields (no_heads 1): 0 heads" in capsys.readouterr().out
    assert len(pd.read_parquet(tmp_path / "out" / "cells.parquet")) == 0
    (folder / "black.png").write_bytes(b"no image")
    arguments[-1] = f"--output={tmp_path / 'other'}"
    assert command.main(arguments) == 1
    assert "input must hold at least one field that can be read" in capsys.readouterr().err
