"""What the table of cells says of the heads of a field, without a classifier."""

import dataclasses
import functools

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from scipy import ndimage

from pipelines.bulk_inference.inputs import Crop
from pipelines.field_analysis import columns, field_reader, finding, tables
from pipelines.field_analysis.exports import to_feature
from pipelines.field_analysis.writing import write_pictures
from sperm_tf.data.decode import encode_png
from sperm_tf.fields.classical import ClassicalFinder
from sperm_tf.morphometry.masks import CellMasks
from tests.fields.drawn_fields import draw_field
from tests.pipelines.field_analysis.field_run import HEAD_PX, UM, open_finder

INSIDE = ((120, 120, 0.3), (260, 140, 1.2), (200, 260, 2.1))
AT_BORDERS = {"left": (8, 200, 1.5), "right": (392, 200, 1.5), "top": (200, 8, 0.0), "bottom": (120, 312, 0.0)}


@pytest.fixture
def find(tmp_path):
    def find(heads, *, source="given", blur=0):
        pixels, _ = draw_field(heads, size=(320, 400), head_px=HEAD_PX)
        pixels = ndimage.gaussian_filter(pixels, (blur, blur, 0)) if blur else pixels
        (tmp_path / "field.png").write_bytes(encode_png(pixels))
        (tmp_path / "crops").mkdir(exist_ok=True)
        finder = open_finder(tmp_path, tmp_path, source=source)
        row = finder._find(0, Crop("field.png"))
        finder.teardown()
        assert row["status"] == "ok", row["message"]
        kept = pa.Table.from_pylist([row], columns.shard_schema()).to_pylist()  # as a shard keeps it
        return row, tables.join_cells(kept, (), None).to_pandas()

    return find


