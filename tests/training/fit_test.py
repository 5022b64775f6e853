import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pipelines.cross_validation import recipes
from sperm_tf.config import ModelConfig, TrainerConfig
from sperm_tf.data.partitions import Partition


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global build_classifier, EvaluationBatches, keras, make_views, predict_probabilities, run_fit, train_on_arrays
    global TrainingBatches
    import keras

    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.models.views import make_views
    from sperm_tf.training.arrays import EvaluationBatches, TrainingBatches
    from sperm_tf.training.fit import predict_probabilities, run_fit, train_on_arrays


CONFIG = TrainerConfig(
    model=ModelConfig(name="simple_cnn", norm_momentum=0.8),
    frozen_epochs=0,
    full_epochs=4,
    full_learning_rate=3e-3,
    batch_size=8,
    augmentation=("flip",),
    checkpoint="last",
    views=8,
    seed=7,
)
PARTITION = Partition(*(np.arange(start, start + 16) for start in (0, 16, 32, 48)))


def _dataset(count=64, size=32):
    """Noise with one brighter colour channel a class: learned in seconds."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = rng.integers(0, 150, (count, size, size, 3))
    images[np.arange(count), :, :, labels] += 100
    return images.astype(np.uint8), labels


def _fit(work_dir, config=CONFIG):
    return run_fit(*_dataset(), PARTITION, num_classes=3, config=config, work_dir=work_dir, verbose=0)


@pytest.mark.slow
def test_answers_for_every_part_held_out_and_learns(tmp_path):
    fit = _fit(tmp_path)
    labels = _dataset()[1]
    assert set(fit.probabilities) == {"validation", "calibration", "test"}
    for name, answers in fit.probabilities.items():
        assert answers.shape == (16, 3) and answers.dtype == np.float32
        np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-5)
        assert (answers.argmax(1) == labels[getattr(PARTITION, name)]).mean() > 0.8
    assert fit.best_epoch == 4 == len(fit.history["val_loss"])


@pytest.mark.slow
def test_a_seed_repeats_a_fit_exactly_and_another_does_not(tmp_path):
    first, again = _fit(tmp_path / "a"), _fit(tmp_path / "b")
    np.testing.assert_array_equal(first.probabilities["test"], again.probabilities["test"])
    other = _fit(tmp_path / "c", dataclasses.replace(CONFIG, seed=8))
    assert not np.array_equal(first.probabilities["test"], other.probabilities["test"])


@pytest.mark.slow
def test_a_fit_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path):
    whole = _fit(tmp_path / "whole")

    class KilledError(Exception):
        pass

    class Killer(TrainingBatches):
        def __getitem__(self, index):
            raise KilledError

    from sperm_tf.training import fit as module

    def batches(*arguments, epoch, **keywords):
        return (Killer if epoch == 2 else TrainingBatches)(*arguments, epoch=epoch, **keywords)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Exception):  # noqa: B017  Keras wraps it
        patch.setattr(module, "TrainingBatches", batches)
        _fit(tmp_path / "killed")
    assert len(json.loads((tmp_path / "killed" / "history.json").read_text())["epoch"]) == 2
    resumed = _fit(tmp_path / "killed")
    np.testing.assert_array_equal(resumed.probabilities["test"], whole.probabilities["test"])


@pytest.mark.slow
def test_a_recipe_for_memorizing_learns_shuffled_labels_by_heart(tmp_path):
    images, labels = _dataset(24)
    shuffled = np.random.default_rng(0).permutation(labels)
    config = recipes.memorizing(dataclasses.replace(CONFIG, weight_decay=0.1, label_smoothing=0.2), 60)
    result = train_on_arrays(
        (images, shuffled), (images, shuffled), num_classes=3, config=config, work_dir=tmp_path, verbose=0
    )
    known = predict_probabilities(result.model, images, views=1).argmax(axis=1) == shuffled
    assert known.mean() > 0.95


@pytest.mark.slow
def test_the_test_part_does_not_touch_the_training(tmp_path):
    images, labels = _dataset()
    config = dataclasses.replace(CONFIG, checkpoint="best")  # so that the choice of the epoch is part of it
    first = run_fit(images, labels, PARTITION, num_classes=3, config=config, work_dir=tmp_path / "a", verbose=0)
    for part in (PARTITION.test, PARTITION.calibration):
        images[part], labels[part] = 255 - images[part], (labels[part] + 1) % 3
    again = run_fit(images, labels, PARTITION, num_classes=3, config=config, work_dir=tmp_path / "b", verbose=0)
    for one, other in zip(first.model.weights, again.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_probabilities_are_averaged_over_the_views():
    keras.utils.set_random_seed(1)
    model = build_classifier(CONFIG.model, num_classes=3, image_size=32)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    views = [np.rot90(side, turns, axes=(1, 2)) for side in (images, images[:, :, ::-1]) for turns in range(4)]
    logits = np.mean([model.predict(view.astype("float32"), verbose=0) for view in views], axis=0)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(predict_probabilities(model, images, views=8, batch_size=2), expected, rtol=1e-4)
    assert predict_probabilities(model, images[:0], views=8).shape == (0, 3)


def test_an_epoch_holds_every_image_once_in_an_order_of_its_own():
    images = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    config = dataclasses.replace(CONFIG, augmentation=(), batch_size=5)
    orders = []
    for epoch in (0, 0, 1):
        batches = TrainingBatches(images, np.arange(20) % 3, num_classes=3, config=config, epoch=epoch)
        pairs = [batches[index] for index in range(len(batches))]
        orders.append(np.concatenate([part[:, 0, 0, 0] for part, _ in pairs]).astype(int).tolist())
        assert np.concatenate([part for _, part in pairs]).argmax(1).tolist() == [index % 3 for index in orders[-1]]
    assert sorted(orders[0]) == list(range(20)) and orders[0] == orders[1] != orders[2]


def test_with_view_consistency_a_batch_holds_every_image_in_two_views():
    images, labels = _dataset(8)
    for alpha in (0.0, 0.4):
        config = dataclasses.replace(CONFIG, augmentation=(), batch_size=4, mixup_alpha=alpha, view_consistency=1.0)
        batches = TrainingBatches(images, labels, num_classes=3, config=config, epoch=0)
        pixels, targets = batches[1]
        assert len(batches) == 2 and len(pixels) == 8
        np.testing.assert_array_equal(targets[:4], targets[4:])
        for first, second in zip(pixels[:4], pixels[4:], strict=True):
            views = np.asarray(make_views(first[None], 8))
            assert [np.array_equal(view, second) for view in views].index(True) > 0


def test_class_weights_follow_the_labels():
    images, labels = _dataset(6)
    weights = np.array([1.0, 2.0, 4.0])
    for alpha in (0.0, 0.4):
        config = dataclasses.replace(CONFIG, mixup_alpha=alpha)
        batches = TrainingBatches(images, labels, num_classes=3, config=config, epoch=0, class_weights=weights)
        _, mixed, sample_weights = batches[0]
        assert (mixed.max(axis=1) < 0.99).any() == bool(alpha)
        np.testing.assert_allclose(sample_weights, (mixed * weights).sum(axis=1), rtol=1e-6)


def test_evaluation_batches_keep_order_and_rest():
    images, labels = _dataset(10)
    batches = EvaluationBatches(images, labels, num_classes=3, batch_size=4)
    parts = [batches[index] for index in range(len(batches))]
    assert [len(part) for part, _ in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), images)


@pytest.mark.integration
def test_runs_on_jax(tmp_path):
    pytest.importorskip("jax")
    code = (
        "import importlib.abc, sys\n"
        "class Missing(importlib.abc.MetaPathFinder):\n"  # it must do without TensorFlow
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.partition('.')[0] == 'tensorflow': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import keras, pathlib; assert keras.config.backend() == 'jax'\n"
        "from tests.training import fit_test; fit_test.setup_module()\n"
        "from tests.training.fit_test import PARTITION, _dataset, _fit\n"
        "fit = _fit(pathlib.Path(sys.argv[1])); labels = _dataset()[1][PARTITION.test]\n"
        "assert (fit.probabilities['test'].argmax(1) == labels).mean() > 0.8"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment, timeout=300)
