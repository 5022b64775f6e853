import numpy as np
import pytest

from sperm_tf.fields.parsing import ACROSOME, MIDPIECE, NUCLEUS, STEP, TAIL
from sperm_tf.synthesis import field_layers
from sperm_tf.training.field_samples import (
    annotated_sample,
    build_sample,
    draw_centers,
    draw_sample,
    load_drawn_samples,
)


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global change_look, cut, FieldCrops, turn, turn_vectors
    from sperm_tf.training.field_crops import FieldCrops, change_look, cut, turn, turn_vectors


@pytest.fixture(scope="module")
def sample():
    return draw_sample(3, seed=2, height=256, width=288)


def squares(*, x, y, size=8):
    return np.array([[x, y], [x + size, y], [x + size, y + size], [x, y + size]], float)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_offsets_lead_to_the_same_pixel_of_a_turned_field(turns, mirror):
    rng = np.random.default_rng(turns)
    numbers = np.arange(9 * 9).reshape(9, 9)
    goals = rng.integers(0, 9, (9, 9, 2))
    offsets = np.concatenate([goals - np.stack(np.indices((9, 9)), -1), np.ones((9, 9, 1))], axis=-1)
    wanted = turn(numbers[goals[..., 0], goals[..., 1]], turns, mirror)
    turned_numbers = turn(numbers, turns, mirror)
    turned = turn_vectors(turn(offsets, turns, mirror), turns, mirror)
    ends = (np.stack(np.indices((9, 9)), -1) + turned[..., :2]).astype(int)
    np.testing.assert_array_equal(turned_numbers[ends[..., 0], ends[..., 1]], wanted)
    assert (turned[..., 2] == 1).all()


def test_targets_of_a_drawn_field(sample):
    assert sample.parts.shape == (256, 288) and sample.offsets.shape == (128, 144, 2)
    assert sample.parts.max() <= TAIL
    grid_parts = sample.parts.reshape(128, 2, 144, 2).max(axis=(1, 3))
    assert (grid_parts[sample.has_offset] > 0).all()
    for row, column in np.round(sample.centers).astype(int):
        assert np.isin(sample.parts[2 * row, 2 * column], (NUCLEUS, ACROSOME))


def test_a_vacuole_counts_to_the_part_around_it():
    parts = np.zeros((20, 20), np.uint8)
    parts[4:16, 4:10], parts[4:16, 10:16] = field_layers.NUCLEUS, field_layers.ACROSOME
    parts[8:10, 12:14] = parts[6:8, 5:7] = field_layers.VACUOLE
    instances = (parts > 0).astype(np.uint16)
    found = build_sample(np.zeros((20, 20, 3), np.uint8), parts, instances, 0 * parts, 0 * instances)
    assert (found.parts[4:16, 4:10] == NUCLEUS).all() and (found.parts[4:16, 10:16] == ACROSOME).all()
    assert found.vacuoles.sum() == 8
    np.testing.assert_allclose(found.centers, [[4.5, 4.5]])


def test_annotated_fields_become_the_same_targets():
    from sperm_tf.fields.annotations import AnnotatedCell

    cells = [
        AnnotatedCell(4, {"Nucleus": (squares(x=40, y=40, size=24),), "Midpiece": (squares(x=44, y=64),)}),
        AnnotatedCell(9, {"Acrosome": (squares(x=100, y=40, size=24),), "Vacuole": (squares(x=108, y=48),)}),
    ]
    pixels = np.zeros((128, 160, 3), np.uint8)
    pixels[40:64, 40:64] = 200
    found = annotated_sample(pixels, cells, scale=0.5)
    assert found.image.shape == (64, 80, 3)
    nucleus = found.parts == NUCLEUS
    assert abs(np.count_nonzero(nucleus) - 144) <= 26 and np.median(found.image[nucleus]) == 200
    assert (found.parts == MIDPIECE).any() and found.vacuoles.sum() > 4
    assert (found.parts[found.vacuoles] == ACROSOME).all()
    np.testing.assert_allclose(found.centers, [[12.7, 12.7], [12.7, 27.7]], atol=0.4)


def test_batches_depend_on_their_seed_alone(sample):
    arguments = {"num_batches": 2, "batch_size": 2, "crop_px": 64}
    one, same, other = (FieldCrops([sample], seed=seed, **arguments) for seed in (4, 4, 5))
    images, targets = one[1]
    np.testing.assert_array_equal(images, same[1][0])
    assert (images != other[1][0]).any() and len(one) == 2
    assert images.shape == (2, 64, 64, 3) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 255
    np.testing.assert_allclose(targets["parts"].sum(axis=-1), 1, rtol=1e-6)
    assert {name: array.shape[1:] for name, array in targets.items()} == {
        "parts": (32, 32, 5),
        "vacuoles": (32, 32, 1),
        "centers": (32, 32, 1),
        "offsets": (32, 32, 3),
    }


def test_a_crop_keeps_image_and_targets_together(sample):
    rng = np.random.default_rng(0)
    dark = sample.image.min(axis=2)
    for _ in range(5):
        image, targets = cut(sample, 128, rng)
        shown = np.kron(targets["parts"][..., 1] > 0.9, np.ones((2, 2))) > 0
        if shown.any():
            assert np.median(image.min(axis=2)[shown]) < np.median(dark) - 40
        assert np.abs(targets["offsets"][..., :2]).max() * STEP <= 17


def test_samples_are_drawn_as_often_as_their_shares_say(sample):
    empty = build_sample(sample.image, *(0 * sample.parts for _ in range(4)))
    crops = FieldCrops(
        [sample, *[empty] * 3], num_batches=1, batch_size=60, crop_px=32, seed=0, shares=[3, 1, 1, 1], augment=False
    )
    with_cells = crops[0][1]["offsets"][..., 2].any(axis=(1, 2)).sum()
    assert 15 <= with_cells <= 45


def test_a_peak_has_the_height_1():
    heat = draw_centers(np.array([[4.4, 6.6], [-1.0, 3.0]]), 12)
    assert heat[4, 7] == 1 and heat[0, 3] < 1
    assert heat[4, 9] == pytest.approx(np.exp(-4 / 8))


def test_a_look_leaves_shapes_where_they_are(sample):
    rng = np.random.default_rng(1)
    grey = sample.image[:, :256].astype(np.float32).mean(axis=2)
    for _ in range(4):
        changed = change_look(sample.image[:, :256], rng).mean(axis=2)
        assert np.corrcoef(grey.ravel(), changed.ravel())[0, 1] > 0.6
        assert np.abs(changed - grey).mean() > 0.5


def test_drawn_fields_are_drawn_once(tmp_path, monkeypatch):
    drawn = []

    def draw(index, *, seed):
        drawn.append(index)
        return draw_sample(index, seed=seed, height=64, width=64)

    monkeypatch.setattr("sperm_tf.training.field_samples.draw_sample", draw)
    first = load_drawn_samples(tmp_path, 2, seed=1)
    again = load_drawn_samples(tmp_path, 3, seed=1)
    assert drawn == [0, 1, 2]
    np.testing.assert_array_equal(first[1].offsets, again[1].offsets)
