"""The HTML report of a cross-validation, with pictures of the labels that its predictions contradict."""

from __future__ import annotations

import csv
import pathlib
from typing import Any

import pandas as pd

from pipelines.cross_validation import published
from pipelines.cross_validation.fits import read_table
from pipelines.orchestration.artifacts import Artifact
from sperm_tf.data import examples
from sperm_tf.evaluation.cross_validation import fits_file, label_quality
from sperm_tf.report.cross_validation.page import write_report
from sperm_tf.report.published import results_page
from sperm_tf.report.published.literature import TITLES

REPORT_FILE = "cross_validation.html"


def write(directory: pathlib.Path, *, results_dir: pathlib.Path, transformed: Artifact) -> pathlib.Path | None:
    """Analyses the published predictions of a dataset, and writes the report.

    Args:
        directory: where `cross_validation.html` and `label_issues.csv` go; made if absent.
        results_dir: folder with the dataset's `<model>.csv` and `fits.json`.
        transformed: the Transform artifact of the same images, for the pictures.

    Returns:
        The report's file; None while no model has a whole repeat. Answers to other images, or under other labels, from
        before the dataset changed, are left out.
    """
    table = read_table(transformed.directory)
    images = set(zip(table.image_ids.tolist(), table.group_ids.tolist(), table.labels.tolist(), strict=True))

    def is_of_these_images(answers: pd.DataFrame) -> bool:
        return set(map(tuple, answers[["image_id", "group_id", "label"]].to_numpy().tolist())) == images

    content, tables = published.analyze_folder(results_dir, takes=is_of_these_images)
    if content is None:
        return None
    best = results_page.best_model(content)
    index_of = {image_id: index for index, image_id in enumerate(table.image_ids.tolist())}
    examined = transformed.inputs["examples"]  # beside it in the pipeline root, wherever that has been moved to
    source = transformed.directory.parents[1] / examined["producer"] / pathlib.Path(examined["directory"]).name
    issues = label_quality.find_label_issues(tables[best], model=best, near_duplicates=_pairs_of_one_cell(source))
    path = directory / REPORT_FILE
    write_report(
        path,
        dataset_info=_describe_dataset(transformed.directory),
        results=content,
        label_issues=issues,
        read_image=lambda image_id: table.images[index_of[image_id]],
        fits=fits_file.read_json(results_dir / fits_file.FITS_FILE),
    )
    return path


def _pairs_of_one_cell(folder: pathlib.Path) -> list[tuple[str, str]]:
    with (folder / "near_duplicates.csv").open(newline="", encoding="utf-8") as file:
        return [(row["image_id"], row["related_image_id"]) for row in csv.DictReader(file) if row["shows"] == "cell"]


def _describe_dataset(folder: pathlib.Path) -> dict[str, Any]:
    info = examples.read_dataset_info(folder)
    return {
        **{name: info.get(name) for name in ("name", "config", "version", "homepage", "citation")},
        "title": TITLES.get(info["name"], info["name"]),
        "has_origins": bool(info.get("num_origins")),
        "is_synthetic": info["name"] == "synthetic_sperm",
    }
