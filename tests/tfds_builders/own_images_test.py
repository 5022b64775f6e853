"""`own_images`: TFDS's own test, folders and tables of every kind, and what is refused."""

import csv
import json
import os
import pathlib
import shutil
import tempfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import tfds_builders
from sperm_tf.data.decode import decode_rgb
from sperm_tf.data.folds import FoldError
from tests.tfds_builders.builder_case import check_builder
from tests.tfds_builders.make_dummy_data import draw, encode
from tfds_builders.own_images import DataDirError, config, list_images, own_images_dataset_builder

CLASSES = ("amorphous", "normal", "tête effilée")
PER_CLASS = 10


def write(path, seed, image_format="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(draw(seed), image_format))
    return path


def fill(folder, classes=CLASSES, per_class=PER_CLASS):
    """A folder of class folders, every image another."""
    for number, name in enumerate(classes):
        for index in range(per_class):
            write(folder / name / f"cell {index:02d}.png", 2000 + 100 * number + index)
    return folder


def write_table(path, rows, header=("file", "label", "group"), delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def table_rows(folder, group=lambda file: file.stem):
    """Rows of a table of all images of a folder of class folders."""
    files = sorted(folder.rglob("*.png"))
    return [(file.relative_to(folder).as_posix(), file.parent.name, group(file)) for file in files]


def prepare(data_dir, tfds_dir, **options):
    builder = tfds.builder("own_images", config=config(data_dir, **options), data_dir=tfds_dir)
    builder.download_and_prepare()
    return builder


def read(builder):
    """image_id -> example, with its fold."""
    splits = tfds.as_numpy(builder.as_dataset())
    return {row["image_id"].decode(): {**row, "fold": fold} for fold, rows in splits.items() for row in rows}


def side_rows(builder, name):
    with (builder.data_path / name).open() as file:
        return list(csv.DictReader(file))


def refused(data_dir):
    with pytest.raises(DataDirError) as caught:
        list_images(data_dir)
    return str(caught.value)


@pytest.mark.slow
def test_the_builder():
    class OwnImagesTest(tfds.testing.DatasetBuilderTestCase):
        DATASET_CLASS = own_images_dataset_builder.Builder
        SPLITS = {f"fold_{fold}": 6 for fold in range(5)}  # noqa: RUF012
        EXAMPLE_DIR = str(pathlib.Path(own_images_dataset_builder.__file__).parent)  # its images are drawn below

        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            folder = tempfile.TemporaryDirectory()
            cls.addClassCleanup(folder.cleanup)
            cls.BUILDER_CONFIG_NAMES_TO_TEST = [config(fill(pathlib.Path(folder.name)))]

        def _make_builder(self, config=None):
            return super()._make_builder(config or self.BUILDER_CONFIG_NAMES_TO_TEST[0])  # there is none without files

    check_builder(OwnImagesTest)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("folder"))


@pytest.fixture(scope="module")
def from_folder(folder, tmp_path_factory):
    return prepare(folder, tmp_path_factory.mktemp("tfds"))


def test_a_folder_of_class_folders(folder, from_folder):
    assert from_folder.info.features["label"].names == list(CLASSES)
    rows = read(from_folder)
    assert set(rows) == {f"{name}/cell {index:02d}.png" for name in CLASSES for index in range(PER_CLASS)}
    for image_id, row in rows.items():
        assert CLASSES[row["label"]] == image_id.split("/")[0]
        np.testing.assert_array_equal(row["image"], np.asarray(Image.open(folder / image_id)))
    counts = {(row["fold"], row["label"]) for row in rows.values()}
    assert len(counts) == 5 * len(CLASSES)
    assert json.loads((from_folder.data_path / "source.json").read_text()) == {
        "num_source_images": 30,
        "num_undecodable": 0,
        "num_origins": 0,
        "ignored_files": {},
    }


@pytest.mark.slow
def test_a_table_of_the_same_images_is_the_same_dataset(folder, from_folder, tmp_path):
    table = write_table(folder / "labels.csv", [row[:2] for row in table_rows(folder)], header=("file", "label"))
    try:
        rows = read(prepare(table, tmp_path))
    finally:
        table.unlink()
    expected = read(from_folder)
    assert {name: (row["fold"], row["label"], row["group_id"]) for name, row in rows.items()} == {
        name: (row["fold"], row["label"], row["group_id"]) for name, row in expected.items()
    }


def test_a_patient_stands_in_one_fold_with_the_near_duplicates_of_all_their_images(tmp_path):
    folder = fill(tmp_path / "images", ("a", "b"), 16)
    patients = {file: f"P{int(file.stem[-2:]) % 8}" for file in folder.rglob("*.png")}
    copy = folder / "b" / "cell 15 again.png"  # of P7, pixel for pixel P0's
    shutil.copy(folder / "b" / "cell 00.png", copy)
    patients[copy] = "P7"
    table = write_table(folder / "labels.csv", table_rows(folder, patients.__getitem__))
    builder = prepare(table, tmp_path / "tfds", clean=False)
    rows = read(builder)
    assert len(rows) == 33
    joined = {name: "P0" if name == "P7" else name for name in patients.values()}
    seen = {}
    for name, row in rows.items():
        seen.setdefault(joined[patients[folder / name]], set()).add((row["fold"], row["group_id"]))
    assert all(len(found) == 1 for found in seen.values()), seen
    assert len({group for found in seen.values() for _, group in found}) == 7, "P0 and P7 share an image"
    assert json.loads((builder.data_path / "source.json").read_text())["num_origins"] == 8
    stored = b"".join(path.read_bytes() for path in builder.data_path.iterdir())
    assert b"P3" not in stored, "groups may name patients and are not stored"


def test_subfolders_of_a_class_are_groups_across_classes(tmp_path):
    for number, name in enumerate(("a", "b")):
        for index in range(12):
            write(tmp_path / name / f"p{index % 6}" / f"{index}.png", 100 * number + index)
    write(tmp_path / "a" / "loose.png", 999)
    write(tmp_path / "a" / "p1" / "slide_1" / "deep.png", 1000)
    write(tmp_path / "b" / "p1" / "slide_2" / "deep.png", 1001)
    images = list_images(tmp_path)
    assert images.class_names == ("a", "b")
    assert len(images.files) == 27
    assert images.origins["a/p1/slide_1/deep.png"] == images.origins["b/p1/slide_2/deep.png"] == "p1"
    assert images.origins["a/p1/1.png"] == images.origins["b/p1/7.png"] == "p1"
    assert "a/loose.png" not in images.origins


@pytest.mark.slow
def test_defects_are_left_out_and_listed(tmp_path):
    folder = fill(tmp_path / "images")
    (folder / "normal" / "broken.png").write_bytes(b"no image")
    (folder / "normal" / "empty.jpg").write_bytes(b"")
    (folder / "normal" / "nowhere.png").symlink_to(tmp_path / "missing.png")
    shutil.copy(folder / "normal" / "cell 00.png", folder / "normal" / "copy.png")
    shutil.copy(folder / "normal" / "cell 01.png", folder / "amorphous" / "conflict.png")
    clean = prepare(folder, tmp_path / "tfds")
    assert {(row["image_id"], row["reason"]) for row in side_rows(clean, "excluded.csv")} == {
        ("normal/broken.png", "undecodable"),
        ("normal/empty.jpg", "undecodable"),
        ("normal/nowhere.png", "undecodable"),
        ("normal/copy.png", "duplicate"),
        ("normal/cell 01.png", "conflicting_labels"),
        ("amorphous/conflict.png", "conflicting_labels"),
    }
    assert json.loads((clean.data_path / "source.json").read_text())["num_undecodable"] == 3
    assert len(read(clean)) == 29
    assert len(read(prepare(folder, tmp_path / "tfds", clean=False))) == 32


def test_what_is_no_image_is_ignored_and_counted(tmp_path, caplog):
    folder = fill(tmp_path / "images")
    for name in ("Thumbs.db", ".DS_Store", "scan.webp", "scan 2.WEBP", "LIESMICH"):
        (folder / "normal" / name).write_bytes(b"x")
    (folder / ".cache").mkdir()
    (folder / "@eaDir").mkdir()
    (folder / "notes.txt").write_text("x")
    os.mkfifo(folder / "normal" / "pipe.png")
    write(folder / "normal" / "JPEG_rot90.JPG", 7, "JPEG")
    builder = prepare(folder, tmp_path / "tfds")
    expected = {".png": 1, ".webp": 2, "hidden": 2, "no suffix": 1, "outside the class folders": 1}
    assert json.loads((builder.data_path / "source.json").read_text())["ignored_files"] == expected
    assert len(read(builder)) == 31
    assert "7 files are not read (.png: 1, .webp: 2, hidden: 2" in caplog.text
    assert "1 of 31 files have names of augmented copies, such as normal/JPEG_rot90.JPG" in caplog.text


def test_links_are_followed_and_circles_are_left(tmp_path):
    real = fill(tmp_path / "real")
    folder = tmp_path / "linked"
    (folder / "normal").mkdir(parents=True)
    (folder / "amorphous").symlink_to(real / "amorphous")
    for file in (real / "normal").iterdir():
        (folder / "normal" / file.name).symlink_to(file)
    (folder / "normal" / "circle").symlink_to(folder / "normal")
    (tmp_path / "data").symlink_to(folder)
    assert len(list_images(tmp_path / "data").files) == 20


def test_names_with_accents_are_found_in_either_form(tmp_path):
    decomposed, composed = "te\u0302te", "t\u00eate"
    for number, name in enumerate((decomposed, "normal")):
        write(tmp_path / name / f"{name}.png", number)
    assert list_images(tmp_path).class_names == ("normal", composed)
    rows = [(f"{composed}/{composed}.png", composed), ("normal/normal.png", "normal")]
    images = list_images(write_table(tmp_path / "t.csv", rows, header=("file", "label")))
    assert [file.image_id for file in images.files] == ["normal/normal.png", f"{decomposed}/{decomposed}.png"]
    for file in images.files:
        with images.reader() as get:
            decode_rgb(get(file.member))


@pytest.mark.parametrize(
    ("delimiter", "encoding", "suffix"), [(";", "utf-8-sig", ".csv"), ("\t", "utf-8", ".tsv"), (",", "utf-8", ".CSV")]
)
def test_tables_as_spreadsheets_write_them(folder, tmp_path, delimiter, encoding, suffix):
    (tmp_path / "images").symlink_to(folder)
    rows = [
        (f"images\\{file}".replace("/", "\\"), f" {label} ", "ignored", "p, 1") for file, label, _ in table_rows(folder)
    ]
    header = ("File", "Label ", "comment", "GROUP")
    table = write_table(tmp_path / f"t{suffix}", [*rows, ("", "", "", "")], header, delimiter, encoding)
    images = list_images(table)
    assert images.class_names == CLASSES
    assert images.files[0].member == "images/amorphous/cell 00.png"
    assert set(images.origins.values()) == {"p, 1"}


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([("a/0.png", "")], ["label must not be empty", "line 2"]),
        ([("a/0.png",)], ["label must not be empty", "line 2"]),
        ([("", "a")], ["path of an image", "line 2"]),
        ([("a/0.png", "a"), ("a/none.png", "a"), ("b", "a")], ["2 that do not", "'a/none.png' (line 3)", "(line 4)"]),
        ([("a/0.png", "a"), ("a/./0.png", "b")], ["every file once", "lines 2 and 3"]),
        ([("../secret.png", "a")], ["below the table's folder", "line 2"]),
        ([("a/../../secret.png", "a")], ["below the table's folder", "line 2"]),
        ([("/etc/hostname", "a")], ["below the table's folder", "line 2"]),
        ([("C:\\a\\0.png", "a")], ["below the table's folder", "line 2"]),
        ([("a/0.png", "a", "b")], ["as many entries as the first line, 2", "line 2"]),
        ([("a/0.png", "a|b")], ["label must be", "line 2"]),
        ([("a/0\0.png", "a")], []),
        ([("a/0.png", "a"), ("a/1.png", "a")], ["at least two classes", "2 images, classes: a"]),
        ([], ["at least two classes"]),
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path, rows, parts):
    for index in range(2):
        write(tmp_path / "data" / "a" / f"{index}.png", index)
    write(tmp_path / "secret.png", 5)
    message = refused(write_table(tmp_path / "data" / "t.csv", rows, header=("file", "label")))
    for part in parts:
        assert part in message


