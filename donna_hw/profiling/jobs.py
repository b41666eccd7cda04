"""What is to be measured: a name for people and the layers; blocks of equal layers are one job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from donna_hw.graph.graph import Graph, layers_hash


@dataclass(frozen=True)
class MeasurementJob:
    """Something to measure: a name for people and its layers.

    Attributes:
        name: What the journal and messages call it.
        graph: The layers of the block alone; their hash identifies the job.
        chain: Where the block is measured in context, the layers of its neighbor and the block.
        baseline: Where the block is measured in context, the layers of the chain without the block.
    """

    name: str
    graph: Graph
    chain: Graph | None = None
    baseline: Graph | None = None

    @property
    def timed_graph(self) -> Graph:
        """The layers that run on the device: the chain, or the block alone."""
        return self.chain or self.graph


def unique_jobs(jobs: Iterable[MeasurementJob]) -> dict[str, MeasurementJob]:
    """Return {layers_hash: job}, the first job of those with equal layers."""
    unique: dict[str, MeasurementJob] = {}
    for job in jobs:
        unique.setdefault(layers_hash(job.graph), job)
    return unique
