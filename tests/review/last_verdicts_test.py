import csv
import hashlib

import pytest

from sperm_tf.review.journal import JournalError
from sperm_tf.review.last_verdicts import LastVerdict, read_reviews
from tests.review.reviews import MODEL_DIGEST, make_image, make_review


def _keep(journal, image, label, kind="PNG", **changes):
    return journal.append(make_review(image, label, **changes), image, kind).reviews[-1]


def _digest(data):
    return hashlib.sha256(data).hexdigest()


PLACE = {"field", "field_sha256", "box"}


def _as_of_an_earlier_version(journal, line_end="\n", later=frozenset()):
    """Takes the columns away that came later, as a reader of CSV sees it."""
    path = journal.folder / "reviews.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in later]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator=line_end)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_last_verdict_on_each_file_is_read(journal):
    first, second, third = (make_image(seed) for seed in range(3))
    _keep(journal, first, "abnormal", reviewer="ab", time_utc="2026-01-31T09:30:00.125Z")
    _keep(journal, second, "", reviewer="ab")
    kept = _keep(journal, third, "normal", reviewer="ab", file="slide_1.tar!cell 3.png")
    _keep(journal, first, "normal", reviewer="cd", time_utc="2026-02-01T10:00:00.000Z")
    before = (journal.folder / "reviews.csv").read_bytes()
    found = read_reviews(journal.folder)
    assert list(found) == [_digest(first), _digest(second), _digest(third)]
    assert found[_digest(first)] == LastVerdict(
        sha256=_digest(first),
        pixel_sha256=make_review(first).pixel_sha256,
        file="cell.png",
        predicted_class="normal",
        verdict="agree",
        class_after_review="normal",
        initials="cd",
        time_utc="2026-02-01T10:00:00.000Z",
        model_digest=MODEL_DIGEST,
        image=f"images/{make_review(first).pixel_sha256}.png",
    )
    assert (found[_digest(second)].verdict, found[_digest(second)].class_after_review) == ("cannot_tell", "")
    assert found[_digest(third)].file == kept.file == "slide_1.tar!cell 3.png"
    assert (journal.folder / "reviews.csv").read_bytes() == before


def test_a_verdict_counts_for_every_file_with_these_pixels(journal):
    png, bmp = make_image(1, "PNG"), make_image(1, "BMP")
    _keep(journal, png, "abnormal", reviewer="ab")
    _keep(journal, bmp, "normal", kind="BMP", reviewer="cd")
    found = read_reviews(journal.folder)
    assert {digest: verdict.class_after_review for digest, verdict in found.items()} == {
        _digest(png): "normal",
        _digest(bmp): "normal",
    }


@pytest.mark.parametrize("line_end", ("\n", "\r\n"))
def test_a_journal_of_an_earlier_version_is_read_and_goes_on(journal, line_end):
    first, second, third = (make_image(seed) for seed in range(3))
    _keep(journal, first, "abnormal", comment='with "quotes" and, commas')
    _keep(journal, second, "normal")
    path = _as_of_an_earlier_version(journal, line_end, PLACE | {"sha256"})
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b'\0\0"\xff half a line\n'
    path.write_bytes(b"".join([*lines[:2], damaged, *lines[2:]]))
    content = journal.read()
    assert [review.label for review in content.reviews] == ["abnormal", "normal"] and content.damaged_lines == (3,)
    assert [review.sha256 for review in content.reviews] == ["", ""]
    found = read_reviews(journal.folder)
    assert list(found) == [_digest(first), _digest(second)] and found[_digest(first)].initials == ""
    _keep(journal, third, "abnormal", reviewer="ab")
    assert journal.read().reviews[:2] == content.reviews and journal.read().damaged_lines == (3,)
    assert damaged in path.read_bytes()
    assert [verdict.initials for verdict in read_reviews(journal.folder).values()] == ["", "", "ab"]


def test_a_journal_without_places_of_cells_is_read_and_goes_on(journal):
    first, second = make_image(1), make_image(2)
    _keep(journal, first, "abnormal", reviewer="ab")
    _as_of_an_earlier_version(journal, later=PLACE)
    assert journal.read().reviews[0].sha256 == _digest(first)
    place = {"field": "a.png", "field_sha256": "ab" * 32, "box": "1 2 30 40"}
    _keep(journal, second, "normal", reviewer="ab", verdict="add", **place)
    old, new = read_reviews(journal.folder).values()
    assert (old.field, old.box, old.is_added) == ("", (), False)
    assert (new.field, new.field_sha256, new.box, new.is_added) == ("a.png", "ab" * 32, (1, 2, 30, 40), True)
    _keep(journal, second, "", reviewer="cd", verdict="no_cell", **place)
    (_, gone) = read_reviews(journal.folder).values()
    assert (gone.verdict, gone.class_after_review) == ("no_cell", "")
    assert "cd" in (journal.folder / "reviews.csv").read_text() and len(journal.read().reviews) == 3


def test_a_line_that_is_being_written_is_no_verdict(journal):
    _keep(journal, make_image(1), "normal")
    path = journal.folder / "reviews.csv"
    path.write_bytes(path.read_bytes() + b"2026-01-31T09:30")
    assert len(read_reviews(journal.folder)) == 1


def test_a_folder_without_reviews_is_named(tmp_path):
    with pytest.raises(JournalError, match=r"reviews must be a folder .* without reviews\.csv\. Review"):
        read_reviews(tmp_path)
    (tmp_path / "reviews.csv").write_text("a;b;c\n", encoding="utf-8")
    with pytest.raises(JournalError, match="must have the columns time_utc"):
        read_reviews(tmp_path)
