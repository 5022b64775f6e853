"""HuSHeM: Human Sperm Head Morphology dataset."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.class_folder_builder import ClassFolderBuilder


class Builder(ClassFolderBuilder):
    """216 crops of stained heads in four classes; the official archive is a RAR."""

    VERSION = tfds.core.Version("3.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "First release: folds by near-duplicate group; configs `clean` and `original`.",
        "2.0.0": "Groups hold crops that overlap at their borders, and fields photographed again at another "
        "magnification; so the folds are new.",
        "3.0.0": "Groups hold neighbours that share a quarter of the field, and blurred copies; so the folds are new.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Optional. Put the archive (HuSHeM.rar or HuSHeM.zip), or the unpacked folder with 01_Normal, 02_Tapered, "
        "03_Pyriform and 04_Amorphous, into manual_dir; it is then used instead of the download. The RAR, "
        "downloaded or not, is read with the Python package rarfile (pip install rarfile) and one of the programs "
        "unrar, unar, 7zip (7z) or libarchive-tools (bsdtar); the zip and the folder need neither."
    )
    URL = (
        "https://data.mendeley.com/public-files/datasets/tt3yj2pf38/files/"
        "cb128460-9945-43a1-a88b-7233276d5fde/file_downloaded"
    )
    HOMEPAGE = "https://doi.org/10.17632/tt3yj2pf38.3"
    CLASS_FOLDERS: ClassVar[dict[str, tuple[str, ...]]] = {
        "01_Normal": (),
        "02_Tapered": (),
        "03_Pyriform": (),
        "04_Amorphous": (),
    }
    CLASS_NAMES: ClassVar[dict[str, str]] = {
        "01_Normal": "normal",
        "02_Tapered": "tapered",
        "03_Pyriform": "pyriform",
        "04_Amorphous": "amorphous",
    }
    CLASS_SIZES: ClassVar[dict[str, int]] = {
        "01_Normal": 54,
        "02_Tapered": 53,
        "03_Pyriform": 57,
        "04_Amorphous": 52,
    }
