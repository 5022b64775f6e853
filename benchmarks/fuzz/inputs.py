"""What passes between a campaign and its targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

Outcome = tuple[str, str]
"""How an input ended, such as its status; and what is wrong with that, empty where nothing is."""


@dataclasses.dataclass(frozen=True)
class Input:
    """A mutated file or request.

    Attributes:
        number: of the mutation.
        name: of what was mutated.
        content: the bytes.
    """

    number: int
    name: str
    content: bytes


class Target(Protocol):
    """What is fuzzed.

    Attributes:
        files: what mutations begin with.
        batch: how many inputs are checked at once.
        pid: of the process whose memory counts.
    """

    files: dict[str, bytes]
    batch: int
    pid: int

    def check(self, inputs: Sequence[Input]) -> list[Outcome]:
        """The outcome of each input; an exception is a problem as well."""

    def close(self) -> None:
        """Ends what the target started."""
