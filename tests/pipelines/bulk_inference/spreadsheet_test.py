"""The copy for spreadsheets, read by openpyxl."""

import math
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.bulk_inference import spreadsheet

openpyxl = pytest.importorskip("openpyxl")
TEXTS = [
    "=1+1", "+1", "-2", "@SUM(A1)", "\t=1", '=HYPERLINK("http://127.0.0.1")', "{=A1}", "http://127.0.0.1", "1e5", "007",
    "", " blank before", "é 😀", "a|b",
]  # fmt: skip
RUNS = ("=", "+", "-", "@", "\t")


def _write(folder, table, name="scores"):
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=5)
    return spreadsheet.write(folder / f"{name}.parquet"), openpyxl.load_workbook(folder / f"{name}.xlsx")


def test_text_stays_text_and_numbers_are_numbers(tmp_path):
    real = np.linspace(0.1, 1, len(TEXTS), dtype=np.float32)
    whole = [None, *range(len(TEXTS) - 1)]
    columns = {"=file": TEXTS, "p": pa.array(real), "width": pa.array(whole, pa.int32())}
    note, book = _write(tmp_path, pa.table(columns))
    assert note == "" and book.sheetnames == ["scores"]
    header, *rows = book["scores"].iter_rows()
    assert [cell.value for cell in header] == list(columns)
    assert [row[0].value or "" for row in rows] == TEXTS
    assert {cell.data_type for row in [header, *rows] for cell in row} == {"s", "n"}, "no formula"
    assert all(row[0].data_type == "s" and row[0].hyperlink is None for row in rows)
    assert [row[0].quotePrefix for row in rows] == [text.startswith(RUNS) for text in TEXTS], "as text when edited, too"
    assert [row[1].value for row in rows] == [float(str(value)) for value in real], "the decimals of the CSV"
    assert [row[2].value for row in rows] == whole
    with zipfile.ZipFile(tmp_path / "scores.xlsx") as file:
        assert b"<f>" not in file.read("xl/worksheets/sheet1.xml")
    assert {path.name for path in tmp_path.iterdir()} == {"scores.parquet", "scores.xlsx"}


def test_values_that_no_cell_holds_are_text(tmp_path):
    reals = pa.array([math.nan, math.inf, None], pa.float32())
    _, book = _write(tmp_path, pa.table({"file": ["x" * 40_000, "b", "c"], "cnr": reals}))
    _, *rows = book["scores"].iter_rows(values_only=True)
    assert [row[1] for row in rows] == ["nan", "inf", None]
    assert len(rows[0][0]) == 32_767 and rows[0][0].endswith("x…")


def test_more_rows_than_a_worksheet_takes_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 8)
    for num_rows in (7, 8):
        note, book = _write(tmp_path, pa.table({"file": [f"{at}.png" for at in range(num_rows)]}), f"of_{num_rows}")
        rows = list(book.worksheets[0].iter_rows(min_row=2, values_only=True))
        assert rows == [(f"{at}.png",) for at in range(7)]
        assert bool(note) is (num_rows == 8)
    assert book.sheetnames == ["first rows only", "note"] and book["note"]["A1"].value == note
    assert note.startswith("of_8.xlsx holds the first 7 of 8 rows") and "of_8.csv" in note
