"""Hardware: the parts of a tensor unit, from the table `hardware` of a device file; `devices/README.md` explains each key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from donna_hw._core.toml_files import StrictModel, parse_model
from donna_hw.errors import ConfigError

Precision = Literal["int8", "int16", "fp16"]
GroupMapping = Literal["dense_padded", "per_group", "diagonal", "vector"]
ELEMENT_BYTES: Mapping[str, int] = {"int8": 1, "int16": 2, "fp16": 2}

Count = Annotated[int, Field(ge=1, le=2**40)]
Rate = Annotated[float, Field(gt=0)]  # may be infinite, for a part that is never the limit
Size = Annotated[float, Field(ge=1)]  # bytes; may be infinite
Delay = Annotated[int, Field(ge=0, le=2**40)]
Joules = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _HardwareConfig(StrictModel):
    model_config = ConfigDict(allow_inf_nan=True)  # an infinite rate is a part that never limits


class SystolicArray(_HardwareConfig):
    """The systolic array: rows x cols processing elements.

    Attributes:
        rows: Rows of processing elements.
        cols: Columns of processing elements.
        dataflow: What is stationary in the elements: outputs (`os`), weights (`ws`) or inputs (`is`).
        timing: `strict` fills and drains for every fold, `pipelined` once per tile.
        row_axis: What the rows hold with `ws` and `is`: `im2col`, channels and taps together, or `channels`, one tap after another.
        depthwise: How convolutions with as many groups as channels are mapped on the array; see `array.map_to_array`.
        grouped: How convolutions with other groups are mapped on the array.
        int8_macs: Multiply-accumulates per element and cycle in int8.
        int16_macs: Multiply-accumulates per element and cycle in int16.
        fp16_macs: Multiply-accumulates per element and cycle in fp16.
    """

    rows: Annotated[int, Field(ge=1, le=4096)]
    cols: Annotated[int, Field(ge=1, le=4096)]
    dataflow: Literal["os", "ws", "is"]
    timing: Literal["strict", "pipelined"] = "pipelined"
    row_axis: Literal["im2col", "channels"] = "im2col"
    depthwise: GroupMapping = "per_group"
    grouped: GroupMapping = "per_group"
    int8_macs: Rate = 1.0
    int16_macs: Rate = 0.5
    fp16_macs: Rate = 0.5


class Memory(_HardwareConfig):
    """On-chip memories and the path to DRAM; cycles are of the unit's clock.

    Attributes:
        sram_bytes: Memory for activations.
        weight_buffer_bytes: Memory for weights.
        accumulator_bytes: Memory for partial sums of 4 bytes.
        sram_bytes_per_cycle: Bandwidth of the SRAM.
        dram_bytes_per_cycle: Bandwidth of the DRAM.
        dram_burst_bytes: Transfers are rounded up to a multiple of it.
        dram_latency_cycles: Delay of an operator that uses DRAM.
        dma_setup_cycles: Overhead of one transfer.
        weight_compression: Bytes of weights in DRAM per byte on the chip.
        channel_multiple: Channels are padded to a multiple of it in every memory.
    """

    sram_bytes: Size
    weight_buffer_bytes: Size
    accumulator_bytes: Size
    sram_bytes_per_cycle: Rate
    dram_bytes_per_cycle: Rate
    dram_burst_bytes: Count = 1
    dram_latency_cycles: Delay = 0
    dma_setup_cycles: Delay = 0
    weight_compression: Annotated[float, Field(gt=0, le=1)] = 1.0
    channel_multiple: Annotated[int, Field(ge=1, le=1024)] = 1


class VectorUnit(_HardwareConfig):
    """The vector unit: it processes `lanes` elements at a time, each in the cycles of its function (`default` for others)."""

    lanes: Annotated[int, Field(ge=1, le=2**20)]
    cycles: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default={"default": 1.0})

    def element_cycles(self, function: str) -> float:
        """Return the cycles of a function for one element in a lane."""
        return self.cycles.get(function, self.cycles.get("default", 1.0))


class OutputStage(_HardwareConfig):
    """The output stage of the array: elements that it scales and writes per cycle, and the functions that it applies for free."""

    elements_per_cycle: Rate
    fuses: list[str] = Field(default=[])


class CompilerOptions(_HardwareConfig):
    """What the compiler of the unit can do; `io_location` is whether inputs and outputs of the network are in DRAM or may stay on chip."""

    operator_overhead_cycles: Delay = 0
    fusion: bool = True
    prefetch: bool = True
    residency: bool = True
    depth_first: bool = True
    io_location: Literal["dram", "resident"] = "dram"


class Energy(_HardwareConfig):
    """Energy per multiply-accumulate, element or byte, in joules; static_w is the constant power in watts."""

    int8_mac_j: Joules = 0.0
    int16_mac_j: Joules = 0.0
    fp16_mac_j: Joules = 0.0
    vector_element_j: Joules = 0.0
    sram_byte_j: Joules = 0.0
    dram_byte_j: Joules = 0.0
    static_w: Joules = 0.0


class Hardware(_HardwareConfig):
    """A tensor unit, as the table `hardware` of a device file describes it.

    Attributes:
        clock_hz: Clock frequency, in Hz.
        precision: Of everything that the model does not quantize itself; a float model is simulated as if it had this precision.
        array: The systolic array.
        memory: On-chip memories and the path to DRAM.
        vector: The vector unit.
        output: The output stage of the array.
        schedule: What the compiler can do.
        energy: Energy per operation.
    """

    clock_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    precision: Precision = "int8"
    array: SystolicArray
    memory: Memory
    vector: VectorUnit
    output: OutputStage
    schedule: CompilerOptions = CompilerOptions()
    energy: Energy = Energy()

    def macs_per_element(self, precision: str) -> float:
        """Return the multiply-accumulates of a processing element per cycle."""
        return float(getattr(self.array, f"{precision}_macs"))


def parse_hardware(content: Mapping[str, Any], where: str, overrides: Iterable[str] = ()) -> Hardware:
    """Return the hardware of a device file's table.

    Args:
        content: The table `hardware`.
        where: The name of the file, for messages.
        overrides: Values that replace those of the table, such as `array.rows=16`.

    Returns:
        The hardware.

    Raises:
        UnknownNameError: If a key is unknown.
        ConfigError: If a key is missing, or a value is not allowed.
    """
    merged = deepcopy(dict(content))
    for setting in overrides:
        key, equals, text = setting.partition("=")
        *path, last = key.strip().split(".")
        if not equals or not last or len(path) > 2:
            raise ConfigError("a hardware setting must be KEY=VALUE, such as array.rows=16", got=setting)
        table = merged
        for name in path:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{where}: {name} is a value and has no keys", got=setting)
        table[last] = _parse_value(text.strip())
    return parse_model(merged, Hardware, f"{where}: hardware")


def _parse_value(text: str) -> Any:
    """Return a value parsed as TOML, or the text itself if it is not valid TOML."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError, ValueError):
        return text
