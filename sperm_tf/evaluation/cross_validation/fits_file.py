"""`fits.json`: what each fit of a cross-validation cost and which epoch it kept, one entry a fit."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence

from sperm_tf.schemas.cross_validation import FitEntry, FitsOfModel
from sperm_tf.whole_files import write_text

FITS_FILE = "fits.json"
KEYS = ("model", "repeat", "fold", "fingerprint", "num_epochs", "best_epoch", "seconds", "backend")
_NUMBERS = ("repeat", "fold", "num_epochs", "best_epoch", "seconds")


class FitsError(ValueError):
    """A damaged `fits.json`."""


def read_json(path: str | os.PathLike[str]) -> list[FitEntry]:
    """Reads `fits.json`; a file that is not there holds no fits.

    Raises:
        FitsError: the content is no list of fits, or records one fit twice.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    remedy = "Restore the file, or write it again with pipelines.cross_validate."
    try:
        fits = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FitsError(f"{path} must hold a JSON list of fits. Received: {error}. {remedy}") from error
    if not isinstance(fits, list) or not all(isinstance(fit, dict) for fit in fits):
        raise FitsError(f"{path} must hold a JSON list of objects. Received: {type(fits).__name__}. {remedy}")
    seen = set()
    for index, fit in enumerate(fits):
        missing = [key for key in KEYS if key not in fit]
        wrong = [
            key
            for key in _NUMBERS
            if key in fit and (isinstance(fit[key], bool) or not isinstance(fit[key], int | float))
        ]
        if missing or wrong:
            what = f"no {', '.join(missing)}" if missing else f"{wrong[0]}={fit[wrong[0]]!r}"
            raise FitsError(f"{path}: fit {index} must have {', '.join(KEYS)}. Received: {what}. {remedy}")
        key = (fit["model"], fit["repeat"], fit["fold"])
        if key in seen:
            raise FitsError(
                f"{path}: a fit must be recorded once. Received: {key[0]}, repeat {key[1]}, fold {key[2]} twice. "
                f"{remedy}"
            )
        seen.add(key)
    return fits


def write_json(fits: Sequence[FitEntry], path: str | os.PathLike[str]) -> None:
    """Writes `fits.json` by model, repeat and fold, one line a fit; the file appears only when complete.

    Args:
        fits: with `KEYS` and whatever else describes a fit.
        path: where to.
    """
    ordered = sorted(fits, key=lambda fit: (fit["model"], fit["repeat"], fit["fold"]))
    text = ",\n".join(json.dumps(fit, sort_keys=True) for fit in ordered)
    write_text(path, f"[\n{text}\n]\n")


def summarize(fits: Sequence[FitEntry], model: str, *, num_repeats: int) -> FitsOfModel:
    """What the fits of one model took, those of the analysed repeats only.

    Args:
        fits: as from `read_json`.
        model: whose fits.
        num_repeats: repeats that were analysed, counted from 0.

    Returns:
        `num_fits`, `seconds` (of all of them), `mean_epochs`, `mean_best_epoch` (None without a fit), `backends`, and
        `weights`, the initial weights where the fits record them, without folders.
    """
    chosen = [fit for fit in fits if fit["model"] == model and fit["repeat"] < num_repeats]
    count = len(chosen)
    return {
        "num_fits": count,
        "seconds": float(sum(fit["seconds"] for fit in chosen)),
        "mean_epochs": sum(fit["num_epochs"] for fit in chosen) / count if count else None,
        "mean_best_epoch": sum(fit["best_epoch"] for fit in chosen) / count if count else None,
        "backends": sorted({str(fit["backend"]) for fit in chosen}),
        "weights": sorted({pathlib.PurePath(str(fit["weights"])).name for fit in chosen if "weights" in fit}),
    }
