"""Files found however a table spells their names."""

import unicodedata

import pytest

from sperm_tf.data.name_matching import FolderNames, MissingFiles, NameIndex


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["a.png"], "A.PNG", ["a.png"]),
        (["A.png", "a.png"], "a.png", ["a.png"]),
        (["A.png", "a.PNG"], "a.png", ["A.png", "a.PNG"]),
        (["s\\a.png"], "s/a.png", ["s\\a.png"]),
        (["s/a.png"], "S\\a.png", ["s/a.png"]),
        (["./a.png"], "a.png", ["./a.png"]),
        ([unicodedata.normalize("NFD", "é.png")], "É.png", [unicodedata.normalize("NFD", "é.png")]),
        (["a.png"], "a", ["a.png"]),
        (["a.JPG", "a.png"], "a", ["a.JPG", "a.png"]),
        (["a", "a.png"], "a", ["a"]),
        (["cell 1.5.png"], "cell 1.5", ["cell 1.5.png"]),
        (["a.jpg"], "a.png", []),
        (["a.txt"], "a", []),
    ],
)
def test_the_strictest_way_by_which_a_name_fits_counts(names, wanted, found):
    assert NameIndex(names).find(wanted) == found


@pytest.fixture
def folder(tmp_path):
    for name in ("Slide 1/A.png", "slide 2/a.png", "slide 2/A.PNG", "slide 3\\b.png", "c.bmp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("slide 1/a.png", ["Slide 1/A.png"]),
        ("SLIDE 1/A", ["Slide 1/A.png"]),
        ("slide 2/a.png", ["slide 2/a.png"]),
        ("slide 2/a.Png", ["slide 2/A.PNG", "slide 2/a.png"]),
        ("Slide 3/B.png", ["slide 3\\b.png"]),
        ("slide 1", []),
        ("c.png", []),
    ],
)
def test_files_below_a_folder(folder, wanted, found):
    assert FolderNames(folder).find(wanted) == found


def test_why_a_file_is_missing(folder):
    causes = MissingFiles(folder)
    assert causes.cause("c.png") == "with another suffix there is c.bmp"
    assert causes.cause("slide 9/c.bmp") == "a file of this name is c.bmp"
    assert causes.cause("d.png") == "no file has this name"
    assert causes.cause("x", ["a", "b"]) == "it could be a, b"
