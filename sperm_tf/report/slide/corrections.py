"""Scores of cells of fields as people corrected them: false detections taken out, missed cells added."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sperm_tf.evaluation.quantification import reviewed, scores_file
from sperm_tf.evaluation.quantification.reviewed import Review, Verdict


@dataclasses.dataclass(frozen=True, eq=False)
class CorrectedScores:
    """The rows of scores, parted; each is a data frame.

    Attributes:
        table: those that count.
        removed: those of what is no cell.
        added: like rows of the scores, of cells that people added; None where nobody could.
    """

    table: Any
    removed: Any
    added: Any

    @classmethod
    def part(cls, table: Any, removed: frozenset[str], added: Any) -> CorrectedScores:
        """Parts scores.

        Args:
            table: all of them.
            removed: SHA-256 of the files of what is no cell.
            added: as the attribute.
        """
        if not removed:
            return cls(table, table.head(0), added)
        is_removed = table[scores_file.IMAGE_DIGEST].isin(removed)
        return cls(table[~is_removed], table[is_removed], added)

    def of_slide(self, column: str, slide: str) -> CorrectedScores:
        """Those of one slide; all of them where no column tells slides apart."""
        if not column:
            return self
        parts = (self.table, self.removed, self.added)
        return CorrectedScores(*(part if part is None else part[part[column].astype(str) == slide] for part in parts))

    def after_review(self, verdicts: Mapping[str, Verdict]) -> Any:
        """The rows as they stand after review, those that were added among them."""
        import pandas as pd

        after = reviewed.apply(self.table, verdicts)
        return after if self.added is None or not len(self.added) else pd.concat([after, self.added], ignore_index=True)

    def describe_review(self, verdicts: Mapping[str, Verdict]) -> Review:
        """What people did."""
        done = reviewed.describe(self.table, verdicts)
        num_added = 0 if self.added is None else len(self.added)
        return dataclasses.replace(done, num_removed=len(self.removed), num_added=num_added)


def find_placed(added: Any, table: Any, columns: list[str]) -> Any:
    """Of added cells, whether their slide and replicate have scored cells, among which they can count.

    Args:
        added: rows of added cells.
        table: of the scores.
        columns: that name slide and replicate; empty names are left out.

    Returns:
        bool, one for each row of `added`.
    """
    names = [name for name in columns if name]
    known = set(table[names].astype(str).itertuples(index=False, name=None))
    return [row in known for row in added[names].astype(str).itertuples(index=False, name=None)]
