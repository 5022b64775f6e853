"""Scores any number of crops, shard by shard, and goes on where an earlier run was stopped."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import datetime
import hashlib
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from pipelines.bulk_inference import merging, predictors, spreadsheet
from pipelines.bulk_inference import model as scoring_model
from pipelines.bulk_inference import output as score_folder
from pipelines.bulk_inference import progress as score_progress
from pipelines.bulk_inference.inputs import Crop, CropList, list_crops
from pipelines.bulk_inference.output import ScoreFolder
from pipelines.bulk_inference.reader import CropReader
from pipelines.cli.quiet import import_tensorflow_quietly
from pipelines.orchestration.component import RunContext
from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.data.image_files import describe_ignored
from sperm_tf.data.quality import measure_quality
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.fields.field_check import REMEDY as FIELD_REMEDY
from sperm_tf.fields.field_check import looks_like_field
from sperm_tf.microscopy import read_served
from sperm_tf.runtimes.registry import TENSORFLOW
from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import FIELD_OF_VIEW, OK, REFER, SHOWN_MAP, UNREADABLE
from sperm_tf.version import __version__

NO_OVERLAYS, REFERRED, ALL = OVERLAY_CHOICES = ("none", "referred", "all")
_NUM_READERS = 8
_LARGE = 12_000_000  # values, of 2,000 by 2,000 pixels


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asks for; the fields are the flags of `pipelines.score`.

    An empty `runtime` is that of the run which goes on, or the fastest one. `refuse_fields` is no flag: crops that
    `pipelines.fields` cut are none, however large.
    """

    model: str
    input: str
    output: pathlib.Path
    overlays: str = NO_OVERLAYS
    shard_size: int = 512
    beam_args: tuple[str, ...] = ()
    runtime: str = ""
    refuse_fields: bool = True


