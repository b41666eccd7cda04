"""The shipped units load, their README is correct, and bad values are refused in one line that names the limit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from paths import ROOT
from pydantic import BaseModel

from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, DonnaError, UnknownNameError
from donna_hw.simulator.hardware import ELEMENT_BYTES, Hardware, parse_hardware

DEVICES = ROOT / "devices"
README = (DEVICES / "README.md").read_text(encoding="utf-8")
UNITS = sorted(
    path.stem for path in DEVICES.glob("*.toml") if 'backend = "tensor_unit"' in path.read_text(encoding="utf-8")
)
FUNCTIONS = set(
    re.findall(
        r"\w+",
        """
        relu relu6 clip leaky_relu prelu hard_swish hard_sigmoid sigmoid tanh swish gelu mish softplus erf exp sqrt add sub mul div pow
        max_pool average_pool global_pool reduce softmax layer_norm batch_norm instance_norm move resize quantize dequantize unknown mac
        """,
    )
)


def table(name: str) -> dict[str, Any]:
    return Device.load(name).config.hardware


def unit(name: str, *settings: str) -> Hardware:
    return parse_hardware(table(name), name, settings)


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a dumped unit by its dotted key."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield path + key, value


def fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field of the contract by its dotted key."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{path}{name}.")
        else:
            yield path + name, field


def rows(start: str) -> list[list[str]]:
    """Return the cells of the README's table whose header begins with `start`."""
    lines = README[README.index(f"| {start}") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


def test_there_are_units_to_test() -> None:
    assert {"tensor_unit", "scalesim_32x32", "micro_npu", "server_unit"} <= set(UNITS)


@pytest.mark.parametrize("name", UNITS)
def test_a_shipped_unit_loads_with_sources_and_survives_a_round_trip(name: str) -> None:
    device = Device.load(name)
    assert device.config.sources
    assert (device.config.protocol, device.protocol.batch) == ("paper_simulator", 1)
    assert parse_hardware(unit(name).model_dump(), name) == unit(name)


@pytest.mark.parametrize("name", sorted(set(UNITS) - {"scalesim_32x32"}))
def test_a_unit_names_the_cycles_of_every_function(name: str) -> None:
    assert set(unit(name).vector.cycles) == FUNCTIONS | {"default"}
    assert set(unit(name).output.fuses) <= FUNCTIONS


def test_scalesims_bare_array_has_no_limit_but_its_array() -> None:
    bare = unit("scalesim_32x32")
    assert bare.array.timing == "strict"
    assert all(value == float("inf") for key, value in bare.memory if key.endswith(("sram_bytes", "_bytes_per_cycle")))
    assert bare.vector.element_cycles("anything") == 0
    assert sum(dict(bare.energy).values()) == 0


@pytest.mark.parametrize("key", [key for key, _ in fields(Hardware)])
def test_the_readme_explains_every_key_with_its_default(key: str) -> None:
    explained = {cells[0].strip("`"): cells for cells in rows("key | unit | default")}
    field = dict(fields(Hardware))[key]
    _, _, default, meaning = explained[key]
    assert meaning
    shown = "" if field.is_required() else str(field.default)
    shown = {"True": "true", "False": "false", "{'default': 1.0}": "default = 1.0"}.get(shown, shown)
    assert default.strip("`") == shown


def test_the_readme_explains_no_key_that_is_none() -> None:
    assert {cells[0].strip("`") for cells in rows("key | unit | default")} == {key for key, _ in fields(Hardware)}


def test_the_readme_gives_the_peaks_of_every_unit() -> None:
    told = {cells[0].strip("`"): cells for cells in rows("device | array")}
    assert set(told) == set(UNITS)
    for name, (_, array, peak, dram, *_) in told.items():
        hardware = unit(name)
        assert float(peak.removesuffix(" TOPS")) == pytest.approx(
            2e-12 * hardware.array.rows * hardware.array.cols * hardware.macs_per_element("int8") * hardware.clock_hz
        )
        assert float(dram.removesuffix(" GB/s")) == pytest.approx(
            1e-9 * hardware.memory.dram_bytes_per_cycle * hardware.clock_hz
        )
        assert array.startswith(f"{hardware.array.rows} x {hardware.array.cols}")
        assert hardware.array.dataflow in array


@pytest.mark.parametrize("name", UNITS)
def test_no_precision_is_faster_than_a_narrower_one(name: str) -> None:
    hardware = unit(name)
    by_width = sorted(ELEMENT_BYTES, key=lambda precision: ELEMENT_BYTES[precision])
    rates = [hardware.macs_per_element(precision) for precision in by_width]
    assert rates[0] >= max(rates[1:])


CHANGES = [
    ("clock_hz=2e9", "clock_hz", 2e9),
    ("precision=int16", "precision", "int16"),
    ("array.rows=16", "array.rows", 16),
    ("array.dataflow=os", "array.dataflow", "os"),
    (" array.dataflow = 'is' ", "array.dataflow", "is"),
    ("memory.dram_bytes_per_cycle=inf", "memory.dram_bytes_per_cycle", float("inf")),
    ("memory.sram_bytes=65536", "memory.sram_bytes", 65536.0),
    ("vector.cycles.sigmoid=3.5", "vector.cycles.sigmoid", 3.5),
    ("output.fuses=['relu']", "output.fuses", ["relu"]),
    ("schedule.depth_first=false", "schedule.depth_first", False),
]


@pytest.mark.parametrize(("setting", "key", "value"), CHANGES)
def test_a_setting_changes_exactly_its_field(setting: str, key: str, value: object) -> None:
    before, after = (
        dict(leaves(unit("tensor_unit").model_dump())),
        dict(leaves(unit("tensor_unit", setting).model_dump())),
    )
    assert after[key] == value
    assert {name for name in before | after if before.get(name) != after.get(name)} == {key}


def test_settings_leave_the_tables_values_alone_and_the_last_one_wins() -> None:
    content = table("tensor_unit")
    kept = repr(content)
    assert parse_hardware(content, "unit", ["array.rows=1", "vector.cycles.relu=9", "array.rows=2"]).array.rows == 2
    assert repr(content) == kept


NONSENSE = [
    ("array.rows=0", "greater than or equal to 1"),
    ("array.cols=5000", "less than or equal to 4096"),
    ("array.rows=true", "valid integer"),
    ("array.rows=8.5", "valid integer"),
    ("array.rows=nan", "valid integer"),
    ("array.rows=", "valid integer"),
    ("array.dataflow=rs", "'os', 'ws' or 'is'"),
    ("array.depthwise=fast", "'dense_padded', 'per_group', 'diagonal' or 'vector'"),
    ("array.int8_macs=0", "greater than 0"),
    ("clock_hz=inf", "finite number"),
    ("clock_hz=nan", "finite number|greater than 0"),
    ("clock_hz=true", "valid number"),
    ("precision=int4", "'int8', 'int16' or 'fp16'"),
    ("memory.dram_bytes_per_cycle=-1", "greater than 0"),
    ("memory.dram_bytes_per_cycle=nan", "greater than 0"),
    ("memory.sram_bytes=nan", "greater than or equal to 1"),
    ("memory.sram_bytes=0", "greater than or equal to 1"),
    ("memory.weight_compression=1.5", "less than or equal to 1"),
    ("memory.dram_latency_cycles=-1", "greater than or equal to 0"),
    ("vector.lanes=0", "greater than or equal to 1"),
    ("vector.cycles.relu=-1", "greater than or equal to 0"),
    ("vector.cycles.relu=inf", "finite number"),
    ("output.fuses=relu", "valid list"),
    ("schedule.fusion=1", "valid boolean"),
    ("schedule.io_location=flash", "'dram' or 'resident'"),
    ("energy.dram_byte_j=-1e-12", "greater than or equal to 0"),
    ("energy.static_w=inf", "finite number"),
    ("array=4", "valid dictionary|instance of SystolicArray"),
]


@pytest.mark.parametrize(("setting", "limit"), NONSENSE)
def test_nonsense_is_refused_in_one_line_with_its_key_and_limit(setting: str, limit: str) -> None:
    with pytest.raises(ConfigError) as refused:
        unit("tensor_unit", setting)
    message = str(refused.value)
    assert "\n" not in message
    assert setting.partition("=")[0] in message
    assert re.search(limit, message)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("array.row=4", "did you mean 'rows'"),
        ("memory.sram=4", "unknown key 'sram'; expected .*sram_bytes, "),
        ("clock=1e9", "did you mean 'clock_hz'"),
        ("cache.bytes=1", "unknown key 'cache'; expected array, clock_hz"),
        ("array.rows.more=4", "is a value and has no keys"),
        ("array.rows", "must be KEY=VALUE"),
        ("=4", "must be KEY=VALUE"),
    ],
)
def test_an_unknown_key_is_refused_with_the_choices(setting: str, message: str) -> None:
    with pytest.raises(DonnaError, match=message) as refused:
        unit("tensor_unit", setting)
    assert isinstance(refused.value, UnknownNameError | ConfigError)
    assert "\n" not in str(refused.value)


def test_a_missing_key_is_named() -> None:
    content = table("tensor_unit")
    del content["array"]["rows"]
    with pytest.raises(ConfigError, match=r"missing key 'array\.rows'"):
        parse_hardware(content, "unit")
