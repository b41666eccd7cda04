"""The tensor unit as a backend: what it costs, what names its tables, and what it refuses. Its equations have tests of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from fakes import all_graphs, tiny_space

from donna_hw.devices.backends.tensor_unit import TensorUnitBackend
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, TableError, UnknownNameError
from donna_hw.graph.builder import lower, lower_chain
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.profiling.network_profiling import measure_networks
from donna_hw.profiling.profiler import profile_space
from donna_hw.simulator.from_graph import workload_from_graph
from donna_hw.simulator.hardware import parse_hardware
from donna_hw.simulator.simulate import simulate
from donna_hw.spaces import load_space
from donna_hw.spaces.cells import InvertedResidual

UNIT: dict[str, Any] = {
    "clock_hz": 5e8,
    "precision": "int8",
    "array": {"rows": 16, "cols": 8, "dataflow": "ws"},
    "memory": {
        "sram_bytes": 2**20,
        "weight_buffer_bytes": 2**18,
        "accumulator_bytes": 2**17,
        "sram_bytes_per_cycle": 64,
        "dram_bytes_per_cycle": 8,
    },
    "vector": {"lanes": 16},
    "output": {"elements_per_cycle": 16, "fuses": ["relu"]},
}


def unit(*settings: str, batch: int = 1, borders: str = "") -> TensorUnitBackend:
    """Return a backend of `UNIT` with settings such as `array.rows=32` in place of its values."""
    hardware = parse_hardware(UNIT, "test", settings).model_dump()
    return TensorUnitBackend(batch, {"borders": borders}, hardware)


def device_file(folder: Path, *, hardware: dict[str, Any] | None = UNIT, **changes: Any) -> Device:
    """Write a device called `mine` into a folder, and load it."""
    content = {"title": "x", "backend": "tensor_unit", "protocol": "paper_simulator", **changes}
    folder.mkdir(exist_ok=True)
    (folder / "mine.toml").write_text(tomli_w.dumps(content | ({"hardware": hardware} if hardware else {})))
    return Device.load(str(folder / "mine.toml"))


def some_blocks() -> list[Graph]:
    """Return blocks of very different sizes, every kind of cell and attention among them."""
    space = load_space("donna")
    numbers = np.random.default_rng(0).integers(0, 384, 6)
    blocks = [space.block_graph(stage, int(number)) for stage in space.stages for number in numbers]
    return [*all_graphs(tiny_space()), *blocks]


def test_many_blocks_at_once_cost_what_each_costs_alone_in_any_order() -> None:
    backend, graphs = unit(), some_blocks()
    alone = [backend.cost(graph) for graph in graphs]
    assert min(alone) > 0
    assert backend.costs(graphs) == alone
    order = np.random.default_rng(1).permutation(len(graphs))
    assert backend.costs([graphs[i] for i in order]) == [alone[i] for i in order]
    assert backend.costs([]) == []


def test_equal_layers_cost_the_same_whatever_they_are_called() -> None:
    block = InvertedResidual(8, kernel=5, expand=3, depth=2, activation="swish", attention="se", cell="grouped")
    one, other = lower(block, (8, 12, 12)), lower_chain([("other", block)], (8, 12, 12))
    assert layers_hash(one) == layers_hash(other)
    assert one != other
    assert unit().cost(one) == unit().cost(other)


def test_a_cost_is_whole_cycles_of_the_clock_and_of_the_whole_batch() -> None:
    graph = load_space("small_28px").block_graph(load_space("small_28px").stages[0], 71)
    cycles = unit().cost(graph) * 5e8
    assert cycles == pytest.approx(round(cycles), rel=1e-12)
    assert unit("clock_hz=1e9").cost(graph) == unit().cost(graph) / 2
    assert unit(batch=4).cost(graph) > unit().cost(graph)


@pytest.mark.parametrize("graph", some_blocks()[-5:], ids=layers_hash)
def test_borders_in_dram_are_never_cheaper_than_resident_ones(graph: Graph) -> None:
    assert unit(borders="dram").cost(graph) >= unit(borders="resident").cost(graph)


def test_the_borders_are_the_hardwares_unless_the_device_says_otherwise() -> None:
    assert unit().tags() == unit(borders="dram").tags() == ("int8", "dram")
    assert unit("schedule.borders=resident").tags() == unit(borders="resident").tags() == ("int8", "resident")
    assert unit("precision=fp16", borders="resident").tags() == ("fp16", "resident")
    assert unit(borders="resident").environment().identity["borders"] == "resident"
    assert unit("schedule.borders=resident").environment() == unit(borders="resident").environment()


@pytest.mark.parametrize(
    "setting",
    ["array.rows=32", "memory.dram_bytes_per_cycle=inf", "vector.cycles.softmax=4", "schedule.fusion=false", "energy.static_w=1"],
)  # fmt: skip
def test_any_other_hardware_is_another_identity(setting: str) -> None:
    mine, other = unit().environment().identity, unit(setting).environment().identity
    assert len(str(mine["hardware"])) == 16
    assert mine["hardware"] != other["hardware"]


def test_a_default_that_is_spelled_out_is_the_same_hardware() -> None:
    spelled = unit("array.int8_macs=1", "schedule.residency=true").environment()
    assert TensorUnitBackend(1, {}, UNIT).environment().identity == spelled.identity


def test_the_identity_names_the_unit_for_people() -> None:
    identity = unit().environment().identity
    assert identity["device_model"] == "tensor unit 16x8 ws, 0.5 GHz"
    assert identity["dtype"] == "int8"
    assert str(identity["runtime"]).startswith("donna_hw simulator ")


def test_without_hardware_it_is_the_shipped_device() -> None:
    shipped = Device.load("tensor_unit").backend()
    assert TensorUnitBackend(shipped.batch, {}).environment() == shipped.environment()


def test_a_table_refuses_another_units_rows_and_names_each_where_the_borders_lie(tmp_path: Path) -> None:
    space, files, out = tiny_space(), tmp_path / "files", tmp_path / "out"
    table = profile_space(space, device_file(files), out)
    assert (table.info.origin, table.info.quantity, table.info.column) == ("simulated", "latency", "latency_s")
    assert table.path == out / "mine" / "tiny" / "isolated-b1-int8-dram.csv"
    faster = UNIT | {"clock_hz": 6e8}
    with pytest.raises(
        TableError, match=r"device_model = 'tensor unit 16x8 ws, 0\.5 GHz'.*found 'tensor unit 16x8 ws, 0\.6 GHz'"
    ):
        profile_space(space, device_file(files, hardware=faster), out)
    wider = UNIT | {"vector": {"lanes": 32}}
    with pytest.raises(TableError, match="holds rows of hardware = "):
        profile_space(space, device_file(files, hardware=wider), out)
    with pytest.raises(TableError, match="holds rows of hardware = "):
        measure_networks(space, device_file(files, hardware=wider), table, [space.reference])
    resident = profile_space(space, device_file(files, options={"borders": "resident"}), out)
    assert resident.path.name == "isolated-b1-int8-resident.csv"
    assert (resident.frame["latency_s"] <= table.frame["latency_s"]).all()


def test_the_table_holds_what_the_backend_says_to_the_last_digit(tmp_path: Path) -> None:
    space, device = tiny_space(), device_file(tmp_path / "files")
    table = profile_space(space, device, tmp_path / "out")
    backend = device.backend()
    assert isinstance(backend, TensorUnitBackend)
    costs = {layers_hash(graph): backend.cost(graph) for graph in all_graphs(space)}
    assert table.frame["latency_s"].tolist() == [costs[key] for key in table.frame["layers_hash"]]
    networks = [space.architecture(row) for row in space.random_rows(3, 0)]
    whole = measure_networks(space, device, table, networks)
    assert whole.tolist() == [backend.cost(space.network_graph(network)) for network in networks]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"options": {"borders": "drum"}}, UnknownNameError, "device mine: option borders.*found 'drum'; known: dram, resident"),
        ({"hardware": None}, ConfigError, "device mine: hardware: the key 'clock_hz' must be given"),
        ({"hardware": UNIT | {"clock": 1}}, UnknownNameError, "device mine: hardware: .*'clock'.*did you mean 'clock_hz'"),
        ({"hardware": UNIT | {"clock_hz": 0.0}}, ConfigError, "device mine: hardware: clock_hz: .*greater than 0"),
        ({"backend": "torch_cpu"}, ConfigError, "device mine: only backend tensor_unit takes a table hardware"),
    ],
)  # fmt: skip
def test_bad_hardware_is_named_with_its_device(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        device_file(tmp_path, **changes).backend()


def test_energies_are_those_of_the_simulation_and_their_table_stands_beside_the_latencies(tmp_path: Path) -> None:
    space, device = tiny_space(), Device.load("tensor_unit")
    energies = profile_space(space, device.with_quantity("energy"), tmp_path)
    latencies = profile_space(space, device, tmp_path)
    assert (energies.info.quantity, energies.info.unit, energies.info.column) == ("energy", "J", "energy_j")
    assert energies.info.origin == "simulated"
    assert energies.path.parent == latencies.path.parent
    assert energies.path.stem == f"{latencies.path.stem}-energy"
    backend = device.backend()
    assert isinstance(backend, TensorUnitBackend)
    for stage in space.stages:
        for number in range(stage.size):
            workload = workload_from_graph(space.block_graph(stage, number), 1)
            expected = simulate(workload, backend.hardware).energy_j
            assert energies.lookup(space, stage.name, stage.choice(number)) == expected


def test_a_unit_without_joules_or_a_device_without_energy_says_so() -> None:
    with pytest.raises(ConfigError, match="an energy needs the joules"):
        TensorUnitBackend(1, {"quantity": "energy"}, parse_hardware(UNIT, "test", []).model_dump())
    with pytest.raises(UnknownNameError, match=r"option quantity must be known; found 'mood'; known: latency, energy"):
        TensorUnitBackend(1, {"quantity": "mood"})
    with pytest.raises(ConfigError, match=r"device params .*found 'energy'; known: params"):
        Device.load("params").with_quantity("energy")
    assert Device.load("params").with_quantity("params") == Device.load("params")
