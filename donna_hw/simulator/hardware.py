"""Hardware: what a tensor unit consists of, read from the table `hardware` of a device file; `devices/README.md` explains each key."""

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
Rate = Annotated[float, Field(gt=0)]  # may be infinite: a part that never limits
Size = Annotated[float, Field(ge=1)]  # bytes; may be infinite
Delay = Annotated[int, Field(ge=0, le=2**40)]
Joules = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _HardwareConfig(StrictModel):
    model_config = ConfigDict(allow_inf_nan=True)  # an infinite rate is a part that never limits


class SystolicArray(_HardwareConfig):
    """The systolic array: rows x cols processing elements.

    dataflow: what stays in the elements: outputs, weights or inputs. timing: `strict` fills and drains for every fold, `pipelined` once
    a tile. row_axis: what the rows hold under `ws` and `is`: `im2col` (channels and taps), or `channels`, taps in turn.
    depthwise, grouped: how convolutions of as many groups as channels, and of other groups, are laid onto the array.
    *_macs: multiply-accumulates an element and cycle at that precision.
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
    """On-chip memories and the way to DRAM; bytes, and bytes or cycles of the unit's clock.

    sram_bytes holds activations, weight_buffer_bytes weights, accumulator_bytes partial sums of 4 bytes. weight_compression:
    bytes of weights in DRAM for one on the chip. channel_multiple: channels are padded to a multiple of it in every memory.
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
    """The vector unit: lanes elements are worked on at a time, each for the cycles of its function (`default`: of any not named)."""

    lanes: Annotated[int, Field(ge=1, le=2**20)]
    cycles: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {"default": 1.0}

    def element_cycles(self, function: str) -> float:
        """Return the cycles that one element of a function takes in a lane."""
        return self.cycles.get(function, self.cycles.get("default", 1.0))


class OutputStage(_HardwareConfig):
    """The output stage behind the array: elements a cycle that it scales and writes, and the functions that it applies for nothing."""

    elements_per_cycle: Rate
    fuses: list[str] = []


class CompilerOptions(_HardwareConfig):
    """What the compiler of the unit may do; `borders`: whether the network's own inputs and outputs lie in DRAM or may stay on the chip."""

    operator_overhead_cycles: Delay = 0
    fusion: bool = True
    prefetch: bool = True
    residency: bool = True
    depth_first: bool = True
    io_location: Literal["dram", "resident"] = "dram"


class Energy(_HardwareConfig):
    """Energy of one of each, in joules; static_w is drawn all the time."""

    int8_mac_j: Joules = 0.0
    int16_mac_j: Joules = 0.0
    fp16_mac_j: Joules = 0.0
    vector_element_j: Joules = 0.0
    sram_byte_j: Joules = 0.0
    dram_byte_j: Joules = 0.0
    static_w: Joules = 0.0


class Hardware(_HardwareConfig):
    """A tensor unit. precision: of whatever the model does not quantise itself; a float model is simulated as if it were in it."""

    clock_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    precision: Precision = "int8"
    array: SystolicArray
    memory: Memory
    vector: VectorUnit
    output: OutputStage
    schedule: CompilerOptions = CompilerOptions()
    energy: Energy = Energy()

    def macs_per_element(self, precision: str) -> float:
        """Return the multiply-accumulates that a processing element does in a cycle."""
        return float(getattr(self.array, f"{precision}_macs"))


def parse_hardware(content: Mapping[str, Any], where: str, overrides: Iterable[str] = ()) -> Hardware:
    """Return the hardware of a device file's table, with `settings` (`array.rows=16`) in place of its values.

    Raises `UnknownNameError` or `ConfigError` for an unknown key, a missing one, or a value that breaks its rule.
    """
    merged = deepcopy(dict(content))
    for setting in overrides:
        key, equals, text = setting.partition("=")
        *path, last = key.strip().split(".")
        if not equals or not last or len(path) > 2:
            raise ConfigError("a setting must be KEY=VALUE, such as array.rows=16", got=setting)
        place = merged
        for word in path:
            place = place.setdefault(word, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{where}: {word} holds no keys of its own", got=setting)
        place[last] = _parse_value(text.strip())
    return parse_model(merged, Hardware, f"{where}: hardware")


def _parse_value(text: str) -> Any:
    """Return a value as TOML reads it; a word that it cannot read is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError, ValueError):
        return text
