"""What own images are refused or warned of: folders that are no classes, spellings of labels, names of copies."""

import pytest

from pipelines import run
from tfds_builders.own_images import DataDirError, list_images

SPERM = ("amorphous", "normal", "pyriform", "tapered")


def make(folder, *paths):
    """Files with images' names; nothing here decodes them."""
    for name in paths:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def grid(folder, above, below, number=2):
    return make(folder, *(f"{a}/{b}/{index}.png" for a in above for b in below for index in range(number)))


def refused(path):
    with pytest.raises(DataDirError) as caught:
        list_images(path)
    return str(caught.value)


def write_table(folder, rows, header="file,label,group", name="t.csv"):
    path = folder / name
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        (("train_set", "test_set"), "test_set, train_set (test/train)"),
        (("Training Set", "Validation", "TestData"), "TestData, Training Set, Validation (test/train/val)"),
        (("trainset", "valset"), "trainset, valset (train/val)"),
        (("fold1", "fold2", "fold3"), "fold1, fold2, fold3 (fold)"),
        (("fold_a", "fold_b"), "fold_a, fold_b (fold)"),
        (("train", "unlabelled"), "train (train)"),
    ],
)
@pytest.mark.parametrize("classes", [SPERM, ("krumm", "gesund"), ("0", "1")])
def test_splits_with_classes_inside_are_refused(tmp_path, splits, words, classes):
    message = refused(grid(tmp_path, splits, classes))
    assert f"folders are splits: {words}. Join them to one folder per class, or describe" in message
    assert "a table with the columns file, label and group" in message


@pytest.mark.slow
def test_folds_with_splits_inside_are_refused_at_once(tmp_path, capsys):
    folder = make(
        tmp_path / "images",
        *(f"fold{n}/{split}/{name}/a.png" for n in range(1, 6) for split in ("train", "test") for name in SPERM),
    )
    assert "fold1, fold2, fold3, fold4, fold5, test and 1 more (fold/test/train)" in refused(folder)
    assert run.main(["run", "--preset=own", f"--data_dir={folder}", f"--pipeline_root={tmp_path}", "--dry_run"]) == 1
    assert "folders are splits: fold1" in capsys.readouterr().err


def test_splits_inside_classes_are_refused(tmp_path):
    assert "splits: test, train" in refused(grid(tmp_path / "a", SPERM, ("train", "test")))
    make(tmp_path / "b", *(f"{name}/{n}.png" for name in ("normal_train", "normal_test", "bent_train") for n in "12"))
    assert "bent_train, normal_test, normal_train (test/train)" in refused(tmp_path / "b")


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (SPERM, ("p01", "p02", "p03")),
        (("krumm", "gesund"), ("p01", "p02")),
        (("0", "1"), ("patient_17", "patient_23")),
        (("a", "b"), tuple("123456")),
        (SPERM, ("Anna", "Berta", "Carla")),
        (("grade 1", "grade 2"), ("Anna", "Berta")),
        (("split tail", "split head"), ("slide A", "slide B")),
        (("01_Normal", "02_Tapered"), ("2024-05-01", "2024-05-02")),
    ],
)
def test_patients_inside_classes_are_groups(tmp_path, above, below):
    images = list_images(grid(tmp_path, above, below))
    assert images.class_names == tuple(sorted(above))
    assert set(images.origins.values()) == set(below)
    assert not images.warnings


def test_patients_inside_classes_need_not_be_the_same_in_each(tmp_path):
    make(tmp_path, "krumm/Anna/1.png", "krumm/Berta/1.png", "gesund/Berta/2.png", "gesund/Carla/1.png")
    assert list_images(tmp_path).class_names == ("gesund", "krumm")


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (("p01", "p02", "p03"), SPERM),
        (("p01", "p02", "p03"), ("krumm", "gesund")),
        (("17", "23", "31"), ("0", "1")),
        (("Berlin", "Paris"), SPERM),
        (("Berlin", "Paris"), ("gesund", "krumm", "rund")),
        (("site 1", "site 2"), ("class_1", "class_2")),
    ],
)
def test_classes_inside_patients_are_refused_with_the_remedy(tmp_path, above, below):
    message = refused(grid(tmp_path, above, below))
    assert f"folders ({', '.join(sorted(above))}) hold subfolders that look like the classes" in message
    assert "<class>/<patient>/<image>" in message
    assert "a table with the columns file, label and group" in message


