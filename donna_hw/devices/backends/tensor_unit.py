"""The simulated tensor unit: a block's latency or energy by the equations of `donna_hw.simulator`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from donna_hw._core.resources import find_resource
from donna_hw._core.toml_files import read_toml
from donna_hw.devices.backends.base import Availability, ExactBackend
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import Graph, graph_dtypes
from donna_hw.measurement.environment import Environment, Scalar, host_conditions
from donna_hw.simulator import MODEL_VERSION
from donna_hw.simulator.from_graph import workload_from_graph
from donna_hw.simulator.hardware import Energy, parse_hardware
from donna_hw.simulator.simulate import simulate, simulate_cycles

IO_LOCATIONS = ("", "dram", "resident")
QUANTITIES = ("latency", "energy")


class TensorUnitBackend(ExactBackend):
    """Simulates a block's batch on a tensor unit, in seconds or joules. options: io_location, quantity.

    quantity: `latency`, or `energy` of the same schedule, the one of the fewest cycles. io_location: whether the block's inputs and
    outputs are in `dram`, or stay on the chip where they fit (`resident`); empty: as in the hardware's schedule.
    Layers of type int8 are simulated in int8, float32 ones in the hardware's own precision. A unit whose own precision is int8 rejects
    layers of type int8, since it does not distinguish the two.

    Args:
        batch: Images per run.
        options: The options above.
        hardware: The table `hardware` of a device file; None: that of the shipped device `tensor_unit`.
        where: Names the device in messages.

    Raises:
        UnknownNameError: An option or a key of the hardware is unknown.
        ConfigError: A value of the hardware is bad, or has no joules where the quantity is `energy`.
    """

    origin = "simulated"
    chunk_size = 512
    dtypes: ClassVar = ("float32", "int8")
    options: ClassVar = {"io_location": "", "quantity": "latency"}

    def __init__(
        self,
        batch: int,
        options: Mapping[str, Scalar],
        hardware: Mapping[str, Any] | None = None,
        where: str = "device tensor_unit",
    ) -> None:
        super().__init__(batch, options)
        io_location = self.settings["io_location"]
        if io_location not in IO_LOCATIONS:
            raise UnknownNameError(f"{where}: unknown io_location", got=str(io_location), choices=IO_LOCATIONS[1:])
        self.quantity = str(self.settings["quantity"])
        if self.quantity not in QUANTITIES:
            raise UnknownNameError(f"{where}: unknown quantity", got=self.quantity, choices=QUANTITIES)
        if hardware is None:
            hardware = read_toml(find_resource("devices", "tensor_unit")).get("hardware", {})
        self.hardware = parse_hardware(hardware, where, [f"schedule.io_location={io_location}"] if io_location else [])
        if self.quantity == "energy" and self.hardware.energy == Energy():
            raise ConfigError(
                f"{where}: the energies of its operations are missing",
                hint="give them in the table hardware.energy (devices/README.md)",
            )

    @classmethod
    def of(cls, batch: int, options: Mapping[str, Scalar], hardware: Mapping[str, Any], where: str) -> Self:
        """Return the backend of the hardware that the device file describes; raises what the constructor does."""
        return cls(batch, options, hardware, where)

    @classmethod
    def availability(cls) -> Availability:
        """Always available: it needs nothing but donna_hw."""
        return Availability(True)

    def environment(self) -> Environment:
        """Return the unit, the simulator's version, and a digest of the whole hardware: tables of two units do not mix."""
        unit, array = self.hardware, self.hardware.array
        resolved = json.dumps(unit.model_dump(), sort_keys=True)
        identity: dict[str, Scalar] = {
            "device_model": f"tensor unit {array.rows}x{array.cols} {array.dataflow}, {unit.clock_hz / 1e9:g} GHz",
            "runtime": f"donna_hw simulator {MODEL_VERSION}",
            "dtype": unit.precision,
            "io_location": unit.schedule.io_location,
            "hardware": hashlib.sha256(resolved.encode()).hexdigest()[:16],
        }
        return Environment(identity, host_conditions())

    def tags(self) -> tuple[str, ...]:
        """Return the precision, the place of inputs and outputs, and `energy` for a table of energies."""
        tags = (self.hardware.precision, self.hardware.schedule.io_location)
        return (*tags, "energy") if self.quantity == "energy" else tags

    def cost(self, graph: Graph) -> float:
        """Return the latency of the batch in seconds, or its energy in joules."""
        return self.costs([graph])[0]

    def costs(self, graphs: Sequence[Graph]) -> list[float]:
        """Return the cost of each block's batch: latencies in one vectorized call, energies one after another."""
        if self.hardware.precision == "int8" and any("int8" in graph_dtypes(graph) for graph in graphs):
            raise ConfigError(
                "a unit of precision int8 simulates every layer in int8 and cannot distinguish layers of type int8",
                hint='simulate the space without @precision or @int8, or a unit of precision = "fp16"',
            )
        workloads = [workload_from_graph(graph, self.batch) for graph in graphs]
        if self.quantity == "energy":
            return [simulate(workload, self.hardware).energy_j for workload in workloads]
        return [int(count) / self.hardware.clock_hz for count in simulate_cycles(workloads, self.hardware)]
