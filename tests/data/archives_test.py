"""The same release as folder, zip and RAR, under every name that it goes by."""

import pathlib
import shutil
import sys
import zipfile

import pytest

from sperm_tf.data.archives import ArchiveError, LayoutError, find_source
from tests.data.make_rar import COMPRESSED, make_rar

FOLDERS = {"Normal_Sperm": ("Normal", "Sperm"), "Non-Sperm": ("Boya",)}
FILES = {
    "SMIDS/Normal_Sperm/Normal_1 (2).bmp": b"one",
    "SMIDS/Normal_Sperm/Normal_2.bmp": b"two",
    "SMIDS/Non-Sperm/Boya_1.bmp": b"three",
}
CONTENT = {
    "Non-Sperm/Boya_1.bmp": b"three",
    "Normal_Sperm/Normal_1 (2).bmp": b"one",
    "Normal_Sperm/Normal_2.bmp": b"two",
}


def write_folder(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def find(folder):
    return find_source(folder, FOLDERS, name="smids")


def content(source):
    with source.reader() as read:
        return {file.image_id: read(file.member) for file in source.files}


def renamed(old_to_new):
    files = {}
    for name, data in FILES.items():
        for old, new in old_to_new.items():
            name = name.replace(old, new)
        files[name] = data
    return files


@pytest.mark.parametrize(
    "files",
    [
        FILES,
        renamed({"SMIDS/": ""}),
        renamed({"SMIDS/": "dataset/SMIDS/all/"}),
        renamed({"/Normal_Sperm/": "/Sperm/", "/Non-Sperm/": "/Boya/"}),
        renamed({"/Normal_Sperm/": "/01 normal sperm/", "/Non-Sperm/": "/non_sperm/"}),
        FILES | {"__MACOSX/SMIDS/Normal_Sperm/._x.bmp": b"", "SMIDS/Non-Sperm/.DS_Store": b"", "readme.txt": b""},
        FILES | {"SMIDS/Non-Sperm/Thumbs.db": b"", "HuSHeM/01_Normal/image_001.BMP": b""},
    ],
    ids=[
        "official",
        "no top folder",
        "deeper",
        "aliases",
        "numbers and case",
        "hidden files",
        "another dataset beside",
    ],
)
def test_every_form_gives_the_same_files(tmp_path, files):
    write_folder(tmp_path / "folder", files)
    for name in ("zip", "rar"):
        (tmp_path / name).mkdir()
    write_zip(tmp_path / "zip" / "archive.zip", files)
    (tmp_path / "rar" / "file_downloaded").write_bytes(make_rar(files))
    for form in ("folder", "zip", "rar"):
        source = find(tmp_path / form)
        assert content(source) == CONTENT, form
        assert [file.image_id for file in source.files] == sorted(CONTENT)


def test_a_named_archive_comes_before_a_folder_and_a_folder_before_others(tmp_path):
    write_zip(tmp_path / "a.zip", FILES)
    assert find(tmp_path).path.name == "a.zip"
    write_folder(tmp_path, FILES)
    assert find(tmp_path).path.name == "SMIDS"
    write_zip(tmp_path / "My SMIDS copy.zip", FILES)
    assert find(tmp_path).path.name == "My SMIDS copy.zip"


def test_nothing_found(tmp_path):
    write_zip(tmp_path / "other.zip", {"a/b.txt": b""})
    (tmp_path / "notes.txt").write_text("x")
    assert find(tmp_path) is None


@pytest.mark.parametrize(
    "files",
    [
        {name: data for name, data in FILES.items() if "Non-Sperm" not in name},
        FILES | {name.replace("SMIDS", "copy"): data for name, data in FILES.items()},
        FILES | {"SMIDS/Sperm/Normal_2.bmp": b"other"},
    ],
    ids=["a class is missing", "two copies", "one class under two names"],
)
def test_ambiguous_or_incomplete_layouts(tmp_path, files):
    write_zip(tmp_path / "smids.zip", files)
    with pytest.raises(LayoutError, match=r"smids\.zip"):
        find(tmp_path)


def test_damaged_archives(tmp_path):
    write_zip(tmp_path / "smids.zip", FILES)
    data = bytearray((tmp_path / "smids.zip").read_bytes())
    (tmp_path / "smids.zip").write_bytes(data[:-30])
    with pytest.raises(ArchiveError, match="complete zip"):
        find(tmp_path)
    data[data.index(b"SMIDS/Normal_Sperm/Normal_2.bmp") + 32] ^= 0xFF
    (tmp_path / "smids.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match="complete zip"):
        content(find(tmp_path))
    rar = bytearray(make_rar(FILES))
    rar[rar.index(b"two")] ^= 0xFF
    (tmp_path / "smids.zip").unlink()
    (tmp_path / "smids.rar").write_bytes(rar)
    with pytest.raises(ArchiveError, match="complete RAR"):
        content(find(tmp_path))


def set_in_zip(path, *, offset_in_entry, value):
    """Changes one 16-bit field of every entry, in its own header and, two bytes further, in the central directory."""
    data = bytearray(path.read_bytes())
    for signature, extra in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        start = data.find(signature)
        while start >= 0:
            data[start + offset_in_entry + extra : start + offset_in_entry + extra + 2] = value.to_bytes(2, "little")
            start = data.find(signature, start + 4)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [(6, 1, "encrypted"), (6, 64, "strong encryption"), (8, 9, "compression")],
    ids=["password", "strong encryption", "Deflate64"],
)
def test_zips_that_python_cannot_unpack(tmp_path, offset, value, reason):
    write_zip(tmp_path / "smids.zip", FILES)
    set_in_zip(tmp_path / "smids.zip", offset_in_entry=offset, value=value)
    with pytest.raises(ArchiveError, match=rf"without a password.*smids\.zip.*{reason}.*Unpack it") as caught:
        content(find(tmp_path))
    assert str(tmp_path / "smids.zip") in str(caught.value)


def forbid(monkeypatch, forbidden):
    """Refuses to list or open one path, also where the tests run as root, who may read everything."""
    for method in ("iterdir", "open"):
        original = getattr(pathlib.Path, method)

        def checked(self, *args, original=original, **options):
            if self == forbidden:
                raise PermissionError(13, "Permission denied", str(self))
            return original(self, *args, **options)

        monkeypatch.setattr(pathlib.Path, method, checked)


@pytest.mark.parametrize("path", [".", "smids.zip", "SMIDS", "SMIDS/Non-Sperm"])
def test_a_release_that_may_not_be_read_is_named(tmp_path, monkeypatch, path):
    write_folder(tmp_path, FILES)
    if path.endswith(".zip"):
        write_zip(tmp_path / path, FILES)
    forbid(monkeypatch, tmp_path / path)
    with pytest.raises(PermissionError, match=r"path must be readable.*Change its permissions") as caught:
        find(tmp_path)
    assert f"Received: {tmp_path / path} (Permission denied)" in str(caught.value)


@pytest.mark.parametrize("path", ["lost+found", "a.zip", "SMIDS/notes"])
def test_what_may_not_be_read_and_is_no_release_is_passed_over(tmp_path, monkeypatch, path):
    write_folder(tmp_path, FILES)
    if path.endswith(".zip"):
        write_zip(tmp_path / path, FILES)
    else:
        (tmp_path / path).mkdir()
    forbid(monkeypatch, tmp_path / path)
    assert content(find(tmp_path)) == CONTENT


def test_rar_through_an_extractor(tmp_path, monkeypatch):
    rarfile = pytest.importorskip("rarfile")
    if not any(map(shutil.which, ("unrar", "unar", "7z", "7zz", "bsdtar"))):
        pytest.skip("no RAR extractor is installed (unrar, unar, 7z or bsdtar)")
    monkeypatch.setattr(rarfile, "FORCE_TOOL", True)  # rarfile itself would copy files that are only stored
    (tmp_path / "smids.rar").write_bytes(make_rar(FILES))
    assert content(find(tmp_path)) == CONTENT


def test_rar_through_bsdtar_alone(tmp_path, monkeypatch):
    rarfile = pytest.importorskip("rarfile")
    bsdtar = shutil.which("bsdtar") or pytest.skip("bsdtar is not installed (package libarchive-tools)")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bsdtar").symlink_to(bsdtar)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(rarfile, "CURRENT_SETUP", None)
    monkeypatch.setattr(rarfile, "FORCE_TOOL", True)
    files = FILES | {"SMIDS/Non-Sperm/odd [1]*.bmp": b"four"}
    (tmp_path / "smids.rar").write_bytes(make_rar(files))
    assert content(find(tmp_path)) == CONTENT | {"Non-Sperm/odd [1]*.bmp": b"four"}
    damaged = make_rar(files).replace(b"three", b"thrEe")
    (tmp_path / "smids.rar").write_bytes(damaged)
    with pytest.raises(ArchiveError, match="complete RAR"):
        content(find(tmp_path))


def test_rar_without_an_extractor(tmp_path, monkeypatch):
    rarfile = pytest.importorskip("rarfile")
    monkeypatch.setattr(rarfile, "CURRENT_SETUP", None)
    monkeypatch.setenv("PATH", "")
    (tmp_path / "smids.rar").write_bytes(make_rar(FILES, method=COMPRESSED))
    with pytest.raises(ArchiveError, match=r"no extractor.*unrar.*7zip.*libarchive-tools"):
        content(find(tmp_path))


def test_rar_without_rarfile(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rarfile", None)
    (tmp_path / "smids.rar").write_bytes(make_rar(FILES))
    with pytest.raises(ImportError, match="pip install rarfile"):
        find(tmp_path)
