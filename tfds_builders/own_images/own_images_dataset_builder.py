"""A laboratory's own images: a folder of class folders, or a CSV table."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from absl import logging

from sperm_tf.data.catalog import Catalog, CatalogImage, build_catalog
from sperm_tf.data.folds import NUM_FOLDS
from tfds_builders.features import generate_examples, sperm_features, write_side_files
from tfds_builders.own_images.image_list import ImageList, list_images


@dataclasses.dataclass(eq=False)
class OwnImagesConfig(tfds.core.BuilderConfig):
    """Which images enter.

    Attributes:
        images: the images of a folder or a table.
        clean: keep one of every set of identical images, and none of those with identical pixels and two labels.
    """

    images: ImageList | None = dataclasses.field(default=None, repr=False)
    clean: bool = True


def config(data_dir: str | os.PathLike[str], *, clean: bool = True) -> OwnImagesConfig:
    """Describes a folder or a table, for `tfds.load("own_images", builder_kwargs={"config": ...})`.

    Args:
        data_dir: the folder of class folders, or the table; see `tfds_builders.own_images.list_images`.
        clean: leave out identical copies and images with identical pixels and two labels.

    Returns:
        The config, named after its kind and a digest of the files, such as `clean_1c2d3e4f`: changed files are another
        dataset, never the stored one.

    Raises:
        DataDirError: the folder or the table does not hold two classes of images, or is malformed.
    """
    images = list_images(data_dir)
    kind = "clean" if clean else "original"
    description = "One of every set of identical images." if clean else "Every image that can be decoded."
    return OwnImagesConfig(name=f"{kind}_{images.digest()[:8]}", description=description, images=images, clean=clean)


class Builder(tfds.core.GeneratorBasedBuilder):
    """Images of a user's own, in as many classes as they have."""

    VERSION = tfds.core.Version("4.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "First release.",
        "2.0.0": "Groups hold crops that overlap at their borders, and fields photographed again at another "
        "magnification; so the folds are new.",
        "3.0.0": "Groups hold neighbours that share a quarter of the field, and blurred copies; so the folds are new.",
        "3.1.0": "PNGs with 16 bits of which a camera left the upper ones empty are refused, and those whose tail is "
        "zeros.",
        "3.2.0": "Images that an exported model refuses are left out, 16-bit PNGs are judged by a high percentile, and "
        "JPEGs have the pixels that the model sees.",
        "4.0.0": "Groups hold turned, mirrored, magnified and sheared copies, so the folds may be new; turned and "
        "mirrored images with identical pixels are left out like other identical ones.",
    }
    BUILDER_CONFIGS: ClassVar[list[OwnImagesConfig]] = []

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=sperm_features(self._images.class_names),
            supervised_keys=("image", "label"),
            homepage="docs/adding_a_dataset.md",  # without one, TFDS links to a page of its own that does not exist
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager
        images = self._images
        if images.ignored:
            counts = ", ".join(f"{name}: {count}" for name, count in images.ignored.items())
            logging.warning("%s: %d files are not read (%s)", images.path, sum(images.ignored.values()), counts)
        for warning in images.warnings:
            logging.warning("%s: %s", images.path, warning)
        with images.reader() as read:
            catalog = build_catalog(
                images.files,
                read,
                label_names={name: name for name in images.class_names},
                clean=self.builder_config.clean,
                origins=images.origins,
            )
        self._warn_of_shared_images(catalog)
        write_side_files(
            self.data_path,
            num_source_images=catalog.num_source_images,
            num_undecodable=catalog.num_undecodable,
            excluded=catalog.excluded,
            near_duplicates=catalog.near_duplicates,
            further={"num_origins": len(set(images.origins.values())), "ignored_files": dict(images.ignored)},
        )
        return {
            f"fold_{fold}": self._generate_examples([image for image in catalog.images if image.fold == fold])
            for fold in range(NUM_FOLDS)
        }

    def _generate_examples(self, images: Sequence[CatalogImage]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from generate_examples(self._images, images)

    @property
    def _images(self) -> ImageList:
        images = getattr(self.builder_config, "images", None)
        if images is None:
            raise ValueError(
                f"config of own_images must say where the images are. Received: config={self.builder_config}. Use "
                'tfds.load("own_images", builder_kwargs={"config": tfds_builders.own_images.config(data_dir)})'
            )
        return images

    def _warn_of_shared_images(self, catalog: Catalog) -> None:
        """Warns when near duplicates are of different patients: one of the groups may be wrong."""
        origins = self._images.origins
        pairs = [
            f"{row['image_id']} and {row['related_image_id']}"
            for row in catalog.near_duplicates
            if len({origins.get(row["image_id"]), origins.get(row["related_image_id"])} - {None}) > 1
        ]
        if pairs:
            logging.warning(
                "%s: %d pairs of near duplicates are of two groups, which therefore stand in one fold. Check whose "
                "they are; the first: %s",
                self._images.path,
                len(pairs),
                pairs[0],
            )
