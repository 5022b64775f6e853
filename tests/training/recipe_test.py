import dataclasses
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from sperm_tf.config import ModelConfig
from tests.helpers import ROOT

pytestmark = pytest.mark.slow


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global backbone_layers, Batches, build_attention_model, build_classifier, build_model, CONFIG, draw_images, keras
    global first_stages, make_views, NonFiniteLossError, recipe, run, train
    import keras

    from sperm_tf.models.classifier import backbone_layers, build_classifier, first_stages
    from sperm_tf.models.views import make_views
    from sperm_tf.training import recipe
    from sperm_tf.training.callbacks import NonFiniteLossError
    from sperm_tf.training.recipe import train
    from tests.training.tiny_training import CONFIG, Batches, build_attention_model, build_model, draw_images, run


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("uninterrupted")
    return run(work_dir, logs_dir=work_dir / "logs"), work_dir


def _figures(history):
    return {name: values for name, values in history.items() if name != "seconds"}


def _losses(model):
    """The loss of every validation image, from one plain forward pass in NumPy."""
    images, labels = draw_images(1)
    logits = np.asarray(model(images), "float64")
    labels = labels * (1 - CONFIG.label_smoothing) + CONFIG.label_smoothing / labels.shape[1]
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -(labels * log_probabilities).sum(-1)


def test_history(uninterrupted):
    result, work_dir = uninterrupted
    history = json.loads((work_dir / "history.json").read_text())
    assert history == result.history
    assert history["epoch"] == [1, 2, 3, 4, 5]
    assert history["phase"] == ["frozen"] * 2 + ["full"] * 3
    assert set(history) == {
        "epoch",
        "phase",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
    }
    assert {len(values) for values in history.values()} == {5}
    # Cosine to zero at the end of each phase, from different peaks.
    np.testing.assert_allclose(np.array(history["learning_rate"])[[0, 1, 4]], [0.005, 0, 0], atol=1e-9)


def test_training_learns_and_returns_the_best_epoch(uninterrupted):
    result, _ = uninterrupted
    losses = result.history["val_loss"]
    assert min(losses) < 0.8 * losses[0]
    assert result.best_epoch == int(np.argmin(losses)) + 1
    np.testing.assert_allclose(_losses(result.model).mean(), min(losses), rtol=1e-4)


def test_the_last_epoch_can_be_kept(tmp_path):
    config = dataclasses.replace(CONFIG, checkpoint="last", full_learning_rate=9e-3, full_epochs=4)
    result = run(tmp_path, config=config)
    losses = result.history["val_loss"]
    assert result.best_epoch == 6 == len(losses)
    np.testing.assert_allclose(_losses(result.model).mean(), losses[-1], rtol=1e-4)


