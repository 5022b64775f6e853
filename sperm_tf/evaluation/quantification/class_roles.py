"""What the classes of a model mean for a count: normal forms, other spermatozoa, and what is no spermatozoon."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

_NOT_SPERM = {"nonsperm", "nosperm", "notsperm", "notasperm", "debris", "artefact", "artifact", "background", "boya"}
_NORMAL = {"normal", "normalsperm"}


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
        not_sperm: classes of what is no spermatozoon; None takes those called `non-sperm`, `debris` and the like.

    Raises:
        RolesError: no class is known to be normal, or a name is no class.
    """
    return ClassRoles(
        tuple(class_names),
        tuple(name for name in class_names if _letters(name) in _NORMAL) if normal is None else tuple(normal),
        tuple(filter(is_no_sperm, class_names)) if not_sperm is None else tuple(not_sperm),
    )


def is_no_sperm(class_name: str) -> bool:
    """Whether the name of a class, or its last word, says that it is of no spermatozoa."""
    words = [_letters(word) for word in (class_name, class_name.split(" ")[-1])]
    return any({word, word.removesuffix("s")} & _NOT_SPERM for word in words)


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name.casefold()))
