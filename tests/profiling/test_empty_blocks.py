"""A skipped layer has no layers: it is not measured, costs nothing in any table, and a network's sum leaves it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fakes import QUICK, FakeBackend, fake_device, fake_machine, tiny_space

from donna_hw.costs.table_sum import TableCost
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.in_context import find_neighbors
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces import Axis, Space, Stage, load_space
from donna_hw.spaces.cells import Classifier, InvertedResidual, Skip
from donna_hw.tables.comparison import compare_tables


@dataclass(frozen=True)
class Layer:
    """A cell that may be skipped."""

    stride: int

    def __call__(self, kernel: int = 0) -> InvertedResidual | Skip:
        return InvertedResidual(4, self.stride, kernel, 2) if kernel else Skip(4, self.stride)


def skipping() -> Space:
    axis = Axis("layer", ("k3", "skip"), reference="k3", settings={"k3": {"kernel": 3}, "skip": {}})
    stages = tuple(Stage(name, (axis,), Layer(stride)) for name, stride in (("a", 1), ("b", 2), ("c", 1)))
    return Space("skipping", "", (4, 8, 8), (), stages, (("head", Classifier(2)),))


def test_a_skipped_layer_is_a_row_of_nothing_that_was_never_measured(tmp_path: Path) -> None:
    space = skipping()
    machine = fake_machine(space)
    table = profile_space(space, fake_device(FakeBackend(machine)), tmp_path, QUICK, workers=create_in_process_workers)
    empty = table.frame[table.frame["method"] == "empty"]
    assert empty[["part", "layer"]].to_numpy().tolist() == [["a", "skip"], ["c", "skip"]]
    assert (empty[["median_s", "low_s", "high_s", "samples"]] == 0).all(axis=None)
    nothing = {layers_hash(space.block_graph(space.stages[number], 1)) for number in (0, 2)}
    assert set(empty["layers_hash"]) == nothing
    assert not nothing & set(machine.visits)
    cost = TableCost.of(space, table)
    short, long = cost.mean(np.array([[1, 0, 1], [0, 0, 0]]))
    assert long - short == pytest.approx(cost.additive_terms().terms[0][0][0] + cost.additive_terms().terms[0][2][0])
    compared = compare_tables(table, table)
    assert len(compared.frame_a) == len(table.frame) - 2


def test_the_neighbour_in_a_chain_is_never_a_layer_that_is_not_there() -> None:
    found = find_neighbors(skipping())
    assert found.keys() == {"b", "c", "head"}
    assert all(graph.layers for _, graph in found.values())


def test_counted_tables_of_layer_wise_spaces_are_the_sums_of_their_networks(tmp_path: Path) -> None:
    space = load_space("fbnet_cifar100")
    cost = TableCost.of(space, profile_space(space, Device.load("params"), tmp_path))
    rows = space.random_rows(20, 0)
    assert cost.mean(rows).tolist() == [space.network_graph(space.architecture(row)).params for row in rows]


def test_a_space_with_a_global_axis_is_profiled_at_one_of_its_settings(tmp_path: Path) -> None:
    wide = load_space("ofa_mobilenetv3")
    with pytest.raises(ConfigError, match="ofa_mobilenetv3@224px"):
        profile_space(wide, Device.load("macs"), tmp_path)
    with pytest.raises(ConfigError, match="resolution"):
        profile_space(Space(**vars(tiny_space()) | {"global_axes": wide.global_axes}), Device.load("macs"), tmp_path)
