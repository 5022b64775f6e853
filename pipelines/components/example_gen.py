"""ExampleGen: a TFDS dataset becomes sharded `tf.train.Example` files, one folder a split."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import json
import pathlib
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from absl import logging

from pipelines.orchestration import locks, progress
from pipelines.orchestration.artifacts import Artifact, fingerprint
from pipelines.orchestration.component import Component, RunContext, StageError
from sperm_tf.config import NUM_FOLDS, ExampleGenConfig
from sperm_tf.data import examples
from sperm_tf.data.folds import halve
from sperm_tf.file_digests import SUMS_FILE, changed_files, digest_files, read_sums, write_sums
from sperm_tf.whole_files import set_aside

HALVES = ("validation", "calibration")
"""The splits that share the validation fold."""
EXCLUDED_FILE = "excluded.csv"
SIDE_FILES = (EXCLUDED_FILE, "near_duplicates.csv", "source.json")
_MAX_NAMED = 3


class Shard(NamedTuple):
    """Examples `start` to `stop` of one fold, which become one file of a split."""

    split: str
    fold: int
    start: int
    stop: int
    path: str


class ExampleGen(Component):
    """Reads a dataset's folds and writes them as the splits train, validation, calibration and test.

    Layout: `Split-<split>/data_tfrecord-*`, `dataset.json` (name, class names, licence, citation, counts),
    `excluded.csv` and `near_duplicates.csv` (what the dataset builder left out or joined, with the reasons).
    Work is spread over Beam by shard, so memory does not grow with the dataset.
    """

    config: ExampleGenConfig
    version = 2  # the validation half of a fold holds every class

    def external_inputs(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Identifies the source files by name, size and time of change."""
        del inputs, context
        return describe_source(self.config)

    def fingerprint_fields(self, inputs: Mapping[str, Artifact], context: RunContext) -> dict[str, Any]:
        """Those of every component, and the version of the dataset: another one may have other groups and folds."""
        import tensorflow_datasets as tfds

        import tfds_builders  # noqa: F401  (registers the datasets)

        version = str(tfds.builder_cls(self.config.dataset).VERSION)
        return {**super().fingerprint_fields(inputs, context), "dataset_version": version}

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Prepares the dataset when needed, then writes every split."""
        del inputs
        builder = self._prepared_builder(context)
        shards = list(self._shards(builder, output))
        progress.expect(sum(shard.stop - shard.start for shard in shards), "images")
        with context.beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create(shards)
                | beam.Reshuffle()
                | "WriteShards" >> beam.ParDo(_WriteShard(str(builder.data_path), self._calibration_groups(builder)))
            )
        for name in SIDE_FILES:
            shutil.copyfile(builder.data_path / name, output / name)
        info = self._dataset_info(builder)
        _say_undecodable(output / EXCLUDED_FILE, info["num_undecodable"])
        (output / examples.DATASET_FILE).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        sizes = dict.fromkeys(examples.SPLITS, 0)
        for shard in shards:
            sizes[shard.split] += shard.stop - shard.start
        sizes |= {split: examples.count(output, split) for split in HALVES}
        return {"dataset": info["name"], "num_examples": sizes, "class_names": info["class_names"]}

    def _prepared_builder(self, context: RunContext) -> Any:
        """The dataset builder, its data prepared under a lock that other runs wait for, in a folder of its source."""
        import tensorflow_datasets as tfds

        if not sys.stderr.isatty():
            tfds.disable_progress_bar()
        data_dir = context.pipeline_root / "datasets" / fingerprint(dict(context.external))[:16]
        data_dir.mkdir(parents=True, exist_ok=True)
        with locks.held(
            data_dir / f".{self.config.dataset}.lock",
            waiting=lambda other: f"{self.name} waits for {other} that prepares the dataset in {data_dir}",
        ):
            builder = make_builder(self.config, data_dir)  # reads what another run has prepared by now
            if changed := _changed_dataset(builder.data_path):
                kept = set_aside(pathlib.Path(builder.data_path))
                said = (
                    f"The dataset is prepared anew. {changed}: missing, or not as it was written. The old one: {kept}"
                )
                print(said, file=sys.stderr, flush=True)
                builder = make_builder(self.config, data_dir)
            is_new = not builder.data_path.exists()
            if not (builder.data_path.exists() or self.config.dataset == "synthetic_sperm" or context.external):
                check_reachable(builder.URL)
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(manual_dir=self.config.manual_dir or None)
            )
            if is_new:
                folder = pathlib.Path(builder.data_path)
                write_sums(folder / SUMS_FILE, digest_files(folder))
        return builder

    def _shards(self, builder: Any, output: pathlib.Path) -> Iterator[Shard]:
        step = self.config.examples_per_shard
        for split, folds in split_folds(self.config).items():
            ranges = [
                (fold, start, min(start + step, size))
                for fold in folds
                for size in [self._size(split, builder.info.splits[f"fold_{fold}"].num_examples)]
                for start in range(0, size, step)
            ]
            for index, (fold, start, stop) in enumerate(ranges):
                path = examples.shard_path(output, split, index, len(ranges))
                yield Shard(split, fold, start, stop, str(path))

    def _calibration_groups(self, builder: Any) -> frozenset[bytes]:
        """Groups of the validation fold that calibrate."""
        import tensorflow_datasets as tfds

        with _errors_alone():  # PartialDecoding reads an attribute of TFDS that TFDS warns of
            rows = builder.as_dataset(
                split=f"fold_{self.config.validation_fold}",
                decoders=tfds.decode.PartialDecoding({"label": True, "group_id": True}),
                shuffle_files=False,
            ).as_numpy_iterator()
        labels, groups = zip(*((str(row["label"]), row["group_id"].decode()) for row in rows), strict=True)
        return frozenset(group.encode() for group in itertools.compress(groups, halve(labels, groups)))

    def _size(self, split: str, num_examples: int) -> int:
        """How many images of a fold enter a split; TFDS has put them into a random order."""
        limit = self.config.max_test_images
        return min(num_examples, limit) if split == "test" and limit else num_examples

    def _dataset_info(self, builder: Any) -> dict[str, Any]:
        source = json.loads((builder.data_path / "source.json").read_text(encoding="utf-8"))
        return {
            "name": builder.name,
            "config": builder.builder_config.name,
            "version": str(builder.version),
            "class_names": builder.info.features["label"].names,
            "description": builder.info.description,
            "homepage": builder.info.homepage,
            "citation": builder.info.citation,
            "license": builder.info.redistribution_info.license or "",
            "folds": {split: list(folds) for split, folds in split_folds(self.config).items()},
            **source,
        }


def _changed_dataset(folder: pathlib.Path) -> str:
    """The first file of a prepared dataset that is not as it was written; empty where there is none.

    Raises:
        SumsError: the list of digests is damaged.
    """
    folder = pathlib.Path(folder)  # TFDS has a class of its own
    changed = changed_files(folder, read_sums(folder / SUMS_FILE) or {})
    return str(folder / changed[0]) if changed else ""


def make_builder(config: ExampleGenConfig, data_dir: pathlib.Path) -> Any:
    """The TFDS builder of a configuration; it prepares its data in `data_dir`."""
    import tensorflow_datasets as tfds

    import tfds_builders

    chosen: Any
    if config.dataset == "synthetic_sperm":
        chosen = tfds_builders.synthetic_sperm.config(
            config.builder_config, num_images=config.num_images, seed=config.seed
        )
    elif config.dataset == "own_images":
        described = tfds_builders.own_images.config(config.data_dir, clean=config.builder_config == "clean")
        # `data_dir` is the source's own already. A digest of times in the name would change the artifact with them.
        chosen = dataclasses.replace(described, name=config.builder_config)  # type: ignore[call-arg]
    else:
        chosen = config.builder_config
    with _errors_alone():  # TFDS warns of every configuration that is not one of its list
        return tfds.builder(config.dataset, config=chosen, data_dir=data_dir)


@contextlib.contextmanager
def _errors_alone() -> Iterator[None]:
    """Keeps absl's warnings from the terminal."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def describe_source(config: ExampleGenConfig) -> dict[str, Any]:
    """Identifies the files in `manual_dir` or `data_dir`, without reading their pixels; empty where there are none.

    Raises:
        StageError: when `manual_dir` is no folder, or does not hold the dataset.
        DataDirError: when `data_dir` holds no images of two classes, or its table is malformed.
    """
    if not (config.manual_dir or config.data_dir):
        return {}
    import tensorflow_datasets as tfds

    import tfds_builders
    from sperm_tf.data.archives import find_source

    if config.dataset == "own_images":
        images = tfds_builders.own_images.list_images(config.data_dir)
        return {"source": str(images.path), "num_files": len(images.files), "state": images.digest()}

    folder = pathlib.Path(config.manual_dir)
    if not folder.is_dir():
        raise StageError(
            f"manual_dir must be a folder that holds the dataset's archive. Received: manual_dir={folder}. "
            f"Create it and put the archive there, or leave manual_dir out to download it."
        )
    class_folders = tfds.builder_cls(config.dataset).CLASS_FOLDERS
    source = find_source(folder, class_folders, name=config.dataset)
    if source is None:
        raise StageError(
            f"manual_dir must hold the dataset: an archive whose name contains {config.dataset!r}, or a folder with "
            f"the class folders {', '.join(class_folders)}. Received: manual_dir={folder}, which holds neither. Put it "
            "there, or leave manual_dir out to download it."
        )
    paths = [source.path] if source.path.is_file() else [source.path / file.member for file in source.files]
    states = {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}
    return {"source": str(source.path), "num_files": len(source.files), "state": fingerprint(states)}