def test_tensorboard_logs(uninterrupted):
    tf = pytest.importorskip("tensorflow")
    _, work_dir = uninterrupted
    steps = {
        event.step
        for path in (work_dir / "logs" / "validation").glob("*tfevents*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if any(value.tag == "epoch_loss" for value in event.summary.value)
    }
    assert steps == {0, 1, 2, 3, 4}


def test_two_runs_give_identical_weights(uninterrupted, tmp_path):
    result, _ = uninterrupted
    again = run(tmp_path)
    assert _figures(again.history) == _figures(result.history)
    for first, second in zip(result.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    other = run(tmp_path / "other", config=dataclasses.replace(CONFIG, seed=5, full_epochs=0))
    assert other.history["loss"][0] != result.history["loss"][0]


def test_view_consistency_draws_views_together_and_leaves_the_validation_loss_alone(tmp_path):
    images, _ = draw_images(1)
    spreads = []
    for weight in (0.0, 8.0):
        config = dataclasses.replace(CONFIG, view_consistency=weight, checkpoint="last", augmentation=())
        result = run(tmp_path / str(weight), config=config)
        np.testing.assert_allclose(_losses(result.model).mean(), result.history["val_loss"][-1], rtol=1e-4)
        views = np.asarray(result.model(make_views(images, 8))).reshape(8, len(images), -1)
        spreads.append(keras.ops.softmax(views).numpy().std(axis=0).mean())
    assert spreads[1] < 0.7 * spreads[0]


@pytest.mark.integration
@pytest.mark.parametrize("kill", ((1, 1), (3, 2)), ids=("in_phase_1", "in_phase_2"))
def test_a_killed_training_continues_as_if_nothing_had_happened(kill, uninterrupted, tmp_path):
    result, _ = uninterrupted
    command = [sys.executable, "-m", "tests.training.tiny_training", str(tmp_path), *map(str, kill)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in (tmp_path / "state").iterdir()] == [f"epoch-{kill[0]:04d}"]

    epochs = []
    original = keras.Model.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", lambda *a, **kw: epochs.append(kw["initial_epoch"]) or original(*a, **kw))
        resumed = run(tmp_path)
    assert epochs == list(range(kill[0], 5)), "it must continue with the epoch that was killed"
    assert _figures(resumed.history) == _figures(result.history)
    assert resumed.best_epoch == result.best_epoch
    for first, second in zip(result.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_finished_training_is_not_repeated(uninterrupted, monkeypatch):
    result, work_dir = uninterrupted
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("trained again"))
    again = run(work_dir)
    assert again.history == result.history
    np.testing.assert_allclose(_losses(again.model).mean(), min(result.history["val_loss"]), rtol=1e-4)


def test_other_settings_are_refused(uninterrupted):
    _, work_dir = uninterrupted
    with pytest.raises(ValueError, match="another full_learning_rate"):
        run(work_dir, config=dataclasses.replace(CONFIG, full_learning_rate=2e-3))


def test_initial_weights_are_the_same_wherever_their_file_lies(tmp_path):
    def config(folder, content):
        file = tmp_path / folder / "first.weights.h5"
        file.parent.mkdir()
        file.write_bytes(content)
        return dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, weights=str(file)))

    before = run(tmp_path, config=config("here", b"weights"), build=lambda _: build_model())
    after = run(tmp_path, config=config("there", b"weights"), build=lambda _: build_model())
    assert after.history == before.history
    with pytest.raises(ValueError, match="another model"):
        run(tmp_path, config=config("elsewhere", b"others"), build=lambda _: build_model())


def _weights(layers):
    return {layer.name: [np.array(weight) for weight in layer.get_weights()] for layer in layers if layer.weights}


def test_phase_1_trains_only_attention_and_head_and_phase_2_everything(tmp_path):
    config = dataclasses.replace(CONFIG, full_epochs=0, frozen_epochs=1, warmup_share=0.0, weight_decay=0.0)
    model = build_attention_model(config)
    backbone = backbone_layers(model)
    others = [layer for layer in model.layers if layer not in backbone and layer.weights]
    assert [layer.name for layer in others] == ["cbam_top", "logits"]
    data = Batches(draw_images(0))
    before_backbone, before_others = _weights(backbone), _weights(others)
    train(model, data, data, config=config, work_dir=tmp_path / "frozen", verbose=0)
    for name, arrays in _weights(backbone).items():  # the moving statistics of BatchNormalization among them
        for old, new in zip(before_backbone[name], arrays, strict=True):
            np.testing.assert_array_equal(old, new, err_msg=name)
    for name, arrays in _weights(others).items():
        for old, new in zip(before_others[name], arrays, strict=True):
            assert not np.array_equal(old, new), name

    config = dataclasses.replace(config, frozen_epochs=0, full_epochs=1)
    train(model, data, data, config=config, work_dir=tmp_path / "full", verbose=0)
    for name, arrays in _weights(backbone).items():
        for old, new in zip(before_backbone[name], arrays, strict=True):
            assert not np.array_equal(old, new), name


