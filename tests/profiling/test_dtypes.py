"""Tables say of which types their layers are, and no backend times layers that it does not run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from donna_hw._core.resources import find_resource
from donna_hw.costs.gaussian_process import feature_matrix
from donna_hw.devices.backends.base import ExactBackend
from donna_hw.devices.backends.onnxruntime import OnnxRuntimeBackend
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError
from donna_hw.profiling.dtypes import with_dtypes
from donna_hw.profiling.network_profiling import get_or_create_table
from donna_hw.profiling.profiler import profile_space
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import float_block_number


def test_a_backend_without_8_bit_layers_refuses_them(tmp_path: Path) -> None:
    space = load_space("small_8px@precision")
    for fill in (profile_space, get_or_create_table):
        with pytest.raises(ConfigError, match="device torch_cpu runs layers of float32; found 'int8'"):
            fill(space, Device.load("torch_cpu"), tmp_path)


@pytest.mark.long
def test_a_simulated_unit_tells_types_apart_unless_its_own_is_int8(tmp_path: Path) -> None:
    """On a unit of fp16 an 8-bit block takes more than on one of int8, by its conversions, and nearly always less than its twin."""
    space = load_space("small_28px@precision")
    with pytest.raises(ConfigError, match="a unit of precision int8 simulates every layer in int8"):
        profile_space(space, Device.load("tensor_unit"), tmp_path)
    wide = tmp_path / "wide.toml"
    text = find_resource("devices", "tensor_unit").read_text(encoding="utf-8")
    wide.write_text(text.replace('precision = "int8"', 'precision = "fp16"'), encoding="utf-8")
    table = profile_space(space, Device.load(str(wide)), tmp_path)
    assert table.info.identity["dtype"] == "fp16+int8"
    assert "fp16+int8" in table.path.name
    narrow = Device.load("tensor_unit").backend()
    assert isinstance(narrow, ExactBackend)
    for stage, costs in zip(space.stages, table.costs(space).blocks, strict=True):
        twins = np.array([float_block_number(stage, m) for m in range(stage.size)])
        eight = np.flatnonzero(twins != np.arange(stage.size))
        in_int8 = np.array(narrow.costs([space.block_graph(stage, int(m)) for m in twins[eight]]))
        assert (costs[eight] > in_int8).all()
        assert (costs[eight] < costs[twins[eight]]).mean() > 0.9


def test_counts_are_those_of_the_float32_twins(tmp_path: Path) -> None:
    for name in ("macs", "params"):
        plain = profile_space(load_space("small_8px"), Device.load(name), tmp_path).costs(load_space("small_8px"))
        table = profile_space(load_space("small_8px@int8"), Device.load(name), tmp_path)
        held = table.costs(load_space("small_8px@int8"))
        assert [list(blocks) for blocks in held.blocks] == [list(blocks) for blocks in plain.blocks]
        assert table.info.identity["dtype"] == "int8"


def test_a_table_is_named_by_its_types() -> None:
    said = OnnxRuntimeBackend(1, {}).info()
    of = {
        name: [load_space(name).network_graph(load_space(name).reference)] for name in ("small_8px", "small_8px@int8")
    }
    assert with_dtypes(said, of["small_8px"]) == said
    assert with_dtypes(said, of["small_8px@int8"]).tags == ("int8", "t1")
    both = with_dtypes(said, [*of["small_8px"], *of["small_8px@int8"]])
    assert both.tags == ("float32+int8", "t1")
    assert both.environment.identity == said.environment.identity | {"dtype": "float32+int8"}


def test_nothing_is_learned_of_8_bit_layers() -> None:
    space = load_space("small_8px@int8")
    with pytest.raises(ConfigError, match="the int8 layer"):
        feature_matrix([space.network_graph(space.reference)])
