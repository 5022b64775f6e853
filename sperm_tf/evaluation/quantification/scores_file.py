"""The file of scores: one row an image, as Parquet and CSV, with the record of how it came about."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sperm_tf.file_digests import SUMS_FILE, SumsError, changed_files, read_sums

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PARQUET_FILE, CSV_FILE = "scores.parquet", "scores.csv"
FIELD_SCORES = "scores"
"""Folder with the scores of cells that were found in fields, inside that of `pipelines.fields`."""
FILE, STATUS, PREDICTED, DECISION, REASON = "file", "status", "predicted_class", "decision", "reason"
PREDICTION_SET, UNFAMILIARITY, OVERLAY = "prediction_set", "unfamiliarity", "overlay"
MODEL, MODEL_DIGEST = "model", "model_digest"
IMAGE_DIGEST = "sha256"
PROBABILITY_PREFIX = "p_"
QUALITY = ("width", "height", "snr", "cnr", "sharpness")
PIXEL_SIZE, INTENSITY = "pixel_size_um", "intensity_mapping"
"""What a microscope's file says: micrometres a pixel; which range of its values became 0-255."""
SET_SEPARATOR = "|"
_WHOLE_PIXELS = QUALITY[:2]
_RECORD_KEY = b"sperm_tf"


class ScoresError(ValueError):
    """Scores that cannot be written or read; the message names the file and what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Scores that were read.

    Attributes:
        path: of the Parquet file.
        table: one row an image, the columns of `schema`, in the order of the file.
        class_names: in the order of the model.
        record: what `pipelines.score` wrote about model and input; see docs/slide.md.
    """

    path: pathlib.Path
    table: pd.DataFrame
    class_names: tuple[str, ...]
    record: dict[str, Any]


def schema(
    class_names: Sequence[str], further: Sequence[str], record: dict[str, Any], *, overlays: bool = False
) -> pa.Schema:
    """The columns of a file of scores.

    Args:
        class_names: names of the classes, in the order of the model.
        further: names of columns that are passed through from the input, as text.
        record: JSON-serializable; goes into the file's metadata.
        overlays: whether there is a column with the names of pictures.
    """
    import pyarrow as pa

    text, real = pa.string(), pa.float32()
    own = [
        (STATUS, text),
        (PREDICTED, text),
        *((f"{PROBABILITY_PREFIX}{name}", real) for name in class_names),
        (PREDICTION_SET, text),
        (DECISION, text),
        (REASON, text),
        (UNFAMILIARITY, real),
        *((name, pa.int32() if name in _WHOLE_PIXELS else real) for name in QUALITY),
        (PIXEL_SIZE, real),
        (INTENSITY, text),
        (IMAGE_DIGEST, text),
        *([(OVERLAY, text)] if overlays else []),
        (MODEL, text),
        (MODEL_DIGEST, text),
    ]
    content = json.dumps({**record, "class_names": list(class_names)}, sort_keys=True).encode()
    return pa.schema([(FILE, text), *((name, text) for name in further), *own], metadata={_RECORD_KEY: content})


def check_columns(further: Sequence[str]) -> None:
    """Refuses columns of an input that are called as those of the scores.

    Raises:
        ScoresError: a name is taken.
    """
    own = {*schema((), (), {}, overlays=True).names}
    taken = [name for name in further if name in own or name.startswith(PROBABILITY_PREFIX)]
    if taken:
        raise ScoresError(
            f"columns of the table must not be called as those of the scores. Received: {', '.join(taken)}. Rename "
            "them in the table, or leave them out."
        )


def read(path: str | os.PathLike[str]) -> Scores:
    """Reads scores.

    Args:
        path: the Parquet file, or the folder that `pipelines.score` or `pipelines.fields` wrote.

    Raises:
        ScoresError: there is no such file, it is of another kind, or it differs from the digest beside it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pathlib.Path(path).expanduser()
    if file.is_dir():
        inside = file / FIELD_SCORES / PARQUET_FILE
        file = inside if inside.is_file() else file / PARQUET_FILE
    if not file.is_file():
        raise ScoresError(
            f"scores must be a {PARQUET_FILE} or the folder that holds it. Received: {str(path)!r}, where there is "
            "none. Run python -m pipelines.score first, and let it finish."
        )
    check_digest(file, command="pipelines.score")
    try:
        table = pq.read_table(file)
        record = json.loads((table.schema.metadata or {})[_RECORD_KEY])
        return Scores(file, table.to_pandas(), tuple(record["class_names"]), record)
    except (KeyError, ValueError, OSError, pa.ArrowException) as error:
        raise ScoresError(
            f"scores must be a Parquet file that python -m pipelines.score wrote. Received: {str(file)!r} "
            f"({error!r}). Score the images again into a new folder."
        ) from error


def check_digest(file: pathlib.Path, *, command: str) -> None:
    """Compares a table with the list of digests in its folder, where that names it.

    Args:
        file: the table.
        command: that wrote it.

    Raises:
        ScoresError: it differs, or the list cannot be read.
    """
    try:
        sums = read_sums(file.with_name(SUMS_FILE)) or {}
    except SumsError as error:
        raise ScoresError(str(error)) from error
    if changed_files(file.parent, {name: digest for name, digest in sums.items() if name == file.name}):
        raise ScoresError(
            f"scores must be as python -m {command} wrote them. Received: {str(file)!r}, whose SHA-256 is not "
            f"that in {SUMS_FILE}. Run the same command again: it works anew, and keeps this file as {file.name}.bak."
        )
