"""Networks of a small cross-validation on corrupted images; of the corruptions two, which are enough."""

import json
import shutil

import numpy as np
import pytest

from pipelines import audit
from pipelines.audits.corruption_audit import CorruptionAudit
from pipelines.components.source_images import sample
from pipelines.cross_validation.fold_model import open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext
from sperm_tf.audit_config import CorruptionAuditConfig
from sperm_tf.data.decode import decode_rgb, encode_png
from sperm_tf.data.quality import measure_quality
from sperm_tf.evaluation.metrics import predictions
from sperm_tf.evaluation.robustness.corruptions import CORRUPTIONS, corrupt, seed_of
from tests.pipelines.tiny_sweep import FLAGS, folders


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Classifier, tfma
    import tensorflow_model_analysis as tfma

    from sperm_tf.serving.classifier import Classifier


KINDS = ("jpeg", "gaussian_noise")
NUM_IMAGES = 8


@pytest.fixture(scope="module")
def two_kinds():
    everything = dict(CORRUPTIONS)
    for name in set(everything) - set(KINDS):
        del CORRUPTIONS[name]
    yield
    CORRUPTIONS.clear()
    CORRUPTIONS.update(everything)  # in its order, which a monkeypatch would not restore


@pytest.fixture(scope="module")
def audited(finished_sweep, two_kinds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "copy"
    shutil.copytree(finished_sweep, folder)
    own = ("--audits=corruptions", f"--config.audit.corruptions.num_images={NUM_IMAGES}")
    assert audit.main(["audit", *FLAGS, *folders(folder), *own]) == 0
    return folder


def artifacts(folder, stage):
    return [Artifact.read(path.parent) for path in sorted((folder / "root" / stage).glob("*/artifact.json"))]


def fold_of(folder, artifact):
    """The network that an audit questioned."""
    (network,) = (
        found for found in artifacts(folder, "FoldCalibrator") if found.digest == artifact.inputs["model"]["digest"]
    )
    (generated,) = artifacts(folder, "ExampleGen")
    return open_fold(network, generated)


def test_answers_are_those_to_the_corrupted_pixels(audited):
    artifact = artifacts(audited, "CorruptionAudit")[0]
    fold = fold_of(audited, artifact)
    answers = predictions.read_csv(artifact.directory / "answers.csv")
    chosen = sample(fold.tested, NUM_IMAGES)
    assert len(answers) == NUM_IMAGES * 11
    assert sorted(set(answers.image_ids)) == [image.image_id for image in chosen]
    assert set(answers.values_of("fold")) == {str(fold.fold)}
    image = chosen[3]
    pixels = decode_rgb(image.image).pixels
    for kind, severity in (("clean", 0), ("jpeg", 5), ("gaussian_noise", 2)):
        shown = corrupt(pixels, kind, severity, seed_of(image.image_id)) if severity else pixels
        expected = fold.classifier.predict(encode_png(shown))[0]
        wanted = (np.array(answers.image_ids) == image.image_id) & (answers.values_of("corruption") == kind)
        (index,) = np.flatnonzero(wanted & (answers.values_of("severity") == str(severity)))
        np.testing.assert_allclose(answers.probabilities[index], list(expected.probabilities.values()), atol=1e-4)
        assert (answers.decisions[index], answers.reasons[index]) == (expected.decision, expected.reason)
        members = np.array(answers.class_names)[answers.prediction_sets[index]]
        assert tuple(members) == expected.prediction_set
        assert answers.unfamiliarity[index] == pytest.approx(expected.unfamiliarity, rel=1e-3)
        assert float(answers.features["cnr"][index]) == pytest.approx(measure_quality(shown).cnr, rel=1e-3)


def test_bins_of_quality_are_thirds_of_the_clean_test_part(audited):
    artifact = artifacts(audited, "CorruptionAudit")[0]
    values = [measure_quality(decode_rgb(image.image).pixels).cnr for image in fold_of(audited, artifact).tested]
    quality = json.loads((artifact.directory / "quality.json").read_text())
    np.testing.assert_allclose(quality["edges"], np.quantile(values, (1 / 3, 2 / 3)))
    answers = predictions.read_csv(artifact.directory / "answers.csv")
    noisy = answers.select(answers.values_of("severity") == "5")
    noisy = noisy.select(noisy.values_of("corruption") == "gaussian_noise")
    assert set(noisy.values_of("quality_bin")) == {"low"}


def test_all_folds_are_described_together_and_sliced_by_tfma(audited):
    published = json.loads((audited / "results" / "synthetic_sperm" / "audits.json").read_text())
    found = published["simple_cnn"]["corruptions"]
    assert found["num_images"] == 5 * NUM_IMAGES
    assert [row["num_answers"] for row in found["severities"]] == [5 * NUM_IMAGES] * 11
    assert {row["corruption"] for row in found["corruptions"]} == set(KINDS)
    (analysis,) = artifacts(audited, "CorruptionAnalysis")
    slices = {
        frozenset(key): value[""][""]
        for key, value in tfma.load_eval_result(str(analysis.directory / "eval_result")).slicing_metrics
    }
    for row in found["severities"]:
        key = frozenset({("corruption", row["corruption"]), ("severity", str(row["severity"]))})
        assert slices[key]["accuracy"]["doubleValue"] == pytest.approx(row["accuracy"]["value"])


def test_an_audit_that_was_stopped_goes_on_where_it_was(audited, tmp_path, monkeypatch):
    artifact = artifacts(audited, "CorruptionAudit")[0]
    inputs = {name: artifact.inputs[name]["directory"] for name in ("model", "examples")}
    config = CorruptionAuditConfig(num_images=NUM_IMAGES)
    predict, asked = Classifier.predict, []

    def ask(self, files, **options):
        asked.append(files)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return predict(self, files, **options)

    monkeypatch.setattr(Classifier, "predict", ask)
    with pytest.raises(KeyboardInterrupt):
        CorruptionAudit(config, **inputs).run(RunContext(tmp_path))
    finished = CorruptionAudit(config, **inputs).run(RunContext(tmp_path))
    assert len(asked) == NUM_IMAGES + 1  # the fourth image twice, the first three once
    assert (finished.directory / "answers.csv").read_text() == (artifact.directory / "answers.csv").read_text()
