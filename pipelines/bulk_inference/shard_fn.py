"""Scores shards with Apache Beam, in as many processes as its flags ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import apache_beam as beam

from pipelines.orchestration.component import RunContext

if TYPE_CHECKING:
    from pipelines.bulk_inference.runner import ShardWorker


def score_with_beam(scorer: ShardWorker, missing: Sequence[int], context: RunContext) -> None:
    """Scores shards, each as a whole.

    Args:
        scorer: what does it; travels to the processes.
        missing: numbers of the shards.
        context: with Beam's flags.
    """
    with context.beam_pipeline() as pipeline:
        _ = pipeline | beam.Create(missing) | beam.Reshuffle() | "Score" >> beam.ParDo(_ShardFn(scorer))


class _ShardFn(beam.DoFn):
    def __init__(self, scorer: ShardWorker):
        self._scorer = scorer

    def setup(self) -> None:
        self._scorer.setup()

    def teardown(self) -> None:
        self._scorer.teardown()

    def process(self, element: int) -> Iterator[None]:
        if not self._scorer.is_finished(element):  # a runner that lost a worker gives all of its shards again
            self._scorer.score(element)
        return iter(())
