"""Where verdicts are kept: a folder with `reviews.csv`, `images/` and `labels.csv`.

`reviews.csv` only ever grows. Each verdict is on the disk before the page says so, and a lock keeps two tabs, or two
programs, apart. `labels.csv` is made anew from it after each verdict and is training data for
`python -m pipelines.run --preset=own --data_dir=<folder>/labels.csv`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import IO

import filelock

from sperm_tf.review import records
from sperm_tf.review.records import Review
from sperm_tf.whole_files import replacing, sync

REVIEWS_FILE, LABELS_FILE, IMAGES_FOLDER = "reviews.csv", "labels.csv", "images"
DAMAGED_FILE = "reviews.damaged.txt"
"""Keeps the ends of lines that a kill cut short."""
_LOCK_FILE = ".reviews.lock"
_LOCK_TIMEOUT_S = 20
_SUFFIXES = {"BMP": ".bmp", "GIF": ".gif", "JPEG": ".jpg", "PNG": ".png"}


class JournalError(ValueError):
    """A folder that cannot keep reviews; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Content:
    """What a journal holds.

    Attributes:
        reviews: all, the oldest first.
        damaged_lines: numbers, from 1, of the lines of `reviews.csv` that are no review; they are left as they are.
        problem: why `labels.csv` lags behind; empty where it does not. The next review, or the next start, writes it.
    """

    reviews: tuple[Review, ...]
    damaged_lines: tuple[int, ...] = ()
    problem: str = ""


class Journal:
    """The reviews of a folder; several threads and processes may write to one folder.

    Args:
        folder: is made where there is none.

    Raises:
        JournalError: the folder holds a `labels.csv` that is no journal's, or a `reviews.csv` with other columns.
        OSError: it cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = pathlib.Path(folder)
        (self.folder / IMAGES_FOLDER).mkdir(parents=True, exist_ok=True)
        with self._locked():
            if (self.folder / LABELS_FILE).exists() and not self._path.exists():
                raise JournalError(
                    f"output must be an empty folder, or one that this page wrote. Received: {self.folder}, whose "
                    f"{LABELS_FILE} would be replaced. Name another folder"
                )
            content = self._mend()
            if content.reviews:  # a kill may have come between a verdict and its table
                self._write_labels(content.reviews, before=content.reviews)

    def read(self) -> Content:
        """All reviews so far.

        Raises:
            JournalError: `reviews.csv` has other columns.
            OSError: it cannot be read.
        """
        with self._locked():
            return self._mend()

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuses the classes of another model: one table cannot train one network with both.

        Args:
            class_names: of the model that is about to write here, in any order.

        Raises:
            JournalError: the reviews so far are of a model with other classes.
            OSError: it cannot be read.
        """
        for review in reversed(self.read().reviews):
            known = records.class_names(review)
            if known and known != set(class_names):
                raise JournalError(
                    f"output must hold reviews of a model with the same classes. Received: {self.folder}, with reviews "
                    f"of {', '.join(sorted(known))}, for a model of {', '.join(sorted(class_names))}. Name another "
                    "folder"
                )

    def append(self, review: Review, data: bytes, source_format: str) -> Content:
        """Keeps a review and its image; when this returns, both are on the disk.

        Args:
            review: its `image` is filled in here.
            data: content of the image's file; an image that is there already, by its pixels, stays as it is.
            source_format: of `sperm_tf.data.decode.FORMATS`.

        Returns:
            The journal, the new review included.

        Raises:
            JournalError: `reviews.csv` has other columns.
            OSError: it cannot be written, or another program held the lock for too long.
        """
        with self._locked():
            image = self._store(review.pixel_sha256, data, _SUFFIXES[source_format])
            content = self._mend()
            self._add_columns()
            review = dataclasses.replace(review, image=image)
            line = records.write_line(dataclasses.astuple(review))
            is_new = not self._path.exists() or not self._path.stat().st_size
            with self._path.open("ab") as file:
                file.write(((records.write_line(records.COLUMNS) if is_new else "") + line).encode())
                _sync(file)
            sync(self.folder)
            reviews, problem = (*content.reviews, review), ""
            try:
                self._write_labels(reviews, before=content.reviews)
            except OSError as error:  # the review itself is on the disk: to call it lost would have it made again
                problem = f"{LABELS_FILE} could not be renewed: {error}"
            return Content(reviews, content.damaged_lines, problem)

    def read_image(self, review: Review) -> bytes:
        """The copy of a judged image.

        Raises:
            OSError: it cannot be read.
        """
        return (self.folder / review.image).read_bytes()

    @property
    def _path(self) -> pathlib.Path:
        return self.folder / REVIEWS_FILE

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # A new lock each time: one object would let the other threads of this process in.
        try:
            with filelock.FileLock(self.folder / _LOCK_FILE, timeout=_LOCK_TIMEOUT_S):
                yield
        except filelock.Timeout as error:
            raise OSError(
                f"{self.folder} has been locked by another program for {_LOCK_TIMEOUT_S} seconds. Close it, and try "
                "again"
            ) from error

    def _mend(self) -> Content:
        """Reads `reviews.csv`, and sets aside an end that a kill cut short: appending would glue a line to it."""
        if not self._path.exists():
            return Content(())
        data = self._path.read_bytes()
        whole, end, fragment = data.rpartition(b"\n")
        if fragment:
            is_whole = self._mend_end(fragment, start=len(whole + end), columns=_columns_of(data, self._path))
            data = whole + end + (fragment if is_whole else b"")
        return parse(data, self._path)

    def _mend_end(self, fragment: bytes, *, start: int, columns: Sequence[str]) -> bool:
        """Completes the last line where only its end is missing, else sets it aside; returns whether it stays."""
        is_whole = records.parse_review(fragment.decode("utf-8", errors="replace"), columns) is not None
        if not is_whole:
            with (self.folder / DAMAGED_FILE).open("ab") as damaged:
                damaged.write(fragment + b"\n")
                _sync(damaged)
        with self._path.open("r+b") as file:
            if is_whole:
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
            else:
                file.truncate(start)
            _sync(file)
        return is_whole

    def _add_columns(self) -> None:
        """Gives a journal of an earlier version the columns that it lacks; what it says stays, damaged lines too."""
        data = self._path.read_bytes() if self._path.exists() else b""
        columns = _columns_of(data, self._path)
        if not data or columns == records.COLUMNS:
            return
        rows = []
        for line in data.decode("utf-8", errors="surrogateescape").split("\n")[1:]:
            review = records.parse_review(line.rstrip("\r"), columns)
            rows.append(records.write_line(dataclasses.astuple(review)) if review else f"{line}\n" if line else "")
        text = records.write_line(records.COLUMNS) + "".join(rows)
        _write_whole(self._path, text.encode("utf-8", errors="surrogateescape"))

    def _store(self, pixel_sha256: str, data: bytes, suffix: str) -> str:
        folder = self.folder / IMAGES_FOLDER
        stored = next(iter(sorted(folder.glob(f"{pixel_sha256}.*"))), None)
        if stored is None:
            stored = folder / f"{pixel_sha256}{suffix}"
            _write_whole(stored, data)
        return f"{IMAGES_FOLDER}/{stored.name}"

    def _write_labels(self, reviews: tuple[Review, ...], *, before: tuple[Review, ...]) -> None:
        path, table = self.folder / LABELS_FILE, records.label_table(reviews).encode()
        found = path.read_bytes() if path.exists() else None
        if found == table:
            return
        if found is not None and found != records.label_table(before).encode():
            _keep(path, found)  # somebody edited it
        _write_whole(path, table)


