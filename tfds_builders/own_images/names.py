"""Labels and groups that a user's folders and tables may hold."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from sperm_tf.data.image_files import DataDirError
from sperm_tf.data.tables import is_text

_FORBIDDEN_IN_LABELS = "/\\|"  # separators of paths, and of the labels of a pair in near_duplicates.csv
# What pandas, R and spreadsheets write for an entry that is missing.
_MISSING = {"", "nan", "-nan", "none", "null", "na", "n/a", "<na>", "#n/a", "#na", "nat"}
_NUMBER = re.compile(r"([+-]?)0*(\d+)(?:[.,](\d*?)0*)?")
# Between two digits a separator counts: 1-12 is not 11-2.
_IDLE_SEPARATOR = re.compile(r"(?<!\d) | (?!\d)")
_MAX_LISTED = 5


def is_missing(text: str) -> bool:
    """Whether an entry is empty or stands for a missing one, such as `nan`, `None` and `NA`."""
    return text.strip().casefold() in _MISSING


def clean_label(text: str, *, where: str) -> str:
    """A class name in Unicode's composed form, so that one name typed on two systems is one class.

    Args:
        text: the folder's name or the table's entry.
        where: what an error names.

    Raises:
        DataDirError: it is empty or says that it is missing, or holds a character that files of this package use as a
            separator.
    """
    label = unicodedata.normalize("NFC", text.strip())
    if is_missing(label):
        raise DataDirError(
            f"label must not be empty. Received: {label!r} ({where}). Name the class, or remove the images"
        )
    if any(character in _FORBIDDEN_IN_LABELS for character in label) or not is_text(label):
        raise DataDirError(
            f"label must be UTF-8 text without control characters and without {' '.join(_FORBIDDEN_IN_LABELS)}. "
            f"Received: {label!r} ({where}). Rename the class"
        )
    return label


def words_of(name: str) -> list[str]:
    """The words of a name, in small letters: `Train_set2`, `trainSet` and `TRAIN-set` are `train`, `set`."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", parted.casefold())


def spelling_key(name: str) -> str:
    """What spellings of one name have in common.

    Case, Unicode form, spaces, hyphens, underscores and leading zeros do not count, nor how a number is written:
    `1`, `1.0` and `01` are one, `P1`, `p-01` and `P 1` too. `-1` and `1` are two, and so are `1-12` and `11-2`.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold()).strip()
    if number := _NUMBER.fullmatch(text):
        sign, whole, decimals = number.groups()
        return f"{sign.replace('+', '')}{whole}{f'.{decimals}' if decimals else ''}"
    is_separator = [
        character.isspace() or character == "_" or unicodedata.category(character) == "Pd" for character in text
    ]
    spaced = "".join(" " if idle else character for character, idle in zip(text, is_separator, strict=True))
    joined = _IDLE_SEPARATOR.sub("", " ".join(spaced.split()))
    return re.sub(r"(?<![\d.,])0+(?=\d)", "", joined)


def spelling_variants(names: Iterable[str]) -> list[list[str]]:
    """Names that are probably one, spelled in several ways; each set sorted.

    Args:
        names: distinct names.
    """
    by_key: dict[str, list[str]] = {}
    for name in sorted(names):
        by_key.setdefault(spelling_key(name), []).append(name)
    return [variants for variants in by_key.values() if len(variants) > 1]


def check_label_variants(counts: Mapping[str, int], *, where: str) -> None:
    """Stops where labels differ in nothing but their spelling.

    Args:
        counts: label -> images.
        where: what an error names.

    Raises:
        DataDirError: there are such labels; the message lists them with their counts.
    """
    variants = spelling_variants(counts)
    if variants:
        listed = "; ".join(", ".join(f"{name!r} ({counts[name]:,})" for name in names) for names in variants)
        raise DataDirError(
            "labels must differ in more than case, spaces, hyphens, underscores, Unicode form or leading zeros: each "
            f"is a class of its own. Received: {where} with {listed} (images). Write one class in one way"
        )


def warn_of_group_variants(groups: Iterable[str]) -> list[str]:
    """A warning where groups differ in nothing but their spelling; empty where none do.

    Args:
        groups: the group of every image.
    """
    counts = Counter(groups)
    variants = spelling_variants(counts)
    if not variants:
        return []
    sets = [", ".join(f"{name!r} ({counts[name]:,})" for name in names) for names in variants]
    more = f"; and {len(sets) - _MAX_LISTED:,} more" if len(sets) > _MAX_LISTED else ""
    return [
        f"groups differ only in their spelling: {'; '.join(sets[:_MAX_LISTED])}{more} (images). If they are one "
        "patient or slide, write it in one way: else its images stand in training and test images at once"
    ]
