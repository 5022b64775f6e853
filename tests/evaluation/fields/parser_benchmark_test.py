import numpy as np
import pytest

from benchmarks.field_parser_metrics import draw_cell, measure_field, summarize_results
from sperm_tf.fields.annotations import AnnotatedCell
from sperm_tf.fields.found import FoundField, FoundHead
from sperm_tf.morphometry.masks import CellMasks

SIZE = 160, 240


def rectangle(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def annotated(y, *, x=20):
    """A cell of rectangles: head of 80 x 40 pixels, midpiece and tail to its right."""
    return AnnotatedCell(
        y,
        {
            "Acrosome": (rectangle(x, y, x + 29, y + 39),),
            "Nucleus": (rectangle(x + 30, y, x + 79, y + 39),),
            "Vacuole": (rectangle(x + 10, y + 10, x + 17, y + 17),),
            "Midpiece": (rectangle(x + 80, y + 15, x + 119, y + 24),),
            "Tail": (rectangle(x + 120, y + 17, x + 199, y + 22),),
        },
    )


def found(cell, shift=0):
    masks = {name: np.roll(mask, shift, axis=0) for name, mask in draw_cell(cell, SIZE).items()}
    head = masks["nucleus"] | masks["acrosome"]
    rows, columns = np.flatnonzero(head.any(axis=1)), np.flatnonzero(head.any(axis=0))
    box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    window = slice(5, None), slice(3, None)
    parts = CellMasks(*(mask[window] for mask in (head, masks["acrosome"], masks["vacuole"], masks["midpiece"],
                                                  masks["tail"])))  # fmt: skip
    return FoundHead(*box, head[box[1] : box[3], box[0] : box[2]], 80.0, 40.0, (), parts, (3, 5), 0.9)


def summarize(cells, heads):
    result = measure_field(cells, FoundField(tuple(heads), 80.0, (0, 0, 0), 0.1), SIZE, with_measures=True)
    return {name: value for name, (value, _, _) in summarize_results([result], [0]).items()}


def test_the_annotation_itself_is_found_without_error():
    cells = [annotated(20), annotated(90)]
    metrics = summarize(cells, [found(cell) for cell in cells])
    assert {metrics[name] for name in ("f1", "dice_vacuole", "dice_tail", "part_miou", "ap_part_50", "pcp_50")} == {1.0}
    assert metrics["count_error"] == 0
    errors = {name: value for name, value in metrics.items() if name.endswith("_error") and name != "count_error"}
    assert len(errors) == 6 and set(errors.values()) == {0.0}


def test_a_shifted_cell_has_errors_of_its_own():
    metrics = summarize([annotated(20)], [found(annotated(20), shift=2)])
    assert metrics["dice_nucleus"] == pytest.approx(38 / 40, abs=1e-3)
    assert metrics["dice_tail"] == pytest.approx(4 / 6, abs=1e-3)
    assert metrics["head_length_um_error"] == 0  # it is as long as before


def test_a_cell_that_was_missed_counts():
    metrics = summarize([annotated(20), annotated(90)], [found(annotated(20))])
    assert metrics["recall"] == 0.5 and metrics["count_error"] == 1 and metrics["pcp_50"] == 0.5
