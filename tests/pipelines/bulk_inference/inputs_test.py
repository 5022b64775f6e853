import errno
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import unicodedata
import zipfile

import pytest

from pipelines.bulk_inference import reader as crop_reader
from pipelines.bulk_inference.inputs import Crop, list_crops
from pipelines.bulk_inference.reader import CropReader
from sperm_tf.data.image_files import DataDirError
from tests import image_files

CONTENT = {name: image_files.encode(image_files.random_pixels(seed=seed), "PNG") for seed, name in enumerate("abc")}


def _write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "crops"
    (root / "slide 2").mkdir(parents=True)
    (root / "b.PNG").write_bytes(CONTENT["b"])
    (root / "slide 2" / "a!1.bmp").write_bytes(CONTENT["a"])
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(CONTENT["c"])
    _write_tar(root / "s.tar", {"x/a.png": CONTENT["a"], "b.png": CONTENT["b"], "._b.png": b"", "notes.txt": b"n"})
    with zipfile.ZipFile(root / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("c.png", CONTENT["c"])
    return root


def _read_all(crops):
    reader = CropReader(crops.root)
    contents = {crop.file: reader.read(crop) for crop in crops.crops}
    by_name_alone = {crop.file: CropReader(crops.root).read(Crop(crop.file)) for crop in crops.crops}
    assert by_name_alone == contents, "a report knows the address and nothing else"
    reader.close()
    return contents


def test_a_folder_gives_the_images_below_it(folder):
    assert _read_all(list_crops(str(folder))) == {"b.PNG": CONTENT["b"], "slide 2/a!1.bmp": CONTENT["a"]}


def test_archives_are_read_in_place(folder):
    assert _read_all(list_crops(str(folder / "s.tar"))) == {"s.tar!b.png": CONTENT["b"], "s.tar!x/a.png": CONTENT["a"]}
    assert _read_all(list_crops(str(folder / "s.zip"))) == {"s.zip!c.png": CONTENT["c"]}


def test_a_hard_link_in_a_tar_is_what_it_leads_to(folder):
    with tarfile.open(folder / "s.tar", "a") as archive:
        info = tarfile.TarInfo("linked.png")
        info.type, info.linkname = tarfile.LNKTYPE, "b.png"
        archive.addfile(info)
    assert _read_all(list_crops(str(folder / "s.tar")))["s.tar!linked.png"] == CONTENT["b"]


@pytest.mark.skipif(not shutil.which("tar"), reason="needs tar")
def test_a_sparse_member_is_not_read_as_other_bytes(tmp_path):
    with (tmp_path / "holes.png").open("wb") as file:
        file.write(CONTENT["a"])
        file.truncate(1_000_000)
    (tmp_path / "last.png").write_bytes(CONTENT["b"])
    subprocess.run(["tar", "-C", tmp_path, "-Scf", tmp_path / "s.tar", "holes.png", "last.png"], check=True)
    found = _read_all(list_crops(str(tmp_path / "s.tar")))
    assert found == {"s.tar!holes.png": None, "s.tar!last.png": CONTENT["b"]}


def test_an_exclamation_mark_in_a_folder_hides_no_archive(folder):
    (folder / "p!1").mkdir()
    shutil.copy(folder / "s.zip", folder / "p!1")
    shutil.copy(folder / "s.tar", folder / "p!1")
    found = _read_all(list_crops(str(folder / "p!1" / "*")))
    assert list(found.values()) == [CONTENT["b"], CONTENT["a"], CONTENT["c"]]
    found = _read_all(list_crops(str(folder / "p*" / "*")))
    assert found["p!1/s.zip!c.png"] == CONTENT["c"] and found["p!1/s.tar!b.png"] == CONTENT["b"]


def test_a_table_names_members_of_a_tar_of_the_folder_itself(folder):
    _write_tar(folder / "h.tar", {"./a.png": CONTENT["a"]})
    for row in ("h.tar!a.png", "h.tar!./a.png"):
        (folder / "t.csv").write_text(f"file\n{row}\n")
        assert _read_all(list_crops(str(folder / "t.csv"))) == {"h.tar!./a.png": CONTENT["a"]}
    (folder / "t.csv").write_text("file\nh.tar!a.png\nh.tar!./a.png\n")
    with pytest.raises(DataDirError, match=r"list every file once.*line 2.*line 3"):
        list_crops(str(folder / "t.csv"))


def test_a_name_that_is_too_long_for_the_disk_is_one_unreadable_file(folder):
    long = "x" * 250 + ".png"
    _write_tar(folder / "s.tar", {long: CONTENT["a"], "b.png": CONTENT["b"]})
    assert _read_all(list_crops(str(folder / "s.tar"))) == {f"s.tar!{long}": CONTENT["a"], "s.tar!b.png": CONTENT["b"]}
    (folder / "t.csv").write_text(f"file\n{long}{long}\nb.PNG\n")
    assert _read_all(list_crops(str(folder / "t.csv"))) == {f"{long}{long}": None, "b.PNG": CONTENT["b"]}


def test_a_file_larger_than_any_image_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(crop_reader, "MAX_BYTES", len(CONTENT["a"]) - 1)
    big = {name for name, content in CONTENT.items() if len(content) >= len(CONTENT["a"])}
    for source in ("s.tar", "s.zip"):
        for address, content in _read_all(list_crops(str(folder / source))).items():
            assert (content is None) == (address[-5] in big)
    assert CropReader(folder).read(Crop("slide 2/a!1.bmp")) is None


def test_suffixes_that_are_no_text_are_counted_in_what_a_terminal_prints(folder):
    (folder / os.fsdecode(b"notes.caf\xe9")).write_bytes(b"")
    assert list_crops(str(folder)).ignored["\\xe9".join([".caf", ""])] == 1


def test_a_pattern_matches_images_folders_and_archives(folder):
    everything = _read_all(list_crops(str(folder / "*")))
    assert list(everything) == ["b.PNG", "s.tar!b.png", "s.tar!x/a.png", "s.zip!c.png", "slide 2/a!1.bmp"]
    assert list(_read_all(list_crops(str(folder / "**" / "*.bmp")))) == ["slide 2/a!1.bmp"]


def test_what_is_hidden_is_left_out_of_folders_and_patterns_alike(folder):
    for name in ("@eaDir/b.PNG/thumb.png", ".thumbnails/b.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(CONTENT["c"])
    assert len(list_crops(str(folder)).crops) == 2
    assert list(_read_all(list_crops(str(folder / "**" / "*.[pP][nN][gG]")))) == ["b.PNG"]


def test_pictures_beside_the_scores_of_an_earlier_run_are_no_crops(folder):
    (folder / "scores" / "overlays").mkdir(parents=True)
    for name in ("run.json", "inputs.parquet", "overlays/b.png"):
        (folder / "scores" / name).write_bytes(CONTENT["b"])
    assert len(list_crops(str(folder)).crops) == 2
    assert [crop.file for crop in list_crops(str(folder / "**" / "*.[pP]*")).crops] == ["b.PNG"]


def test_files_that_are_not_named_as_images_are_counted(folder):
    (folder / "a.webp").write_bytes(b"x")
    assert list_crops(str(folder)).ignored == {".tar": 1, ".webp": 1, ".txt": 1, ".zip": 1, "hidden": 1}


def test_what_patterns_and_archives_leave_out_is_counted_too(folder):
    assert list_crops(str(folder / "*")).ignored == {".txt": 2, "hidden": 1}
    assert list_crops(str(folder / "**")).ignored[".txt"] == list_crops(str(folder)).ignored[".txt"] == 1
    with zipfile.ZipFile(folder / "s.zip", "a") as archive:
        archive.writestr("half/d.webp", b"tiff")
        archive.writestr("README", b"")
    assert list_crops(str(folder / "s.zip")).ignored == {".webp": 1, "no suffix": 1}
    assert list_crops(str(folder / "s.tar")).ignored == {"hidden": 1, ".txt": 1}


def test_a_name_that_comes_again_in_an_archive_stands_for_its_last_content(folder):
    with tarfile.open(folder / "s.tar", "a") as archive:
        info = tarfile.TarInfo("b.png")
        info.size = len(CONTENT["c"])
        archive.addfile(info, io.BytesIO(CONTENT["c"]))
    assert _read_all(list_crops(str(folder / "s.tar")))["s.tar!b.png"] == CONTENT["c"]
    with zipfile.ZipFile(folder / "s.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("c.png", CONTENT["a"])
    assert _read_all(list_crops(str(folder / "s.zip"))) == {"s.zip!c.png": CONTENT["a"]}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_names_members_of_archives_however_their_accents_are_written(folder, form):
    name = unicodedata.normalize(form, "célula.png")
    _write_tar(folder / "accents.tar", {name: CONTENT["a"]})
    with zipfile.ZipFile(folder / "accents.zip", "w") as archive:
        archive.writestr(name, CONTENT["b"])
    table = folder / "t.csv"
    table.write_text("file\naccents.tar!célula.png\naccents.zip!célula.png\n", encoding="utf-8")
    assert list(_read_all(list_crops(str(table))).values()) == [CONTENT["a"], CONTENT["b"]]


def test_a_table_passes_its_columns_through_and_lists_missing_files(folder):
    table = folder / "slides.csv"
    table.write_text("slide;File;replicate\nS1;b.PNG;A\nS1;s.tar!x/a.png;B\nS1;gone.png;B\n", encoding="utf-8-sig")
    crops = list_crops(str(table))
    assert crops.columns == ("slide", "replicate")
    assert {crop.file: crop.further for crop in crops.crops} == {
        "b.PNG": ("S1", "A"),
        "gone.png": ("S1", "B"),
        "s.tar!x/a.png": ("S1", "B"),
    }
    assert _read_all(crops) == {"b.PNG": CONTENT["b"], "gone.png": None, "s.tar!x/a.png": CONTENT["a"]}


def test_another_archive_under_the_same_name_is_another_input(folder):
    table = folder / "slides.csv"
    table.write_text("file\ns.tar!x/a.png\n")
    before = [list_crops(str(source)).digest() for source in (folder / "s.tar", table)]
    earlier = (folder / "s.tar").stat()
    content = bytes(reversed(CONTENT["a"]))
    _write_tar(folder / "s.tar", {"x/a.png": content, "b.png": CONTENT["b"], "._b.png": b"", "notes.txt": b"n"})
    os.utime(folder / "s.tar", ns=(earlier.st_atime_ns, earlier.st_mtime_ns + 1))
    after = [list_crops(str(source)).digest() for source in (folder / "s.tar", table)]
    assert not set(before) & set(after)


def test_what_changed_since_it_was_scored_is_not_shown(folder):
    """Another file of the same size and time among them, as crops of one size have in BMP."""
    contents = {"b.PNG": "b", "s.tar!b.png": "b", "s.tar!x/a.png": "a", "s.zip!c.png": "c"}
    digests = {file: hashlib.sha256(CONTENT[name]).hexdigest() for file, name in contents.items()}

    def read(root):
        reader = CropReader(root)
        return [reader.read_unchanged(file, digest) for file, digest in digests.items()]

    everything = [CONTENT[name] for name in contents.values()]
    assert read(folder) == everything
    assert CropReader(folder).read_unchanged("gone.png", digests["b.PNG"]) is None
    assert CropReader(folder).read_unchanged("b.PNG", "") is None
    copy = shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copyfile)
    assert read(copy) == everything
    times = (folder / "b.PNG").stat()
    (folder / "b.PNG").write_bytes(bytes(reversed(CONTENT["b"])))
    os.utime(folder / "b.PNG", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read(folder) == [None, *everything[1:]]
    with zipfile.ZipFile(copy / "s.zip", "w") as archive:
        archive.writestr("c.png", bytes(reversed(CONTENT["c"])))
    members = {"b.png": CONTENT["c"], "x/a.png": CONTENT["a"], "notes.txt": b"n"}
    _write_tar(copy / "s.tar", members)  # in another order: what lay at an offset lies elsewhere
    assert read(copy) == [CONTENT["b"], None, CONTENT["a"], None]


def test_a_share_that_does_not_answer_is_no_unreadable_file(folder, monkeypatch):
    for number, is_raised in ((errno.ESTALE, True), (errno.EMFILE, True), (errno.EACCES, False), (errno.EIO, False)):

        def refuse(*args, number=number, **kwargs):
            raise OSError(number, "no")

        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.open", refuse)
            if is_raised:
                with pytest.raises(OSError, match="no"):
                    CropReader(folder).read(Crop("b.PNG"))
            else:
                assert CropReader(folder).read(Crop("b.PNG")) is None


def test_the_digest_changes_with_a_file_and_not_with_the_place(folder):
    before = list_crops(str(folder)).digest()
    moved = folder.rename(folder.with_name("moved"))
    assert list_crops(str(moved)).digest() == before
    os.utime(moved / "b.PNG", ns=(1, 1))
    assert list_crops(str(moved)).digest() != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,slide\na.png,1\n", "must have a column file"),
        ("file\n", "at least one row"),
        ("file,slide\nb.PNG,1\nb.PNG,2\n", r"list every file once.*line 3"),
        ("file\n../b.PNG\n", "below the table's folder"),
        ("file,slide\nb.PNG,1,2\n", "as many entries as the first line, 2"),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(folder, text, message):
    (folder / "slides.csv").write_text(text)
    with pytest.raises(DataDirError, match=message):
        list_crops(str(folder / "slides.csv"))


@pytest.mark.parametrize(
    ("text", "further"),
    [
        ("sep=;\nfile;label;slide\nb.PNG;n;A\ns.zip!c.png;t;B\n", [("n", "A"), ("t", "B")]),
        ("file;slide;;\nb.PNG;A;;\ns.zip!c.png;B;;\n", [("A",), ("B",)]),
        (",file,slide\n0,b.PNG,A\n1,s.zip!c.png,B\n", [("A",), ("B",)]),
        ("slide,Image\nA,B.png\nB,S.ZIP!C\n", [("A",), ("B",)]),
        ("filename,slide\nb,A\ns.zip!C.PNG,B\n", [("A",), ("B",)]),
    ],
)
def test_tables_as_other_programs_write_them(folder, text, further):
    (folder / "t.csv").write_text(text)
    crops = list_crops(str(folder / "t.csv"))
    assert _read_all(crops) == {"b.PNG": CONTENT["b"], "s.zip!c.png": CONTENT["c"]}
    assert [crop.further for crop in crops.crops] == further


@pytest.mark.parametrize("row", ["win.zip!s1\\a.png", "win.zip!s1/a.png", "WIN.zip!S1/A"])
def test_members_of_an_archive_are_found_by_either_separator(folder, row):
    with zipfile.ZipFile(folder / "win.zip", "w") as archive:
        archive.writestr("s1\\", b"")
        archive.writestr("s1\\a.png", CONTENT["a"])
    found = _read_all(list_crops(str(folder / "win.zip")))
    assert found == {"win.zip!s1\\a.png": CONTENT["a"]}
    assert not list_crops(str(folder / "win.zip")).ignored, "a folder is no file that is left out"
    (folder / "t.csv").write_text(f"file\n{row}\n")
    assert _read_all(list_crops(str(folder / "t.csv"))) == found
    assert CropReader(folder).read(Crop("win.zip!s1/a.png")) == CONTENT["a"]


def test_a_member_is_read_whatever_its_name_says_where_a_table_names_it(folder):
    _write_tar(folder / "s.tar", {"cell 17": CONTENT["a"]})
    (folder / "t.csv").write_text("file\ns.tar!cell 17\n")
    assert _read_all(list_crops(str(folder / "t.csv"))) == {"s.tar!cell 17": CONTENT["a"]}


def test_a_name_that_fits_several_files_or_one_file_twice_stops(folder):
    (folder / "slide 2" / "A!1.BMP").write_bytes(CONTENT["c"])
    (folder / "t.csv").write_text("file\nb.PNG\nslide 2/a!1\n")
    with pytest.raises(DataDirError, match=r"'slide 2/a!1' \(line 3\) could be slide 2/A!1.BMP, slide 2/a!1.bmp"):
        list_crops(str(folder / "t.csv"))
    (folder / "t.csv").write_text("file\nb.PNG\nB.png\n")
    with pytest.raises(DataDirError, match=r"every file once.*'b.PNG' in line 2 and again in .*line 3"):
        list_crops(str(folder / "t.csv"))


def test_files_of_a_table_that_are_not_there_are_named_with_the_cause(folder, caplog):
    rows = "a.png\nslide 2/b.bmp\ns.tar!gone.png\ngone.png\n"
    causes = [
        "'a.png' (line 2): no file has this name",
        "'slide 2/b.bmp' (line 3): with another suffix there is b.PNG",
        "'s.tar!gone.png' (line 4): s.tar holds no such file",
    ]
    (folder / "t.csv").write_text(f"file\n{rows}")
    with pytest.raises(DataDirError, match="of whose 4 files none does") as caught:
        list_crops(str(folder / "t.csv"))
    assert all(cause in str(caught.value) for cause in causes)
    (folder / "t.csv").write_text(f"file\n{rows}b.PNG\n")
    assert len(list_crops(str(folder / "t.csv")).crops) == 5
    assert all(cause in caplog.text for cause in ["4 of 5 files are not found", *causes])


def test_a_damaged_archive_leaves_the_other_files_of_a_table(folder, caplog):
    (folder / "s.zip").write_bytes((folder / "s.zip").read_bytes()[:40])
    (folder / "t.csv").write_text("file\ns.zip!c.png\nb.PNG\n")
    assert _read_all(list_crops(str(folder / "t.csv"))) == {"b.PNG": CONTENT["b"], "s.zip!c.png": None}
    assert "input must be a whole zip" in caplog.text


def test_brackets_in_the_name_of_a_folder_are_no_pattern(folder):
    odd = folder / "slides [old]" / "s[1]"
    odd.mkdir(parents=True)
    (odd / "a.png").write_bytes(CONTENT["a"])
    (odd / "b[2].png").write_bytes(CONTENT["b"])
    everything = {"a.png": CONTENT["a"], "b[2].png": CONTENT["b"]}
    for source in (odd, odd / "*.png", odd / "*"):
        assert _read_all(list_crops(str(source))) == everything
    assert _read_all(list_crops(str(odd / "b[2].png"))) == {"b[2].png": CONTENT["b"]}
    assert _read_all(list_crops(str(odd / "b[2]*"))) == {"b[2].png": CONTENT["b"]}
    below = {f"s[1]/{name}": content for name, content in everything.items()}
    assert _read_all(list_crops(str(folder / "slides [old]" / "s[*" / "*.png"))) == below
    assert len(list_crops(str(folder / "sl*" / "s[1]" / "*.png")).crops) == 2
    (folder / "s1").mkdir()
    (folder / "s1" / "c.png").write_bytes(CONTENT["c"])
    assert _read_all(list_crops(str(folder / "s[1]" / "*.png"))) == {"s1/c.png": CONTENT["c"]}


def test_what_was_ignored_is_counted_where_nothing_is_found(tmp_path):
    for number in range(12):
        (tmp_path / f"{number}.webp").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("a.webp", b"x")
    for source, ignored in (
        (tmp_path, "12 .webp files, 1 .zip file were ignored: convert .webp to PNG, for example with mogrify"),
        (tmp_path / "*.webp", "12 .webp files were ignored: convert .webp to PNG"),
        (tmp_path / "s.zip", "1 .webp file was ignored: convert .webp to PNG"),
    ):
        with pytest.raises(DataDirError) as caught:
            list_crops(str(source))
        assert ignored in str(caught.value)


def test_files_of_microscopes_are_listed_or_to_be_exported(tmp_path):
    (tmp_path / "a.lif").write_bytes(b"x")
    (tmp_path / "b.webp").write_bytes(b"x")
    with pytest.raises(DataDirError, match=r"convert \.webp to PNG.*; export \.lif as OME-TIFF, one image a file"):
        list_crops(str(tmp_path))
    names = ("a.tif", "b.TIFF", "c.dcm", "d.czi", "e.nd2", "f.svs")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert [crop.file for crop in list_crops(str(tmp_path)).crops] == list(names)


def test_every_suffix_of_jpeg_is_scored(tmp_path):
    for name in ("a.jfif", "b.JPE", "c.jpg"):
        (tmp_path / name).write_bytes(CONTENT["a"])
    assert len(list_crops(str(tmp_path)).crops) == 3


def test_what_cannot_be_listed_is_named(folder):
    _write_tar(folder / "t.tar.gz", {"a.png": CONTENT["a"]}, "w:gz")
    with pytest.raises(DataDirError, match=r"tar without compression.*t\.tar\.gz"):
        list_crops(str(folder / "t.tar.gz"))
    for nothing in (folder / "notes.txt", folder / "absent", folder / "*.gif"):
        with pytest.raises(DataDirError, match="input must hold images"):
            list_crops(str(nothing))