def check_reachable(url: str) -> None:
    """Checks that a download can start: without a network TFDS tries for minutes before it gives up.

    Raises:
        StageError: when the server does not answer.
    """
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20).close()
    except urllib.error.HTTPError:
        return  # it answered; what the answer means is for the download to say
    except OSError as error:
        raise StageError(
            f"the dataset must be downloadable, or lie in manual_dir. Received no answer from {url} ({error}). "
            f"Download the archive on another machine, and name its folder: --manual_dir=<folder>."
        ) from error


def split_folds(config: ExampleGenConfig) -> dict[str, tuple[int, ...]]:
    """Which folds make up which split."""
    test, validation = config.test_fold, config.validation_fold
    train = tuple(fold for fold in range(NUM_FOLDS) if fold not in (test, validation))
    return {"train": train, "validation": (validation,), "calibration": (validation,), "test": (test,)}


def _say_undecodable(excluded: pathlib.Path, count: int) -> None:
    """Names files that no exported model could read, so that none is trained on; `excluded.csv` has all, and why."""
    if not count:
        return
    with excluded.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["reason"] == "undecodable"]
    first = "; ".join(f"{row['image_id']}: {row['detail']}" for row in rows[:_MAX_NAMED])
    logging.warning(
        "%d files are left out, because an exported model could not read them: %s%s. All are listed in %s",
        count, first, f"; and {count - _MAX_NAMED} more" if count > _MAX_NAMED else "", excluded,
    )  # fmt: skip


