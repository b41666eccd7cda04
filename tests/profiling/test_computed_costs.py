"""Computed costs are asked for and journaled in chunks; a run that is killed loses the chunk that it was at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from fakes import all_graphs, fake_device, tiny_space
from paths import HELPERS

from donna_hw.devices.backends.base import Availability, ExactBackend
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Environment
from donna_hw.profiling.profiler import profile_space
from donna_hw.spaces import load_space


class ChunkCounter(ExactBackend):
    """A counter of multiply-accumulates that notes how many blocks it was asked for at a time."""

    origin, quantity, chunk_size = "computed", "macs", 4

    def __init__(self, dies_at: int | None = None) -> None:
        super().__init__(1, {})
        self.asked: list[int] = []
        self.dies_at = dies_at

    @classmethod
    def availability(cls) -> Availability:
        return Availability(True)

    def environment(self) -> Environment:
        return Environment({"device_model": "none", "runtime": "test", "dtype": "float32"})

    def cost(self, graph: Graph) -> float:
        return float(graph.macs)

    def costs(self, graphs: Sequence[Graph]) -> list[float]:
        if self.dies_at == len(self.asked):
            os.kill(os.getpid(), signal.SIGKILL)
        self.asked.append(len(graphs))
        return [self.cost(graph) for graph in graphs]


def test_blocks_are_asked_for_in_chunks_and_never_again(tmp_path: Path) -> None:
    space, backend = tiny_space(), ChunkCounter()
    distinct = len({layers_hash(graph) for graph in all_graphs(space)})
    table = profile_space(space, fake_device(backend), tmp_path)
    assert backend.asked == [4] * (distinct // 4) + [distinct % 4] * (distinct % 4 > 0)
    macs = {layers_hash(graph): graph.macs for graph in all_graphs(space)}
    assert table.frame["macs"].tolist() == [macs[key] for key in table.frame["layers_hash"]]
    again = profile_space(space, fake_device(backend), tmp_path)
    assert sum(backend.asked) == distinct
    pd.testing.assert_frame_equal(again.frame, table.frame)


CHILD = """
import sys
from pathlib import Path
from fakes import fake_device, tiny_space
from test_computed_costs import ChunkCounter
from donna_hw.profiling.profiler import profile_space
profile_space(tiny_space(), fake_device(ChunkCounter(dies_at=2)), Path(sys.argv[1]))
"""


def test_a_kill_loses_the_chunk_that_it_meets_and_no_more(tmp_path: Path) -> None:
    paths = [str(HELPERS), *filter(None, sys.path)]
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    killed = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [journal] = tmp_path.rglob("*.samples.csv")
    assert journal.read_bytes().count(b"\n") == 1 + 2 * ChunkCounter.chunk_size
    assert not list(tmp_path.rglob("isolated-b1-float32.csv"))
    space, backend = tiny_space(), ChunkCounter()
    table = profile_space(space, fake_device(backend), tmp_path)
    distinct = len({layers_hash(graph) for graph in all_graphs(space)})
    assert sum(backend.asked) == distinct - 2 * ChunkCounter.chunk_size > 0
    whole = profile_space(space, fake_device(ChunkCounter()), tmp_path / "whole")
    pd.testing.assert_frame_equal(table.frame, whole.frame)


def test_a_chunk_torn_in_the_middle_keeps_its_first_records(tmp_path: Path) -> None:
    space, backend = tiny_space(), ChunkCounter()
    table = profile_space(space, fake_device(backend), tmp_path)
    journal = table.path.with_suffix(".samples.csv")
    whole = journal.read_bytes()
    for lines in range(1, whole.count(b"\n")):
        end = sum(len(line) for line in whole.splitlines(keepends=True)[:lines])
        journal.write_bytes(whole[: end + 3])
        table.path.unlink()
        backend.asked.clear()
        pd.testing.assert_frame_equal(profile_space(space, fake_device(backend), tmp_path).frame, table.frame)
        assert sum(backend.asked) == whole.count(b"\n") - lines
        assert journal.read_bytes() == whole


def test_a_computed_cost_has_no_context(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mode must be isolated; got 'in_context'"):
        profile_space(tiny_space(), fake_device(ChunkCounter()), tmp_path, mode="in_context")
    assert not list(tmp_path.iterdir())


def test_the_tensor_unit_fills_the_papers_space(tmp_path: Path) -> None:
    space, device = load_space("donna"), Device.load("tensor_unit")
    table = profile_space(space, device, tmp_path)
    costs = table.costs(space)
    assert [len(blocks) for blocks in costs.blocks] == [384] * 5
    assert all((blocks > 0).all() for blocks in costs.blocks)
    assert costs.fixed > 0
