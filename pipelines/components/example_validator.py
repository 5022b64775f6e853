"""ExampleValidator: statistics, schema and anomalies of the examples, before anything is trained on them."""

from __future__ import annotations

import csv
import json
import pathlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam

from pipelines.components import example_statistics
from pipelines.orchestration import progress
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext, StageError
from sperm_tf.config import ExampleValidatorConfig
from sperm_tf.data import examples

SUMMARY_FILE = "summary.json"


class ExampleValidator(Component):
    """Describes every split, and stops the run on what would make its metrics worthless.

    It stops on: a split without one of the classes, an image (by decoded pixels) or a near-duplicate group in two
    splits, a label that is none of the dataset's or contradicts its name, stored pixels that differ from their hash,
    and undecodable files above `max_undecodable_share`; below it they are skipped and listed.

    Layout: `statistics/Split-<split>/FeatureStats.pb`, `schema/schema.pbtxt`, `anomalies/anomalies.pbtxt` (protos of
    tensorflow-metadata, file names of TFX), `summary.json` (the same for people and the report), `undecodable.csv`.
    """

    config: ExampleValidatorConfig

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Reads every example once and writes statistics, schema and anomalies."""
        folder = inputs["examples"].directory
        info = examples.read_dataset_info(folder)
        progress.expect(sum(inputs["examples"].properties.get("num_examples", {}).values()), "images")
        records = _read_records(folder, context, output)
        splits = {split: [record for record in records if record["split"] == split] for split in examples.SPLITS}
        anomalies = find_anomalies(splits, info, self.config)
        example_statistics.write_protos(output, splits, info["class_names"], anomalies)
        undecodable = _list_undecodable(folder, output, records)
        summary = {
            "splits": {
                split: example_statistics.summarize(rows, info["class_names"]) for split, rows in splits.items()
            },
            "anomalies": anomalies,
            "num_source_images": info["num_source_images"],
            "num_undecodable": undecodable,
        }
        (output / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        return {"num_anomalies": len(anomalies), "num_undecodable": undecodable}

    def check(self, artifact: Artifact) -> None:
        """Stops the run when there are anomalies."""
        summary = json.loads((artifact.directory / SUMMARY_FILE).read_text(encoding="utf-8"))
        if summary["anomalies"]:
            found = "\n".join(f"  - {item['name']}: {item['description']}" for item in summary["anomalies"])
            raise StageError(
                f"ExampleValidator found {len(summary['anomalies'])} anomalies in the examples:\n{found}\n"
                f"Details are in {artifact.directory}. Mend the source data, or choose other folds, and run again."
            )


def find_anomalies(
    splits: Mapping[str, list[dict[str, Any]]], info: Mapping[str, Any], config: ExampleValidatorConfig
) -> list[dict[str, str]]:
    """What must stop a run.

    Args:
        splits: split -> one dictionary an example, as `describe_example` makes it.
        info: `dataset.json`.
        config: the tolerated share of undecodable files.

    Returns:
        Dictionaries with `name` (of the feature concerned), `severity` and `description`; empty when all is well.
    """
    found = [
        *_missing_classes(splits, info["class_names"]),
        *_shared_between_splits(splits, "pixel_sha256", "the same decoded image"),
        *_shared_between_splits(splits, "group_id", "near duplicates of one cell"),
        *_wrong_labels(splits, info["class_names"]),
        *_wrong_pixels(splits),
        *_too_many_undecodable(splits, info, config.max_undecodable_share),
    ]
    return [{"name": name, "severity": "ERROR", "description": description} for name, description in found]


def describe_example(serialized: bytes, split: str) -> dict[str, Any]:
    """One example without its pixels, checked against them: `decodable`, `pixels_match`, sizes, labels and names."""
    from sperm_tf.data.decode import UndecodableImageError, decode_rgb
    from sperm_tf.data.identity import pixel_sha256

    values = examples.from_example(serialized)
    image = bytes(values.pop("image", b""))
    record: dict[str, Any] = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in values.items()
    }
    record |= {"split": split, "num_bytes": len(image), "decodable": True, "pixels_match": True}
    try:
        pixels = decode_rgb(image).pixels
        record["pixels_match"] = pixel_sha256(pixels) == record.get("pixel_sha256")
    except UndecodableImageError:
        record["decodable"] = False
    return record


def _read_records(folder: pathlib.Path, context: RunContext, output: pathlib.Path) -> list[dict[str, Any]]:
    """Describes all examples in parallel; only text comes back, never pixels."""
    shards = [(split, str(path)) for split in examples.SPLITS for path in examples.shard_paths(folder, split)]
    parts = output / "parts"
    parts.mkdir()
    with context.beam_pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([(*shard, str(parts / f"{index:05d}.jsonl")) for index, shard in enumerate(shards)])
            | beam.Reshuffle()
            | "DescribeShards" >> beam.MapTuple(_describe_shard)
        )
    records = [
        json.loads(line)
        for index in range(len(shards))
        for line in (parts / f"{index:05d}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    return records


def _describe_shard(split: str, path: str, part: str) -> None:
    serialized = examples.read_serialized([pathlib.Path(path)]).as_numpy_iterator()
    lines = []
    for item in serialized:
        lines.append(json.dumps(describe_example(item, split)) + "\n")
        progress.advance()
    pathlib.Path(part).write_text("".join(lines), encoding="utf-8")


def _list_undecodable(folder: pathlib.Path, output: pathlib.Path, records: list[dict[str, Any]]) -> int:
    """Writes `undecodable.csv`: what the dataset builder could not read, and what this stage could not."""
    with (folder / "excluded.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["image_id"], "source", row.get("detail", "")) for row in csv.DictReader(file)
                if row["reason"] == "undecodable"]  # fmt: skip
    rows += [(record.get("image_id", ""), record["split"], "") for record in records if not record["decodable"]]
    with (output / "undecodable.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image_id", "where", "detail"), *rows])
    return len(rows)


def _missing_classes(splits: Mapping[str, list[dict[str, Any]]], names: list[str]) -> Iterator[tuple[str, str]]:
    for split, records in splits.items():
        if split == "calibration":
            continue  # a class may have a single group in the fold; every image is referred then (`fit_rule`)
        present = {record.get("label") for record in records}
        missing = [name for label, name in enumerate(names) if label not in present]
        if missing:
            yield "label", f"split {split!r} has no image of: {', '.join(missing)}"


def _shared_between_splits(
    splits: Mapping[str, list[dict[str, Any]]], feature: str, meaning: str
) -> Iterator[tuple[str, str]]:
    where: dict[str, set[str]] = defaultdict(set)
    names: dict[str, str] = {}
    for split, records in splits.items():
        for record in records:
            where[record.get(feature, "")].add(split)
            names.setdefault(record.get(feature, ""), record.get("image_id", "?"))
    shared = [value for value, found in where.items() if len(found) > 1]
    if shared:
        first = shared[0]
        yield (
            feature,
            f"{len(shared)} values stand in more than one split ({meaning}); the first is {first[:16]!r} in "
            f"{', '.join(sorted(where[first]))} (image {names[first]!r})",
        )


def _wrong_labels(splits: Mapping[str, list[dict[str, Any]]], names: list[str]) -> Iterator[tuple[str, str]]:
    wrong = Counter(
        f"{record.get('label')}={record.get('label_name')!r}"
        for records in splits.values()
        for record in records
        if record.get("label") not in range(len(names)) or names[record["label"]] != record.get("label_name")
    )
    if wrong:
        listed = ", ".join(f"{label} ({count}x)" for label, count in wrong.most_common(5))
        yield "label", f"labels that are not the dataset's: {listed}; valid are {dict(enumerate(names))}"


def _wrong_pixels(splits: Mapping[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    wrong = [record for records in splits.values() for record in records if not record["pixels_match"]]
    if wrong:
        yield (
            "pixel_sha256",
            f"{len(wrong)} images differ from their recorded hash; first: {wrong[0].get('image_id')!r}",
        )


def _too_many_undecodable(
    splits: Mapping[str, list[dict[str, Any]]], info: Mapping[str, Any], limit: float
) -> Iterator[tuple[str, str]]:
    here = sum(not record["decodable"] for records in splits.values() for record in records)
    count = info["num_undecodable"] + here
    share = count / max(info["num_source_images"], 1)
    if share > limit:
        yield (
            "image",
            f"{count} of {info['num_source_images']} files ({share:.1%}) hold no readable image; at most {limit:.1%} "
            f"are tolerated (example_validator.max_undecodable_share); undecodable.csv lists them",
        )
