import copy
import subprocess
import sys

import numpy as np
import pytest

from sperm_tf.evaluation.infra_validation import checks as infra_checks
from sperm_tf.evaluation.infra_validation import probe

NAMES = ("normal", "tapered", "pyriform")
BAD_ROW = 1
PROBABILITIES = [[0.7, 0.2, 0.1], [0.0, 0.0, 0.0], [0.1, 0.3, 0.6]]


def make_answers():
    """What a good model answers to three rows, the second of them unreadable."""
    outputs = {
        "status": np.array([b"ok", b"empty", b"ok"], object),
        "predicted_class": np.array([b"normal", b"", b"pyriform"], object),
        "probabilities": np.array(PROBABILITIES, np.float32),
        "class_names": np.array([[name.encode() for name in NAMES]] * 3, object),
        "prediction_set": np.array([[True, True, False], [False] * 3, [False, False, True]]),
        "decision": np.array([b"accept", b"refer", b"refer"], object),
        "reason": np.array([b"confident", b"unreadable", b"uncertain"], object),
        "unfamiliarity": np.array([0.4, 0.0, 1.2], np.float32),
    }
    maps = {
        "layer_integrated_gradients": np.full((3, 2, 4), 0.5, np.float32),
        "grad_cam_plus_plus": np.full((3, 2, 4), 0.5, np.float32),
        "cbam_attention": np.full((3, 8, 16), 0.5, np.float32),  # of a layer before the feature map
    }
    per_class = {"grad_cam_plus_plus_per_class": np.full((3, 3, 2, 4), 0.5, np.float32)}
    arrays = {
        "serving_default": outputs,
        "serving_examples": outputs,
        "explain": {**outputs, **maps},
        "explain_classes": {**outputs, **maps, **per_class},
    }
    signatures = {
        name: {"outputs": {key: probe._describe(value) for key, value in values.items()}}
        for name, values in arrays.items()
    }
    return copy.deepcopy({"signatures": signatures, "importable": []})


def failed(answers):
    checks = infra_checks.check_answers(answers, class_names=NAMES, bad_rows=[BAD_ROW], num_rows=3)
    return [f"{check.signature}: {check.demand}" for check in checks if not check.passed]


def test_good_answers_pass_with_and_without_cbam():
    answers = make_answers()
    assert failed(answers) == []
    del answers["signatures"]["explain"]["outputs"]["cbam_attention"]
    assert failed(answers) == []


def test_a_process_that_could_import_this_project_proves_nothing():
    assert failed(make_answers() | {"importable": ["sperm_tf"]}) == [": the process had nothing of this project"]


def corrupt(signature, key, **changes):
    def change(answers):
        answers["signatures"][signature]["outputs"][key].update(changes)

    return change


def drop(signature, key=None):
    def change(answers):
        if key is None:
            del answers["signatures"][signature]
        else:
            del answers["signatures"][signature]["outputs"][key]

    return change