def test_classes_inside_patients_who_lack_some_are_refused(tmp_path):
    make(tmp_path / "a", "17/0/a.png", "17/1/a.png", "23/0/a.png", "31/0/a.png")
    assert "(17, 23, 31) hold subfolders" in refused(tmp_path / "a")
    make(tmp_path / "b", "p1/normal/a.png", "p2/tapered/a.png")
    assert "(p1, p2) hold subfolders" in refused(tmp_path / "b")
    make(tmp_path / "d", "patient 1/krumm/a.png", "patient 2/heil/a.png")
    assert "(patient 1, patient 2) hold subfolders" in refused(tmp_path / "d")
    make(tmp_path / "c", *(f"site {s}/p{s}{n}/{name}/a.png" for s in "12" for n in "12" for name in SPERM))
    assert "(site 1, site 2) hold subfolders" in refused(tmp_path / "c")


def test_subclasses_of_one_class_are_no_patients(tmp_path):
    make(tmp_path / "known", "normal/a.png", "abnormal/tapered/a.png", "abnormal/pyriform/a.png")
    message = refused(tmp_path / "known")
    assert f"{tmp_path / 'known' / 'abnormal'}, whose subfolders look like classes: pyriform, tapered" in message
    make(tmp_path / "unknown", "normal/a.png", "anormal/krumm/a.png", "anormal/spitz/a.png")
    (warning,) = list_images(tmp_path / "unknown").warnings
    assert "of 2 classes only anormal has subfolders (krumm, spitz)" in warning


def test_labels_that_differ_in_spelling_stop(tmp_path):
    names = [f"{n}.png" for n in range(8)]
    make(tmp_path, *names)

    def labelled(*labels):
        return write_table(tmp_path, zip(names, labels, strict=False), header="file,label")

    message = refused(labelled("normal", "Normal", "NORMAL", "Normal", "tapered", "Tapered", "round"))
    assert "'NORMAL' (1), 'Normal' (2), 'normal' (1); 'Tapered' (1), 'tapered' (1) (images)" in message
    for variants in (
        ("non-sperm", "non sperm"),
        ("non_sperm", "Non Sperm"),
        ("nonsperm", "non\N{EN DASH}sperm"),
        ("1", "1.0"),
        ("1", "01"),
        ("grade 1", "Grade_01"),
        ("grade \N{FULLWIDTH DIGIT ONE}", "grade 1"),
        ("straße", "STRASSE"),
    ):
        message = refused(labelled(*variants, "other"))
        assert all(f"{name!r} (1)" in message for name in variants)
    for others in (("1", "-1"), ("1", "10"), ("1-12", "11-2"), ("1.5", "15"), ("1.05", "1.5"), ("tete", "tête")):
        assert list_images(labelled(*others)).class_names == tuple(sorted(others))


def test_class_folders_that_differ_in_spelling_stop(tmp_path):
    make(tmp_path, "Normal/a.png", "normal /b.png", "round/c.png")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("the file system knows no case")
    make(tmp_path, "NORMAL/d.png")
    assert "'NORMAL' (1), 'Normal' (1), 'normal' (1)" in refused(tmp_path)


def test_groups_that_differ_in_spelling_warn(tmp_path):
    groups = ["1", "1.0", "01", "P1", "p1", "P01", "P2", "P 10", "2"]
    names = [f"{n}.png" for n in range(len(groups))]
    make(tmp_path, *names)
    rows = [(name, "ab"[index % 2], group) for index, (name, group) in enumerate(zip(names, groups, strict=True))]
    (warning,) = list_images(write_table(tmp_path, rows)).warnings
    assert "'01' (1), '1' (1), '1.0' (1); 'P01' (1), 'P1' (1), 'p1' (1) (images)" in warning
    make(tmp_path / "folder", "a/p01/1.png", "a/p2/1.png", "b/P1/1.png", "b/p3/2.png")
    (warning,) = list_images(tmp_path / "folder").warnings
    assert "'P1' (1), 'p01' (1)" in warning


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "None", "NA", "<NA>", "null", " "])
def test_what_stands_for_a_missing_entry_is_no_label_and_no_group(tmp_path, missing):
    make(tmp_path, "a.png", "b.png", "c.png")
    message = refused(write_table(tmp_path, [("a.png", "n"), ("b.png", missing), ("c.png", missing)], "file,label"))
    assert "label must not be empty" in message
    assert "lines 3, 4 without one" in message
    rows = [("a.png", "n", "p1"), ("b.png", "n", missing), ("c.png", "t", "p2")]
    message = refused(write_table(tmp_path, rows))
    assert "group must not be empty" in message
    assert "line 3 without one" in message
    if missing.strip(" <>"):
        assert "label must not be empty" in refused(make(tmp_path / "f", f"{missing}/a.png", "normal/b.png"))
        assert "group must not be empty" in refused(make(tmp_path / "g", f"a/{missing}/a.png", "b/c.png"))


