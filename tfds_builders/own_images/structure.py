"""What the folders above the images mean: classes with patients in them, or something else, which is refused.

A folder of class folders and a folder of splits have one shape: some folders, each of which holds the same subfolders.
Names decide which it is, and where they do not, the folder is refused: classes read as patients make a model that
nobody wanted, and no figure of it shows that.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from sperm_tf.data.image_files import DataDirError
from tfds_builders.own_images.names import words_of

_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "holdout"), "val"),
    **dict.fromkeys(("fold", "folds", "kfold", "split", "partition"), "fold"),
}
_FILLERS = re.compile(r"(sets?|data|images|imgs|crops|folder)+$")
_GROUP_WORDS = {
    *("p", "pat", "patient", "patients", "donor", "subject", "subj", "person", "man", "case", "id"),
    *("s", "slide", "slides", "sample", "specimen", "scan", "batch", "site", "centre", "center", "clinic", "lab"),
    *("day", "date", "microscope", "scope", "run", "experiment", "session", "replicate"),
}
_CLASS_WORDS = {
    *("class", "grade", "category", "type", "label", "stage"),
    *("normal", "abnormal", "nonsperm", "sperm", "debris", "artefact", "artifact", "leukocyte", "amorphous"),
    *("tapered", "pyriform", "round", "globozoospermia", "vacuolated", "vacuole", "small", "large", "micro", "macro"),
    *("macrocephalic", "microcephalic", "pin", "pinhead", "double", "acrosome", "coiled", "curly", "bent", "short"),
    *("cytoplasmic", "droplet", "defect", "defects", "head", "tail", "neck", "midpiece", "morphology"),
}
_CLASS_EVIDENCE, _NUMBERED, _GROUP_EVIDENCE = -1, 1, 2
_TABLE = "describe the images in a table with the columns file, label and group"
_MAX_LISTED = 6


def check_structure(path: pathlib.Path, folders: Sequence[str], places: Iterable[tuple[str, ...]]) -> None:
    """Stops where the folders are not classes, with or without patients or slides in them.

    Args:
        path: the folder that is described.
        folders: names of the folders in it.
        places: for every image, the names of the folders above it, the one in `path` first.

    Raises:
        DataDirError: they are splits, or patients or other groups with classes in them, or it cannot be told; the
            message says how it was understood, and what to do.
    """
    below = _subfolders(places)
    _check_splits(path, folders, below)
    if len(folders) < 2:
        return  # too few classes, whatever is in it
    _check_classes_inside(path, folders, below)
    _check_order(path, {name: below[(name,)] for name in folders if below.get((name,))})


def warn_of_subclasses(folders: Sequence[str], places: Iterable[tuple[str, ...]]) -> list[str]:
    """A warning where some classes have subfolders, which are read as groups, and others have none.

    Args:
        folders: names of the class folders.
        places: for every image, the names of the folders above it, its class first.
    """
    below = _subfolders(places)
    divided = [name for name in folders if below.get((name,))]
    if not divided or len(divided) == len(folders):
        return []
    inside = sorted(set().union(*(below[(name,)] for name in divided)))
    return [
        f"of {len(folders)} classes only {_join(divided)} has subfolders ({_join(inside)}), which are read as patients "
        "or slides. If they are classes, make each a folder of its own beside the others; if they are neither, "
        f"{_TABLE}"
    ]


def _subfolders(places: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], set[str]]:
    """Folder, as the names on the way to it -> names of the folders in it that hold images."""
    below: dict[tuple[str, ...], set[str]] = {}
    for place in set(places):
        for depth, name in enumerate(place):
            below.setdefault(place[:depth], set()).add(name)
    return below


def _check_splits(path: pathlib.Path, folders: Sequence[str], below: Mapping[tuple[str, ...], set[str]]) -> None:
    found = [name for name in folders if _split_kinds(name, whole=True)]
    for siblings in (folders, *(below[parent] for parent in sorted(below) if parent)):
        kinds = {name: _split_kinds(name) for name in siblings if _split_kinds(name)}
        distinct = set().union(*kinds.values())
        if len(distinct) > 1 or (distinct == {"fold"} and len(kinds) > 1):
            found += kinds
    if found:
        names = sorted(set(found), key=lambda name: (name.casefold(), name))
        words = sorted(set().union(*(_split_kinds(name) for name in names)))
        raise DataDirError(
            f"data_dir must hold one folder per class. Received: data_dir={path}, whose folders are splits: "
            f"{_join(names)} ({'/'.join(words)}). Join them to one folder per class, or {_TABLE}: the pipeline makes "
            "its own folds, so that no near duplicate stands in two of them"
        )


def _check_classes_inside(
    path: pathlib.Path, folders: Sequence[str], below: Mapping[tuple[str, ...], set[str]]
) -> None:
    """Stops where names of classes are found below the first level."""
    if _evidence(folders) == _CLASS_EVIDENCE:
        for name in folders:
            _refuse_subclasses(path / name, sorted(below.get((name,), ())))
        return
    for depth in range(1, 1 + max(map(len, below), default=0)):
        names = set().union(*(children for parent, children in below.items() if len(parent) == depth))
        if len(names) > 1 and _evidence(names) == _CLASS_EVIDENCE:
            _refuse_groups_first(path, folders, names)


def _refuse_subclasses(folder: pathlib.Path, names: Sequence[str]) -> None:
    if len(names) < 2 or _evidence(names) != _CLASS_EVIDENCE:
        return
    raise DataDirError(
        f"subfolders of a class folder must be patients or slides. Received: {folder}, whose subfolders look like "
        f"classes: {_join(names)}. If they are classes, make each a folder of its own beside the others, or join "
        f"their images to those of the folder above; if they are groups, {_TABLE}"
    )


def _check_order(path: pathlib.Path, inside: Mapping[str, set[str]]) -> None:
    """Stops where the upper folders look more like patients than their subfolders do, or as much and it is not clear.

    Args:
        path: the folder that is described.
        inside: name of every folder in it that has subfolders with images -> their names.
    """
    names = set().union(*inside.values()) if inside else set()
    above, below = _evidence(inside), _evidence(names)
    is_repeated = sum(map(len, inside.values())) > len(names)
    if not (is_repeated or above == _GROUP_EVIDENCE):
        return
    is_same_everywhere = all(found == names for found in inside.values())
    if above > below or (above == below and (is_same_everywhere or len(names) <= len(inside))):
        _refuse_groups_first(path, sorted(inside), names)


def _refuse_groups_first(path: pathlib.Path, above: Sequence[str], below: Iterable[str]) -> None:
    raise DataDirError(
        f"data_dir must hold one folder per class, in which subfolders may be patients or slides. Received: "
        f"data_dir={path}, whose folders ({_join(sorted(above))}) hold subfolders that look like the classes "
        f"({_join(sorted(below))}). If so, put the classes on top, <class>/<patient>/<image>, or {_TABLE}; if the "
        "upper folders are the classes, name the subfolders so that they are known as groups, such as patient_01"
    )


def _split_kinds(name: str, *, whole: bool = False) -> set[str]:
    """Which kinds of split a name speaks of.

    Args:
        name: of a folder.
        whole: only where the name says nothing else, but for numbers and words such as `set`.
    """
    words = [_FILLERS.sub("", word) for word in words_of(name)]
    kinds = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
    is_whole = all(word in _SPLIT_WORDS for word in words if len(word) > 1)
    if not is_whole:
        kinds.discard("fold")  # a class may be called `split tail`
    return kinds if is_whole or not whole else set()


def _evidence(names: Iterable[str]) -> int:
    """How much the names of sister folders look like patients, slides or other groups, more than like classes."""
    names = list(names)

    def are_most(number: int) -> bool:
        return 2 * number > len(names)

    if are_most(sum(bool(_CLASS_WORDS.intersection(words_of(name))) for name in names)):
        return _CLASS_EVIDENCE
    if are_most(sum(bool(_GROUP_WORDS.intersection(words_of(name))) for name in names)):
        return _GROUP_EVIDENCE
    return _NUMBERED if are_most(sum(bool(re.search(r"\d", name)) for name in names)) else 0


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
