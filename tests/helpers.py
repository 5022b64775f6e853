"""What several test modules share."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


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
