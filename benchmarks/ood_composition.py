"""What becomes of crops with several cells, or with one of another scale, before and after the composition is measured.

    python -m benchmarks.ood_composition smids SMIDS.zip
    python -m benchmarks.ood_composition smids SMIDS.zip --write

Half of the archive's images teach the composition and its limit, the inputs are made of the other half; network and
all else of the rule are the released model's. The numbers and the mixture were chosen on the first half alone. With
`--write` the released rule learns the composition of all images, each fold's limit from the other four folds, as
`FinalCalibrator` does it; weights, probabilities and every other threshold stay.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PUBLISHED = "docs/results/{}/efficientnet_b0_cbam.csv"
_BATCH = 64
_OWN = "own images"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table, or writes the rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a released model")
    parser.add_argument("archive", type=pathlib.Path, help="zip of its training images, a folder for each class")
    parser.add_argument("--count", type=int, default=200, help="inputs of a kind")
    parser.add_argument("--asked", type=int, default=100, help="of them, and of the own images, put to the network")
    parser.add_argument("--write", action="store_true", help="teach the released rule instead")
    flags = parser.parse_args(arguments)
    table = read_archive(flags.archive, _ROOT / _PUBLISHED.format(flags.model))
    if flags.write:
        write_rule(flags.model, table)
    else:
        measure(flags.model, table, count=flags.count, asked=flags.asked)


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """The images of an archive that the published answers are about, sorted by name.

    Attributes:
        files: their bytes.
        is_cell: bool [N], not of a class of what is no spermatozoon.
        folds: int [N], of the first repeat.
        teaches: bool [N], whether one is of the half that teaches.
        compositions: float32 [N, P].
    """

    files: list[bytes]
    is_cell: np.ndarray
    folds: np.ndarray
    teaches: np.ndarray
    compositions: np.ndarray


def read_archive(archive: pathlib.Path, published: pathlib.Path) -> Images:
    """Reads the images, and which fold each belongs to."""
    import pandas as pd

    from sperm_tf.evaluation.quantification.class_roles import is_no_sperm

    answers = pd.read_csv(published)
    rows = answers[(answers["repeat"] == 0) & (answers["part"] == "test")].set_index("image_id")
    classes = [name.removeprefix("p_") for name in answers if name.startswith("p_")]
    with zipfile.ZipFile(archive) as content:
        names = [name for name in sorted(content.namelist()) if name.lower().endswith((".bmp", ".png", ".jpg"))]
        halves = dict(zip(names, np.random.default_rng(1).permutation(len(names)) % 2 == 0, strict=True))
        kept = [name for name in names if name.split("/", 1)[1] in rows.index]
        files = [content.read(name) for name in kept]
    found = rows.loc[[name.split("/", 1)[1] for name in kept]]
    teaches = np.array([halves[name] for name in kept])
    teaches |= found["group_id"].isin(set(found["group_id"][teaches])).to_numpy()
    is_cell = np.array([not is_no_sperm(classes[label]) for label in found["label"]])
    return Images(files, is_cell, found["fold"].to_numpy(), teaches, summarize(files))


def summarize(files: Sequence[bytes]) -> np.ndarray:
    """The compositions, float32 [N, P]."""
    import keras

    from sperm_tf.data.preprocess import preprocess_batch
    from sperm_tf.models.composition import SIDE, summarize_composition

    parts = [preprocess_batch(files[start : start + _BATCH], SIDE)[0] for start in range(0, len(files), _BATCH)]
    return np.concatenate([keras.ops.convert_to_numpy(summarize_composition(part)) for part in parts])


def measure(name: str, images: Images, *, count: int, asked: int) -> None:
    """Prints the share that is accepted, and that is referred as unfamiliar, before and after."""
    import sperm_tf
    from sperm_tf.data.decode import decode_rgb, encode_png
    from sperm_tf.evaluation.robustness.ood_composition import COMPOSITIONS
    from sperm_tf.evaluation.robustness.ood_inputs import make_strangers

    classifier = sperm_tf.load_model(name)
    if classifier.rule.familiarity.composition is not None:
        classifier = dataclasses.replace(classifier, rule=_forget(classifier.rule))
    parts = np.arange(len(images.files)) % 5  # of the half that teaches
    mixture, limit = fit(images.compositions[images.teaches], parts[images.teaches])
    new = np.flatnonzero(~images.teaches)
    print(f"{name}: {images.teaches.sum()} images teach, {len(new)} are new", flush=True)
    columns = ["input", "images", "far composition", "asked", "accepted before", "after", "unfamiliar before", "after"]
    print("|", " | ".join(columns), "|")
    print("|" + "---|" * len(columns))
    crops = [decode_rgb(images.files[index]).pixels for index in new if images.is_cell[index]]
    drawn = np.random.default_rng(0).permutation(new)
    for kind in (_OWN, *COMPOSITIONS):
        files = (
            [images.files[index] for index in drawn]
            if kind == _OWN
            else [encode_png(made.pixels) for made in make_strangers(kind, crops, count=count)]
        )
        _print_row(
            kind, classifier.predict(files[:asked], refuse_fields=False), _distances(mixture, summarize(files)) > limit
        )


def _print_row(kind: str, found: Sequence[Any], is_far: np.ndarray) -> None:
    accepted = np.array([prediction.decision == "accept" for prediction in found], bool)
    unfamiliar = np.array([prediction.reason == "unfamiliar" for prediction in found], bool)
    asked_far = is_far[: len(found)]
    shares = [accepted, accepted & ~asked_far, unfamiliar, unfamiliar | asked_far]
    cells = [f"{share.mean():.1%}" if len(found) else "–" for share in shares]
    print("|", " | ".join([kind, str(len(is_far)), f"{is_far.mean():.1%}", str(len(found)), *cells]), "|", flush=True)


def fit(compositions: np.ndarray, folds: np.ndarray) -> tuple[Any, float]:
    """The mixture of all images, and its limit: what 1 % of the images reach in mixtures of the other folds."""
    from sperm_tf.config import CalibratorConfig
    from sperm_tf.decision.mixture import Mixture

    measured = [
        _distances(Mixture.fit(compositions[folds != fold]), compositions[folds == fold]) for fold in np.unique(folds)
    ]
    limit = np.quantile(np.concatenate(measured), 1 - CalibratorConfig().max_unfamiliar, method="higher")
    return Mixture.fit(compositions), float(limit)


def write_rule(name: str, images: Images) -> None:
    """Teaches the released rule the composition, and enters the digests of its files in the manifest."""
    from sperm_tf.decision import rule as rule_lib
    from sperm_tf.file_digests import digest_file
    from sperm_tf.models import released

    release = released.read_manifest()[name]
    folder = release.verify_rule()
    rule = rule_lib.read(folder)
    mixture, limit = fit(images.compositions, images.folds)
    familiarity = dataclasses.replace(rule.familiarity, composition=mixture)
    dataclasses.replace(rule, familiarity=familiarity, max_composition=limit).write(folder)
    manifest = folder.parent / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content[name]["rule"] = {file: digest_file(folder / file) for file in content[name]["rule"]}
    manifest.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _forget(rule: Any) -> Any:
    familiarity = dataclasses.replace(rule.familiarity, composition=None)
    return dataclasses.replace(rule, familiarity=familiarity, max_composition=float("inf"))


def _distances(mixture: Any, compositions: np.ndarray) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(mixture.distance(compositions))


if __name__ == "__main__":
    main()
