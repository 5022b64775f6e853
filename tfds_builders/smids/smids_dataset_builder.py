"""SMIDS: Sperm Morphology Image Data Set."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.class_folder_builder import ClassFolderBuilder


class Builder(ClassFolderBuilder):
    """3,000 crops in three classes; see README.md for the release's defects and what is done about them."""

    VERSION = tfds.core.Version("3.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "First release: folds by near-duplicate group; configs `clean` and `original`.",
        "2.0.0": "Groups hold crops that overlap at their borders, and fields photographed again at another "
        "magnification; so the folds are new.",
        "3.0.0": "Groups hold neighbours that share a quarter of the field, and blurred copies; so the folds are new.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Optional. Put SMIDS.zip, or the unpacked folder with Normal_Sperm, Abnormal_Sperm and Non-Sperm, into "
        "manual_dir; it is then used instead of the download."
    )
    URL = (
        "https://data.mendeley.com/public-files/datasets/6xvdhc9fyb/files/"
        "f8b3773f-d9c0-4f60-bfaf-5085378b4a1f/file_downloaded"
    )
    HOMEPAGE = "https://doi.org/10.17632/6xvdhc9fyb.1"
    CLASS_FOLDERS: ClassVar[dict[str, tuple[str, ...]]] = {
        "Normal_Sperm": ("Normal", "Sperm"),
        "Abnormal_Sperm": ("Abnormal", "Acrosome Abnormality"),
        "Non-Sperm": ("Boya",),
    }
    CLASS_NAMES: ClassVar[dict[str, str]] = {
        "Normal_Sperm": "normal",
        "Abnormal_Sperm": "abnormal",
        "Non-Sperm": "non-sperm",
    }
    CLASS_SIZES: ClassVar[dict[str, int]] = {"Normal_Sperm": 1021, "Abnormal_Sperm": 1005, "Non-Sperm": 974}
