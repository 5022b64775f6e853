"""A finished run of `pipelines.fields` on drawn fields, whose classes are given: no model is needed."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.output import INPUTS_FILE
from pipelines.field_analysis import columns, finding, tables
from pipelines.field_analysis.writing import write_pictures
from sperm_tf.data.decode import encode_png
from sperm_tf.evaluation.quantification import cells_file, scores_file
from tests.fields.drawn_fields import draw_field

HEAD_PX, UM, SIZE = 60, 0.07, (320, 400)
CROP_PER_HEAD = 3.0  # not the usual one
HEADS = {
    "a.png": ((120, 120, 0.3), (260, 140, 1.2), (200, 260, 2.1), (8, 200, 1.5)),  # the last one is cut
    "b.png": ((100, 100, 0.5), (300, 200, 1.0)),
    "c.png": ((200, 160, 0.9),),
}
CLASSES = ("normal", "abnormal", "non-sperm")
ANSWERS = {("a.png", 1): ("normal", "accept")}  # all others are abnormal and referred


def open_finder(folder, root, *, source="given"):
    """The finder of a run whose crops go to `folder`, for fields below `root`; heads have `HEAD_PX` and 4.2 um."""
    (folder / INPUTS_FILE).write_bytes(b"")
    record = {
        "root": str(root),
        "finder": "classical",
        "crop_per_head": CROP_PER_HEAD,
        "inputs_sha256": hashlib.sha256(b"").hexdigest(),
    }
    scale = {"head_length_px": HEAD_PX, "pixel_size_um": UM, "pixel_size_source": source}
    finder = finding.FieldFinder(str(folder), record, **scale)
    finder.setup()
    return finder


def write_run(folder):
    """Writes fields into `folder/fields` and the run into `folder/out`, and returns the latter."""
    root, output = folder / "fields", folder / "out"
    for path in (root, output / "crops", output / "scores"):
        path.mkdir(parents=True)
    finder = open_finder(output, root)
    rows = []
    for index, (name, heads) in enumerate(HEADS.items()):
        (root / name).write_bytes(encode_png(draw_field(heads, size=SIZE, head_px=HEAD_PX)[0]))
        rows.append(finder._find(index, Crop(name, further=("S1" if name != "c.png" else "S2",))))
    finder.teardown()
    found = pa.Table.from_pylist(rows, columns.shard_schema()).to_pylist()
    further = ("slide",)
    tables.write_crops_table(output / "crops.csv", found, further)
    scores = _write_scores(output, found, further)
    cells = tables.join_cells(found, further, scores)
    tables.write_table(cells, output, cells_file.CELLS)
    tables.write_table(tables.list_fields(found, further), output, cells_file.FIELDS)
    write_pictures(output, str(root), found, cells, CLASSES)
    (output / cells_file.RUN_FILE).write_text(json.dumps({"root": str(root), "crop_per_head": CROP_PER_HEAD}))
    return output


def _write_scores(output, found, further):
    passed = (*further, *cells_file.CROP_COLUMNS)
    record = {"model": "lab", "model_digest": "ab" * 32, "package_version": "0.1.0", "root": str(output), "views": 1}
    record |= {"saved_model": "", "started_at": "2026-01-02T03:04:05+00:00", "columns": list(passed)}
    rows = []
    for field in found:
        for cell in field["cells"]:
            if not cell["file"]:
                continue
            label, decision = ANSWERS.get((cell["field"], cell["cell"]), ("abnormal", "refer"))
            rows.append(
                {"file": cell["file"], **dict(zip(further, field["further"], strict=True))}
                | {name: str(cell[name]) for name in cells_file.CROP_COLUMNS}
                | {f"p_{name}": 0.9 if name == label else 0.05 for name in CLASSES}
                | dict.fromkeys(scores_file.QUALITY, 100)
                | {"status": "ok", "predicted_class": label, "prediction_set": label, "decision": decision}
                | {"reason": "confident" if decision == "accept" else "uncertain", "unfamiliarity": 0.3}
                | {"sha256": hashlib.sha256((output / cell["file"]).read_bytes()).hexdigest()}
                | {"model": "lab", "model_digest": "ab" * 32}
            )
    table = pa.Table.from_pylist(rows, scores_file.schema(CLASSES, passed, record))
    pq.write_table(table, output / "scores" / "scores.parquet")
    return scores_file.read(output)
