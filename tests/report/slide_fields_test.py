"""The fields on the page of a slide, against a table of cells that is counted by hand."""

import dataclasses
import io
import re

import numpy as np
import pandas as pd
import pypdf
import pytest
from PIL import Image

from sperm_tf.evaluation.quantification import reviewed
from sperm_tf.evaluation.quantification.cells_file import FoundCells
from sperm_tf.evaluation.quantification.class_roles import default_roles
from sperm_tf.report import build
from sperm_tf.report.slide import fields_page, layout
from sperm_tf.report.slide.fields import describe_fields

ROLES = default_roles(("normal", "abnormal", "non-sperm"))
NUM = 40


@pytest.fixture
def found(tmp_path):
    """Two fields of one slide and one of another, one that could not be read; the last cell of each is cut."""
    random = np.random.default_rng(0)
    cells = pd.DataFrame({"field": np.repeat(["a.png", "b.png", "c.png"], [NUM // 2, NUM // 4, NUM // 4])})
    cells["slide"] = cells["field"].map({"a.png": "S1", "b.png": "S1", "c.png": "S2"})
    cells["file"] = [f"crops/{index}.png" for index in range(NUM)]
    cells["sha256"] = [f"{index:064x}" for index in range(NUM)]
    cells["predicted_class"] = random.choice(["normal", "abnormal", "non-sperm"], NUM)
    cells["decision"] = random.choice(["accept", "refer"], NUM)
    cells["status"], cells["flags"], cells["counted"] = "ok", "", True
    cells["reason"] = "confident"
    cells.loc[::7, "flags"] = "touching|out_of_focus"
    cells["pixel_size_um"], cells["pixel_size_source"] = 0.05, "given"
    for name in ("length_um", "width_um", "area_um2", "perimeter_um", "ellipticity", "elongation", "rugosity"):
        cells[f"head_{name}"] = random.normal(4.2, 0.5, NUM)
    cells["head_regularity"] = 1.0  # all alike
    cells["head_length_um_in_range"] = cells["head_length_um"].between(3.7, 4.7).astype(object)
    cells["head_ellipticity_in_range"] = None
    is_last = cells["field"] != cells["field"].shift(-1)
    empty = ["sha256", "predicted_class", "decision", "status", "head_length_um", "head_length_um_in_range"]
    cells.loc[is_last, empty] = None
    cells.loc[is_last, ["file", "flags", "counted"]] = ["", "cut_by_border", False]
    table = pd.DataFrame({"file": ["a.png", "b.png", "broken.png", "c.png"], "slide": ["S1", "S1", "S1", "S2"]})
    table["status"] = ["ok", "ok", "unreadable", "ok"]
    table["num_heads"] = [NUM // 2, NUM // 4, 0, NUM // 4]
    for name in ("num_cut", "num_touching", "num_out_of_focus", "num_counted"):
        table[name] = 1
    table["width"] = 3000  # twice that of the overlay
    table["focus"], table["coverage"] = [0.2, 0.1, None, 0.3], [0.031, 0.02, None, 0.01]
    (tmp_path / "overlays").mkdir()
    for index, name in enumerate("ab"):
        Image.new("RGB", (1500, 1200), "pink").save(tmp_path / "overlays" / f"{index:06d}_{name}.png")
    return FoundCells(tmp_path, cells, table, "/fields")


def test_the_measures_are_those_of_whole_sharp_spermatozoa_of_the_slide(found):
    described = describe_fields(found, ROLES, slide_column="slide", slide="S1")
    cells = found.cells.query("slide == 'S1' and file != '' and predicted_class != 'non-sperm'")
    sharp = cells[~cells["flags"].str.contains("out_of_focus")]
    length = described["measures"][0]
    low, middle, high = sharp["head_length_um"].quantile([0.05, 0.5, 0.95])
    assert length.title == "Length, µm" and length.median_text == f"{middle:.2f} µm"
    assert length.centiles_text == f"{low:.2f}–{high:.2f}"
    share = sharp["head_length_um"].between(3.7, 4.7).mean()
    assert length.manual_text == f"manual 3.7–4.7: {100 * share:.1f}\xa0% within"
    heights = np.array([bar[2] for bar in length.bars])
    assert heights.max() == 1 and round(heights.sum() / heights[heights > 0].min()) % 1 == 0
    ticks = [(place, float(label)) for place, label in length.ticks]
    (first, value), (last, other) = ticks[0], ticks[-1]
    scale = (last - first) / (other - value)  # of the axis: the reference range stands where its limits are
    np.testing.assert_allclose(length.band, [first + (3.7 - value) * scale, first + (4.7 - value) * scale])
    assert f"Outlines of {len(sharp)} whole heads" in described["measured"]
    assert f"{len(cells) - len(sharp)} out of focus" in described["measured"]
    assert (described["measures"][4].manual_text, described["measures"][4].band) == (
        "manual 1.3–1.8: not compared",
        None,
    )
    assert described["measures"][2].band is None and described["measures"][7].bars


def test_fields_are_listed_with_those_that_cannot_be_read(found):
    described = describe_fields(found, ROLES, slide_column="slide", slide="S1", max_pictures=1)
    assert [row["file"] for row in described["rows"]] == ["a.png", "b.png", "broken.png"]
    own = found.cells.query("field == 'a.png'")
    row, broken = described["rows"][0], described["rows"][2]
    assert row["num_heads"] == "20" and row["num_referred"] == str((own["decision"] == "refer").sum())
    assert (row["coverage"], row["focus"]) == ("3.1\xa0%", "0.200")
    assert broken["status"] == "unreadable" and broken["num_heads"] == broken["focus"] == "–"
    assert described["totals"].startswith("2 fields read; 1 field unreadable. 30 heads found, of which 28 count")
    (picture,) = described["pictures"]
    accepted = own[own["decision"] == "accept"]["predicted_class"].value_counts()
    assert picture.title == "a.png" and f"{accepted['normal']} normal" in picture.words
    assert f"{row['num_referred']} referred to a person, 1 cut by a border" in picture.words
    assert Image.open(io.BytesIO(picture.image)).size == picture.size == (1000, 800)
    assert "The 1 with the most heads of 3" in described["words"]


def test_a_run_whose_sharpest_heads_are_blurred_says_how_focus_was_judged(found):
    found.cells["head_edge_width"] = np.where(found.cells["file"] == "", np.nan, 0.08)
    assert "outlines" not in describe_fields(found, ROLES)["totals"].lower()
    found.cells.loc[found.cells["slide"] == "S2", "head_edge_width"] = 0.4
    found.cells.loc[found.cells["slide"] == "S1", "head_edge_width"] = 0.2
    totals = describe_fields(found, ROLES, slide_column="slide", slide="S2")["totals"]
    assert (
        "out of focus. Outlines are wide even in the sharpest tenth of the heads, 0.20" in totals
        and "above 0.28" in totals
    )


def test_a_persons_classes_take_the_place_of_the_models(found):
    referred = found.cells.query("field == 'a.png' and decision == 'refer'")
    verdicts = {digest: reviewed.Verdict("non-sperm", "AB") for digest in referred["sha256"]}
    described = describe_fields(found, ROLES, slide_column="slide", slide="S1", verdicts=verdicts)
    assert described["rows"][0]["num_referred"] == "0" and "referred" not in described["pictures"][0].words
    kept = found.cells.query("slide == 'S1' and file != '' and predicted_class != 'non-sperm'").index
    kept = [index for index in kept if index not in set(referred.index)]
    num_sharp = (~found.cells.loc[kept, "flags"].str.contains("out_of_focus")).sum()
    assert f"Outlines of {num_sharp} whole heads" in described["measured"]


def test_what_people_corrected_is_marked_and_said(found):
    for name, value in zip(("head_x0", "head_y0", "head_x1", "head_y1"), (300, 300, 600, 540), strict=True):
        found.cells[name] = value
    digest = found.cells["sha256"][1]
    box = {"head_x0": 1500, "head_y0": 900, "head_x1": 1800, "head_y1": 1200}
    added = pd.DataFrame([{"field": "a.png", "slide": "S1", "predicted_class": "normal", **box}])
    described = describe_fields(
        found, ROLES, slide_column="slide", slide="S1", verdicts={}, removed=frozenset([digest]), added=added
    )
    assert described["totals"].endswith("In review: 1 false detection taken out, 1 missed head added.")
    first, second = described["pictures"]
    assert first.words.startswith("19 heads: ") and first.words.endswith("; 1 taken out, 1 added")
    assert "taken out" not in second.words
    pixels = np.asarray(Image.open(io.BytesIO(first.image))).astype(int)  # a third of the field's size
    assert (pixels[100:180, 98:104, 0] - pixels[100:180, 98:104, 1]).max() > 80, "red at the left side of the false one"
    assert (pixels[138:142, 148:152, 1]).min() < 130, "and its cross"
    assert (pixels[310:390, 498:504, 1] - pixels[310:390, 498:504, 0]).max() > 40, "green at the added one"
    assert np.abs(np.asarray(Image.open(io.BytesIO(second.image))).astype(int) - (255, 192, 203)).max() < 8


def test_the_errors_of_the_classical_finder_are_said(found):
    assert "two people do" not in describe_fields(found, ROLES)["measured"]
    by_classical = dataclasses.replace(found, finder="classical")
    assert "differ by some 4 % from those of outlines" in describe_fields(by_classical, ROLES)["measured"]


def test_an_estimated_scale_is_said_to_be(found):
    found.cells["pixel_size_source"] = "estimated"
    assert "is estimated from the heads of this run" in describe_fields(found, ROLES)["scale"]
    found.cells["intensity_mapping"] = ["0-4095 to 0-255 (OME SignificantBits)", ""] * (NUM // 2)
    words = "Intensities of the files as the model saw them: 0-4095 to 0-255 (OME SignificantBits): 20 files."
    assert describe_fields(found, ROLES)["scale"].endswith(words)


def test_both_documents_show_the_fields(found, tmp_path):
    slide = {"title": "Slide S1", "fields": describe_fields(found, ROLES, slide_column="slide", slide="S1")}
    page = build.make_environment().get_template("slide_fields.html.j2").render(slide=slide)
    assert page.count("data:image/jpeg;base64,") == 2 and page.count('class="range"') == 1
    assert "broken.png" in page and "Measures of the heads" in page and not re.search(r"<script|https?:", page)
    pdf = layout.Document({"version": "0", "notice": "notice"})
    fields_page.write(pdf, slide)
    pdf.output(str(tmp_path / "fields.pdf"))
    first, second = (page.extract_text() for page in pypdf.PdfReader(tmp_path / "fields.pdf").pages)
    assert "Fields · Slide S1" in first and "2 fields read; 1 field unreadable" in first and "a.png" in first
    assert "Regularity" in second and "broken.png (unreadable)" in second and "manual 3.7–4.7" in second


def test_a_slide_without_heads_has_no_measures(found):
    found.cells.drop(found.cells.index, inplace=True)
    described = describe_fields(found, ROLES, slide_column="slide", slide="S1")
    assert described["measures"] == [] and described["scale"] == "" and "0 heads found" in described["totals"]
