"""The published predictions of a cross-validation: analysed again, and made into docs/results.md and docs/trust.md."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sperm_tf.models.registry import BACKBONES
from sperm_tf.schemas.audits import Audits
from sperm_tf.schemas.cross_validation import Decisions, Results

if TYPE_CHECKING:
    import pandas as pd

RESULTS_FILE, DECISIONS_FILE, AUDITS_FILE = "results.json", "decisions.json", "audits.json"
TRUST_PAGE = "trust.md"
_DIGITS = 6


def find_tables(results_dir: pathlib.Path) -> dict[str, dict[str, pathlib.Path]]:
    """Dataset -> model -> file of its predictions, for every `<results_dir>/<dataset>/<model>.csv`.

    Raises:
        ValueError: when there is none.
    """
    found: dict[str, dict[str, pathlib.Path]] = {}
    for path in sorted(results_dir.glob("*/*.csv")):
        if path.stem in BACKBONES:
            found.setdefault(path.parent.name, {})[path.stem] = path
    if not found:
        raise ValueError(
            f"results_dir must hold predictions, <dataset>/<model>.csv with a model of {', '.join(BACKBONES)}. "
            f"Received: results_dir={results_dir}, which has none. Make them with python -m pipelines.cross_validate "
            f"--preset=smids, or name another folder with --results_dir."
        )
    return found


def write_pages(results_dir: pathlib.Path, page: pathlib.Path, bootstrap_samples: int) -> None:
    """Analyses every dataset's predictions, and writes the metrics, the plots, `results.md` and `trust.md`.

    Args:
        results_dir: folder with one folder a dataset.
        page: page of results to write; `trust.md` goes beside it.
        bootstrap_samples: number of resamples of the group bootstrap.

    Raises:
        ValueError: there are no predictions, or they are refused.
    """
    found = find_tables(results_dir)
    from sperm_tf.config import CalibratorConfig
    from sperm_tf.evaluation.cross_validation import oof_trust
    from sperm_tf.report.published import results_page, trust_page

    results: dict[str, Results] = {}
    decisions: dict[str, Decisions] = {}
    audits: dict[str, Audits] = {}
    for dataset, paths in found.items():
        print(f"{dataset}: {', '.join(paths)}", flush=True)
        folder = results_dir / dataset
        content, tables = analyze_folder(folder, bootstrap_samples=bootstrap_samples)
        if content is None:
            print(f"{dataset}: no repeat is complete yet")
            continue
        results[dataset] = content
        decisions[dataset] = _rounded(
            {
                model: oof_trust.describe(table, CalibratorConfig(), bootstrap_samples=bootstrap_samples)
                for model, table in tables.items()
            }
        )
        audits[dataset] = read_audits(folder)
        for name, figures in ((RESULTS_FILE, content), (DECISIONS_FILE, decisions[dataset])):
            text = json.dumps(figures, indent=1, sort_keys=True, allow_nan=False) + "\n"
            (folder / name).write_text(text, encoding="utf-8")
    pages = results_page.write_page(results, results_dir=results_dir, page=page)
    pages += trust_page.write_page(decisions, audits, results_dir=results_dir, page=page.with_name(TRUST_PAGE))
    for path in pages:
        print(f"wrote {path}")


def read_audits(folder: pathlib.Path) -> Audits:
    """Content of `audits.json`, but for models that were trained again since: its metrics are of other networks.

    Args:
        folder: holds `audits.json`, or none, and `fits.json`.
    """
    from sperm_tf.evaluation.cross_validation import fits_file

    file = folder / AUDITS_FILE
    audits: Audits = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    published: dict[tuple[str, int], list[str]] = {}
    for fit in sorted(fits_file.read_json(folder / fits_file.FITS_FILE), key=lambda fit: fit["fold"]):
        published.setdefault((fit["model"], fit["repeat"]), []).append(fit["fingerprint"])
    current: Audits = {}
    for model, found in audits.items():
        if any(name == model and prints == found.get("networks") for (name, _), prints in published.items()):
            current[model] = found
        else:
            print(f"{folder.name}, {model}: its audits are of networks that are no longer published; audit it again")
    return current


def analyze_folder(
    folder: pathlib.Path, *, bootstrap_samples: int = 2000, takes: Callable[[pd.DataFrame], bool] = lambda table: True
) -> tuple[Results | None, dict[str, pd.DataFrame]]:
    """Analyses one dataset's predictions: the models of which at least one repeat is complete.

    Args:
        folder: holds `<model>.csv` and `fits.json`; its name is the dataset's.
        bootstrap_samples: number of resamples of the group bootstrap.
        takes: whether a model with this out-of-fold table is analysed.

    Returns:
        The content of `results.json`, None without a complete repeat, and model -> its out-of-fold table.
        Where models have different numbers of complete repeats, each is analysed on its own, and two are compared on
        those that they share.

    Raises:
        OofError: a table is unsound.
        FitsError: `fits.json` is damaged.
        RelativesError: `relatives.json` is damaged.
    """
    from sperm_tf.evaluation.cross_validation import analysis, fits_file, oof, oof_file, relatives

    paths = [path for path in sorted(folder.glob("*.csv")) if path.stem in BACKBONES]
    tables = {path.stem: oof.complete_repeats(oof_file.read_csv(path, complete=False)) for path in paths}
    tables = {model: table for model, table in tables.items() if len(table) and takes(table)}
    if not tables:
        return None, {}
    class_names = oof.class_names(next(iter(tables.values())))
    content = analysis.analyze(tables, class_names, bootstrap_samples=bootstrap_samples)
    recorded = fits_file.read_json(folder / fits_file.FITS_FILE)
    known = relatives.read_json(folder / relatives.RELATIVES_FILE)
    for name, model in content["models"].items():
        model["fits"] = fits_file.summarize(recorded, name, num_repeats=model["num_repeats"])
        model["relatives"] = relatives.summarize(tables[name], known)
    return _rounded({"dataset": folder.name, **content}), tables


def _rounded(value: Any) -> Any:
    """`value` with floats of 6 significant digits, so that the last bits of another machine do not change the file."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{_DIGITS}g}")
    return value
