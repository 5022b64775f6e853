"""What `smids` and `hushem` share: a release of images in class folders, downloaded or put into `manual_dir`."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from absl import logging

from sperm_tf.data.archives import ClassFolders, ImageSource, find_source
from sperm_tf.data.catalog import CatalogImage, build_catalog
from sperm_tf.data.folds import NUM_FOLDS
from tfds_builders.features import generate_examples, sperm_features, write_side_files

CONFIGS = [
    tfds.core.BuilderConfig(
        name="clean",
        description="One of every set of identical images, and none of those with identical pixels and two labels.",
    ),
    tfds.core.BuilderConfig(name="original", description="Every image of the release that can be decoded."),
]


class UnknownSize(int):
    """A download size that was not published: equal to every size, so that the SHA-256 alone decides."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


class ClassFolderBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builder of a dataset whose class is the folder that an image lies in.

    Attributes:
        URL: the official archive.
        CLASS_FOLDERS: official class folders and the names that other copies give them.
        CLASS_NAMES: class name of every official class folder.
        CLASS_SIZES: number of files in every official class folder.
        HOMEPAGE: page of the release.
    """

    BUILDER_CONFIGS = CONFIGS
    URL: ClassVar[str]
    CLASS_FOLDERS: ClassVar[ClassFolders]
    CLASS_NAMES: ClassVar[dict[str, str]]
    CLASS_SIZES: ClassVar[dict[str, int]]
    HOMEPAGE: ClassVar[str]

    @tfds.core.utils.classproperty
    @classmethod
    @functools.cache
    def url_infos(cls) -> dict[str, Any]:
        """The registered downloads; a size of 0 in `checksums.tsv` means that none was published."""
        infos = tfds.core.download.checksums.load_url_infos(cls._checksums_path)
        for info in infos.values():
            info.size = info.size or UnknownSize()
        return infos

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=sperm_features(list(self.CLASS_NAMES.values())),
            supervised_keys=("image", "label"),
            homepage=self.HOMEPAGE,
            license="CC BY 4.0",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        source = self._find_source(dl_manager)
        self._warn_if_incomplete(source)
        with source.reader() as read:
            catalog = build_catalog(
                source.files, read, label_names=self.CLASS_NAMES, clean=self.builder_config.name == "clean"
            )
        write_side_files(
            self.data_path,
            num_source_images=catalog.num_source_images,
            num_undecodable=catalog.num_undecodable,
            excluded=catalog.excluded,
            near_duplicates=catalog.near_duplicates,
        )
        return {
            f"fold_{fold}": self._generate_examples(source, [image for image in catalog.images if image.fold == fold])
            for fold in range(NUM_FOLDS)
        }

    def _generate_examples(
        self, source: ImageSource, images: Sequence[CatalogImage]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from generate_examples(source, images)

    def _find_source(self, dl_manager: tfds.download.DownloadManager) -> ImageSource:
        """The release in `manual_dir` where it lies there, else the official archive."""
        try:
            manual_dir = pathlib.Path(dl_manager.manual_dir)
        except AssertionError as error:  # TFDS's way to say that there is none, or that it is empty.
            searched = str(error).partition(" Create it")[0]  # its instructions end the message below
        else:
            source = find_source(manual_dir, self.CLASS_FOLDERS, name=self.name)
            if source:
                return source
            searched = f"Manual directory {manual_dir} holds nothing of it"
        try:
            archive = dl_manager.download(self.URL)
        except (tfds.download.DownloadError, OSError) as error:  # a status that is no success, or no connection
            raise FileNotFoundError(
                f"{self.name} must lie in manual_dir, as an archive whose name contains {self.name!r} or as a folder "
                f"that holds the class folders {', '.join(self.CLASS_FOLDERS)}, or be downloadable. Received: "
                f"{searched.rstrip('.')}; and the download of {self.URL} failed ({error}). Download it elsewhere, from "
                f"there or from {self.HOMEPAGE}, and name the folder that it lies in: --manual_dir=<folder> of "
                f"pipelines.run, or tfds.download.DownloadConfig(manual_dir=...). {self.MANUAL_DOWNLOAD_INSTRUCTIONS}"
            ) from error
        return ImageSource(pathlib.Path(archive), self.CLASS_FOLDERS)

    def _warn_if_incomplete(self, source: ImageSource) -> None:
        for folder, expected in self.CLASS_SIZES.items():
            found = sum(file.class_folder == folder for file in source.files)
            if found != expected:
                logging.warning(
                    "%s: %s holds %d files, the release %d: %s", self.name, folder, found, expected, source.path
                )
