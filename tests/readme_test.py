"""The figures of the README are those of the published predictions."""

import json
import pathlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODEL = "efficientnet_b0_cbam"


def read(dataset, name):
    return json.loads((ROOT / "docs" / "results" / dataset / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("dataset", ["smids", "hushem"])
def test_accuracy_and_its_interval_are_the_published_ones(dataset):
    model = read(dataset, "results.json")["models"][MODEL]
    low, high = model["pooled"]["accuracy"]["bootstrap_95"]
    mean = model["over_folds"]["accuracy"]["mean"]
    assert f"{100 * mean:.1f} % ({100 * low:.1f}–{100 * high:.1f})" in README


@pytest.mark.parametrize("dataset", ["smids", "hushem"])
def test_the_gain_of_cbam_is_the_published_one(dataset):
    pairs = read(dataset, "results.json")["comparisons"]
    found = next(pair["accuracy"] for pair in pairs if (pair["first"], pair["second"]) == ("efficientnet_b0", MODEL))
    low, high = (f"{100 * bound:+.1f}" for bound in found["interval"])
    assert f"{100 * found['difference']:+.1f} ({low} to {high})".replace("-", "−") in README


def test_what_is_accepted_is_what_was_published():
    selected = [repeat["selection"] for repeat in read("smids", "decisions.json")[MODEL]["repeats"]]
    accepted, right = (
        100 * np.mean([one[name]["value"] for one in selected]) for name in ("accepted", "accuracy_of_accepted")
    )
    assert f"{accepted:.1f} %, {right:.1f} %" in README
    assert not any(repeat["selection"]["num_accepted"] for repeat in read("hushem", "decisions.json")[MODEL]["repeats"])
