"""The list of a dataset's images: who they are, which are left out, which fold each is in.

Everything is decided on the whole release, so that an image is in the same fold in the `clean` and the `original`
dataset.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from sperm_tf.data import folds, identity
from sperm_tf.data.archives import SourceFile
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.data.served_decoder import decode_served

EXCLUDED_FIELDS = ("image_id", "reason", "label_name", "related_image_id", "distance", "detail")
NEAR_DUPLICATE_FIELDS = (
    "image_id",
    "related_image_id",
    "distance",
    "labels",
    "correlation",
    "overlap",
    "scale",
    "view",
    "angle",
    "distinctness",
    "shows",
)


class NoImagesError(ValueError):
    """A release of which no file can be decoded."""


@dataclasses.dataclass(frozen=True)
class CatalogImage:
    """An image of the release, without its pixels.

    Attributes:
        file: where its bytes are.
        label_name: its class.
        pixel_sha256: identity of its pixels.
        view_sha256: the same for its turned and mirrored copies, too; see `identity.view_sha256`.
        source_format: `BMP`, `GIF`, `JPEG` or `PNG`.
        width: in pixels.
        height: in pixels.
        group_id: `image_id` of the first image of its group: identical images, near duplicates, and images of one
            origin.
        fold: 0-4.
    """

    file: SourceFile
    label_name: str
    pixel_sha256: str
    view_sha256: str
    source_format: str
    width: int
    height: int
    group_id: str = ""
    fold: int = -1


@dataclasses.dataclass(frozen=True)
class Catalog:
    """A dataset's images and what was found out about them.

    Attributes:
        images: the images of the dataset, sorted by `image_id`.
        excluded: rows of `excluded.csv`.
        near_duplicates: rows of `near_duplicates.csv`: every pair of the dataset's images that shows one cell or
            field of view.
        num_source_images: number of files in the class folders.
        num_undecodable: number of them that hold no usable image.
    """

    images: tuple[CatalogImage, ...]
    excluded: tuple[Mapping[str, str], ...]
    near_duplicates: tuple[Mapping[str, str], ...]
    num_source_images: int
    num_undecodable: int


def build_catalog(
    files: Sequence[SourceFile],
    read: Callable[[str], bytes],
    *,
    label_names: Mapping[str, str],
    clean: bool,
    origins: Mapping[str, str] | None = None,
) -> Catalog:
    """Decodes every file of a release once and decides groups, folds and exclusions.

    An image that an exported model would refuse is undecodable: see `sperm_tf.data.served_decoder`.

    Args:
        files: the files, sorted by `image_id`.
        read: gives a member's bytes.
        label_names: class name of every class folder.
        clean: leave out identical copies, turned and mirrored ones too, and images with identical pixels and
            conflicting labels.
        origins: `image_id` -> patient or slide, where it is known. Images of one origin are in one group, together
            with their near duplicates, which may be of another origin and then join both.

    Returns:
        The catalog.

    Raises:
        NoImagesError: none of the files can be decoded.
        FoldError: a class has too few groups for five folds.
    """
    images, hashes, greys, excluded = _decode_all(files, read, label_names)
    num_undecodable = len(excluded)
    if not images:
        first = f", the first of them {excluded[0]['image_id']}: {excluded[0]['detail']}" if excluded else ""
        raise NoImagesError(
            f"files must hold images that can be decoded (BMP, GIF, JPEG or PNG). Received: {len(files)} files, "
            f"{num_undecodable} of them undecodable{first}. Download the release again, unpack it anew, or convert its "
            "files"
        )
    pairs = identity.find_near_duplicates(np.asarray(hashes, dtype=bool).reshape(len(images), -1), greys)
    view_hashes = [image.view_sha256 for image in images]
    links = [
        *((pair.first, pair.second) for pair in pairs),
        *_pairs_of_one_key(view_hashes),
        *_pairs_of_one_key([(origins or {}).get(image.file.image_id) for image in images]),
    ]
    groups = identity.connected_groups(len(images), links)
    group_ids = [images[first].file.image_id for first in groups]
    labels = [image.label_name for image in images]
    try:
        assigned = folds.assign_folds(labels, group_ids).tolist()
    except folds.FoldError as error:
        raise folds.FoldError(f"{error}{_say_joined(pairs, images)}") from error
    folds.check_folds(assigned, groups=group_ids, pixel_hashes=view_hashes)
    images = [
        dataclasses.replace(image, group_id=group_id, fold=fold)
        for image, group_id, fold in zip(images, group_ids, assigned, strict=True)
    ]
    exclusions = identity.resolve_identical(view_hashes, labels) if clean else []
    excluded += [_exclusion_row(exclusion, images) for exclusion in exclusions]
    left_out = {exclusion.index for exclusion in exclusions}
    return Catalog(
        images=tuple(image for index, image in enumerate(images) if index not in left_out),
        excluded=tuple(excluded),
        near_duplicates=tuple(
            _near_duplicate_row(pair, images)
            for pair in pairs
            if pair.first not in left_out and pair.second not in left_out
        ),
        num_source_images=len(files),
        num_undecodable=num_undecodable,
    )


def _say_joined(pairs: Sequence[identity.NearDuplicate], images: Sequence[CatalogImage]) -> str:
    """Which images stand in one group although nobody put them there."""
    if not pairs:
        return ""
    first, second = (images[index].file.image_id for index in (pairs[0].first, pairs[0].second))
    number = f"{len(pairs)} pairs of near duplicates are" if len(pairs) > 1 else "1 pair of near duplicates is"
    return f". {number} kept together and make fewer groups; the first: {first} and {second}"


def to_csv(fields: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """Text of a CSV file with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _decode_all(
    files: Sequence[SourceFile], read: Callable[[str], bytes], label_names: Mapping[str, str]
) -> tuple[list[CatalogImage], list[np.ndarray], list[np.ndarray], list[dict[str, str]]]:
    images, hashes, greys, undecodable = [], [], [], []
    for file in files:
        label_name = label_names[file.class_folder]
        try:
            decoded = decode_served(read(file.member))
        except UndecodableImageError as error:
            row = dict.fromkeys(EXCLUDED_FIELDS, "")
            undecodable.append(
                row
                | {"image_id": file.image_id, "reason": "undecodable", "label_name": label_name, "detail": str(error)}
            )
            continue
        height, width, _ = decoded.pixels.shape
        pixel_hash, view_hash = identity.pixel_sha256(decoded.pixels), identity.view_sha256(decoded.pixels)
        images.append(CatalogImage(file, label_name, pixel_hash, view_hash, decoded.source_format, width, height))
        hashes.append(identity.difference_hash(decoded.pixels))
        greys.append(identity.to_grey(decoded.pixels))
    return images, hashes, greys, undecodable


