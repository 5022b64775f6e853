"""The model card of released weights, after Mitchell et al. 2019 (doi:10.1145/3287560.3287596)."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sperm_tf.models.registry import BACKBONES
from sperm_tf.models.released import NAMES, Release, is_name, look_up
from sperm_tf.report import text

SYNTHETIC = "synthetic_sperm"
_BUILDERS = pathlib.Path(__file__).resolve().parents[2] / "tfds_builders"
_LICENCES = {"smids": "CC BY 4.0", "hushem": "CC BY 4.0", SYNTHETIC: "CC0 1.0"}
_FIGURES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "kappa": "Cohen's κ",
    "mcc": "MCC",
    "nll": "NLL, nats",
    "brier": "Brier score, 0–2",
    "ece": "ECE",
}

_JUDGED = ("FinalFit", "FinalCalibrator")  # trained by the recipe of a cross-validation

_INTENDED = """\
- Research on the classification of single sperm cells in image crops, and teaching.
- Comparing methods on public datasets.
- A starting point for a model that is trained and validated on a laboratory's own images.

Out of scope:

- Diagnosis, prognosis, advice on treatment, and the selection of sperm for fertilisation.
- Whole fields of view: the model finds no cells, and judges no motility, concentration or vitality.
- Images of another stain, magnification, microscope or species, and unstained cells."""
_LIMITS = """\
- **Not a medical device.** It has no regulatory clearance.
- **No split by patient is possible.** The datasets do not say which image comes from which patient. Cells of one person
  may stand on both sides of a split, so accuracy on new patients can be lower than any metric here.
- It has seen the stain, the magnification and the microscope of one dataset. Another laboratory's images will look
  different to it; measure on some of your own with known labels before you use a prediction.
- {unfamiliar}
- The labels are those of the dataset's authors. How far observers agree is not part of the release.
- Nothing is published on the donors' age, ethnicity or clinical background: fairness cannot be assessed."""
_NAMES_ANYTHING = "It names one of its classes for any picture whatever, and refers every image: nobody calibrated it."
_NOTICES_STYLE = (
    "It notices images unlike the training images by their colours, textures and contrast. An image of the usual look "
    "that shows something else may pass."
)
_SYNTHETIC_LIMITS = """\
- **Not a medical device**, and no classifier of real sperm: the images that it was trained to classify are drawn, and
  its predictions for photographs mean nothing. It is a starting point for training on photographs.
- The drawings follow two datasets. For cells that look different they may be a poor start; compare with
  `weights=none`."""


def write(release: Release, *, dataset: str, results_dir: pathlib.Path) -> str:
    """The card.

    Args:
        release: what it is about; its `training` may hold `recipe`, `half_precision`, and anything else.
        dataset: what the model was trained on: a folder of `tfds_builders`, or another name.
        results_dir: holds `<dataset>/results.json`, the figures of cross-validations, where they exist.

    Returns:
        Markdown.
    """
    sections = {
        "Model": _model(release),
        "Use": _use(release, dataset),
        "Intended use": _INTENDED,
        "Training data": _data(dataset) + _initial_weights(release.model.weights),
        "Training": _training(release),
        "Evaluation": _evaluation(release, dataset, results_dir),
        "Limits": _limits(release, dataset),
    }
    body = "\n\n".join(f"## {title}\n\n{content}" for title, content in sections.items())
    banner = "> **For research only.** A prediction of this model is no diagnosis."
    return f"# Model card: `{release.name}`\n\n{banner}\n\n{body}\n"


def _limits(release: Release, dataset: str) -> str:
    if dataset == SYNTHETIC:
        return _SYNTHETIC_LIMITS
    return _LIMITS.format(unfamiliar=_NOTICES_STYLE if release.rule else _NAMES_ANYTHING)


def _model(release: Release) -> str:
    config = release.model
    attention = f", CBAM after {text.listing(config.cbam_after)}" if BACKBONES[config.name].has_cbam else ""
    lines = [
        f"- Architecture: `{config.name}`{attention}; built by `sperm_tf.models.classifier.build_classifier`.",
        "- Input: one encoded image (PNG, JPEG, BMP or GIF), padded to a square and resized to "
        f"{release.image_size} × {release.image_size} pixels by the package.",
        f"- Output: a probability for each of {text.listing(release.class_names)}; the classes that the image may "
        "belong to; and whether to accept the prediction or to refer the image to a person.",
    ]
    if release.rule:
        lines.append(
            "- Calibration: temperature, prediction sets and the threshold for accepting a prediction were fitted to "
            "the out-of-fold predictions of the same recipe. They promise nothing for images from elsewhere. The "
            f"numbers are in `{release.name}/decision.json`."
        )
        if release.training.get("properties", {}).get("guarantees") is False:
            lines.append(
                "- **It refers every image to a person**: those predictions were too few, or too often wrong, to "
                "guarantee what accepting one would promise."
            )
    if release.views == 8:
        lines.append(
            "- Predictions are averaged over eight views: all rotations by right angles and their mirror images."
        )
    lines.append(
        f"- Weights: `{release.file}`, {release.num_bytes:,} bytes, SHA-256 `{release.sha256}`. Kernels are in half "
        "precision."
    )
    if difference := release.training.get("half_precision"):
        lines.append(
            "- Half precision moved probabilities by at most "
            f"{difference['max_probability_difference']:.2g}, and changed the most probable class of "
            f"{difference['num_changed_classes']} of {difference['num_images']} {difference['images']}."
        )
    return "\n".join([*lines, "- Licence of the software: Apache-2.0."])