@pytest.mark.parametrize(
    ("change", "demand"),
    [
        (drop("explain"), "explain: exists"),
        (drop("serving_default", "status"), "serving_default: has exactly the promised outputs"),
        (drop("explain_classes", "grad_cam_plus_plus_per_class"), "explain_classes: has exactly the promised outputs"),
        (drop("explain", "grad_cam_plus_plus"), "explain: has exactly the promised outputs"),
        (
            corrupt("serving_default", "probabilities", dtype="float64"),
            "serving_default: probabilities is float32 [3, 3]",
        ),
        (corrupt("serving_examples", "status", shape=[3, 1]), "serving_examples: status is string [3]"),
        (
            corrupt("explain_classes", "grad_cam_plus_plus_per_class", shape=[3, 3, 4, 4]),
            "explain_classes: grad_cam_plus_plus_per_class is float32 [3, 3, 2, 4]",
        ),
        (
            corrupt("serving_default", "class_names", values=["a", "b", "c"] * 3),
            "serving_default: class names are the model's",
        ),
        (
            corrupt("serving_default", "status", values=["ok", "ok", "ok"]),
            "serving_default: unreadable images have another status",
        ),
        (
            corrupt("serving_default", "status", values=["ok", "empty", "empty"]),
            "serving_default: readable images have the status ok",
        ),
        (corrupt("serving_default", "probabilities", all_finite=False), "serving_default: probabilities are finite"),
        (
            corrupt("serving_default", "probabilities", values=[[1.2, -0.2, 0], [0, 0, 0], [0.1, 0.3, 0.6]]),
            "serving_default: probabilities are 0 or more",
        ),
        (
            corrupt("serving_default", "probabilities", values=[[0.7, 0.2, 0.2], [0, 0, 0], [0.1, 0.3, 0.6]]),
            "serving_default: probabilities of readable images sum to 1",
        ),
        (
            corrupt("serving_default", "probabilities", values=[[0.7, 0.2, 0.1], [1, 0, 0], [0.1, 0.3, 0.6]]),
            "serving_default: probabilities of unreadable images are 0",
        ),
        (
            corrupt("serving_default", "predicted_class", values=["tapered", "", "pyriform"]),
            "serving_default: the predicted class has the highest probability",
        ),
        (
            corrupt("serving_default", "predicted_class", values=["normal", "normal", "pyriform"]),
            "serving_default: unreadable images have no predicted class",
        ),
        (
            corrupt("serving_default", "prediction_set", values=[[False, True, True], [False] * 3, [True] * 3]),
            "serving_default: the predicted class is in the prediction set",
        ),
        (
            corrupt("serving_default", "prediction_set", values=[[True] * 3, [True] * 3, [True] * 3]),
            "serving_default: prediction sets of unreadable images are empty",
        ),
        (
            corrupt("serving_default", "decision", values=["accept", "refer", "maybe"]),
            "serving_default: decisions are to accept or to refer",
        ),
        (
            corrupt("serving_default", "decision", values=["accept", "accept", "refer"]),
            "serving_default: unreadable images are referred",
        ),
        (
            corrupt("serving_default", "reason", values=["", "unreadable", "uncertain"]),
            "serving_default: every decision has a reason",
        ),
        (
            corrupt("serving_default", "unfamiliarity", min=-0.1),
            "serving_default: unfamiliarity is finite and 0 or more",
        ),
        (
            corrupt("explain", "decision", values=["refer", "refer", "refer"]),
            "explain: answers what serving_default answers",
        ),
        (corrupt("explain", "grad_cam_plus_plus", shape=[3, 0, 4]), "explain: grad_cam_plus_plus is float32 [3, 1, 4]"),
        (corrupt("explain", "grad_cam_plus_plus", shape=[3]), "explain: grad_cam_plus_plus is float32 [3, 1, 1]"),
        (corrupt("explain", "cbam_attention", max=1.5), "explain: cbam_attention is between 0 and 1"),
        (corrupt("explain", "cbam_attention", dtype="float64"), "explain: cbam_attention is float32 [3, 8, 16]"),
        (corrupt("explain", "cbam_attention", shape=[2, 8, 16]), "explain: cbam_attention is float32 [3, 8, 16]"),
        (corrupt("explain", "cbam_attention", shape=[3, 8, 16, 1]), "explain: cbam_attention is float32 [3, 8, 16]"),
        (corrupt("explain", "cbam_attention", shape=[3, 8]), "explain: cbam_attention is float32 [3, 8, 1]"),
        (corrupt("explain", "cbam_attention", shape=[3, 8, 0]), "explain: cbam_attention is float32 [3, 8, 1]"),
        (
            corrupt("explain", "probabilities", values=[[0.69, 0.21, 0.1], [0, 0, 0], [0.1, 0.3, 0.6]]),
            "explain: answers what serving_default answers",
        ),
    ],
)
def test_each_defect_is_found(change, demand):
    answers = make_answers()
    change(answers)
    assert demand in failed(answers)


@pytest.mark.integration
def test_forbidden_packages_cannot_be_imported():
    code = """
import importlib.util, runpy, sys
forbid = runpy.run_path(sys.argv[1])["_Forbid"]
sys.meta_path.insert(0, forbid(["colorsys"]))
import wave
assert importlib.util.find_spec("colorsys")
import colorsys
"""
    process = subprocess.run([sys.executable, "-I", "-c", code, probe.__file__], capture_output=True, check=False)
    assert b"ModuleNotFoundError: colorsys must not be needed to serve the model" in process.stderr