def test_more_wrong_tables(tmp_path):
    write(tmp_path / "a.png", 1)
    for header in (("picture", "label"), ("file", "class"), ("file", "label", "label"), ()):
        assert "columns file and label" in refused(write_table(tmp_path / "t.csv", [("a.png", "a")], header=header))
    assert "(none)" in refused(write_table(tmp_path / "t.csv", [], header=()))
    message = refused(write_table(tmp_path / "t.csv", [("a.png", "a", "")]))
    assert "group must not be empty" in message
    assert "line 2" in message
    (tmp_path / "t.csv").write_bytes("file,label\na.png,tête\n".encode("latin-1"))
    assert "UTF-8" in refused(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text('file,label\na.png,"a\n')
    assert "Mend its quotes" in refused(tmp_path / "t.csv")
    many = [(f"{index}.png", "a", "g") for index in range(9)]
    assert "9 that do not" in refused(write_table(tmp_path / "t.csv", many))
    assert "and 4 more" in refused(write_table(tmp_path / "t.csv", many))


def test_wrong_folders(tmp_path):
    assert "does not exist" in refused(tmp_path / "nowhere")
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04")
    assert "unpack an archive" in refused(tmp_path / "data.zip")
    assert "classes: none" in refused(tmp_path)
    fill(tmp_path / "one", ("normal",))
    assert "classes: normal" in refused(tmp_path / "one")
    (tmp_path / "one" / "scans").mkdir()
    (tmp_path / "one" / "scans" / "0.webp").write_bytes(b"II*\0")
    message = refused(tmp_path / "one")
    assert f"{tmp_path / 'one' / 'scans'} with none. 1 .webp file was ignored: convert .webp to PNG" in message
    fill(tmp_path / "split" / "train")
    fill(tmp_path / "split" / "Test")
    assert "Test, train" in refused(tmp_path / "split")
    fill(tmp_path / "split" / "unlabelled")
    assert "splits: Test, train (test/train). Join" in refused(tmp_path / "split")


def test_a_file_name_that_is_no_text_is_named(tmp_path):
    fill(tmp_path)
    try:
        pathlib.Path(os.fsdecode(os.fsencode(tmp_path / "normal") + b"/\xff.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("the file system refuses such names")
    assert r"\xff.png" in refused(tmp_path)


def test_too_few_groups_of_a_class_are_named_with_the_remedy(tmp_path):
    folder = fill(tmp_path / "images", ("a", "b"))
    table = write_table(folder / "t.csv", table_rows(folder, lambda file: f"P{int(file.stem[-2:]) % 4}"))
    with pytest.raises(FoldError, match=r"4 groups of class a.*patients or slides"):
        prepare(table, tmp_path / "tfds")


def test_near_duplicates_that_cost_a_group_are_named(tmp_path):
    folder = fill(tmp_path / "images", ("a", "b"))
    names = sorted(file.name for file in (folder / "a").iterdir())
    (folder / "a" / names[1]).write_bytes((folder / "a" / names[0]).read_bytes())
    table = write_table(folder / "t.csv", table_rows(folder, lambda file: f"P{int(file.stem[-2:]) % 5}"))
    message = (
        rf"4 groups of class a.*1 pair of near duplicates is kept together.*the first: a/{names[0]} and a/{names[1]}"
    )
    with pytest.raises(FoldError, match=message):
        prepare(table, tmp_path / "tfds")


def test_a_change_of_the_files_is_another_dataset(tmp_path):
    folder = fill(tmp_path / "images")
    table = write_table(folder / "t.csv", table_rows(folder))
    seen = {config(folder).name, config(table).name, config(folder, clean=False).name}
    assert len(seen) == 3
    file = folder / "normal" / "cell 00.png"
    os.utime(file, ns=(0, 0))
    seen |= {config(folder).name, config(table).name}
    assert len(seen) == 5
    rows = table_rows(folder)
    write_table(table, [(rows[0][0], "normal", rows[0][2]), *rows[1:]])
    seen.add(config(table).name)
    write_table(table, [(*rows[0][:2], "other"), *rows[1:]])
    seen.add(config(table).name)
    assert len(seen) == 7
    before = config(table).name
    os.utime(table, ns=(0, 0))
    assert config(table).name == before, "what counts is what the table says"


def test_without_a_config_it_says_how_to_give_one(tmp_path):
    with pytest.raises(ValueError, match=r"own_images\.config\(data_dir\)"):
        tfds_builders.own_images.Builder(data_dir=tmp_path)
