"""Corrections of cells in their fields: kept, restored, counted, and written as training data."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from pipelines import slide_report
from pipelines.field_analysis.reviewed_boxes import write_reviewed_boxes
from sperm_tf.data.decode import decode_rgb
from sperm_tf.file_digests import SUMS_FILE, digest_files, write_sums
from sperm_tf.review import records
from sperm_tf.review.journal import Journal
from sperm_tf.review.last_verdicts import read_reviews
from tests.pipelines.field_analysis.field_run import CROP_PER_HEAD, HEAD_PX, write_run


def setup_module():
    """TensorFlow is imported here, not when tests are collected."""
    global FieldRun, Session

    from pipelines.field_analysis.reviewed_fields import FieldRun
    from sperm_tf.review.session import Session


MISSED = (300, 210, 360, 260)  # where a person draws a head in a.png


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "reviews")


def open_session(output, journal):
    run = FieldRun(output)
    session = Session(run, journal)
    session.add(run.read())
    return session


def find(session, field, cell):
    """Position of a cell in the worklist."""
    places = [item.place for item in session.items]
    return next(index for index, place in enumerate(places) if (place.field, place.cell) == (field, cell))


def correct(session):
    """Takes a cell of a.png out, adds one, and changes the class of one of b.png."""
    session.show(find(session, "a.png", 2))
    assert session.remove(session.current, reviewer="AB").verdict == "no_cell"
    session.draw("a.png", MISSED)
    assert session.judge(session.current, "normal", reviewer="AB").verdict == "add"
    session.show(find(session, "b.png", 1))
    session.judge(session.current, "normal", reviewer="AB")


def test_cells_stand_in_their_fields(output, journal):
    session = open_session(output, journal)
    fields = session.predictor.fields
    assert fields.names == ("a.png", "b.png", "c.png") and len(session.order) == 5  # one of six is accepted
    boxes = {(row.place.field, row.place.cell): row.place.box for row in session.items}
    for field in fields.names:
        pixels = fields.read(field)
        for found in fields.list_found(field):
            x0, y0, x1, y1 = found.box
            assert (pixels[y0:y1, x0:x1, 1].min() < 60) and boxes.get((field, found.cell), found.box) == found.box
    assert [found.is_cut for found in fields.list_found("a.png")].count(True) == 1
    session.leaf(1)
    assert session.field != session.items[session.current].place.field


def test_the_page_names_the_run_of_fields_not_its_folder_of_scores(output):
    run = FieldRun(output)
    assert run.folder.name == "scores" != output.name
    assert run.scope == f"5 referred of 6 scored cells in 3 fields, folder {output.name}"


def test_a_drawn_cell_has_the_crop_of_a_found_one(output, journal):
    session = open_session(output, journal)
    item = session.items[find(session, "c.png", 1)]
    x0, y0, x1, y1 = item.place.box
    session.show(find(session, "b.png", 1))
    session.draw("c.png", (x1, y1, x0, y0))  # over a cell that was found: goes to it
    assert session.items[session.current].place == item.place
    session.draw("b.png", (200, 100, 200, 100))  # a click
    drawn = session.items[session.current]
    assert drawn.is_drawn and drawn.group == "S1" and session.order.index(session.current) > 0
    side = len(decode_rgb(drawn.data).pixels)
    assert side == pytest.approx(CROP_PER_HEAD * HEAD_PX, rel=0.1)
    left, top, right, bottom = drawn.place.box
    assert (left + right, top + bottom) == pytest.approx((400, 200), abs=2)
    with pytest.raises(ValueError, match="must get a class"):
        session.judge(session.current, None, reviewer="AB")
    assert session.remove(session.current, reviewer="AB") is None and not journal.read().reviews
    assert len(session.order) == 5
    with pytest.raises(ValueError, match=r"box must be around a head inside the field"):
        session.draw("b.png", (390, 10, 392, 200))


def test_an_accepted_cell_and_a_cut_one_are_reached_through_their_field(output, journal):
    session = open_session(output, journal)
    found = session.predictor.fields.list_found("a.png")
    accepted = next(box for box in found if box.cell == 1)
    session.show_cell("a.png", 1)
    item = session.items[session.current]
    assert item.place.box == accepted.box and item.prediction.decision == "accept"
    cut = next(box.cell for box in found if box.is_cut)
    with pytest.raises(ValueError, match="is cut by the border"):
        session.show_cell("a.png", cut)


def test_corrections_are_kept_and_restored(output, journal):
    correct(open_session(output, journal))
    (removed, added, changed) = journal.read().reviews
    assert (removed.field, removed.label, removed.verdict) == ("a.png", "", "no_cell")
    assert (added.predicted_class, added.probabilities, records.read_box(added.box)) == ("", "{}", MISSED)
    assert (changed.verdict, changed.field) == ("correct", "b.png")
    again = open_session(output, Journal(journal.folder))
    drawn = [item for item in again.items if item.is_drawn]
    assert [item.place.box for item in drawn] == [MISSED] and again.verdict_of(drawn[0]).label == "normal"
    assert again.num_judged == 3 and again.current is not None
    again.show(again.items.index(drawn[0]))
    again.remove(again.current, reviewer="CD")
    assert not [item for item in open_session(output, journal).items if item.is_drawn]
    assert not any(verdict.is_added and verdict.class_after_review for verdict in read_reviews(journal.folder).values())


def test_the_classifiers_training_table_has_the_added_cell_and_not_the_false_one(output, journal):
    correct(open_session(output, journal))
    with (journal.folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["group"]) for row in rows] == [("normal", "S1"), ("normal", "S1")]
    assert all((journal.folder / row["file"]).is_file() for row in rows)


def test_the_finders_training_data_have_the_corrected_boxes(output, journal, tmp_path):
    correct(open_session(output, journal))
    run, path = FieldRun(output), tmp_path / "cells.coco.json"
    last = records.latest(journal.read().reviews).values()
    triangle = np.array([[300.0, 210.0], [360.0, 210.0], [300.0, 260.0]])
    outlines = {("a.png", MISSED): triangle}
    assert write_reviewed_boxes(path, run.found, last, lambda *place: outlines[place]) == 2
    coco = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    categories = {category["id"]: category["name"] for category in coco["categories"]}
    kept = {(names[row["image_id"]], tuple(row["bbox"])): row for row in coco["annotations"]}
    assert set(names.values()) == {"a.png", "b.png"} and len(kept) == 6  # four and two found, one less, one more
    removed = next(found for found in run.fields.list_found("a.png") if found.cell == 2)
    x0, y0, x1, y1 = removed.box
    assert ("a.png", (x0, y0, x1 - x0, y1 - y0)) not in kept
    added = kept["a.png", (300, 210, 60, 50)]
    assert categories[added["category_id"]] == "normal" and added["reviewed"]
    assert added["segmentation"] == [[300, 210, 360, 210, 300, 260]] and added["area"] == 60 * 50 / 2
    changed = [row for (name, _), row in kept.items() if name == "b.png" and row["reviewed"]]
    assert [categories[row["category_id"]] for row in changed] == ["normal"] and "score" not in changed[0]
    assert sorted(row["id"] for row in coco["annotations"]) == list(range(1, 7))
    none = tmp_path / "none.json"
    assert write_reviewed_boxes(none, run.found, [], run.fields.find_outline) == 0 and not none.exists()
    write_reviewed_boxes(path, run.found, last, run.fields.find_outline)  # nothing is stained where the box was drawn
    (without,) = [row for row in json.loads(path.read_text())["annotations"] if not row["segmentation"]]
    assert without["bbox"] == [300, 210, 60, 50] and without["area"] == 60 * 50


def test_a_drawn_cell_has_the_outline_of_the_stain_in_its_box(output):
    fields = FieldRun(output).fields
    (found,) = fields.list_found("c.png")
    x0, y0, x1, y1 = found.box
    outline = fields.find_outline("c.png", (x0 - 4, y0 - 4, x1 + 4, y1 + 4))
    assert (*outline.min(axis=0), *outline.max(axis=0)) == pytest.approx(found.box, abs=1)
    assert fields.find_outline("c.png", (x0 - 60, y0 - 60, x1 + 60, y1 + 60)) is None


def test_the_report_counts_the_corrected_cells(output, journal, tmp_path, capsys):
    correct(open_session(output, journal))
    arguments = ["slide_report", f"--scores={output}", f"--reviews={journal.folder}", f"--output={tmp_path / 'report'}"]
    assert slide_report.main(arguments) == 0
    assert "2 of 6 images were reviewed. 1 are no cells; 1 were added." in capsys.readouterr().out
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "report" / "slide.html").read_text(encoding="utf-8"))
    page = re.sub(r"\s+", " ", page.replace("\xa0", " "))
    first, second = page.split("Slide S1 Sample")[1].split("Slide S2 Sample")
    # Five cells of S1 were found whole; one is none, one of four is normal; after review three of five are.
    assert re.search(r"Counted 25\.0 % \S+ % 1 of 4 ", first) and re.search(
        r"After review 60\.0 % \S+ % 3 of 5 ", first
    )
    assert "False detections taken out of the fields: 1; missed cells added, which count after review: 1" in first
    assert "1 taken out, 1 added" in first and "taken out" not in second


def test_an_added_cell_of_a_slide_without_any_other_is_said_not_to_count(output, journal, tmp_path, capsys):
    session = open_session(output, journal)
    session.show(find(session, "c.png", 1))  # the only cell of S2
    session.remove(session.current, reviewer="AB")
    session.draw("c.png", (30, 30, 80, 70))
    session.judge(session.current, "normal", reviewer="AB")
    arguments = ["slide_report", f"--scores={output}", f"--reviews={journal.folder}", f"--output={tmp_path / 'report'}"]
    assert slide_report.main(arguments) == 0
    assert "1 added cells are not counted: their slide or replicate has no cell" in capsys.readouterr().out
    assert "Slide S2" not in (tmp_path / "report" / "slide.html").read_text(encoding="utf-8")


def test_a_drawn_cell_that_the_run_found_counts_once(output, journal, tmp_path, capsys):
    session = open_session(output, journal)
    item = session.items[find(session, "c.png", 1)]
    session.draw("a.png", MISSED)
    session.judge(session.current, "normal", reviewer="AB")
    path = journal.folder / "reviews.csv"  # as if another finder had missed the head of c.png
    digest = session.predictor.fields.digest("c.png")
    text = path.read_text().replace(records.write_box(MISSED), records.write_box(item.place.box))
    text = text.replace(f",a.png,{session.predictor.fields.digest('a.png')},", f",c.png,{digest},")
    path.write_text(text)
    arguments = ["slide_report", f"--scores={output}", f"--reviews={journal.folder}", f"--output={tmp_path / 'report'}"]
    assert slide_report.main(arguments) == 0
    assert "were added" not in capsys.readouterr().out


def test_a_table_that_was_changed_is_refused(output, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    write_sums(copy / SUMS_FILE, digest_files(copy, ["cells.parquet", "fields.parquet"]))
    assert FieldRun(copy).fields.names
    content = bytearray((copy / "cells.parquet").read_bytes())
    content[100] ^= 1
    (copy / "cells.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"as python -m pipelines\.fields wrote them\. Received: .*cells\.parquet"):
        FieldRun(copy)


def test_fields_that_are_gone_are_said_to_be(output, journal, tmp_path):
    run = FieldRun(output, images=str(tmp_path))
    with pytest.raises(ValueError, match=r"a\.png is no longer in .* Name the folder of the fields with --images"):
        run.fields.read("a.png")
    assert len(run.read()) == 5, "crops are kept with the run"
