"""What a field's picture says of a cell."""

import numpy as np
from PIL import Image

from pipelines.field_analysis import drawing
from sperm_tf.fields.pixels import ArrayPixels

PIXELS = np.full((200, 200, 3), 230, np.uint8)
OUTLINE = np.array([[60.0, 60.0], [140.0, 60.0], [140.0, 140.0], [60.0, 140.0]])
GREEN = (0, 158, 115)


def _draw(tmp_path, decision):
    cell = {"cell": 3, "predicted_class": "normal", "decision": decision, "status": "ok"}
    cell |= {"head_x0": 60, "head_y0": 60, "head_x1": 140, "head_y1": 140}
    drawing.draw_field(ArrayPixels(PIXELS), [(cell, OUTLINE)], {"normal": GREEN}, tmp_path / "field.png")
    pixels = np.asarray(Image.open(tmp_path / "field.png"))
    return drawing.label_of(cell), int((pixels == GREEN).all(axis=2).sum()), pixels


def test_an_accepted_cell_has_the_colour_of_its_class(tmp_path):
    label, num_green, _ = _draw(tmp_path, "accept")
    assert label == "3 normal" and num_green > 300


def test_a_head_out_of_focus_is_said_to_be():
    cell = {"cell": 3, "predicted_class": "normal", "decision": "accept", "flags": "touching|out_of_focus"}
    assert drawing.label_of(cell) == "3 normal, out of focus"


def test_a_picture_of_a_large_field_has_no_labels(tmp_path, monkeypatch):
    _, num_labelled, _ = _draw(tmp_path, "accept")
    monkeypatch.setattr(drawing, "_MAX_SIDE", 90)
    _, num_green, pixels = _draw(tmp_path, "accept")
    assert pixels.shape == (90, 90, 3) and 100 < num_green < num_labelled
    assert (pixels[:20] == 230).all()  # where the label would be, above the box


def test_a_referred_cell_looks_like_no_class(tmp_path):
    label, num_green, pixels = _draw(tmp_path, "refer")
    assert label == "3 refer: normal?" and num_green == 0
    assert (pixels != PIXELS).any()