def _use(release: Release, dataset: str) -> str:
    weights = release.name if release.name in NAMES else release.file
    start = (
        f"As a start for your own training:\n\n```\npython -m pipelines.run --preset=own --data_dir=<your images> \\\n"
        f"    --config.trainer.model.name={release.model.name} --config.trainer.model.weights={weights} \\\n"
        f"    --config.transform.image_size={release.image_size}\n```"
    )
    if dataset == SYNTHETIC:
        return start
    return (
        "```python\nimport sperm_tf\n\n"
        f'classifier = sperm_tf.load_model("{release.name}")\n'
        'for prediction in classifier.predict(["cell.png"]):\n'
        "    print(prediction.file, prediction.predicted_class, prediction.probabilities)\n"
        'classifier.export("saved_model/1")  # for TensorFlow Serving\n```\n\n' + start
    )


def _data(dataset: str) -> str:
    folder = _BUILDERS / dataset
    if dataset not in _LICENCES:
        return f"`{dataset}`: images that are not published with this package; ask who released this model."
    described = (folder / "README.md").read_text(encoding="utf-8").strip()
    citation = (folder / "CITATIONS.bib").read_text(encoding="utf-8").strip()
    return f"{described}\n\nLicence of the images: {_LICENCES[dataset]}. To cite:\n\n```bibtex\n{citation}\n```"


def _initial_weights(name: str, started: str = "The network") -> str:
    from sperm_tf.models import imagenet_lite0 as weights

    if is_name(name) and (start := look_up(name)):
        said = f"\n\n{started} started from the release `{name}` of this package ([card]({name}.md))."
        return said + _initial_weights(start.model.weights, "That one")
    if name != weights.NAME:
        return ""
    return (
        f"\n\n{started} started from EfficientNet-Lite0, trained on ImageNet (Russakovsky et al. 2015, "
        f"doi:10.1007/s11263-015-0816-y), as the package `{weights.PACKAGE}` {weights.VERSION} holds it: "
        f"`{weights.FILE}`, SHA-256 `{weights.SHA256}`. Licence: Apache-2.0 by the package's LICENSE file, copyright "
        "2020 ML Illustrated (NOTICE). ImageNet's images are for non-commercial research and education; whether that "
        "reaches weights trained on them is not settled."
    )


def _training(release: Release) -> str:
    facts = {key: value for key, value in release.training.items() if key != "half_precision"}
    if "recipe" not in facts:
        facts["initial weights"] = release.model.weights
    rows = [(f"`{name}`", _shown(value)) for name, value in _flatten(facts)]
    return _table(("Setting", "Value"), rows)


def _flatten(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or text.NOTHING
    return str(value) if value != "" else text.NOTHING


def _evaluation(release: Release, dataset: str, results_dir: pathlib.Path) -> str:
    if dataset == SYNTHETIC:
        return "None on photographs: metrics on drawn images say nothing about real sperm."
    results = _read_results(results_dir / dataset / "results.json")
    model = results.get("models", {}).get(release.model.name, {})
    if release.training.get("producer") not in _JUDGED:
        return (
            "None of this training: it was not the one that ends a cross-validation (`python -m "
            "pipelines.cross_validate --final`), so no metric of another recipe is quoted here."
        )
    pooled = model.get("pooled", {})
    rows = [(title, *_value(pooled[name])) for name, title in _FIGURES.items() if name in pooled]
    if not rows:
        return (
            f"No cross-validated metrics of `{release.model.name}` on `{dataset}` were there when these weights were "
            "packed. What was measured since stands in docs/results.md."
        )
    classes = [
        (name, text.count(figures.get("support")), *(_value(figures.get(key, {}))[0] for key in ("recall", "f1")))
        for name, figures in pooled.get("per_class", {}).items()
    ]
    num_seen = release.training.get("num_images")
    seen = f" on {text.plural(num_seen, 'image')}" if num_seen else ""
    parts = [
        _describe_protocol(model, results),
        _table(("Metric", "Value", "95 % interval"), rows),
        _table(("Class", "Images", "Recall", "F1"), classes) if classes else "",
        "These metrics judge the recipe: every fit was tested on images that it had not seen. The released weights "
        f"come from a training of their own{seen}; an image that they have "
        "seen cannot test them.",
    ]
    return "\n\n".join(filter(None, parts))


def _describe_protocol(model: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    repeats, images = model.get("num_repeats"), results.get("num_images")
    over_folds = model.get("over_folds", {}).get("accuracy", {})
    spread = (
        f" Accuracy, mean over folds: {text.percent(over_folds['mean'])} (SD {text.percent(over_folds.get('sd'))})."
        if "mean" in over_folds
        else ""
    )
    return (
        f"Cross-validation of the recipe: {text.plural(repeats, 'repeat') if repeats else 'repeats'} of 5 folds on "
        f"{text.plural(images, 'image') if images else 'the clean images'}. Images that are identical or nearly so "
        "stay in one fold, and within a fit nothing is chosen on its test fold. The recipe itself was chosen once, on "
        "images outside one test fold, which other fits are tested on. The intervals come from a bootstrap that "
        f"resamples groups of such images. NLL, Brier score and ECE are those before calibration.{spread}"
    )


def _value(figure: Mapping[str, Any]) -> tuple[str, str]:
    interval = figure.get("bootstrap_95")
    return text.number(figure.get("value")), text.interval(interval, 3) or text.NOTHING


def _read_results(path: pathlib.Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