def test_frozen_stages_keep_weights_and_statistics_and_the_others_train(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        model=ModelConfig(name="efficientnet_lite0_cbam"),
        frozen_epochs=0,
        full_epochs=1,
        frozen_stages=2,
        warmup_share=0.0,
    )
    model = build_classifier(config.model, num_classes=3, image_size=32)
    frozen = [layer for layer in model.layers if re.match("stem|block[12]", layer.name) and layer.weights]
    later = [layer for layer in model.layers if layer.weights and layer not in frozen]
    assert {layer.name[:6] for layer in frozen} == {"stem_c", "stem_b", "block1", "block2"}
    before_frozen, before_later = _weights(frozen), _weights(later)
    data = Batches(draw_images(0))
    train(model, data, data, config=config, work_dir=tmp_path, verbose=0)
    for name, arrays in _weights(frozen).items():
        for old, new in zip(before_frozen[name], arrays, strict=True):
            np.testing.assert_array_equal(old, new, err_msg=name)
    for name, arrays in _weights(later).items():
        assert not all(map(np.array_equal, before_later[name], arrays)), name
    assert all(layer.trainable for layer in model.layers)


def test_frozen_stages_need_a_network_that_has_them():
    with pytest.raises(ValueError, match=r"trainer\.frozen_stages must be 0 .* trainer.model.name='simple_cnn'"):
        dataclasses.replace(CONFIG, frozen_stages=2)
    model = build_classifier(CONFIG.model, num_classes=3, image_size=32)
    with pytest.raises(ValueError, match=r"must have the stages of an EfficientNet.*'simple_cnn'"):
        first_stages(model, 2)


def test_weight_decay_shrinks_kernels_alone():
    """AdamW (Loshchilov and Hutter 2019): without a gradient a weight shrinks by the rate times the decay."""
    config = dataclasses.replace(CONFIG, weight_decay=0.5, schedule="constant", warmup_share=0.0)
    model = build_attention_model(config)
    recipe._compile(model, recipe._phases(config)[1], config, num_steps=4)
    variables = model.trainable_variables
    before = [np.array(variable) for variable in variables]
    model.optimizer.apply([keras.ops.zeros_like(variable) for variable in variables])
    kept = {"bias", "gamma", "beta"}
    assert kept < {variable.name for variable in variables}
    for variable, old in zip(variables, before, strict=True):
        expected = old if variable.name in kept else old * (1 - config.full_learning_rate * 0.5)
        np.testing.assert_allclose(variable, expected, rtol=1e-6, err_msg=variable.path)


def test_phase_2_starts_from_the_best_weights_of_phase_1(tmp_path):
    """With rate 0 in phase 2 and moving statistics that hardly move, its validation loss is phase 1's best."""
    config = dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, norm_momentum=0.9999),
        frozen_epochs=4,
        frozen_learning_rate=0.05,
        full_epochs=1,
        full_learning_rate=0.0,
    )
    images, labels = draw_images(0)

    def train_data(epoch):  # from the second epoch on every label is the first class
        return Batches((images, labels if epoch == 0 else np.eye(3, dtype="float32")[np.zeros(24, int)]))

    result = train(
        build_model(config), train_data, Batches(draw_images(0)), config=config, work_dir=tmp_path, verbose=0
    )
    losses = result.history["val_loss"]
    assert losses[3] > 1.1 * min(losses[:4]), "the test needs a last epoch that is not the best"
    assert losses[4] == pytest.approx(min(losses[:4]), rel=0.03)


def test_early_stopping_ends_each_phase_alone(tmp_path):
    # A rate of zero never lowers the loss of a frozen phase after its first epoch.
    config = dataclasses.replace(
        CONFIG, frozen_epochs=6, full_epochs=2, frozen_learning_rate=0.0, early_stopping_patience=2
    )
    history = run(tmp_path, config=config).history
    assert history["phase"] == ["frozen"] * 3 + ["full"] * 2
    assert history["epoch"] == [1, 2, 3, 4, 5]


