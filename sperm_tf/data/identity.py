"""Which images are the same: identical pixels, and near duplicates of one cell.

File hashes cannot see SMIDS's duplicates, because the same pixels were encoded twice in different ways; so identity is
decided on decoded pixels, and is the same for all eight right-angle views of an image (the dihedral group D4). Near
duplicates, the same cell cropped, encoded or photographed again, are found with a difference hash of the whole frame,
and by registration where the crops are shifted or magnified. Copies that augmentation made, turned, mirrored, magnified
or sheared, are found by the hash of every view and by affine registration.
docs/decisions/near_duplicates.md records how the thresholds were found.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from scipy import sparse

from sperm_tf.data.affine_registration import AFFINE_CORRELATION, AffineRegistration, find_affine_registrations
from sperm_tf.data.affine_search import VIEWS
from sperm_tf.data.registration import Registration, find_registrations, to_usual_size, turned_correlation

HASH_SIZE = 16
NUM_HASH_BITS = HASH_SIZE * HASH_SIZE
# Either measure is enough by itself where all pairs of SMIDS and HuSHeM but one blurred one are the same cell, and
# where hardly an image correlates with the mirror image of another, which cannot be the same field ...
CERTAIN_DISTANCE = 60
CERTAIN_CORRELATION = 0.75
# ... and both together where only one would not do.
JOINT_DISTANCE = 80
JOINT_CORRELATION = 0.65
# Crops of one cell overlap in all but their margins, crops of neighbouring cells do not.
CELL_OVERLAP = 0.85
# Heads of one outline overlap like that, too. Up to CLEAR_CORRELATION it therefore has to exceed the correlation in
# the seven other right-angle views: by DISTINCTNESS to be kept together, by more to be called one cell. Two images of
# one cell agree in one view, heads of one outline in several.
DISTINCT_CORRELATION, CLEAR_CORRELATION = 0.60, 0.80
DISTINCTNESS, CLEAR_DISTINCTNESS = 0.19, 0.24
# No image of SMIDS or HuSHeM is nearer than 58 bits to a turned or mirrored other one.
TURNED_DISTANCE = 45


@dataclasses.dataclass(frozen=True)
class NearDuplicate:
    """Two images of the same cell or field of view.

    Attributes:
        first: position of one image.
        second: position of the other one, greater than `first`.
        distance: bits, 0-256, that differ in their difference hashes.
        registration: the images laid over each other.
        distinctness: by how much the correlation exceeds the highest in the seven other right-angle views; None where
            the pair does not depend on it.
        affine: how one is turned, mirrored, magnified or sheared against the other; None where the pair agrees as it
            stands.
    """

    first: int
    second: int
    distance: int
    registration: Registration
    distinctness: float | None = None
    affine: AffineRegistration | None = None

    @property
    def shows(self) -> str:
        """`cell` where both are crops of one cell, `field` where they are of neighbours.

        `unclear` where they lie over each other as crops of one cell do, but agree hardly more than with each other
        turned or mirrored: they are kept together, and may be two cells of one outline.
        """
        if self.affine is not None:
            return "cell"
        if self.distance > CERTAIN_DISTANCE and self.registration.overlap < CELL_OVERLAP:
            return "field"
        return "cell" if self.distinctness is None or self.distinctness >= CLEAR_DISTINCTNESS else "unclear"


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """Why an image is left out of the `clean` dataset.

    Attributes:
        index: position of the image that is left out.
        reason: `duplicate` (identical pixels and label) or `conflicting_labels` (identical pixels, other label).
        related_index: position of the image that has the same pixels.
    """

    index: int
    reason: str
    related_index: int


def pixel_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of an image's shape and pixels.

    Args:
        pixels: uint8 [height, width, 3], RGB.

    Returns:
        64 hexadecimal digits; equal for equal images however they were encoded.
    """
    digest = hashlib.sha256(f"{pixels.shape[0]}x{pixels.shape[1]}x{pixels.shape[2]}:".encode())
    digest.update(np.ascontiguousarray(pixels, dtype=np.uint8).tobytes())
    return digest.hexdigest()


