"""What the classes of a model mean for a count: normal forms, other spermatozoa, and what is no spermatozoon.

A name tells a role only where it is one of the words below: classes of datasets and of the WHO manual's defects. What
is not known stops the count. As a spermatozoon, a leukocyte class would halve the percentage of normal forms.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence

NORMAL, OTHER_SPERM, NOT_SPERM = "normal", "other_sperm", "not_sperm"
"""Roles that the name of a class can tell."""


def _split_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NOT_SPERM = _split_words(
    "nonsperm nosperm notsperm notasperm nonspermatozoon nonspermatozoa notaspermatozoon debris artefact artifact "
    "background boya impurity impuritie dirt dust crystal bacterium bacteria leukocyte leucocyte whitebloodcell "
    "wbc erythrocyte redbloodcell rbc bloodcell roundcell epithelialcell epithelium neutrophil lymphocyte "
    "macrophage germcell immaturegermcell spermatid spermatocyte spermatogonium spermatogonia"
)
_SPERM = _split_words("sperm spermatozoon spermatozoa spermatozoid form head neck midpiece tail acrosome")
_NORMAL = {"normal"}
_DEFECTS = _split_words(
    "abnormal abnormality tapered tapering pyriform piriform amorphous small large micro macro microcephalic "
    "macrocephalic microcephalous macrocephalous vacuolated elongated coiled bent defect defective deformed "
    "irregular asymmetric asymmetrical"
)
_DEFECTS_OF_A_PART = {"round", "double", "two", "multiple", "short", "thin", "thick", "broken", "sharp"}
"""Of these alone, or of a cell, nobody knows what is meant: `round head` is a spermatozoon, `round cell` is none."""
_LABEL_SET = re.compile(r"^(head_shape|quality) ")  # before the classes of drawn sperm of both label sets
_PARTS = _SPERM - {"sperm", "spermatozoon", "spermatozoa", "spermatozoid", "form"}


class RolesError(ValueError):
    """Classes that nothing can be counted by; the message says what to name."""


@dataclasses.dataclass(frozen=True)
class ClassRoles:
    """What the classes of a model mean for a count.

    Attributes:
        class_names: all of them, in the order of the model.
        normal: the classes of normal forms.
        not_sperm: the classes of objects that are no spermatozoa; may be empty.
    """

    class_names: tuple[str, ...]
    normal: tuple[str, ...]
    not_sperm: tuple[str, ...]

    def __post_init__(self) -> None:
        for field, names in (("normal_classes", self.normal), ("not_sperm_classes", self.not_sperm)):
            unknown = [name for name in names if name not in self.class_names]
            if unknown:
                raise RolesError(
                    f"{field} must be of {', '.join(self.class_names)}. Received: {', '.join(unknown)}. Name classes "
                    "of the model."
                )
        if not self.normal or set(self.normal) & set(self.not_sperm):
            raise RolesError(
                "normal_classes must name at least one class, none of which is in not_sperm_classes. Received: "
                f"normal_classes={','.join(self.normal) or '(none)'}, not_sperm_classes={','.join(self.not_sperm)}, of "
                f"the classes {', '.join(self.class_names)}. Name them with --normal_classes and --not_sperm_classes."
            )

    @property
    def sperm(self) -> tuple[str, ...]:
        """The classes of spermatozoa."""
        return tuple(name for name in self.class_names if name not in self.not_sperm)

    @property
    def is_normal(self) -> tuple[bool, ...]:
        """Of every class, whether it is one of normal forms."""
        return tuple(name in self.normal for name in self.class_names)

    @property
    def is_sperm(self) -> tuple[bool, ...]:
        """Of every class, whether it is one of spermatozoa."""
        return tuple(name not in self.not_sperm for name in self.class_names)


def default_roles(
    class_names: Sequence[str], *, normal: Sequence[str] | None = None, not_sperm: Sequence[str] | None = None
) -> ClassRoles:
    """The roles that the names of the classes tell.

    Args:
        class_names: in the order of the model.
        normal: classes of normal forms; None takes those called `normal`.
        not_sperm: classes of what is no spermatozoon; all others are spermatozoa then. None takes those called
            `non-sperm`, `debris`, `leukocyte` and the like, and needs to know every class.

    Raises:
        RolesError: no class is known to be normal, a name is no class, or, without `not_sperm`, nothing tells of a
            class whether it is of spermatozoa.
    """
    roles = {name: find_role(name) for name in class_names}
    if not_sperm is None:
        unknown = [name for name in class_names if roles[name] is None and name not in (normal or ())]
        if unknown:
            known = [name for name in class_names if roles[name] == NOT_SPERM]
            raise RolesError(
                f"every class must be known to be of spermatozoa, or of something else. Received: "
                f"{', '.join(unknown)}, of the classes {', '.join(class_names)}. Name all classes that are no "
                f"spermatozoa, such as --not_sperm_classes={','.join([*known, *unknown])}; if all of them are "
                f"spermatozoa: --not_sperm_classes={','.join(known) or 'none'}."
            )
    return ClassRoles(
        tuple(class_names),
        tuple(name for name in class_names if roles[name] == NORMAL) if normal is None else tuple(normal),
        tuple(name for name in class_names if roles[name] == NOT_SPERM) if not_sperm is None else tuple(not_sperm),
    )


def find_role(class_name: str) -> str | None:
    """The role that the name of a class tells: `NORMAL`, `OTHER_SPERM` or `NOT_SPERM`; None where it tells none."""
    words = _split(_LABEL_SET.sub("", class_name))
    whole, last = "".join(words), words[-1] if words else ""
    names_sperm = set(words) & (_SPERM | _NORMAL | _DEFECTS)
    if _singular(whole) in _NOT_SPERM or (last in _NOT_SPERM and not names_sperm):
        return NOT_SPERM
    parts, adjectives = set(words) & _PARTS, set(words) - _SPERM
    known = _NORMAL | _DEFECTS | (_DEFECTS_OF_A_PART if parts else set())
    if not adjectives <= known or not (adjectives or set(words) - _PARTS):
        return None
    if adjectives != _NORMAL:
        return OTHER_SPERM
    return NORMAL if parts <= {"head"} else None  # with a normal tail the head may be anything


def is_no_sperm(class_name: str) -> bool:
    """Whether the name of a class is known to be of no spermatozoa."""
    return find_role(class_name) == NOT_SPERM


def _split(name: str) -> list[str]:
    """The words of a name, in small letters, without accents, in the singular: `01_NormalSperms` -> normal, sperm."""
    letters = "".join(filter(lambda letter: not unicodedata.combining(letter), unicodedata.normalize("NFKD", name)))
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", letters)
    return [_singular(word) for word in re.findall(r"[^\W\d_]+", spaced.casefold())]


def _singular(word: str) -> str:
    return word if word.endswith("ous") or word == "debris" else word.removesuffix("s")
