"""Annotated fields of SpermParsing: polygons of the parts of every spermatozoon, by three annotators.

Chen et al. 2024, CP-Net (Medical Image Analysis, doi:10.1016/j.media.2024.103243). The release's licence is
non-commercial: nothing of it belongs into this project, and no weights that were trained on it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

NUCLEUS, ACROSOME, VACUOLE, MIDPIECE, TAIL = PARTS = ("Nucleus", "Acrosome", "Vacuole", "Midpiece", "Tail")
HEAD_PARTS = (NUCLEUS, ACROSOME)
ANNOTATORS = ("annotator_1", "annotator_2", "annotator_3")
"""Folders of the release; those of the first are the published labels."""
_SPLIT_FILE, _IMAGES = "split.csv", "images"
_ROOT = "SpermParsing"


class AnnotationError(ValueError):
    """Annotations that cannot be read; the message names the file and what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedCell:
    """A spermatozoon with its annotated parts.

    Attributes:
        group_id: labelme's number of the cell in its field; -1 where the annotator gave none.
        polygons: part -> its polygons, float64 [N, 2], x and y in pixels; the centre of the first pixel is (0, 0).
    """

    group_id: int
    polygons: Mapping[str, tuple[np.ndarray, ...]]

    def box(self, parts: Sequence[str] = HEAD_PARTS) -> tuple[float, float, float, float] | None:
        """Smallest x, smallest y, largest x and largest y of parts, in pixels; None where it has none of them."""
        points = [polygon for part in parts for polygon in self.polygons.get(part, ())]
        if not points:
            return None
        joined = np.concatenate(points)
        (x0, y0), (x1, y1) = joined.min(axis=0), joined.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)


@dataclasses.dataclass(frozen=True)
class FieldRecord:
    """What the release says of a field.

    Attributes:
        image: file name.
        official_split: `train` or `val`; the parts share sessions, so they leak.
        session: of the microscope; a new one after 30 minutes without an image.
    """

    image: str
    official_split: str
    session: int


class AnnotatedFields:
    """The fields of SpermParsing, in its zip or in an extracted folder.

    Args:
        path: `SpermParsing.zip`, the folder it was extracted to, or `SpermParsing` inside that.

    Raises:
        AnnotationError: there is no such release.
    """

    def __init__(self, path: str | pathlib.Path):
        source = pathlib.Path(path).expanduser()
        root: Any = None
        if source.is_dir():
            root = source / _ROOT if (source / _ROOT).is_dir() else source
        elif zipfile.is_zipfile(source):
            root = zipfile.Path(zipfile.ZipFile(source)) / _ROOT
        if root is None or not (root / _SPLIT_FILE).is_file():
            raise AnnotationError(
                f"path must be SpermParsing.zip or the folder it was extracted to, with {_SPLIT_FILE} in it. "
                f"Received: path={str(path)!r}. Name the archive."
            )
        self._root = root
        rows = csv.DictReader(io.StringIO((root / _SPLIT_FILE).read_text(encoding="utf-8")))
        self.records = tuple(
            FieldRecord(row["image"], row["official_split"], int(row["session"]))
            for row in sorted(rows, key=lambda row: row["image"])
        )

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[FieldRecord]:
        return iter(self.records)

    def read_image(self, image: str) -> bytes:
        """The bytes of a field's file, a JPEG of 1280x1024 pixels."""
        return (self._root / _IMAGES / image).read_bytes()

    def read_cells(self, image: str, annotator: str = ANNOTATORS[0]) -> list[AnnotatedCell]:
        """The cells of a field.

        Args:
            image: file name of the field.
            annotator: of `ANNOTATORS`.

        Raises:
            AnnotationError: there is no such annotation, or it is no labelme JSON.
        """
        name = f"{annotator}/{pathlib.PurePath(image).stem}.json"
        try:
            return parse_labelme((self._root / name).read_text(encoding="utf-8"))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise AnnotationError(
                f"annotations must be labelme JSON with polygons of {', '.join(PARTS)}. Received: {name} ({error}). "
                "Copy the release again."
            ) from error


def parse_labelme(text: str) -> list[AnnotatedCell]:
    """Cells of a labelme 5 file.

    Polygons with one `group_id` are one cell. A polygon without `group_id`, or of fewer than three points, or of an
    unknown part, is left out.

    Args:
        text: JSON.

    Raises:
        ValueError: it is no JSON.
        KeyError, TypeError: it is no labelme file.
    """
    cells: dict[int, dict[str, list[np.ndarray]]] = {}
    for shape in json.loads(text)["shapes"]:
        points = np.asarray(shape["points"], np.float64).reshape(-1, 2)
        if shape["label"] in PARTS and shape.get("group_id") is not None and len(points) >= 3:
            cells.setdefault(int(shape["group_id"]), {}).setdefault(shape["label"], []).append(points)
    return [
        AnnotatedCell(group_id, {part: tuple(polygons) for part, polygons in parts.items()})
        for group_id, parts in sorted(cells.items())
    ]
