"""Tables of image files as spreadsheets, pandas and people write them."""

import codecs

import pandas as pd
import pytest

from sperm_tf.data.image_files import DataDirError
from sperm_tf.data.tables import read_table

ROWS = [("a.png", "A"), ("b.png", "B")]


@pytest.fixture
def read(tmp_path):
    def read(content, **columns):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **columns)

    return read


def _entries(table):
    assert table.columns == ("slide",)
    return [(row.file, *row.cells) for row in table.rows]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(read, separator, end):
    lines = [separator.join(cells) for cells in [("file", "slide"), *ROWS]]
    assert _entries(read(end.join(lines) + end)) == ROWS


@pytest.mark.parametrize("named", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
def test_the_line_by_which_excel_names_the_separator(read, named):
    table = read(f"{named}\r\nfile;slide\r\na.png;A\r\n\r\nb.png;B\r\n")
    assert _entries(table) == ROWS
    assert [row.line for row in table.rows] == [3, 5], "lines are counted as an editor shows them"


def test_a_separator_that_only_its_line_tells(read):
    assert _entries(read("sep=|\nfile|slide\na.png|A\nb.png|B\n")) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_announce_themselves(read, encoding):
    table = read("file\tslide\ntête.png\tÄ\n".encode(encoding))
    assert _entries(table) == [("tête.png", "Ä")]


def test_utf_16_of_either_byte_order(read):
    assert _entries(read(codecs.BOM_UTF16_BE + "file,slide\na.png,A\n".encode("utf-16-be"))) == ROWS[:1]


def test_another_encoding_is_refused_with_its_line(read):
    with pytest.raises(DataDirError, match=r"UTF-8.*line 3"):
        read("file,slide\na.png,A\ntête.png,B\n".encode("cp1252"))


def test_the_row_numbers_of_pandas_are_no_column(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["file", "slide"])
    for chosen in (frame, frame[::-1]):
        chosen.to_csv(tmp_path / "t.csv")
        assert _entries(read_table(tmp_path / "t.csv")) == list(chosen.itertuples(index=False, name=None))


def test_columns_without_name_and_entry_are_left_out(read):
    assert _entries(read("file;slide;;\na.png;A;;\nb.png;B\n")) == ROWS
    assert _entries(read("file;;slide\na.png;;A\nb.png;;B\n")) == ROWS


def test_a_column_without_a_name_and_with_entries_is_kept(read):
    table = read("file,slide,\na.png,A,x\n")
    assert table.columns == ("slide", "")
    assert read(",file\nx,a.png\ny,b.png\n").columns == ("",), "no row numbers"
    assert read(",file\n1,a.png\n1,b.png\n").columns == ("",), "no row numbers either"


@pytest.mark.parametrize(
    "name", ["file", "File", "FILE", "filename", "File name", "file_name", "image", "Image_Path", "path", "img"]
)
def test_names_of_the_column_of_files(read, name):
    assert _entries(read(f"{name},slide\na.png,A\nb.png,B\n")) == ROWS


def test_a_column_called_file_leaves_no_doubt(read):
    table = read("path,file\nx,a.png\n")
    assert table.columns == ("path",)
    assert table.rows[0].file == "a.png"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image,path,label", "it could be image, path"),
        ("file,class", "Rename the column 'class' to label"),
        ("file,Labels", "Rename the column 'Labels' to label"),
        ("files,label", "Rename the column 'files' to file"),
        ("file,label,label", "Leave one column label"),
        ("file,label,Group,group", "Leave one column group"),
        ("a.png,normal", "Put a line with the columns' names before the first row"),
        ("x,y", "Name the column label in its first line; Name the column file"),
        ("file,label,groups", "the column 'groups', which is nearly that"),
        ("file,label,Group ID", "the column 'Group ID', which is nearly that"),
        ("file,label,grp", "the column 'grp', which is nearly that"),
    ],
)
def test_a_column_that_is_missing_is_looked_for_under_like_names(read, header, message):
    with pytest.raises(DataDirError) as caught:
        read(f"{header}\n", required=("label",), optional=("group",))
    assert message in str(caught.value)


@pytest.mark.parametrize("further", ["crop", "comment", "patient", "replicate", "background", "round"])
def test_other_columns_are_nobodys_near_miss(read, further):
    table = read(f"file,label,{further}\na.png,n,x\n", required=("label",), optional=("group",))
    assert table.columns == ("label", further)
    assert table.find("group") is None
