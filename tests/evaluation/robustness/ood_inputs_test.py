import numpy as np
import pytest

from sperm_tf.evaluation.robustness import ood_inputs
from sperm_tf.evaluation.robustness.ood_composition import COMPOSITIONS

FAMILIAR = [np.random.default_rng(seed).integers(0, 256, (40 + seed, 50, 3), np.uint8) for seed in range(5)]


@pytest.mark.parametrize("kind", ood_inputs.KINDS)
def test_strangers_have_the_size_of_familiar_images_and_return_with_their_seed(kind):
    made, again, others = (
        [stranger.pixels for stranger in ood_inputs.make_strangers(kind, FAMILIAR, count=3, seed=seed)]
        for seed in (1, 1, 2)
    )
    sizes = {image.shape for image in FAMILIAR}
    assert len(made) == 3 and all(image.dtype == np.uint8 for image in made)
    assert kind in COMPOSITIONS or all(image.shape in sizes for image in made)
    assert all(np.array_equal(first, second) for first, second in zip(made, again, strict=True))
    assert not all(np.array_equal(first, second) for first, second in zip(made, others, strict=True))
    assert not any(np.array_equal(image, familiar) for image in made for familiar in FAMILIAR)


def test_other_stains_keep_the_shape_and_turn_the_colour():
    red = [np.broadcast_to(np.array([200, 40, 40], np.uint8), (40, 50, 3))]
    assert ood_inputs.make_strangers("hue_half_turn", red, count=1)[0].pixels[0, 0].tolist() == [40, 200, 200]
    assert ood_inputs.make_strangers("swapped_channels", red, count=1)[0].pixels[0, 0].tolist() == [40, 40, 200]
    assert ood_inputs.make_strangers("inverted", red, count=1)[0].pixels[0, 0].tolist() == [55, 215, 215]


def test_strangers_say_what_they_are_made_of():
    def made(kind):
        return ood_inputs.make_strangers(kind, FAMILIAR, count=5, seed=3)

    for stranger in made("inverted"):
        np.testing.assert_array_equal(255 - stranger.pixels, FAMILIAR[stranger.familiar])
        assert not stranger.picture
    assert sorted(stranger.familiar for stranger in made("inverted")) == list(range(5))
    assert {stranger.picture for stranger in made("print")} == {"page.png", "text.png"}
    assert all(stranger.familiar is None for stranger in made("print"))
    assert all(stranger.familiar is None and not stranger.picture for stranger in made("uniform_noise"))


def test_wrong_arguments_are_explained():
    with pytest.raises(ValueError, match=r"kind must be one of uniform_noise.*Received: kind='ghost'"):
        ood_inputs.make_strangers("ghost", FAMILIAR, count=1)
    with pytest.raises(ValueError, match="familiar must hold an image"):
        ood_inputs.make_strangers("grey", [], count=1)
