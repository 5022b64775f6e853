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
    assert label == "3 normal?" and num_green == 0
    assert (pixels != PIXELS).any()


def test_labels_can_be_read_in_print(tmp_path):
    cell = {"cell": 3, "predicted_class": "normal", "decision": "accept", "status": "ok"}
    cell |= {"head_x0": 400, "head_y0": 600, "head_x1": 490, "head_y1": 660}
    path = tmp_path / "field.png"
    drawing.draw_field(
        ArrayPixels(np.full((1024, 1280, 3), 230, np.uint8)), [(cell, OUTLINE + 400)], {"normal": GREEN}, path
    )
    label = np.asarray(Image.open(path))[:598]
    rows = np.flatnonzero((label == 255).all(axis=2).any(axis=1))  # white: the ink of the label
    points = 72 / 25.4 * 90 / 1280 * (rows[-1] - rows[0] + 1)  # on paper, 90 mm wide
    assert points > 4, "from the foot of letters to the top of the tallest"
    ground = np.flatnonzero((label == GREEN).all(axis=2).any(axis=1))
    assert ground[0] < rows[0] and rows[-1] < ground[-1]


def test_labels_cover_no_head_where_there_is_room(tmp_path):
    cells = []
    for number, (x, y) in enumerate(((500, 400), (590, 360), (500, 2)), start=1):  # the last one at the upper border
        cell = {"cell": number, "predicted_class": "normal", "decision": "accept", "status": "ok"}
        cell |= {"head_x0": x, "head_y0": y, "head_x1": x + 80, "head_y1": y + 50}
        cells.append((cell, np.array([[x, y], [x + 80, y], [x + 80, y + 50], [x, y + 50]], float)))
    path = tmp_path / "field.png"
    drawing.draw_field(ArrayPixels(np.full((1024, 1280, 3), 230, np.uint8)), cells, {"normal": GREEN}, path)
    pixels = np.asarray(Image.open(path))
    for cell, _ in cells:
        inside = pixels[cell["head_y0"] + 6 : cell["head_y1"] - 6, cell["head_x0"] + 6 : cell["head_x1"] - 6]
        assert (inside == 230).all()
