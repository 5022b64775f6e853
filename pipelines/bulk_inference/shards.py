"""The shards of a run that is not finished: a Parquet file each, with its digest beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from typing import TYPE_CHECKING

from sperm_tf.file_digests import digest_file
from sperm_tf.whole_files import replacing, write_text

if TYPE_CHECKING:
    import pyarrow as pa


class ScoreFolderError(ValueError):
    """A folder that scores may not go to, or a file in it that cannot be used; the message says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class Shards:
    """The folder of the shards: `000007.parquet`, `000007.sha256`, and `000007.progress` while it is worked on.

    Attributes:
        folder: its path.
    """

    folder: pathlib.Path

    def path(self, number: int) -> pathlib.Path:
        """Where the rows of a shard go."""
        return self.folder / f"{number:06d}.parquet"

    def progress_path(self, number: int) -> pathlib.Path:
        """A file that grows by a byte for every file of the shard that is done; gone once the shard is finished."""
        return self.path(number).with_suffix(".progress")

    def digest_path(self, number: int) -> pathlib.Path:
        """Where the digest of a shard's file is."""
        return self.path(number).with_suffix(".sha256")

    def begin(self) -> None:
        """Makes the folder, and removes what a killed run left half-written."""
        self.folder.mkdir(exist_ok=True)
        for leftover in (*self.folder.glob("*.progress"), *self.folder.glob(".unfinished.*")):
            leftover.unlink()

    def write(self, number: int, table: pa.Table) -> None:
        """Writes the rows of a shard, and their digest, which is there first."""
        import pyarrow.parquet as pq

        with replacing(self.path(number)) as unfinished:
            pq.write_table(table, unfinished)
            write_text(self.digest_path(number), digest_file(unfinished) + "\n")

    def read(self, number: int) -> pa.Table:
        """The rows of a shard, from the bytes that were compared with the digest.

        Raises:
            ScoreFolderError: they are not as they were written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = self._read_whole(number)
        if content is None:
            raise ScoreFolderError(
                f"a shard must be as it was written. Received: {self.path(number)}, which is missing or has another "
                "SHA-256. Run the same command again: it is made anew, and what is whole is kept."
            )
        return pq.read_table(pa.BufferReader(content))

    def is_whole(self, number: int) -> bool:
        """Whether a shard is there, as it was written."""
        return self._read_whole(number) is not None

    def _read_whole(self, number: int) -> bytes | None:
        try:
            content = self.path(number).read_bytes()
            expected = self.digest_path(number).read_bytes().strip()
        except FileNotFoundError:
            return None
        return content if hashlib.sha256(content).hexdigest().encode() == expected else None
