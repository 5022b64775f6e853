"""The masks of one cell's parts, checked."""

from __future__ import annotations

import dataclasses

import numpy as np

PARTS = ("head", "acrosome", "vacuoles", "midpiece", "tail")
MIN_OBJECT_UM2 = 0.03
"""Smaller objects are dropped: a disc of 0.2 um, what light of 550 nm and an objective of NA 1.3 resolve (Abbe)."""


@dataclasses.dataclass(frozen=True, eq=False)
class CellMasks:
    """Masks of one cell, all of one shape. A part that nobody looked for is None; one that was not found is all False.

    Attributes:
        head: bool [H, W], nucleus, acrosome and vacuoles together.
        acrosome: bool [H, W].
        vacuoles: bool [H, W], all vacuoles of the head.
        midpiece: bool [H, W], neck and midpiece, with residual cytoplasm where it is segmented with them.
        tail: bool [H, W], principal piece and end piece: the flagellum without the midpiece.
    """

    head: np.ndarray | None = None
    acrosome: np.ndarray | None = None
    vacuoles: np.ndarray | None = None
    midpiece: np.ndarray | None = None
    tail: np.ndarray | None = None

    def __post_init__(self):
        shapes = {}
        for name in PARTS:
            mask = getattr(self, name)
            if mask is None:
                continue
            if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
                received = f"{getattr(mask, 'dtype', type(mask).__name__)} {list(np.shape(mask))}"
                raise ValueError(
                    f"{name} must be a bool array [height, width]. Received: {name}={received}. "
                    "Pass one mask for each part, as `labels == value`."
                )
            shapes[name] = mask.shape
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"masks must have one shape. Received: {', '.join(f'{k}={list(v)}' for k, v in shapes.items())}. "
                "Cut all parts of a cell from the same window."
            )

    def crop(self) -> CellMasks:
        """The masks within the smallest window that holds all parts, with a margin of one pixel inside the field."""
        present = [mask for name in PARTS if (mask := getattr(self, name)) is not None and mask.any()]
        if not present:
            return self
        union = np.logical_or.reduce(present)
        window = tuple(
            slice(max(int(found[0]) - 1, 0), int(found[-1]) + 2)
            for found in (np.flatnonzero(union.any(axis=1)), np.flatnonzero(union.any(axis=0)))
        )
        cut = {name: getattr(self, name) for name in PARTS}
        return CellMasks(**{name: mask if mask is None else mask[window] for name, mask in cut.items()})


def drop_small_objects(mask: np.ndarray, pixel_size_um: float) -> np.ndarray:
    """The mask, bool [H, W], without objects smaller than `MIN_OBJECT_UM2` (8-connected)."""
    from skimage.measure import label

    labels = label(mask, connectivity=2)
    areas = np.bincount(labels.ravel())
    keep = areas * pixel_size_um**2 >= MIN_OBJECT_UM2
    keep[0] = False
    return keep[labels]
