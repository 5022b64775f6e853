"""Packs a trained model into half precision, with its entry in the manifest and its model card."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from pipelines.cli import environment
from pipelines.cli.flags import HELP_FLAGS, FlagError, parse_own
from pipelines.model_release.packing import ReleaseError, describe_training, keep_version, pack, pack_graph
from sperm_tf import missing_packages
from sperm_tf.models import released
from sperm_tf.whole_files import write_text

if TYPE_CHECKING:
    from sperm_tf.serving.classifier import Classifier

USAGE = """Packs a trained model into half precision, with its entry in the manifest and its model card.

  python -m pipelines.release --name=smids --model=runs/smids/FinalCalibrator/<fingerprint>
  python -m pipelines.release --name=smids --model=model.keras --class_names=normal,abnormal,non-sperm
  python -m pipelines.release --name=smids     # writes its model card anew, with the figures that there are now

Flags:
  --name=NAME                       name of the release: smids, hushem, synthetic, synthetic_lite0, or one of
                                    your own
  --model=DIR|FILE                  folder that the Calibrator or the FinalCalibrator wrote, or the Trainer, whose
                                    models have no decision rule; or a .keras file
  --class_names=A,B,...             in the order of the logits; for a .keras file that is no model.keras with its
                                    model.json beside it
  --dataset=NAME                    what it was trained on; default: the name of the release
  --views=1|8                       what an answer is averaged over; default: as in model.json, or 1
  --new_version                     keep the release that has the name as NAME@VERSION; default: replace it
  --training=FILE                   JSON file with an object: how the weights came about, beyond what the folder says
  --images=DIR                      images to compare the precisions on; default: drawn ones
  --released_dir=DIR                default: sperm_tf/released of this installation
  --cards_dir=docs/model_cards      where the model card goes, too
  --results_dir=docs/results        where the figures of the cross-validation lie
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to a release.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when the model was released, 1 when it was refused, 2 for a wrong flag.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in HELP_FLAGS for argument in argv[1:]):
        print(USAGE, end="")
        return 0
    values = _define_flags()
    try:
        parse_own(values, argv)
    except FlagError as error:
        print(f"pipelines.release: {error}", file=sys.stderr)
        return 2
    environment.set_defaults()
    try:
        if values.model:
            _run(values)
        else:
            _rewrite_card(values)
    except (ValueError, OSError, ImportError) as error:
        print(f"pipelines.release: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    return 0


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for name, default, required in (
        ("name", None, True),
        ("model", "", False),
        ("dataset", "", False),
        ("training", "", False),
        ("images", "", False),
        ("released_dir", str(released.RELEASED_DIR), False),
        ("cards_dir", "docs/model_cards", False),
        ("results_dir", "docs/results", False),
    ):
        flags.DEFINE_string(name, default, "see USAGE", required=required, flag_values=values)
    flags.DEFINE_bool("new_version", False, "see USAGE", flag_values=values)
    flags.DEFINE_list("class_names", [], "see USAGE", flag_values=values)
    flags.DEFINE_enum("views", None, ["1", "8"], "see USAGE", flag_values=values)
    return values


def _run(values: flags.FlagValues) -> None:
    from pipelines.model_release import card as release_card
    from pipelines.model_release import precision

    if not values.name.isidentifier():
        raise ReleaseError(f"name must be made of letters, digits and underscores. Received: name={values.name!r}.")
    model_path = pathlib.Path(values.model).expanduser()
    classifier = _open(model_path, values.class_names or None)
    if values.views:
        if classifier.rule is not None and int(values.views) != classifier.views:
            raise ReleaseError(
                f"views must be those that the decision rule was fitted to, {classifier.views}. Received: "
                f"views={values.views}. Leave --views out, or release the Trainer's model, which has no rule."
            )
        classifier = dataclasses.replace(classifier, views=int(values.views))
    training = describe_training(model_path if model_path.is_dir() else model_path.parent, values.training)
    images, source = precision.comparison_images(values.images, classifier.image_size)
    folder = pathlib.Path(values.released_dir)
    folder.mkdir(parents=True, exist_ok=True)
    releases = released.read_manifest(folder) if (folder / released.MANIFEST).is_file() else {}
    # Packed and compared beside the folder first: what is released stays until the new one is known to be sound.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished_") as unfinished:
        dataset = values.dataset or released.default_dataset(values.name)
        packed = pack(classifier, name=values.name, dataset=dataset, training=training, folder=pathlib.Path(unfinished))
        difference = precision.compare(classifier.keras_model, packed, images, source)
        training["half_precision"] = dataclasses.asdict(difference)
        packed = pack_graph(packed)
        before = releases.get(values.name)
        version = 1 if before is None else before.version + int(values.new_version)
        release = dataclasses.replace(packed, folder=folder, version=version)
        card = release_card.write(release, dataset=dataset, results_dir=pathlib.Path(values.results_dir))
        if before is not None and values.new_version:
            kept = keep_version(before)
            releases[kept.name] = kept
            kept_card = release_card.write(kept, dataset=kept.dataset, results_dir=pathlib.Path(values.results_dir))
            _write_card(kept, kept_card, values)
        packed.path.replace(release.path)
        shutil.rmtree(folder / release.name, ignore_errors=True)
        if release.rule:
            (packed.folder / release.name).rename(folder / release.name)
    released.write_manifest({**releases, release.name: release}, folder)
    card_file = _write_card(release, card, values)
    print(
        f"{release.path}: {release.num_bytes:,} bytes, SHA-256 {release.sha256}\n"
        f"Half precision moved probabilities by at most {difference.max_probability_difference:.2g} and changed the "
        f"class of {difference.num_changed_classes} of {difference.num_images} {source}.\n"
        f"Model card: {card_file}"
    )


def _rewrite_card(values: flags.FlagValues) -> None:
    from pipelines.model_release import card as release_card

    release = released.find_release(values.name, pathlib.Path(values.released_dir))
    card = release_card.write(release, dataset=release.dataset, results_dir=pathlib.Path(values.results_dir))
    print(f"Model card: {_write_card(release, card, values)}")


def _write_card(release: released.Release, card: str, values: flags.FlagValues) -> pathlib.Path:
    """Writes it beside the weights and for readers; where these find it."""
    cards_dir = pathlib.Path(values.cards_dir)
    cards_dir.mkdir(parents=True, exist_ok=True)
    for path in (release.card_path, cards_dir / release.card_path.name):
        write_text(path, card)
    return cards_dir / release.card_path.name


def _open(path: pathlib.Path, class_names: Sequence[str] | None) -> Classifier:
    from sperm_tf.serving.loading import load_model
    from sperm_tf.serving.sources import KERAS_SUFFIX

    if not (path.is_dir() or (path.is_file() and path.suffix == KERAS_SUFFIX)):
        raise ReleaseError(
            "model must be a folder that the Calibrator, the FinalCalibrator or the Trainer wrote, or a "
            f"{KERAS_SUFFIX} file. Received: model={str(path)!r}."
        )
    return load_model(path, class_names=class_names)


if __name__ == "__main__":
    sys.exit(main())
