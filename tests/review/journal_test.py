import csv
import dataclasses
import multiprocessing
import threading

import numpy as np
import pandas as pd
import pytest
import tensorflow_datasets as tfds

from sperm_tf.data.decode import decode_rgb
from sperm_tf.review import records
from sperm_tf.review.journal import Journal, JournalError
from tests.review.reviews import make_image, make_review
from tfds_builders.own_images import config, list_images

NASTY = 'two\nlines, "quotes"; a\ttab, \u2028 a NUL \0 and an accent: tête'


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "reviews")


def keep(journal, seed, label="normal", kind="PNG", **changes):
    image = make_image(seed, kind)
    return journal.append(make_review(image, label, **changes), image, kind)


def labels(journal):
    with (journal.folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_reviews_are_read_back_by_us_and_by_pandas(journal):
    keep(journal, 1, "normal", reviewer="ab", comment=NASTY, file="größe, 1.png")
    keep(journal, 2, "abnormal", kind="BMP")
    keep(journal, 3, "")
    kept = Journal(journal.folder).read()  # as after a restart
    assert [review.verdict for review in kept.reviews] == ["agree", "correct", "cannot_tell"]
    assert not kept.damaged_lines
    table = pd.read_csv(journal.folder / "reviews.csv", dtype=str, keep_default_na=False)
    assert tuple(table.columns) == records.COLUMNS
    assert table.to_dict("records") == [dataclasses.asdict(review) for review in kept.reviews]
    assert kept.reviews[0].comment == 'two lines, "quotes"; a tab, a NUL and an accent: tête'
    assert kept.reviews[0].file == "größe, 1.png"


def test_an_image_is_kept_once_by_its_pixels_and_never_overwritten(journal):
    image = make_image(1, "PNG")
    kept = keep(journal, 1).reviews[0]
    stored = journal.folder / kept.image
    assert stored.name == f"{kept.pixel_sha256}.png" and stored.read_bytes() == image
    same_pixels = make_image(1, "BMP")
    again = journal.append(make_review(same_pixels), same_pixels, "BMP").reviews[-1]
    assert again.image == kept.image
    assert [path.name for path in (journal.folder / "images").iterdir()] == [stored.name]
    assert stored.read_bytes() == image


def test_the_last_verdict_wins_and_cannot_tell_leaves_an_image_out(journal):
    keep(journal, 1, "normal")
    keep(journal, 2, "abnormal")
    keep(journal, 3, "abnormal")
    keep(journal, 1, "abnormal")  # decided otherwise
    keep(journal, 2, "")  # in doubt after all
    keep(journal, 4, "")
    keep(journal, 4, "normal")  # no longer in doubt
    reviews = journal.read().reviews
    assert len(reviews) == 7
    assert [(row["file"], row["label"]) for row in labels(journal)] == [
        (reviews[0].image, "abnormal"),
        (reviews[2].image, "abnormal"),
        (reviews[6].image, "normal"),
    ]


def test_groups_stay_with_their_images_and_others_get_one_of_their_own(journal):
    keep(journal, 1, group="P 07")
    keep(journal, 2)
    keep(journal, 1, "abnormal")  # looked at again, without naming the patient
    rows = labels(journal)
    assert [row["label"] for row in rows] == ["abnormal", "normal"]
    assert rows[0]["group"] == "P 07" and rows[1]["group"].startswith("image-")


@pytest.mark.slow
def test_the_labels_are_training_data(journal, tmp_path):
    expected = {}
    for seed in range(20):
        label, kind = ("normal", "abnormal")[seed % 2], ("PNG", "BMP", "GIF", "PNG")[seed % 4]
        review = keep(journal, seed, label, kind=kind, group=f"patient {seed // 2}" if seed < 10 else "").reviews[-1]
        expected[review.image] = (label, decode_rgb(make_image(seed, kind)).pixels)
    keep(journal, 99, "")
    images = list_images(journal.folder / "labels.csv")
    assert images.class_names == ("abnormal", "normal") and len(images.files) == 20
    assert images.origins["images/" + next(iter(expected)).split("/")[1]] == "patient 0"
    builder = tfds.builder("own_images", config=config(journal.folder / "labels.csv"), data_dir=tmp_path / "tfds")
    builder.download_and_prepare()
    rows = [row for split in tfds.as_numpy(builder.as_dataset()).values() for row in split]
    assert len(rows) == 20
    for row in rows:
        label, pixels = expected[row["image_id"].decode()]
        assert builder.info.features["label"].names[row["label"]] == label
        np.testing.assert_array_equal(row["image"], pixels)


def test_a_line_cut_short_by_a_kill_is_set_aside_and_nothing_else_is_lost(journal):
    keep(journal, 1)
    keep(journal, 2, comment='with "quotes" and, commas')
    path = journal.folder / "reviews.csv"
    whole = path.read_bytes()
    last_line = whole.splitlines(keepends=True)[-1]
    cuts = range(1, len(last_line) - 1, 9)
    for num_bytes in cuts:
        path.write_bytes(whole + last_line[:num_bytes])
        assert len(journal.read().reviews) == 2
        assert path.read_bytes() == whole
    set_aside = (journal.folder / "reviews.damaged.txt").read_bytes().splitlines()
    assert set_aside == [last_line[:num_bytes] for num_bytes in cuts]
    path.write_bytes(whole + last_line[:3])
    assert [review.verdict for review in keep(journal, 3).reviews] == ["agree"] * 3
    assert len(pd.read_csv(path)) == 3


def test_a_last_line_that_lacks_only_its_end_is_kept(journal):
    keep(journal, 1)
    path = journal.folder / "reviews.csv"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(keep(journal, 2).reviews) == 2
    assert len(pd.read_csv(path)) == 2 and not (journal.folder / "reviews.damaged.txt").exists()


def test_a_damaged_line_in_the_middle_is_named_and_left_as_it_is(journal):
    for seed in range(3):
        keep(journal, seed)
    path = journal.folder / "reviews.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b'\0\0\0"\xff half a line\n'
    path.write_bytes(b"".join(lines))
    content = keep(journal, 3)
    assert content.damaged_lines == (3,) and len(content.reviews) == 3
    assert path.read_bytes().startswith(b"".join(lines))


def test_a_kill_between_verdict_and_table_is_made_good_at_the_next_start(journal):
    keep(journal, 1)
    before = (journal.folder / "labels.csv").read_bytes()
    keep(journal, 2)
    after = (journal.folder / "labels.csv").read_bytes()
    (journal.folder / "labels.csv").unlink()
    assert (Journal(journal.folder).folder / "labels.csv").read_bytes() == after != before


def test_a_review_that_is_kept_is_not_called_lost_for_its_table(journal, monkeypatch):
    keep(journal, 1)

    def full(*args, **kwargs):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write_labels", full)
        content = keep(journal, 2)
    assert "labels.csv could not be renewed: No space left" in content.problem
    assert len(journal.read().reviews) == 2 and len(labels(journal)) == 1
    assert len(labels(Journal(journal.folder))) == 2


def test_what_somebody_wrote_into_the_labels_is_kept_beside_them(journal):
    keep(journal, 1)
    edited = (journal.folder / "labels.csv").read_bytes() + b"images/of_mine.png,normal\n"
    (journal.folder / "labels.csv").write_bytes(edited)
    keep(journal, 2)
    assert (journal.folder / "labels.edited-1.csv").read_bytes() == edited
    assert len(labels(journal)) == 2


def test_folders_of_others_are_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label\n", encoding="utf-8")
    with pytest.raises(JournalError, match=r"output must be an empty folder.*labels\.csv would be replaced"):
        Journal(tmp_path)
    (tmp_path / "reviews.csv").write_text("a;b;c\n", encoding="utf-8")
    with pytest.raises(JournalError, match=r"must have the columns time_utc"):
        Journal(tmp_path)
    assert (tmp_path / "labels.csv").read_text(encoding="utf-8") == "file,label\n"


def _append_many(folder, first):
    journal = Journal(folder)
    for seed in range(first, first + 8):
        keep(journal, seed, ("normal", "abnormal")[seed % 2])


def test_a_model_with_other_classes_needs_another_folder(journal):
    journal.check_classes(["tapered", "pyriform"])
    keep(journal, 1)
    known = sorted(records.class_names(journal.read().reviews[0]))
    journal.check_classes(list(reversed(known)))
    with pytest.raises(JournalError, match=r"with the same classes. Received: .* Name another folder"):
        journal.check_classes(["tapered", "pyriform"])


def test_two_programs_with_two_tabs_each_lose_nothing(tmp_path):
    folder = tmp_path / "reviews"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_many, args=(folder, 100 * number)) for number in range(2)]
    workers += [threading.Thread(target=_append_many, args=(folder, 1000 + 100 * number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    content = Journal(folder).read()
    seeds = [100 * n + i for n in (0, 1, 10, 11) for i in range(8)]
    assert {review.pixel_sha256 for review in content.reviews} == {
        make_review(make_image(s)).pixel_sha256 for s in seeds
    }
    assert len(content.reviews) == 32 and not content.damaged_lines
    assert len(list_images(folder / "labels.csv").files) == 32
