import re

import pytest

from sperm_tf.serving import client
from sperm_tf.serving.server.limits import Limits
from tests import helpers


def test_a_batch_is_what_tensorflow_serving_and_the_client_take():
    text = (helpers.ROOT / "deploy" / "tf_serving" / "batching_parameters.txt").read_text()
    assert int(re.search(r"max_batch_size { value: (\d+) }", text)[1]) == Limits().batch_images
    assert Limits().batch_images == client.MAX_REQUEST_IMAGES


@pytest.mark.parametrize(
    "wrong", [{"batch_images": 0}, {"timeout_s": float("nan")}, {"waiting_images": 7}, {"held_bytes": 1}], ids=str
)
def test_limits_that_nothing_fits_into_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least"):
        Limits(**wrong)