class _WriteShard(beam.DoFn):
    """Copies a range of one fold to one TFRecord file, the encoded image untouched.

    Of the validation fold only the groups that belong to the shard's split.
    """

    def __init__(self, builder_dir: str, calibration_groups: frozenset[bytes]):
        self._builder_dir = builder_dir
        self._calibration_groups = calibration_groups

    def setup(self) -> None:
        import tensorflow_datasets as tfds

        self._builder = tfds.builder_from_directory(self._builder_dir)

    def process(self, shard: Shard) -> Iterator[int]:
        import tensorflow_datasets as tfds

        dataset = self._builder.as_dataset(
            split=f"fold_{shard.fold}[{shard.start}:{shard.stop}]",
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=False,
        )
        yield examples.write_shard(pathlib.Path(shard.path), self._serialized(dataset, shard))

    def _serialized(self, dataset: Any, shard: Shard) -> Iterator[bytes]:
        names = self._builder.info.features["label"].names
        for features in dataset.as_numpy_iterator():
            progress.advance()
            if shard.split in HALVES and shard.split != HALVES[features["group_id"] in self._calibration_groups]:
                continue
            label = int(features["label"])
            values = {name: features[name] for name in examples.BYTES_FEATURES if name != "label_name"}
            sizes = {"width": int(features["width"]), "height": int(features["height"])}
            example = examples.to_example(
                {**values, **sizes, "label": label, "label_name": names[label].encode(), "fold": shard.fold}
            )
            yield example.SerializeToString(deterministic=True)
