import numpy as np
import pytest

from tests.helpers import flip_bit


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global keras, StateStore
    import keras

    from sperm_tf.training.state import StateStore


HISTORY = {"epoch": [1], "val_loss": [0.5]}


def _model(units=2):
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dense(units)(keras.layers.Dropout(0.5, seed=1)(image)))
    model.compile(keras.optimizers.AdamW(), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def _fill(model, value):
    for variable in [*model.weights, *model.optimizer.variables[2:]]:
        variable.assign(np.full(variable.shape, value))


def test_restores_model_optimizer_random_generators_and_best(tmp_path):
    store = StateStore(tmp_path, {"seed": 1})
    assert store.open() == {}
    model = _model()
    _fill(model, 1.0)
    store.commit(model, HISTORY, is_best=True)
    _fill(model, 2.0)
    (random_state,) = model.layers[1].variables
    random_state.assign(random_state + 5)
    expected = np.asarray(random_state)
    store.commit(model, {"epoch": [1, 2], "val_loss": [0.5, 0.6]}, is_best=False)

    store, model = StateStore(tmp_path, {"seed": 1}), _model()
    assert store.open() == {"epoch": [1, 2], "val_loss": [0.5, 0.6]}
    store.restore_last(model)
    np.testing.assert_array_equal(model.get_weights()[0], 2.0)
    np.testing.assert_array_equal(model.layers[1].variables[0], expected)
    for variable in model.optimizer.variables[2:]:
        np.testing.assert_array_equal(variable, 2.0)
    store.restore_best(model)
    np.testing.assert_array_equal(model.get_weights()[0], 1.0)


def test_half_written_and_older_states_are_never_read(tmp_path):
    store, model = StateStore(tmp_path, {}), _model()
    store.open()
    store.commit(model, HISTORY, is_best=True)
    (tmp_path / "partial-0002").mkdir()
    (tmp_path / "partial-0002" / "model.npz").write_bytes(b"half")
    (tmp_path / "epoch-0000").mkdir()  # a removal that was killed
    assert StateStore(tmp_path, {}).open() == HISTORY
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001"]


def test_a_state_is_complete_when_it_gets_its_name(tmp_path, monkeypatch):
    store, model = StateStore(tmp_path, {}), _model()
    store.open()
    monkeypatch.setattr("sperm_tf.training.state.shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        store.commit(model, HISTORY, is_best=True)
    assert StateStore(tmp_path, {}).open() == {}


def test_a_damaged_state_says_what_to_delete(tmp_path):
    store = StateStore(tmp_path, {})
    store.open()
    store.commit(_model(), HISTORY, is_best=True)
    whole = (tmp_path / "epoch-0001" / "best.npz").read_bytes()
    for damaged in (b"", whole[:100], whole[:-200]):
        (tmp_path / "epoch-0001" / "best.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"best.npz, which is damaged .* Delete {tmp_path} to start anew"):
            store.restore_best(_model())


@pytest.mark.parametrize("name", ["model.npz", "optimizer.npz", "best.npz", "history.json", "settings.json"])
def test_a_state_with_a_flipped_bit_is_refused(name, tmp_path):
    store = StateStore(tmp_path, {"seed": 1})
    store.open()
    store.commit(_model(), HISTORY, is_best=True)
    flip_bit(tmp_path / "epoch-0001" / name)
    with pytest.raises(
        ValueError, match=rf"{name}, which is missing or has another .* Delete {tmp_path} to start anew"
    ):
        StateStore(tmp_path, {"seed": 1}).open()


def test_other_settings_and_other_models_are_refused(tmp_path):
    store = StateStore(tmp_path, {"seed": 1, "rate": 2})
    store.open()
    store.commit(_model(), HISTORY, is_best=True)
    with pytest.raises(ValueError, match="another seed"):
        StateStore(tmp_path, {"seed": 2, "rate": 2}).open()
    with pytest.raises(ValueError, match="same model"):
        store.restore_best(_model(units=3))
