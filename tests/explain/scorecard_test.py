import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sperm_tf.explain import faithfulness

pytestmark = pytest.mark.slow


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global explain, ExplainedClassifier, scorecard, tiny_models
    from sperm_tf.explain import scorecard
    from sperm_tf.explain.methods import ExplainedClassifier, explain
    from tests import tiny_models


SIDE = 24


@pytest.fixture(scope="module")
def scored():
    images = np.random.default_rng(0).uniform(150, 255, (3, SIDE, SIDE, 3)).astype(np.float32)
    images[:, 8:16, 10:14] = 40
    mask = np.zeros((SIDE, SIDE), bool)
    mask[8:16, 10:14] = True
    masks = [mask, None, np.roll(mask, 2, axis=0)]
    classifier = ExplainedClassifier(tiny_models.build(seed=5))
    return classifier, images, masks, pd.DataFrame(scorecard.score_faithfulness(classifier, images, masks))


def test_every_row_belongs_to_its_image(scored):
    classifier, images, masks, rows = scored
    classes = classifier.probabilities(images).argmax(axis=1)
    for method in ("grad_cam", "edges"):
        maps = explain(method, classifier, images, classes)
        found = rows[(rows["method"] == method) & (rows["figure"] == "energy_in_head")].set_index("row")["value"]
        assert found.index.tolist() == [0, 2]  # the second image has no head
        for row in (0, 2):
            assert found[row] == pytest.approx(maps[row][masks[row]].sum() / maps[row].sum(), rel=1e-5)
    heads = rows[rows["method"] == scorecard.HEAD]
    assert set(heads["row"]) == {0, 2} and (heads[heads["figure"] == "pointing_hit"]["value"] == 1).all()
    fractions = faithfulness.default_fractions()
    third = slice(2, 3)
    curve = faithfulness.deletion_curves(
        classifier.probabilities,
        images[third],
        scorecard.soften(np.array([masks[2]])),
        classes[third],
        fractions=fractions,
    )
    deleted = heads[(heads["figure"] == "deletion_auc") & (heads["row"] == 2)]["value"].item()
    assert deleted == pytest.approx(faithfulness.area_under(curve, fractions)[0], rel=1e-5)
    areas = rows[rows["figure"] == "mask_area_share"]["value"]
    np.testing.assert_allclose(areas, 32 / SIDE**2)
    assert set(rows[rows["method"] == "grad_cam"]["figure"]) == set(faithfulness.FIGURES)


def test_a_coarse_mask_is_the_mean_in_each_cell():
    masks = np.random.default_rng(0).random((2, SIDE, SIDE)) < 0.3
    cells = masks.reshape(2, 6, 4, 6, 4).mean(axis=(2, 4))
    coarse = scorecard.coarsen(masks, 6)
    middles = coarse[:, 1::4, 1::4] / 2 + coarse[:, 2::4, 2::4] / 2  # a cell's middle lies between two pixels
    assert coarse.shape == masks.shape and coarse.min() == 0 and coarse.max() == 1
    for row in range(2):
        assert stats.spearmanr(cells[row].ravel(), middles[row].ravel())[0] > 0.95


def test_an_even_mask_stays_even_where_cells_differ_in_size():
    assert np.ptp(scorecard.coarsen(np.ones((1, 90, 90), bool), 23)) == 0


def test_maps_that_are_the_same_whatever_the_image_are_found_out():
    rng = np.random.default_rng(0)
    same, own = np.repeat(rng.random((1, 16, 16)), 4, axis=0), rng.random((4, 16, 16))
    np.testing.assert_allclose(scorecard.likeness_to_others(same), 1)
    others = [stats.spearmanr(own[row].ravel(), np.delete(own, row, 0).mean(axis=0).ravel())[0] for row in range(4)]
    np.testing.assert_allclose(scorecard.likeness_to_others(own), others)
    assert np.isnan(scorecard.likeness_to_others(own[:1])).all()