def parse(data: bytes, path: pathlib.Path) -> Content:
    """What the bytes of a `reviews.csv` hold.

    Args:
        data: its content.
        path: named in the error.

    Raises:
        JournalError: it has other columns.
    """
    columns = _columns_of(data, path)
    lines = data.decode("utf-8", errors="replace").split("\n")[1:]
    parsed = [
        (number, records.parse_review(line.rstrip("\r"), columns)) for number, line in enumerate(lines, start=2) if line
    ]
    return Content(
        tuple(review for _, review in parsed if review),
        tuple(number for number, review in parsed if review is None),
    )


def _columns_of(data: bytes, path: pathlib.Path) -> tuple[str, ...]:
    """The columns that the first line names; those of today where it is not there, or not yet whole."""
    first, end, _ = data.partition(b"\n")
    if not (first and end):
        return records.COLUMNS
    columns = records.read_header(first.decode("utf-8", errors="replace").rstrip("\r"))
    if not columns:
        raise JournalError(
            f"{REVIEWS_FILE} must have the columns {', '.join(records.COLUMNS)}, separated by commas. Received: "
            f"{path}, which has others. Was it saved by another program? Restore it, or name another folder"
        )
    return columns


def _keep(path: pathlib.Path, content: bytes) -> None:
    number = 1
    while (kept := path.with_name(f"{path.stem}.edited-{number}{path.suffix}")).exists():
        number += 1
    _write_whole(kept, content)


def _write_whole(path: pathlib.Path, content: bytes) -> None:
    """Writes a file that is either there as a whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
