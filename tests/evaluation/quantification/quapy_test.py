"""Point estimates of class prevalence against QuaPy, an independent package (Moreo and others 2021, CIKM)."""

import numpy as np
import pytest

from sperm_tf.evaluation.quantification.prevalence import estimate_shares

aggregative = pytest.importorskip("quapy.method.aggregative", reason="pip install quapy")


def _cases(num_classes):
    """Errors of a classifier [C, C], and its answers to 400 images [C]; some mixes lack a class."""
    random = np.random.default_rng(num_classes)
    for number in range(8):
        errors = 0.6 * np.eye(num_classes) + 0.4 * random.dirichlet(np.ones(num_classes), num_classes)
        shares = random.dirichlet(np.ones(num_classes))
        shares[0] *= number % 2
        yield errors, random.multinomial(400, shares / shares.sum() @ errors)


@pytest.mark.parametrize("num_classes", [2, 3, 4])
def test_shares_are_those_of_adjusted_classify_and_count(num_classes):
    num_compared = 0
    for errors, answers in _cases(num_classes):
        expected = aggregative.ACC.solve_adjustment(
            class_conditional_rates=errors.T,
            unadjusted_counts=answers / answers.sum(),
            method="inversion",
            solver="exact-raise",
        )
        if expected.min() > 0:  # where inversion leaves 0-1, the most likely shares lie on the border
            num_compared += 1
            np.testing.assert_allclose(estimate_shares(answers, errors), expected, atol=1e-3)
    assert num_compared >= 3


@pytest.mark.parametrize("num_classes", [2, 3, 4])
def test_shares_are_those_of_expectation_maximization(num_classes):
    for errors, answers in _cases(num_classes):
        posteriors = (errors / errors.sum(axis=0)).T  # of each answer, before anything is known of the slide
        expected, _ = aggregative.EMQ.EM(
            np.full(num_classes, 1 / num_classes), posteriors[np.repeat(np.arange(num_classes), answers)], epsilon=1e-7
        )
        np.testing.assert_allclose(estimate_shares(answers, errors), expected, atol=2e-3)
