"""Near duplicates that published predictions did not know."""

import json

import pytest

from sperm_tf.evaluation.cross_validation import oof, relatives
from tests.evaluation.cross_validation.oof_tables import draw_table


def pair(first, second):
    return {"image_id": first, "related_image_id": second}


def test_images_with_a_relative_in_another_fold_are_counted_once_a_repeat(tmp_path):
    table = draw_table(seed=0, num_repeats=2)
    test = table[table["part"] == oof.TEST]
    names = sorted(set(test["image_id"]))[:40]
    pairs = [pair(names[0], names[index]) for index in range(1, 40)] + [pair(names[1], "no such image")]
    content = {"published_version": "3.0.0", "num_searched": 40, "pairs": pairs}
    relatives.write_json(content, tmp_path / "relatives.json")
    found = relatives.summarize(table, relatives.read_json(tmp_path / "relatives.json"))
    expected = []
    for repeat in (0, 1):
        fold_of = {row.image_id: row.fold for row in test.itertuples() if row.repeat == repeat}
        others = [name for name in names[1:] if fold_of[name] != fold_of[names[0]]]
        assert 0 < len(others) < 39, "both kinds of pairs are there"
        expected.append(len(others) + 1)
    assert found == {"dataset_version": "3.0.0", "num_with_relative_elsewhere": expected}


def test_no_file_and_no_pairs_are_two_things(tmp_path):
    table = draw_table(seed=0, num_repeats=1)
    assert relatives.read_json(tmp_path / "relatives.json") is None
    assert relatives.summarize(table, None) == {"dataset_version": None, "num_with_relative_elsewhere": None}
    none = {"published_version": "3.0.0", "num_searched": 9, "pairs": []}
    assert relatives.summarize(table, none) == {"dataset_version": "3.0.0", "num_with_relative_elsewhere": [0]}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "must hold a JSON object"),
        ("[]", "no published_version"),
        (json.dumps({"published_version": "3.0.0", "num_searched": 9, "pairs": [{}]}), "a pair without image_id"),
    ],
)
def test_a_damaged_file_is_refused_with_the_remedy(tmp_path, text, named):
    path = tmp_path / "relatives.json"
    path.write_text(text)
    with pytest.raises(relatives.RelativesError, match=f"{named}.*benchmarks.published_relatives"):
        relatives.read_json(path)
