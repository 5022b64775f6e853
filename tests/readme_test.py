"""The figures of the README are those of the published predictions."""

import json
import pathlib

import numpy as np
import pytest

from sperm_tf.report.published.literature import RELEASED_MODELS, paper

ROOT = pathlib.Path(__file__).parents[1]
COLUMNS = {"smids": 2, "hushem": 3}
REPEATS = {"smids": "2 repeats", "hushem": "2 repeats"}


def read(dataset, name):
    return json.loads((ROOT / "docs" / "results" / dataset / name).read_text(encoding="utf-8"))


def cell(dataset, row):
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"| {row}")]
    return line.split("|")[COLUMNS[dataset]].strip()


@pytest.mark.parametrize("dataset", COLUMNS)
def test_accuracy_and_its_interval_are_the_published_ones(dataset):
    model = read(dataset, "results.json")["models"][RELEASED_MODELS[dataset]]
    low, high = model["pooled"]["accuracy"]["bootstrap_95"]
    mean = model["over_folds"]["accuracy"]["mean"]
    assert cell(dataset, "accuracy") == f"{100 * mean:.1f} % ({100 * low:.1f}–{100 * high:.1f})"
    heading = cell(dataset, "The released networks")
    assert f"`{RELEASED_MODELS[dataset]}`" in heading and heading.endswith(REPEATS[dataset])
    assert REPEATS[dataset].startswith(f"{model['num_repeats']} ")


@pytest.mark.parametrize("dataset", COLUMNS)
def test_the_gain_of_cbam_is_the_published_one(dataset):
    pairs = read(dataset, "results.json")["comparisons"]
    found = next(
        pair for pair in pairs if (pair["first"], pair["second"]) == ("efficientnet_b0", "efficientnet_b0_cbam")
    )
    low, high = (f"{100 * bound:+.1f}" for bound in found["accuracy"]["interval"])
    repeats = "1 repeat" if found["num_repeats"] == 1 else f"{found['num_repeats']} repeats"
    expected = f"{100 * found['accuracy']['difference']:+.1f} ({low} to {high}), {repeats}".replace("-", "−")
    assert cell(dataset, "EfficientNet-B0 with CBAM against") == expected


def test_what_is_accepted_is_what_was_published():
    selected = [repeat["selection"] for repeat in read("smids", "decisions.json")[RELEASED_MODELS["smids"]]["repeats"]]
    accepted, right = (
        100 * np.mean([one[name]["value"] for one in selected]) for name in ("accepted", "accuracy_of_accepted")
    )
    assert cell("smids", "coverage") == f"{accepted:.1f} %, {right:.1f} %"
    assert cell("hushem", "coverage").startswith("none")
    assert not any(
        repeat["selection"]["num_accepted"]
        for repeat in read("hushem", "decisions.json")[RELEASED_MODELS["hushem"]]["repeats"]
    )


def test_the_price_of_referring_out_of_distribution_images_is_what_was_published():
    found = read("smids", "audits.json")[RELEASED_MODELS["smids"]]["strangers"]["kinds"]["tested"]
    unfamiliar, accepted = (100 * found[name]["value"] for name in ("unfamiliar", "accepted"))
    alone = (
        100 * read("smids", "decisions.json")[RELEASED_MODELS["smids"]]["repeats"][0]["selection"]["accepted"]["value"]
    )
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"first repeat these are {unfamiliar:.1f} % of all, and what is accepted" in text
    assert f"falls from {alone:.1f} to {accepted:.1f} %" in text


def test_what_a_count_says_is_what_was_published():
    found = read("smids", "decisions.json")[RELEASED_MODELS["smids"]]["slides"]
    entry = next(entry for entry in found if entry["true_share"] == 0.04)
    counted, corrected = (f"{100 * entry[name]:.1f} %" for name in ("counted", "corrected"))
    for file in ("README.md", "docs/slide.md"):
        text = " ".join((ROOT / file).read_text(encoding="utf-8").split())
        assert "4 % normal forms" in text and counted in text and corrected in text, file


@pytest.mark.parametrize("dataset", COLUMNS)
def test_the_row_of_the_paper_is_that_of_the_tables(dataset):
    published = paper(dataset)
    expected = f"{100 * published.accuracy:.1f} %"
    if published.interval:
        low, high = (100 * bound for bound in published.interval)
        expected += f" (31 of 33: {low:.1f}–{high:.1f})"
    assert cell(dataset, "the paper") == expected
