"""Drawn fields: the same everywhere, masks that agree with the image, instances that agree with the cells."""

import functools
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from sperm_tf.synthesis.field_layers import ACROSOME, HEAD_PARTS, MIDPIECE, NUCLEUS, PART_NAMES, TAIL, VACUOLE
from sperm_tf.synthesis.field_renderer import render_field

_SMALL = {"height": 192, "width": 256, "pixel_size_um": 0.2}
_PLANES = ("image", "parts", "instances", "parts_below", "instances_below")
_DIGEST = """
import hashlib
from sperm_tf.synthesis.field_renderer import render_field
digest = hashlib.sha256()
for index in (0, 5, 123_456_789):
    field = render_field(index, seed=7, height=192, width=256, pixel_size_um=0.2)
    for name in {planes}:
        digest.update(getattr(field, name).tobytes())
    digest.update(repr(field.cells).encode())
print(digest.hexdigest())
"""


@functools.cache
def fields():
    return [render_field(index) for index in range(10)]


def test_a_fresh_process_draws_the_same_bytes():
    here = hashlib.sha256()
    np.random.seed(1)  # global state must not matter
    for index in (0, 5, 123_456_789):
        field = render_field(index, seed=7, **_SMALL)
        for name in _PLANES:
            here.update(getattr(field, name).tobytes())
        here.update(repr(field.cells).encode())
    fresh = subprocess.run(
        [sys.executable, "-c", _DIGEST.format(planes=_PLANES)], capture_output=True, text=True, check=True
    )
    assert fresh.stdout.strip() == here.hexdigest()


def test_index_and_seed_each_give_another_field():
    drawn = [render_field(index, seed=seed, **_SMALL).image.tobytes() for index, seed in ((0, 0), (1, 0), (0, 1))]
    assert len(set(drawn)) == 3


def test_shapes_and_types():
    field = render_field(1, height=100, width=140)
    assert field.image.shape == (100, 140, 3) and field.image.dtype == np.uint8
    for name, dtype in zip(_PLANES[1:], (np.uint8, np.uint16, np.uint8, np.uint16), strict=True):
        plane = getattr(field, name)
        assert plane.shape == (100, 140) and plane.dtype == dtype
    assert field.parts.max() < len(PART_NAMES)


def test_instances_are_the_cells():
    num_cells = 0
    for field in fields():
        heads = np.isin(field.parts, HEAD_PARTS)
        numbers = {cell.instance for cell in field.cells}
        assert numbers == set(range(1, len(field.cells) + 1))
        assert set(np.unique(field.instances[heads])) - {0} == numbers
        assert set(np.unique(field.instances)) | set(np.unique(field.instances_below)) <= numbers | {0}
        assert not field.instances[field.parts == 0].any()
        for cell in field.cells:
            rows, columns = np.nonzero(heads & (field.instances == cell.instance))
            assert cell.head_box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            height, width = field.parts.shape
            touches = rows.min() == 0 or columns.min() == 0 or rows.max() == height - 1 or columns.max() == width - 1
            assert cell.is_cut == touches
        num_cells += len(field.cells)
    assert num_cells > 30


def test_what_is_below_is_another_cell():
    covered = 0
    for field in fields():
        below = field.parts_below > 0
        assert not below[field.parts == 0].any()
        known = below & (field.instances > 0) & (field.instances_below > 0)
        assert (field.instances != field.instances_below)[known].all()
        covered += np.count_nonzero(below)
        # A tail never hides a head, nor a midpiece.
        assert not np.isin(field.parts_below[field.parts == TAIL], (NUCLEUS, ACROSOME, VACUOLE, MIDPIECE)).any()
    assert covered > 300


def test_heads_have_the_lengths_of_their_cells():
    from sperm_tf.morphometry.head import measure_head

    errors = []
    for field in fields():
        for cell in field.cells:
            if cell.is_cut or cell.kind == "two_heads":
                continue
            head = np.isin(field.parts, HEAD_PARTS) & (field.instances == cell.instance)
            hidden = np.isin(field.parts_below, HEAD_PARTS) & (field.instances_below == cell.instance)
            found = measure_head(head | hidden, None, None, pixel_size_um=field.pixel_size_um)
            errors.append([found.length_um / cell.head_length_um - 1, found.width_um / cell.head_width_um - 1])
    assert np.abs(np.median(errors, axis=0)).max() < 0.02
    assert np.percentile(np.abs(errors), 90) < 0.15  # amorphous heads: the outline's axis is not that of its area


