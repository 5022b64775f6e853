"""Glossary of the cross-validation report; those that it shares with the report of a run mean the same."""

from __future__ import annotations

from sperm_tf.report.sections.glossary import GLOSSARY

_SHARED = (
    "Accuracy",
    "Confusion matrix",
    "Epoch",
    "F1",
    "Group bootstrap",
    "Interval, 95 %",
    "Macro F1",
    "Near duplicates",
    "Precision",
    "Recall",
    "Wilson interval",
)
_OWN = (
    (
        "Brier score",
        "Mean squared distance of the probabilities from the truth, summed over the classes: 0 is perfect, 2 is sure "
        "and always wrong.",
    ),
    (
        "Calibration error (ECE)",
        "How far, on average, the probability of the predicted class is from the accuracy at that probability. "
        "Where there are few images it is some hundredths even under perfect calibration.",
    ),
    (
        "Cross-validation",
        "Images are dealt into five folds. Five networks are trained, each without one of the folds, and each is "
        "tested on the fold that it did not see. So every image is tested once.",
    ),
    (
        "Corrected t-test",
        "A test of the difference between two models over the folds. It allows for the training images that the folds "
        "share, without which differences seem surer than they are.",
    ),
    (
        "Holm’s correction",
        "Raises p-values when several pairs are tested, so that a false alarm among all of them stays rare.",
    ),
    (
        "Kappa, MCC",
        "Agreement beyond chance between predicted and true classes: 0 is chance, 1 is perfect. Cohen’s kappa and "
        "Matthews’ correlation coefficient.",
    ),
    (
        "McNemar’s test",
        "Compares the images that only one of two models got right. It takes images as independent, which makes it a "
        "little too sure.",
    ),
    (
        "NLL",
        "Mean negative logarithm of the probability of the true class: lower is better, and a sure error costs most.",
    ),
    (
        "p-value",
        "How often chance alone would make a difference at least this large. A high one is no proof that two models "
        "are equal.",
    ),
    (
        "Repeat",
        "A whole cross-validation with folds dealt anew. Repeats make the metrics more stable, but add no images.",
    ),
)


def terms() -> list[tuple[str, str]]:
    """Terms with their meanings, in alphabetical order."""
    shared = [(term, meaning) for term, meaning in GLOSSARY if term in _SHARED]
    return sorted([*shared, *_OWN], key=lambda entry: entry[0].lower())