def test_every_measure_of_the_heads_stands_beside_its_reference_range(find):
    _, cells = find((*INSIDE, AT_BORDERS["left"]))
    whole, cut = cells[cells["file"] != ""], cells[cells["file"] == ""]
    assert len(whole) == 3 and len(cut) == 1
    length, width = HEAD_PX * UM, 0.6 * HEAD_PX * UM
    expected = {
        "head_length_um": length,
        "head_width_um": width,
        "head_area_um2": np.pi / 4 * length * width,
        "head_ellipticity": length / width,
        "head_elongation": (length - width) / (length + width),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(whole[name], value, rtol=0.1, err_msg=name)
    np.testing.assert_allclose(whole["head_regularity"], 1, atol=0.03)
    np.testing.assert_array_equal(whole["head_length_um_in_range"], whole["head_length_um"].between(3.7, 4.7))
    np.testing.assert_array_equal(whole["head_width_um_in_range"], whole["head_width_um"].between(2.5, 3.2))
    assert set(cells["pixel_size_source"]) == {"given"} and cells["pixel_size_um"].tolist() == pytest.approx([UM] * 4)
    assert cut["head_length_um"].isna().all() and cut["head_ellipticity_in_range"].isna().all()
    assert not {"head_acrosome_share", "tail_length_um", "midpiece_width_um_in_range"} & set(cells.columns)


def test_sizes_by_an_estimated_scale_are_not_compared_with_the_manual(find):
    _, cells = find(INSIDE, source="estimated")
    assert set(cells["pixel_size_source"]) == {"estimated"} and cells["head_length_um"].notna().all()
    assert cells[["head_length_um_in_range", "head_width_um_in_range"]].isna().all(axis=None)
    assert cells["head_ellipticity_in_range"].notna().all()  # a ratio needs no scale


def test_heads_at_two_of_the_four_borders_are_counted(find):
    row, cells = find((*AT_BORDERS.values(), INSIDE[0]))
    assert len(cells) == 5 and (cells["file"] == "").sum() == 4
    at_right, at_bottom = cells["head_x1"] == 400, cells["head_y1"] == 320
    assert at_right.sum() == at_bottom.sum() == 1
    assert cells["counted"].tolist() == (~at_right & ~at_bottom).tolist()
    assert row["num_counted"] == 3 and row["num_cut"] == 4


def test_a_cell_says_how_wide_its_outline_is_unless_the_border_cuts_it(find):
    heads = (*INSIDE, AT_BORDERS["left"])
    _, sharp = find(heads)
    _, blurred = find(heads, blur=0.08 * HEAD_PX)
    is_cut = sharp["file"] == ""
    assert sharp["head_edge_width"][is_cut].isna().all() and (sharp["head_edge_width"][~is_cut] < 0.15).all()
    assert (blurred["head_edge_width"][~is_cut] > 0.15).all()


@pytest.fixture
def in_tiles(tmp_path, monkeypatch):
    """A field as a TIFF with tiles, and what is found in it at once, and when it counts as large."""
    pixels, _ = draw_field((*INSIDE, *AT_BORDERS.values()), size=(320, 400), head_px=HEAD_PX)
    tifffile.imwrite(tmp_path / "slide.tif", pixels, photometric="rgb", tile=(64, 64), compression="zlib")
    small_tiles = functools.partialmethod(ClassicalFinder.find_in_tiles, tile_px=136)
    monkeypatch.setattr(ClassicalFinder, "find_in_tiles", small_tiles)

    def find(name, limit):
        monkeypatch.setattr(field_reader, "MAX_WHOLE_PIXELS", limit)
        (tmp_path / name / "crops").mkdir(parents=True)
        finder = open_finder(tmp_path / name, tmp_path)
        row = finder._find(0, Crop("slide.tif"))
        finder.teardown()
        kept = pa.Table.from_pylist([row], columns.shard_schema()).to_pylist()
        cells = tables.join_cells(kept, (), None)
        write_pictures(tmp_path / name, str(tmp_path), kept, cells, ())
        kinds = ("*.png", "*.geojson", "*.coco.json")  # ROIs lie in a zip, which holds the time
        return kept, {path.name: path.read_bytes() for kind in kinds for path in (tmp_path / name).rglob(kind)}

    return find


def test_a_large_field_has_the_cells_crops_and_overlay_of_one_that_is_read_at_once(in_tiles):
    whole, whole_files = in_tiles("whole", 1_000_000)
    tiled, tiled_files = in_tiles("tiled", 1_000)
    assert whole[0]["status"] == "ok" and whole[0]["num_heads"] == 7 and whole[0]["num_cut"] == 4
    assert tiled == whole
    assert sum(name.endswith(".png") for name in whole_files) == 4  # three crops and the overlay
    assert tiled_files == whole_files


def test_a_large_field_that_is_damaged_says_so_and_stops_nothing(in_tiles, tmp_path):
    path = tmp_path / "slide.tif"
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.dataoffsets[12]
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    (row,), files = in_tiles("tiled", 1_000)
    assert row["status"] == "undecodable" and "slide.tif" in row["message"]
    assert (row["width"], row["height"], row["cells"]) == (400, 320, [])
    assert not any(name.endswith(".png") for name in files)


class PartsFinder(ClassicalFinder):
    """Gives masks of parts, as a finder that parses cells: the left half of each head as its acrosome, and no tail."""

    def find(self, pixels, *, head_length_px):
        found = super().find(pixels, head_length_px=head_length_px)
        heads = []
        for head in found.heads:
            acrosome = head.mask.copy()
            acrosome[:, acrosome.shape[1] // 2 :] = False
            parts = CellMasks(head=head.mask, acrosome=acrosome, tail=np.zeros_like(head.mask))
            heads.append(dataclasses.replace(head, parts=parts))
        return dataclasses.replace(found, heads=tuple(heads))


def test_measures_of_parts_appear_with_a_finder_that_gives_their_masks(find, monkeypatch):
    monkeypatch.setattr(finding, "open_finder", lambda name: PartsFinder())
    _, cells = find(INSIDE)
    np.testing.assert_allclose(cells["head_acrosome_share"], 0.5, atol=0.05)
    assert cells["head_acrosome_share_in_range"].all() and (cells["tail_length_um"] == 0).all()
    assert not {"head_num_vacuoles", "midpiece_length_um", "tail_width_um"} & set(cells.columns)
    feature = to_feature(cells.iloc[0].to_dict(), np.zeros((3, 2)), {"head": (0, 0, 0)})
    assert feature["properties"]["measurements"]["head_acrosome_share"] == pytest.approx(0.5, abs=0.05)