def test_tails_have_the_lengths_of_their_cells():
    from sperm_tf.morphometry.cell import measure_cell
    from sperm_tf.morphometry.masks import CellMasks

    errors = []
    for index in range(2):
        field = render_field(index, height=600, width=700, pixel_size_um=0.2)
        for cell in field.cells:
            tail = (field.parts == TAIL) & (field.instances == cell.instance)
            tail |= (field.parts_below == TAIL) & (field.instances_below == cell.instance)
            edge = tail.copy()
            edge[2:-2, 2:-2] = False
            if edge.any() or cell.kind == "coiled_tail" or not tail.any():
                continue
            found = measure_cell(CellMasks(tail=tail), pixel_size_um=0.2).tail
            errors.append(found.length_um / cell.tail_length_um - 1)
    assert len(errors) > 15
    assert abs(np.median(errors)) < 0.01
    assert np.percentile(np.abs(errors), 90) < 0.05


def test_the_masks_agree_with_the_image():
    contrasts = {part: [] for part in range(1, 6)}
    for field in fields():
        grey = field.image.astype(float).mean(axis=2)
        background = np.median(grey[field.parts == 0])
        for part, found in contrasts.items():
            if np.count_nonzero(field.parts == part) > 20:
                found.append(background - np.median(grey[field.parts == part]))
    means = {part: float(np.median(found)) for part, found in contrasts.items()}
    assert means[NUCLEUS] > means[ACROSOME] > means[MIDPIECE] > means[TAIL] > 5
    assert means[NUCLEUS] > 100


def test_a_shifted_mask_fits_worse():
    """The masks lie where the stain is, to a pixel."""
    for field in fields()[:4]:
        heads = np.isin(field.parts, HEAD_PARTS)
        if not heads.any():
            continue
        dark = field.image[..., 1] < 150
        shifts = ((0, 0), (3, 0), (-3, 0), (0, 3), (0, -3))
        agreements = {shift: np.mean(np.roll(heads, shift, (0, 1)) == dark) for shift in shifts}
        assert max(agreements, key=agreements.get) == (0, 0)


def test_the_same_slide_at_another_pixel_size():
    coarse = render_field(4, height=256, width=320, pixel_size_um=0.2)
    fine = render_field(4, height=512, width=640, pixel_size_um=0.1)
    assert [cell.kind for cell in coarse.cells] == [cell.kind for cell in fine.cells]
    halved = fine.image.reshape(256, 2, 320, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(halved.ravel(), coarse.image.astype(float).ravel())[0, 1] > 0.9
    assert np.mean((fine.parts[::2, ::2] > 0) == (coarse.parts > 0)) > 0.97


def test_fields_vary():
    drawn = [render_field(index, **_SMALL) for index in range(60)]
    counts = [len(field.cells) for field in drawn]
    assert min(counts) == 0 and max(counts) >= 8
    kinds = {cell.kind for field in drawn for cell in field.cells}
    assert {"normal", "tapered", "pyriform", "amorphous"} <= kinds
    assert any(cell.is_cut for field in drawn for cell in field.cells)
    assert any(cell.is_defocused for field in drawn for cell in field.cells)
    assert any(((field.parts == TAIL) & (field.instances == 0)).any() for field in drawn)  # of heads outside


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, "index must be an integer of at least 0. Received: index=-1"),
        ({"index": True}, "index must be an integer"),
        ({"index": 0, "height": 32}, "height must be an integer of at least 64. Received: height=32"),
        ({"index": 0, "width": 64.0}, "width must be an integer"),
        ({"index": 0, "seed": -1}, "seed must be an integer of at least 0"),
        ({"index": 0, "pixel_size_um": 1.0}, "pixel_size_um must be between 0.02 and 0.4 um. Received"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        render_field(**arguments)