def test_a_column_that_could_be_the_group_is_pointed_out(tmp_path):
    make(tmp_path, "a.png", "b.png")
    rows = [("a.png", "n", "7"), ("b.png", "t", "8")]
    (warning,) = list_images(write_table(tmp_path, rows, "file,label,patient_id")).warnings
    assert "a column patient_id, which is not used" in warning
    assert not list_images(write_table(tmp_path, rows, "file,label,group")).warnings
    assert not list_images(write_table(tmp_path, rows, "file,label,comment")).warnings


def test_a_table_finds_files_in_another_spelling_or_says_why_not(tmp_path):
    make(tmp_path, "Slide 1/C0.PNG", "c1.png", "c2.bmp", "d.jpg", "D.png", "other/e.png")
    rows = [("slide 1\\c0.png", "n"), ("c1", "t")]
    assert [file.member for file in list_images(write_table(tmp_path, rows, "filename,label")).files] == [
        "Slide 1/C0.PNG",
        "c1.png",
    ]
    message = refused(
        write_table(tmp_path, [("c2.png", "n"), ("d", "t"), ("e.png", "t"), ("f.png", "t")], "file,label")
    )
    assert "'c2.png' (line 2): with another suffix there is c2.bmp" in message
    assert "'d' (line 3): it could be" in message
    assert "'e.png' (line 4): a file of this name is other/e.png" in message
    assert "'f.png' (line 5): no file has this name" in message
    message = refused(write_table(tmp_path, [("c1", "n"), ("C1.PNG", "t")], "file,label"))
    assert "'c1.png' in lines 2 and 3" in message


def test_what_was_ignored_is_counted_where_too_little_is_found(tmp_path):
    make(tmp_path / "flat", *(f"{n}.webp" for n in range(12)))
    assert "12 .webp files were ignored: convert .webp to PNG" in refused(tmp_path / "flat")
    make(tmp_path / "one", *(f"normal/{n}.webp" for n in range(3)), "normal/notes.txt", "round/a.png")
    assert "normal with none. 3 .webp files, 1 .txt file were ignored: convert" in refused(tmp_path / "one")
    grid(tmp_path / "deep", ("images",), SPERM)
    assert "The classes may be the folders in images (amorphous, normal" in refused(tmp_path / "deep")


def test_every_suffix_of_jpeg_is_read(tmp_path):
    make(tmp_path, "a/1.jfif", "a/2.JPE", "b/3.jpg", "b/4.jpeg")
    assert len(list_images(tmp_path).files) == 4


@pytest.mark.parametrize(
    "name",
    [
        "c1_aug_2.png",
        "image_005_aug_rotate_small.png",
        "c1-hflip.png",
        "c1 FLIPPED.png",
        "c1_rot90.png",
        "c1_jpg.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9.jpg",
        "augmented/c1.png",
        "mirrored_c1.png",
    ],
)
def test_names_of_augmented_copies_warn(tmp_path, name):
    make(tmp_path, f"normal/{name}", "normal/c2.png", "round/c3.png")
    warning = list_images(tmp_path).warnings[-1]
    assert f"1 of 3 files have names of augmented copies, such as normal/{name}" in warning
    assert "remove the copies" in warning


@pytest.mark.parametrize(
    "name", ["03-Aug-2021_c1.png", "2021_aug_03 c1.png", "03aug2021.png", "carrot.png", "rotor.png"]
)
def test_other_names_do_not(tmp_path, name):
    assert not list_images(make(tmp_path, f"flip side/{name}", "round/c3.png")).warnings


def test_warnings_are_printed_by_a_dry_run(tmp_path, capsys):
    make(tmp_path / "images", *(f"{name}/c{n}_aug_1.png" for name in SPERM for n in range(5)))
    arguments = ["run", "--preset=own", f"--data_dir={tmp_path / 'images'}", f"--pipeline_root={tmp_path}", "--dry_run"]
    assert run.main(arguments) == 0
    assert "Warning: 20 of 20 files have names of augmented copies" in capsys.readouterr().out