def _pairs_of_one_key(keys: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """The first image of every key, such as an origin, with each of the others; None is no key."""
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        if key is not None and first.setdefault(key, index) != index:
            yield first[key], index


def _exclusion_row(exclusion: identity.Exclusion, images: Sequence[CatalogImage]) -> dict[str, str]:
    image, related = images[exclusion.index], images[exclusion.related_index]
    pixels = (
        "identical pixels" if image.pixel_sha256 == related.pixel_sha256 else "identical pixels, turned or mirrored,"
    )
    details = {
        "duplicate": f"{pixels.rstrip(',')}; the related image is kept",
        "conflicting_labels": f"{pixels} are also labelled {related.label_name}; neither is kept",
    }
    return {
        "image_id": image.file.image_id,
        "reason": exclusion.reason,
        "label_name": image.label_name,
        "related_image_id": related.file.image_id,
        "distance": "0",
        "detail": details[exclusion.reason],
    }


def _near_duplicate_row(pair: identity.NearDuplicate, images: Sequence[CatalogImage]) -> dict[str, str]:
    image, related = images[pair.first], images[pair.second]
    return {
        "image_id": image.file.image_id,
        "related_image_id": related.file.image_id,
        "distance": str(pair.distance),
        "labels": f"{image.label_name}|{related.label_name}",
        "correlation": f"{pair.registration.correlation:.3f}",
        "overlap": f"{pair.registration.overlap:.2f}",
        "scale": f"{pair.registration.scale:g}",
        "view": "upright" if pair.affine is None else pair.affine.view,
        "angle": "0" if pair.affine is None else f"{pair.affine.angle:.1f}",
        "distinctness": "" if pair.distinctness is None else f"{pair.distinctness:.3f}",
        "shows": pair.shows,
    }
