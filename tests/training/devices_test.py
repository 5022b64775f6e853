"""Training on two devices against training on one; the devices are parts of one processor."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.training import two_devices

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def trained(request, tmp_path_factory):
    """Backend, what was saved on one device, on two, and what was found."""
    pytest.importorskip(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, "-m", "tests.training.two_devices", request.param, str(folder)]
    environment = two_devices.environment(request.param)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    one, two = (dict(np.load(folder / f"{name}.npz")) for name in ("one", "two"))
    return request.param, one, two, json.loads((folder / "found.json").read_text())


def test_both_devices_train(trained):
    _, _, _, found = trained
    assert len(set(found["devices"])) == 2


def test_losses_weights_and_predictions_are_those_of_one_device(trained):
    _, one, two, _ = trained
    assert one.keys() == two.keys() and len(one["loss"]) == 2
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_part_that_devices_cannot_share_equally_does_no_harm(trained):
    _, _, _, found = trained
    assert np.isfinite(found["losses"]).all()


def test_what_mirrored_devices_cannot_share_is_refused(trained):
    backend, _, _, found = trained
    if backend == "tensorflow":
        assert "trainer.batch_size must be a multiple of the number of devices, 2" in found["batch_size"]
        assert "trainer.view_consistency must be 0 under a tf.distribute.Strategy" in found["view_consistency"]
