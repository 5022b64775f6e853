import numpy as np
import pytest

from sperm_tf.explain.head_mask import find_head
from sperm_tf.synthesis.renderer import render


def overlap(found, exact):
    return 0.0 if found is None else (found & exact).sum() / (found | exact).sum()


@pytest.mark.parametrize(("label_set", "size"), [("head_shape", 128), ("quality", None)])
def test_the_mask_is_the_head_of_drawn_sperm(label_set, size):
    drawn = [render(index, label_set=label_set, seed=77, size=size) for index in range(40)]
    overlaps = np.array([overlap(find_head(one.image), one.head_mask) for one in drawn if one.head_mask.any()])
    assert np.median(overlaps) > 0.9
    assert np.mean(overlaps > 0.7) > 0.95


def test_colour_and_depth_of_the_image_do_not_matter():
    drawn = render(4, seed=3)
    mask = find_head(drawn.image)
    np.testing.assert_array_equal(find_head(drawn.image.astype(np.float32)), mask)
    tinted = drawn.image[..., [2, 1, 0]]
    np.testing.assert_array_equal(find_head(tinted), mask)


def test_a_crop_without_a_head_in_its_middle_is_refused():
    noise = np.random.default_rng(0).normal(200, 4, (128, 128, 3)).clip(0, 255)
    assert find_head(noise) is None
    assert find_head(np.full((64, 64, 3), 180, np.uint8)) is None
    drawn = render(0, seed=3).image
    assert find_head(np.concatenate([drawn, np.full_like(drawn, drawn[0, 0])], axis=1)) is None
    with pytest.raises(ValueError, match=r"image must be \[H, W, 3\]"):
        find_head(drawn[..., 0])
