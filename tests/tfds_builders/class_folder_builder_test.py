"""Where a release comes from: `manual_dir` in every form, and a download from a local server."""

import contextlib
import functools
import hashlib
import http.server
import json
import pathlib
import shutil
import threading

import pytest
import requests
import tensorflow_datasets as tfds

from tests.data.make_rar import make_rar
from tfds_builders.class_folder_builder import UnknownSize
from tfds_builders.hushem import hushem_dataset_builder
from tfds_builders.smids import smids_dataset_builder

pytestmark = pytest.mark.slow

DUMMY = pathlib.Path(smids_dataset_builder.__file__).parent / "dummy_data"
HUSHEM_DUMMY = pathlib.Path(hushem_dataset_builder.__file__).parent / "dummy_data"


def prepare(builder_class, data_dir, *, manual_dir=None, config="clean"):
    builder = builder_class(data_dir=data_dir, config=config)
    manual_dir = manual_dir and str(manual_dir)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def image_ids(builder):
    return {fold: sorted(row["image_id"] for row in rows) for fold, rows in tfds.as_numpy(builder.as_dataset()).items()}


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def redirect(monkeypatch, builder_class, url, sha256):
    """Points a builder at another URL, the way `checksums.tsv` states it: with no size."""
    info = tfds.download.checksums.UrlInfo(size=UnknownSize(), checksum=sha256, filename=None)
    monkeypatch.setattr(builder_class, "URL", url)
    monkeypatch.setattr(builder_class, "url_infos", {url: info})


@pytest.fixture(scope="module")
def smids_zip(tmp_path_factory):
    return pathlib.Path(shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "SMIDS"), "zip", DUMMY))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return image_ids(prepare(smids_dataset_builder.Builder, tmp_path_factory.mktemp("expected"), manual_dir=DUMMY))


def test_a_zip_gives_the_same_dataset_as_a_folder(tmp_path, smids_zip, expected):
    assert image_ids(prepare(smids_dataset_builder.Builder, tmp_path, manual_dir=smids_zip.parent)) == expected


def test_aliases_give_the_same_dataset(tmp_path, expected):
    names = {"Normal_Sperm": "Sperm", "Abnormal_Sperm": "Acrosome Abnormality", "Non-Sperm": "Boya"}
    for name, alias in names.items():
        shutil.copytree(DUMMY / "SMIDS" / name, tmp_path / "manual" / alias)
    assert image_ids(prepare(smids_dataset_builder.Builder, tmp_path, manual_dir=tmp_path / "manual")) == expected


def test_files_beside_the_dataset(tmp_path):
    builder = prepare(smids_dataset_builder.Builder, tmp_path, manual_dir=DUMMY)
    assert json.loads((builder.data_path / "source.json").read_text()) == {
        "num_source_images": 33,
        "num_undecodable": 1,
    }
    rows = (builder.data_path / "excluded.csv").read_text().splitlines()
    assert rows[0] == "image_id,reason,label_name,related_image_id,distance,detail"
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["Non-Sperm/no_image.bmp", "undecodable"],
        ["Non-Sperm/conflict.bmp", "conflicting_labels"],
        ["Normal_Sperm/image_000.bmp", "duplicate"],
        ["Normal_Sperm/image_001.bmp", "conflicting_labels"],
    ]
    header = (builder.data_path / "near_duplicates.csv").read_text().splitlines()[0]
    assert header == "image_id,related_image_id,distance,labels,correlation,overlap,scale,view,angle,distinctness,shows"


def test_download(tmp_path, monkeypatch, smids_zip, expected):
    with served(smids_zip.parent) as base:
        sha256 = hashlib.sha256(smids_zip.read_bytes()).hexdigest()
        redirect(monkeypatch, smids_dataset_builder.Builder, f"{base}/SMIDS.zip", sha256)
        builder = prepare(smids_dataset_builder.Builder, tmp_path)
    assert image_ids(builder) == expected
    assert builder.info.download_size == smids_zip.stat().st_size


def test_download_of_a_rar(tmp_path, monkeypatch):
    pytest.importorskip("rarfile")
    files = {str(path.relative_to(HUSHEM_DUMMY)): path.read_bytes() for path in sorted(HUSHEM_DUMMY.rglob("*.bmp"))}
    (tmp_path / "file_downloaded").write_bytes(make_rar(files))
    with served(tmp_path) as base:
        sha256 = hashlib.sha256((tmp_path / "file_downloaded").read_bytes()).hexdigest()
        redirect(monkeypatch, hushem_dataset_builder.Builder, f"{base}/file_downloaded", sha256)
        builder = prepare(hushem_dataset_builder.Builder, tmp_path / "data")
    assert {fold: len(ids) for fold, ids in image_ids(builder).items()} == {f"fold_{fold}": 8 for fold in range(5)}


def test_a_wrong_checksum_stops(tmp_path, monkeypatch, smids_zip):
    with served(smids_zip.parent) as base:
        redirect(monkeypatch, smids_dataset_builder.Builder, f"{base}/SMIDS.zip", "0" * 64)
        with pytest.raises(Exception, match="wrong checksum"):
            prepare(smids_dataset_builder.Builder, tmp_path)
    assert not (tmp_path / "smids" / "clean" / str(smids_dataset_builder.Builder.VERSION)).exists()


def test_neither_manual_dir_nor_a_file_at_the_url(tmp_path, monkeypatch):
    with served(tmp_path) as base:
        url = f"{base}/missing.zip"
        redirect(monkeypatch, smids_dataset_builder.Builder, url, "0" * 64)
        check_not_found(tmp_path, url)


def test_neither_manual_dir_nor_a_connection(tmp_path, monkeypatch):
    def refuse(self, url):
        raise requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", refuse)  # TFDS itself would try for minutes
    check_not_found(tmp_path, smids_dataset_builder.Builder.URL)


def test_hushem_without_manual_dir_nor_a_connection_names_what_reads_its_rar(tmp_path, monkeypatch):
    def refuse(self, url):
        raise requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", refuse)
    builder_class = hushem_dataset_builder.Builder
    with pytest.raises(FileNotFoundError) as caught:
        prepare(builder_class, tmp_path)
    parts = ["'hushem'", ", ".join(builder_class.CLASS_FOLDERS), builder_class.URL, builder_class.HOMEPAGE, "no route"]
    for part in [*parts, "--manual_dir=", "DownloadConfig(manual_dir=", "pip install rarfile", "unrar", "bsdtar"]:
        assert str(caught.value).count(part) == 1, part


def check_not_found(tmp_path, url):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "unrelated.txt").write_text("x")
    with pytest.raises(FileNotFoundError) as caught:
        prepare(smids_dataset_builder.Builder, tmp_path / "data", manual_dir=tmp_path / "manual")
    for part in (url, str(tmp_path / "manual"), "Normal_Sperm, Abnormal_Sperm, Non-Sperm", "--manual_dir="):
        assert part in str(caught.value)


def test_registered_checksums():
    for builder_class, sha256 in (
        (smids_dataset_builder.Builder, "f46868e3a957414da55793973f75394ad2469fed48d3368e7f7f8a3aa59780a3"),
        (hushem_dataset_builder.Builder, "aec7c19643a298386cae2399fb225b6b382a149b78d3a6d9239e842cce95de00"),
    ):
        info = builder_class.url_infos[builder_class.URL]
        assert info.checksum == sha256
        assert info == tfds.download.checksums.UrlInfo(size=123, checksum=sha256, filename="any")
        assert info != tfds.download.checksums.UrlInfo(size=123, checksum="0" * 64, filename="any")
