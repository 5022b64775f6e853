"""What several test modules share."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def flip_bit(path: pathlib.Path) -> None:
    """Flips the lowest bit of the byte in the middle of a file, which keeps its times; an empty file gets a byte."""
    content, times = bytearray(path.read_bytes()), path.stat()
    if content:
        content[len(content) // 2] ^= 1
    else:
        content = bytearray(b"x")
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def real_data_dir() -> pathlib.Path:
    """Folder that holds `SMIDS.zip` and `HuSHeM.zip`; skips the calling test where there is none."""
    folder = pathlib.Path(os.environ.get("SPERM_TF_DATA_DIR", ROOT.parent / "shared" / "data"))
    missing = [name for name in ("SMIDS.zip", "HuSHeM.zip") if not (folder / name).is_file()]
    if missing:
        pytest.skip(f"real data not found: {', '.join(missing)} in {folder}; set SPERM_TF_DATA_DIR to their folder")
    return folder


def sperm_parsing() -> pathlib.Path:
    """`SpermParsing.zip`; skips the calling test where there is none."""
    archive = pathlib.Path(os.environ.get("SPERM_TF_DATA_DIR", ROOT.parent / "shared" / "data")) / "SpermParsing.zip"
    if not archive.is_file():
        pytest.skip(f"real fields not found: {archive}; set SPERM_TF_DATA_DIR to their folder")
    return archive