def view_sha256(pixels: np.ndarray) -> str:
    """SHA-256 that an image shares with its turned and mirrored copies.

    Args:
        pixels: uint8 [height, width, 3], RGB.

    Returns:
        64 hexadecimal digits: the lowest `pixel_sha256` of the eight right-angle views.
    """
    return min(map(pixel_sha256, right_angle_views(pixels)))


def right_angle_views(pixels: np.ndarray) -> list[np.ndarray]:
    """The eight views of the dihedral group D4 of an image [height, width, ...], its own first."""
    return [np.rot90(image, turns) for image in (pixels, pixels[:, ::-1]) for turns in range(4)]


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Luma (ITU-R 601-2) of RGB pixels: uint8 [height, width, 3] to uint8 [height, width]."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def difference_hash(pixels: np.ndarray) -> np.ndarray:
    """Difference hash of the grey image, padded to a square by edge replication.

    Padding keeps the aspect ratio, so that crops of one cell with different borders stay comparable. The area is
    averaged (a box filter) over a grid of 16 rows and 17 columns; a bit says whether a cell is brighter than its left
    neighbour (N. Krawetz, "Kind of Like That", 2013).

    Args:
        pixels: uint8 [height, width, 3], RGB, or [height, width], grey.

    Returns:
        bool [256], row by row.
    """
    grey = to_grey(pixels) if pixels.ndim == 3 else pixels
    height, width = grey.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.pad(grey, ((top, side - height - top), (left, side - width - left)), mode="edge")
    small = np.asarray(Image.fromarray(square).resize((HASH_SIZE + 1, HASH_SIZE), Image.Resampling.BOX))
    return (small[:, 1:] > small[:, :-1]).ravel()