def test_loss_is_smoothed_and_respects_sample_weights(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        full_epochs=0,
        frozen_epochs=1,
        frozen_learning_rate=0.0,
        model=ModelConfig(name="simple_cnn", dropout=0),
    )
    images, labels = draw_images(1)
    weights = np.random.default_rng(0).uniform(0, 3, len(labels)).astype("float32")
    data = Batches((images, labels, weights))
    model = build_model(config)
    history = train(model, data, data, config=config, work_dir=tmp_path, verbose=0).history
    expected = (weights * _losses(model)).mean()
    assert history["val_loss"][0] == pytest.approx(expected, rel=1e-4)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4), "BatchNormalization must be in inference mode"


@pytest.mark.parametrize("phase", ("loss", "val_loss"))
def test_a_non_finite_loss_stops_with_a_clear_error(phase, tmp_path):
    good, bad = draw_images(0), draw_images(0)
    bad[1][9] = np.nan  # in the second batch; not a pixel, which ReLU may turn into zero
    data, validation = (bad, good) if phase == "loss" else (good, bad)
    config = dataclasses.replace(CONFIG, schedule="constant", warmup_share=0.0)
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, .*learning rate 0.01. Lower the learning rate") as raised:
        train(build_model(config), Batches(data), Batches(validation), config=config, work_dir=tmp_path, verbose=0)
    assert (raised.value.epoch, raised.value.step) == (1, 2 if phase == "loss" else None)
    assert raised.value.learning_rate == pytest.approx(0.01)
    assert not list((tmp_path / "state").glob("epoch-*")), "a spoiled epoch must not be committed"


def test_precision_of_model_and_config_must_agree(tmp_path):
    config = dataclasses.replace(CONFIG, precision="mixed_bfloat16")
    with pytest.raises(ValueError, match="set_dtype_policy"):
        run(tmp_path, config=config)


def test_resume_in_mixed_float16_keeps_the_loss_scale(tmp_path):
    config = dataclasses.replace(CONFIG, precision="mixed_float16", frozen_epochs=0, full_epochs=1)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        run(tmp_path, config=config)
    finally:
        keras.config.set_dtype_policy("float32")
    (state,) = (tmp_path / "state").iterdir()
    with np.load(state / "optimizer.npz") as arrays:
        shapes = [array.shape for array in arrays.values()]
    trainable = len(build_model().trainable_weights)
    # Iterations, two moments a weight, and of the loss scale: the count of good steps and the scale.
    assert len(shapes) >= 2 * trainable + 3


def test_data_without_a_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="train_data must have a length"):
        train(build_model(), iter([]), None, config=CONFIG, work_dir=tmp_path)


JAX_PROGRAM = """
import dataclasses, sys

class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ImportError("TensorFlow is not to be needed here")

sys.meta_path.insert(0, NoTensorFlow())

import keras, numpy as np
from tests.training.tiny_training import CONFIG, build_attention_model, run

assert keras.config.backend() == "jax"
config = dataclasses.replace(CONFIG, frozen_epochs=1, full_epochs=1)
history = run(sys.argv[1], config=config, build=build_attention_model).history
assert history["phase"] == ["frozen", "full"], history
assert np.isfinite(history["loss"] + history["val_loss"]).all(), history

try:
    run(sys.argv[1] + "/logs", logs_dir=sys.argv[1])
except ValueError as error:
    assert "logs_dir must be None on the backend 'jax'" in str(error)
else:
    raise AssertionError("no error")
assert "tensorflow" not in sys.modules
"""


@pytest.mark.integration
def test_both_phases_run_on_jax_without_tensorflow(tmp_path):
    pytest.importorskip("jax")
    finished = subprocess.run(
        [sys.executable, "-c", JAX_PROGRAM, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