def run(request: Request, *, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Scores what is not scored yet, and merges.

    Args:
        request: what to do.
        report: receives lines for people.

    Returns:
        The content of `summary.json`.

    Raises:
        ValueError: model, input or output cannot be used; nothing was touched.
        OSError: a folder cannot be read or written.
        ImportError: a package is missing.
    """
    import xlsxwriter  # noqa: F401  (says now that it is missing, and not after hours)

    with score_progress.step(f"Looking for images in {request.input}"):
        crops = list_crops(request.input)
    scores_file.check_columns(crops.columns)
    _say_gaps(crops, report)
    folder = ScoreFolder(request.output.expanduser().resolve())
    with score_progress.step(f"Opening the model {request.model}"):
        model = scoring_model.find(request.model)
    runtime = request.runtime or folder.earlier_runtime() or model.fastest_runtime()
    if runtime == TENSORFLOW or request.overlays != NO_OVERLAYS:
        with score_progress.step("Loading TensorFlow"):
            import_tensorflow_quietly()
    model.check_runtime(runtime)  # before anything is written, like what follows
    if request.overlays != NO_OVERLAYS:
        model.check_saved_model()
        if model.saved_model:
            remedy = "Export it again with this version of the package, or ask for none"
            _check_maps(request, model.saved_model, remedy)
    if runtime != TENSORFLOW:
        report(f"Runtime: {runtime}.")
    with folder.locked():
        record = folder.claim(_describe(request, model, crops, runtime), crops)
        if folder.is_finished():
            report(f"All {record['num_files']:,} files are scored already.")
            summary = folder.finish()
            _write_spreadsheet(folder, report)
            if num_unreadable := summary["counts"][scores_file.STATUS].get(UNREADABLE):
                report(f"{num_unreadable:,} of them could not be read then; a new --output reads them again.")
            return summary
        if crops.ignored:
            report(f"{describe_ignored(crops.ignored)}.")
        opened = _prepare(request, model, folder, runtime)
        with score_progress.step("Loading the model"):
            names = opened.open().class_names
        schema = scores_file.schema(names, crops.columns, record, overlays=request.overlays != NO_OVERLAYS)
        missing = [] if folder.has_whole_table() else folder.missing_shards(record)
        if missing:
            scorer = ShardScorer(str(folder.path), opened, record, schema, refuse_fields=request.refuse_fields)
            with score_progress.shown(folder, record, missing):
                work(scorer, missing, RunContext(folder.path, request.beam_args), [record["root"], opened.folder])
        spreadsheet.path_of(folder.path / scores_file.PARQUET_FILE).unlink(missing_ok=True)  # of an earlier merge
        merging.merge(folder, record, schema)
        summary = folder.finish()
        _write_spreadsheet(folder, report)
        return summary


def _write_spreadsheet(folder: ScoreFolder, report: Callable[[str], None]) -> None:
    """The copy for spreadsheets, where it is missing: earlier versions wrote none, and a kill may have come before."""
    parquet = folder.path / scores_file.PARQUET_FILE
    if parquet.is_file() and not spreadsheet.path_of(parquet).is_file() and (note := spreadsheet.write(parquet)):
        report(note)


@dataclasses.dataclass(frozen=True)
class _PreparedModel:
    """What the shards are scored with: folders, so that it travels to other processes."""

    folder: str
    runtime: str
    batch_size: int
    saved_model: str  # for the overlays; empty without

    def open(self) -> predictors.Predictor:
        return predictors.open_predictor(self.folder, runtime=self.runtime, batch_size=self.batch_size)


def _prepare(request: Request, model: scoring_model.ScoringModel, folder: ScoreFolder, runtime: str) -> _PreparedModel:
    target = folder.path / score_folder.MODEL
    saved_model = ""
    if runtime == TENSORFLOW or request.overlays != NO_OVERLAYS:
        saved_model = str(model.prepare(target))
        _check_maps(request, saved_model, "Delete that folder, and the same command exports it again")
    graph = saved_model if runtime == TENSORFLOW else str(model.prepare_graph(target, runtime))
    return _PreparedModel(graph, runtime, model.batch_size, saved_model)


def describe(summary: dict[str, Any]) -> str:
    """The result in a few lines, for the terminal."""
    counts = summary["counts"]
    classes = ", ".join(f"{name} {count:,}" for name, count in counts[scores_file.PREDICTED].items())
    unreadable = sum(count for status, count in counts[scores_file.STATUS].items() if status != OK)
    referred = counts[scores_file.DECISION].get(REFER, 0) - unreadable
    copies = summary.get("num_copies", 0)  # not of an older version's scores
    fields = counts[scores_file.STATUS].get(FIELD_OF_VIEW, 0)
    return (
        f"{summary['num_files']:,} files: {classes or 'none could be read'}; {unreadable:,} not readable.\n"
        + (f"{fields:,} of these: {FIELD_REMEDY}.\n" if fields else "")
        + (f"{copies:,} files are copies of others, byte for byte: a cell counts twice there.\n" if copies else "")
        + f"To be looked at by a person: {referred:,} of the readable ones."
    )


def _check_maps(request: Request, saved_model: str | pathlib.Path, remedy: str) -> None:
    if request.overlays != NO_OVERLAYS and not scoring_model.serves_maps(str(saved_model)):
        raise ValueError(
            f"the model must serve the map {SHOWN_MAP!r} where overlays are asked for. Received: {saved_model}, an "
            f"older one without. {remedy}."
        )


def _say_gaps(crops: CropList, report: Callable[[str], None]) -> None:
    """Says now what the slide report would refuse when everything is scored."""
    for index, name in enumerate(crops.columns):
        if name.casefold() not in ("slide", "replicate"):
            continue
        gaps = [crop.file for crop in crops.crops if not crop.further[index].strip()]
        if gaps:
            report(
                f"{len(gaps):,} images have no {name}, such as {gaps[0]}: the slide report will refuse them. Fill in "
                "the table before you score."
            )


def _describe(request: Request, model: scoring_model.ScoringModel, crops: Any, runtime: str) -> dict[str, Any]:
    """The record of a run."""
    return {
        "model": model.name,
        "model_digest": model.digest,
        "rule_digest": model.rule_digest,
        "saved_model": str(model.saved_model or ""),
        "views": model.views,
        "source": locate(request.model),
        "runtime": runtime,
        "root": str(crops.root),
        "inputs_digest": crops.digest(),
        "num_files": len(crops.crops),
        "columns": list(crops.columns),
        "ignored": dict(crops.ignored),
        "overlays": request.overlays,
        "shard_size": request.shard_size,
        "package_version": __version__,
        "started_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def locate(source: str) -> str:
    """A path from any working directory; the name of a release as it is."""
    path = pathlib.Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source


def work(scorer: ShardWorker, missing: Sequence[int], context: RunContext, folders: Sequence[str] = ()) -> None:
    """Works on shards: one after the other in this process, or spread by Beam where its flags are given.

    Args:
        scorer: what works on a shard.
        missing: numbers of the shards.
        context: with Beam's flags.
        folders: that the scorer reads, wherever it works.
    """
    if context.beam_args:
        from pipelines.bulk_inference.shard_fn import score_with_beam

        context.check_runner(*folders)
        score_with_beam(scorer, missing, context)
        return
    # In one process Beam would do nothing but take seconds to be imported (docs/decisions/runtimes.md).
    scorer.setup()
    try:
        for number in missing:
            scorer.score(number)
    finally:
        scorer.teardown()


class ShardWorker(Protocol):
    """Works on the files of a shard, and writes its file; travels to other processes."""

    def setup(self) -> None:
        """Opens what every shard needs."""

    def teardown(self) -> None:
        """Closes it."""

    def is_finished(self, number: int) -> bool:
        """Whether the file of the shard with this number is there."""

    def score(self, number: int) -> None:
        """Works on the shard with this number."""


class ShardScorer:
    """Scores the images of a shard, and writes its file; in any process, after `setup`.

    Args:
        folder: of a `ScoreFolder`.
        model: what predicts.
        record: of the run.
        schema: of the scores.
        refuse_fields: whether a whole field of view gets a status instead of a prediction.
    """

    def __init__(
        self, folder: str, model: _PreparedModel, record: dict[str, Any], schema: Any, *, refuse_fields: bool = True
    ):
        self._folder = ScoreFolder(pathlib.Path(folder))
        self._model = model
        self._record = record
        self._schema = schema
        self._refuse_fields = refuse_fields

    def setup(self) -> None:
        """Opens what every shard needs."""
        self._folder.check_inputs(self._record)
        self._reader = CropReader(self._record["root"])
        self._large = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(_NUM_READERS)
        self._predictor = self._model.open()

    def teardown(self) -> None:
        """Closes it."""
        self._pool.shutdown()
        self._reader.close()

    def is_finished(self, number: int) -> bool:
        """Whether the file of a shard is there."""
        return self._folder.shards.is_whole(number)

    def score(self, number: int) -> None:
        """Scores a shard.

        Args:
            number: of the shard.
        """
        import pyarrow as pa

        rows: list[dict[str, Any]] = []
        progress = self._folder.shards.progress_path(number)
        first = number * self._record["shard_size"]
        with progress.open("wb", buffering=0) as scored:
            for batch in self._batches(self._folder.read_shard_inputs(number)):
                rows += self._score_batch(batch, first + len(rows))
                scored.write(b"." * len(batch))
        self._folder.shards.write(number, pa.Table.from_pylist(rows, self._schema))
        progress.unlink()

    def _batches(self, crops: Sequence[Crop]) -> Iterator[list[_Image]]:
        """Reads one batch ahead of the model, in parallel."""
        waiting: list[Any] = []
        size = self._predictor.batch_size
        for start in range(0, len(crops), size):
            reading = [self._pool.submit(self._read, crop) for crop in crops[start : start + size]]
            if waiting:
                yield [future.result() for future in waiting]
            waiting = reading
        yield [future.result() for future in waiting]

    def _read(self, crop: Crop) -> _Image:
        content = self._reader.read(crop)
        if content is None and not pathlib.Path(self._record["root"]).is_dir():
            raise FileNotFoundError(
                f"the input's folder {self._record['root']} is gone. Bring it back and run the same command again: "
                "what is scored is kept."
            )
        picture = read_served(content or b"", name=crop.file)
        served = picture.data
        decoded = self._predictor.decode(served)
        if decoded.pixels is None:
            return _Image(crop, content, served, decoded.request, {})
        if self._refuse_fields and looks_like_field(decoded.pixels):
            return _Image(crop, content, served, self._predictor.decode(b"").request, {}, is_field=True)
        # Of 25 million pixels the figures take more than a gigabyte: one such image at a time.
        with self._large if decoded.pixels.size > _LARGE else contextlib.nullcontext():
            quality = dataclasses.asdict(measure_quality(decoded.pixels))
        quality |= {scores_file.PIXEL_SIZE: picture.pixel_size_um, scores_file.INTENSITY: picture.intensity_mapping}
        return _Image(crop, content, served, decoded.request, quality)

    def _score_batch(self, images: Sequence[_Image], first: int) -> list[dict[str, Any]]:
        answer = self._predictor.predict([image.request for image in images])
        rows = [self._row(image, answer, index) for index, image in enumerate(images)]
        if self._record["overlays"] != NO_OVERLAYS:
            self._draw_overlays(images, rows, first)
        return rows

    def _row(self, image: _Image, answer: ServedAnswer, index: int) -> dict[str, Any]:
        names = [name.decode() for name in answer["class_names"][index]]
        members = zip(names, answer["prediction_set"][index], strict=True)
        status = UNREADABLE if image.content is None else answer["status"][index].decode()
        status = FIELD_OF_VIEW if image.is_field else status
        probabilities = answer["probabilities"][index] if status == OK else [None] * len(names)
        prefix = scores_file.PROBABILITY_PREFIX
        return {
            scores_file.FILE: image.crop.file,
            **dict(zip(self._record["columns"], image.crop.further, strict=True)),
            scores_file.STATUS: status,
            scores_file.PREDICTED: answer["predicted_class"][index].decode(),
            **{f"{prefix}{name}": value for name, value in zip(names, probabilities, strict=True)},
            scores_file.PREDICTION_SET: scores_file.SET_SEPARATOR.join(name for name, belongs in members if belongs),
            scores_file.DECISION: answer["decision"][index].decode(),
            scores_file.REASON: answer["reason"][index].decode(),
            scores_file.UNFAMILIARITY: answer["unfamiliarity"][index] if status == OK else None,
            **(image.quality if status == OK else {}),
            scores_file.IMAGE_DIGEST: "" if image.content is None else hashlib.sha256(image.content).hexdigest(),
            scores_file.MODEL: self._record["model"],
            scores_file.MODEL_DIGEST: self._record["model_digest"],
        }

    def _draw_overlays(self, images: Sequence[_Image], rows: Sequence[dict[str, Any]], first: int) -> None:
        """Explains the images that are asked for and no others, since that costs; writes their names into the rows."""
        from sperm_tf.explain.overlay import save_overlay

        only_referred = self._record["overlays"] == REFERRED
        wanted = []
        for number, (image, row) in enumerate(zip(images, rows, strict=True), start=first):
            row[scores_file.OVERLAY] = ""
            if row[scores_file.STATUS] == OK and (row[scores_file.DECISION] == REFER or not only_referred):
                stem = pathlib.PurePosixPath(image.crop.file).stem.encode()[:80].decode(errors="ignore")
                row[scores_file.OVERLAY] = f"{score_folder.OVERLAYS}/{number:06d}_{stem}.png"
                wanted.append((image.served, row))
        if not wanted:
            return
        maps = scoring_model.ask(self._model.saved_model, [content for content, _ in wanted], explain=True)[SHOWN_MAP]
        drawing = []
        for (content, row), heat_map in zip(wanted, maps, strict=True):
            path = self._folder.path / row[scores_file.OVERLAY]
            drawing.append((row, self._pool.submit(save_overlay, content, heat_map, path)))
        for row, future in drawing:
            try:
                future.result()
            except UndecodableImageError:  # a model of another version may take what this one refuses
                row[scores_file.OVERLAY] = ""


@dataclasses.dataclass(frozen=True)
class _Image:
    """A file that was read; `served` is what the model decodes; `quality` is empty where it cannot, and for a field.

    `quality` has the columns of what is measured, and of what the file says of its pixels.
    """

    crop: Crop
    content: bytes | None
    served: bytes
    request: Any
    quality: dict[str, Any]
    is_field: bool = False
