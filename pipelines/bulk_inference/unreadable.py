"""What to say when not one file of an input could be read."""

from __future__ import annotations

import pathlib
from typing import Any

from pipelines.bulk_inference.inputs import Crop
from pipelines.bulk_inference.reader import CropReader
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.data.served_decoder import decode_served
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.fields.field_check import REMEDY as FIELD_REMEDY
from sperm_tf.fields.field_check import looks_like_field
from sperm_tf.microscopy import to_served
from sperm_tf.served_names import OK


def explain_nothing_read(summary: dict[str, Any], folder: pathlib.Path) -> str:
    """Why a run gave no prediction, with the remedy; empty where at least one file was read.

    Args:
        summary: the content of `summary.json`.
        folder: that the scores were written to.
    """
    statuses = summary["counts"][scores_file.STATUS]
    if statuses.get(OK):
        return ""
    listed = ", ".join(f"{status}: {count:,}" for status, count in statuses.items())
    first = scores_file.read(folder).table[scores_file.FILE].iloc[0]
    return (
        f"input must hold at least one image that the model reads. Received: {summary['num_files']:,} files, none of "
        f"them read ({listed}); the first, {first}: {_explain(first, summary['root'])}. Then score into a new --output."
    )


def _explain(file: str, root: str) -> str:
    reader = CropReader(root)
    try:
        content = reader.read(Crop(file))
    finally:
        reader.close()
    if content is None:
        return "the file cannot be opened. Look at its path and permissions"
    try:
        pixels = decode_served(to_served(content, name=file)).pixels
    except UndecodableImageError as error:
        return str(error)
    if looks_like_field(pixels):
        return FIELD_REMEDY
    return "this version reads it now, the one that scored it did not"
