"""Names of files that speak of augmented copies: mirrored, turned or otherwise changed copies of other files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sperm_tf.data.archives import SourceFile

_WORDS = re.compile(
    r"(?<![a-z])(aug|augm|augmented|augmentation|[hv]?flip(ped|lr|ud)?|mirror(ed)?|rot|rotate|rotated|rotation)(?![a-z])"
)
_ROBOFLOW = re.compile(r"\.rf\.[0-9a-z]{8,}")  # Roboflow's exports: cell_1_jpg.rf.<hash>.jpg
_MONTH = re.compile(r"\d{1,2}[-_. ]?aug[-_. ]?(19|20)\d\d|(19|20)\d\d[-_. ]?aug[-_. ]?\d{1,2}")
_SHOWN = 3


def is_augmented_name(name: str) -> bool:
    """Whether a file's name says that it is an augmented copy, such as `c1_aug_2`, `c1_rot90` or `c1.rf.<hash>`."""
    text = _MONTH.sub(" ", name.casefold())
    return bool(_WORDS.search(text) or _ROBOFLOW.search(text))


def warn_of_augmented_copies(files: Iterable[SourceFile]) -> list[str]:
    """A warning where names say that files are augmented copies; empty where none does.

    Args:
        files: the images; the names of the files and of the folders below those of the classes count.
    """
    files = list(files)
    augmented = [file.member for file in files if is_augmented_name(file.member.removeprefix(f"{file.class_folder}/"))]
    if not augmented:
        return []
    return [
        f"{len(augmented):,} of {len(files):,} files have names of augmented copies, such as "
        f"{', '.join(augmented[:_SHOWN])}. Copies of one cell in training and test images make the accuracy look "
        "better than it is: remove the copies (the pipeline turns and mirrors images itself), or give each copy and "
        "its original one group in a table"
    ]
