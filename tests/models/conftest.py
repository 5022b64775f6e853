import pytest


@pytest.fixture(autouse=True)
def _float32_policy():
    yield
    import keras

    keras.config.set_dtype_policy("float32")
