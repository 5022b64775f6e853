import json
import types
import zipfile

import numpy as np
import pytest

import sperm_tf
from pipelines.components.infra_validator import InfraValidator
from pipelines.orchestration.component import RunContext
from sperm_tf.config import InfraValidatorConfig
from sperm_tf.data import examples
from sperm_tf.models import released
from tests import examples_fixture
from tests.helpers import real_data_dir


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global tf
    import tensorflow as tf


pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize(("name", "archive"), (("smids", "SMIDS.zip"), ("hushem", "HuSHeM.zip")))
def test_the_export_of_a_released_model_passes_the_serving_trial(name, archive, tmp_path):
    if name not in released.read_manifest():
        pytest.skip(f"{name} is not released yet")
    with zipfile.ZipFile(real_data_dir() / archive) as file:
        members = [member for member in sorted(file.namelist()) if not member.endswith("/")]
        images = [file.read(member) for member in members[:: len(members) // 8]][:8]
    rows = [examples_fixture.features(0, index, image=image) for index, image in enumerate(images)]
    examples_fixture.write_examples(tmp_path / "examples", dict.fromkeys(examples.SPLITS, rows))
    classifier = sperm_tf.load_model(name)
    model = tmp_path / "model"
    classifier.export(model / "saved_model")
    (model / "model.json").write_text(json.dumps({"class_names": list(classifier.class_names)}))
    for folder in ("output", "work"):
        (tmp_path / folder).mkdir()
    inputs = {key: types.SimpleNamespace(directory=tmp_path / key) for key in ("model", "examples")}
    context = RunContext(tmp_path, work_dir=tmp_path / "work")
    trial = InfraValidator(InfraValidatorConfig(num_images=3)).execute(inputs, tmp_path / "output", context)
    assert trial["blessed"], (tmp_path / "output" / "report.json").read_text()[:3000]

    served = tf.saved_model.load(str(model / "saved_model")).signatures["serving_default"](tf.constant(images))
    expected = [list(prediction.probabilities.values()) for prediction in classifier.predict(images)]
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-4)
