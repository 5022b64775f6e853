"""CorruptionAudit: predictions of a network for its test images under corruptions."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.components.predictions_file import ANSWERS_FILE
from pipelines.components.source_images import SourceImage, sample
from pipelines.cross_validation.fold_model import FoldModel, open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.audit_config import CorruptionAuditConfig
from sperm_tf.whole_files import write_text

MEASURED = ("snr", "cnr", "sharpness")
_QUALITY_FILE, _ANSWERS_FILE = "quality.json", "answers.json"
_KEPT = ("status", "probabilities", "prediction_set", "decision", "reason", "unfamiliarity")  # of a prediction


class CorruptionAudit(Component):
    """Shows a network a sample of its test images, clean and in every corruption and severity.

    The images are corrupted in Beam, as the dataset has them: before padding and resizing. Within the stage, the
    unit of work is an image with all its versions; a stage that was stopped goes on with the next image.

    Layout: `answers.csv` (`sperm_tf.evaluation.metrics.predictions`, one row a version of an image) with the columns
    `repeat`, `fold`, `corruption` (`clean` for the original), `severity` (0 for the original), `quality_bin`, and the
    measured `snr`, `cnr` and `sharpness` of that version (`sperm_tf.data.quality`); `quality.json`: the figure that is
    binned, and the `edges` of its bins, which part the clean images of the whole test part into thirds.

    Args:
        config: how many images.
        **inputs: `model` from FoldCalibrator and `examples` from ExampleGen.
    """

    config: CorruptionAuditConfig

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Corrupts, predicts, and writes the predictions."""
        import apache_beam as beam

        from sperm_tf.evaluation.metrics import predictions
        from sperm_tf.evaluation.robustness.corruption_metrics import FEATURES

        fold = open_fold(inputs["model"], inputs["examples"])
        images = sample(fold.tested, self.config.num_images)
        edges = _clean_edges(fold)
        units = [(number, image, str(context.work_dir)) for number, image in enumerate(images)]
        with context.beam_pipeline() as pipeline:
            _ = pipeline | beam.Create(units) | beam.Reshuffle() | "Corrupt" >> beam.MapTuple(write_versions)
        rows = [
            row
            for number, image in enumerate(images)
            for row in _answer(fold, image, edges, _folder(context.work_dir, number))
        ]
        answers = predictions.from_rows(
            rows, class_names=fold.classifier.class_names, split="test", features=(*FEATURES, *MEASURED)
        )
        predictions.write_csv(answers, output / ANSWERS_FILE)
        quality = {"figure": "cnr", "edges": edges}
        (output / "quality.json").write_text(json.dumps(quality) + "\n", encoding="utf-8")
        return {"num_images": len(images), "num_tested": len(fold.tested), "num_answers": len(answers)}


def write_versions(number: int, image: SourceImage, work_dir: str) -> None:
    """Writes an image, clean and corrupted, as PNG files, and what quality each of them is measured to have.

    Args:
        number: of the image; names its folder.
        image: as the dataset has it.
        work_dir: where the folder is made.
    """
    from sperm_tf.data.decode import decode_rgb, encode_png
    from sperm_tf.data.quality import measure_quality
    from sperm_tf.evaluation.robustness.corruption_metrics import CLEAN
    from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt, seed_of

    folder = _folder(pathlib.Path(work_dir), number)
    if any((folder / name).is_file() for name in (_QUALITY_FILE, _ANSWERS_FILE)):
        return  # done before the stage was stopped
    folder.mkdir(exist_ok=True)
    pixels, seed = decode_rgb(image.image).pixels, seed_of(image.image_id)
    quality = {}
    for name, severity in [(CLEAN, 0), *((name, severity) for name in CORRUPTIONS for severity in SEVERITIES)]:
        version = corrupt(pixels, name, severity, seed) if severity else pixels
        (folder / f"{name}.{severity}.png").write_bytes(encode_png(version))
        quality[f"{name}.{severity}"] = dataclasses.asdict(measure_quality(version))
    write_text(folder / _QUALITY_FILE, json.dumps(quality))


def _answer(
    fold: FoldModel, image: SourceImage, edges: tuple[float, float], folder: pathlib.Path
) -> Iterator[dict[str, Any]]:
    """Rows of predictions for all versions of an image, which are then deleted."""
    from sperm_tf.data.quality import quality_bin

    file = folder / _ANSWERS_FILE
    if not file.is_file():
        quality = json.loads((folder / _QUALITY_FILE).read_text(encoding="utf-8"))
        found = fold.classifier.predict([folder / f"{version}.png" for version in quality], refuse_fields=False)
        answers = [
            {**{name: getattr(answer, name) for name in _KEPT}, "version": version, "quality": quality[version]}
            for version, answer in zip(quality, found, strict=True)
        ]
        write_text(file, json.dumps(answers))
        for version in quality:
            (folder / f"{version}.png").unlink()
    names = fold.classifier.class_names
    for answer in json.loads(file.read_text(encoding="utf-8")):
        corruption, severity = answer["version"].split(".")
        yield {
            **{name: getattr(image, name) for name in ("image_id", "group_id", "label")},
            **{name: answer[name] for name in ("status", "decision", "reason", "unfamiliarity")},
            "probabilities": [answer["probabilities"].get(name, 0.0) for name in names],
            "prediction_set": [name in answer["prediction_set"] for name in names],
            "repeat": fold.repeat,
            "fold": fold.fold,
            "corruption": corruption,
            "severity": severity,
            "quality_bin": quality_bin(answer["quality"]["cnr"], edges),
            **{name: f"{answer['quality'][name]:.4g}" for name in MEASURED},
        }


def _clean_edges(fold: FoldModel) -> tuple[float, float]:
    from sperm_tf.data.decode import decode_rgb
    from sperm_tf.data.quality import measure_quality, quality_edges

    return quality_edges([measure_quality(decode_rgb(image.image).pixels).cnr for image in fold.tested])


def _folder(work_dir: pathlib.Path, number: int) -> pathlib.Path:
    return work_dir / f"image_{number}"
