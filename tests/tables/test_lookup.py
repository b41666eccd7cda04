"""One row of a table by its part and axis values."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeBackend, declared_costs, fake_device, fake_machine, tiny_space

from donna_hw.errors import TableError, UnknownNameError
from donna_hw.graph.graph import layers_hash
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers

PROTOCOL = Protocol("quick", 2, 0, 2, "median", sentinel_samples=1)


def test_a_row_is_found_by_its_part_and_axis_values_or_its_absence_is_reported(tmp_path: Path) -> None:
    space = tiny_space()
    table = profile_space(
        space, fake_device(FakeBackend(fake_machine(space))), tmp_path, PROTOCOL, workers=create_in_process_workers
    )
    costs = declared_costs(space)
    for stage in space.stages:
        for number in range(stage.size):
            expected = costs[layers_hash(space.block_graph(stage, number))] / 1e9
            assert table.lookup(space, stage.name, stage.choice(number)) == expected
    for name in space.fixed:
        assert table.lookup(space, name) == costs[layers_hash(space.fixed_graph(name))] / 1e9
    with pytest.raises(TableError, match="no row for first 7 relu"):
        table.lookup(space, "first", {"kernel": 7, "activation": "relu"})
    with pytest.raises(UnknownNameError, match="'third'; expected first or second"):
        table.lookup(space, "third")