def hamming_distances(hashes: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Number of differing bits of every pair of hashes.

    Args:
        hashes: bool [num_images, num_bits].
        others: bool [num_others, num_bits]; None takes `hashes`.

    Returns:
        int32 [num_images, num_others].
    """
    ones = np.asarray(hashes, dtype=np.float32)  # float32 counts exactly and goes through BLAS.
    other_ones = ones if others is None else np.asarray(others, dtype=np.float32)
    both = ones @ other_ones.T
    return (ones.sum(axis=1)[:, None] + other_ones.sum(axis=1) - 2 * both).astype(np.int32)


def find_near_duplicates(hashes: np.ndarray, greys: Sequence[np.ndarray]) -> list[NearDuplicate]:
    """Finds the pairs that show the same cell or field: by their hashes, by registration, or by affine registration.

    Args:
        hashes: bool [num_images, 256], `difference_hash` of every image.
        greys: uint8 [height, width], `to_grey` of every image.

    Returns:
        All pairs, identical images included, sorted by position.
    """
    distances = hamming_distances(hashes)
    found = {(pair.first, pair.second): pair for pair in _find_as_they_stand(distances, greys)}
    turned = _turned_distances(hashes, greys)
    proposed = {pair: view for pair, (view, _) in turned.items()}
    for (first, second), aligned in find_affine_registrations(to_usual_size(greys), proposed).items():
        is_near = turned.get((first, second), ("", NUM_HASH_BITS))[1] <= TURNED_DISTANCE
        if (first, second) not in found and (is_near or aligned.correlation >= AFFINE_CORRELATION):
            laid = Registration(aligned.correlation, aligned.overlap, aligned.scale)
            pair = NearDuplicate(first, second, int(distances[first, second]), laid, affine=aligned)
            found[first, second] = pair
    return [found[key] for key in sorted(found)]


def _find_as_they_stand(distances: np.ndarray, greys: Sequence[np.ndarray]) -> list[NearDuplicate]:
    """The pairs that agree without being turned or mirrored."""
    close = ((i, j) for i, j in np.argwhere(np.triu(distances <= JOINT_DISTANCE, k=1)).tolist())
    greys = to_usual_size(greys)
    registrations = find_registrations(greys, close)
    pairs = [NearDuplicate(i, j, int(distances[i, j]), found) for (i, j), found in registrations.items()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        judged = threads.map(lambda pair: _judge(pair, greys[pair.first], greys[pair.second]), pairs)
        return [pair for pair in judged if pair is not None]


def _turned_distances(hashes: np.ndarray, greys: Sequence[np.ndarray]) -> dict[tuple[int, ...], tuple[str, int]]:
    """The pairs within `CERTAIN_DISTANCE` in a turned or mirrored view: the view, and the lowest distance in any."""
    found: dict[tuple[int, ...], tuple[str, int]] = {}
    for number, view in enumerate(VIEWS):
        if number and greys:
            turned = np.stack([difference_hash(right_angle_views(grey)[number]) for grey in greys])
            distances = hamming_distances(turned, hashes)
            for pair in map(tuple, np.argwhere(np.triu(distances <= CERTAIN_DISTANCE, k=1)).tolist()):
                found[pair] = min(
                    found.get(pair, (view, NUM_HASH_BITS)), (view, int(distances[pair])), key=lambda p: p[1]
                )
    return found


def _judge(pair: NearDuplicate, grey: np.ndarray, other: np.ndarray) -> NearDuplicate | None:
    """The pair, with its distinctness where it depends on that, if both images show one field."""
    correlation = pair.registration.correlation
    is_doubtful = DISTINCT_CORRELATION <= correlation < CLEAR_CORRELATION
    if pair.distance > CERTAIN_DISTANCE and is_doubtful and pair.registration.overlap >= CELL_OVERLAP:
        distinctness = correlation - turned_correlation(grey, other, enough=correlation - DISTINCTNESS)
        return dataclasses.replace(pair, distinctness=distinctness) if distinctness >= DISTINCTNESS else None
    return pair if agrees(pair.distance, correlation) else None


def agrees(distance: int, correlation: float) -> bool:
    """Whether the distance of two images' hashes and their correlation are enough to call them one field."""
    if distance <= CERTAIN_DISTANCE or correlation >= CERTAIN_CORRELATION:
        return True
    return distance <= JOINT_DISTANCE and correlation >= JOINT_CORRELATION


def connected_groups(num_images: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Joins images that are connected by any chain of pairs.

    Args:
        num_images: number of images.
        pairs: positions of two images that belong together.

    Returns:
        int64 [num_images]: position of the first image of the group that each image is in.
    """
    edges = np.asarray(list(pairs), dtype=np.int64).reshape(-1, 2)
    matrix = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(num_images, num_images))
    _, labels = sparse.csgraph.connected_components(matrix, directed=False)
    _, first = np.unique(labels, return_index=True)
    return first[labels]


def resolve_identical(pixel_hashes: Sequence[str], labels: Sequence[str]) -> list[Exclusion]:
    """Decides which images with identical pixels are left out of the `clean` dataset.

    Of images that share pixels and label the first is kept. Of images that share pixels but not the label none is
    kept: nothing tells which label is right.

    Args:
        pixel_hashes: `pixel_sha256` of every image.
        labels: class of every image.

    Returns:
        The images to leave out, in order of position.
    """
    members: dict[str, list[int]] = {}
    for index, pixel_hash in enumerate(pixel_hashes):
        members.setdefault(pixel_hash, []).append(index)
    exclusions = []
    for indices in members.values():
        if len({labels[index] for index in indices}) > 1:
            for index in indices:
                other = next(i for i in indices if labels[i] != labels[index])
                exclusions.append(Exclusion(index, "conflicting_labels", other))
        else:
            exclusions.extend(Exclusion(index, "duplicate", indices[0]) for index in indices[1:])
    return sorted(exclusions, key=lambda exclusion: exclusion.index)
