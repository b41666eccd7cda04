"""Tables say of which types their layers are, and no backend times layers that it does not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from donna_hw.backends.onnxruntime import OnnxRuntimeBackend
from donna_hw.costs.learned import features_of
from donna_hw.device import Device
from donna_hw.errors import BadSetting
from donna_hw.profiling.profile import begin_table, profile_space
from donna_hw.profiling.types import typed
from donna_hw.spaces import load_space


@pytest.mark.parametrize("device", ["torch_cpu", "tensor_unit"])
def test_a_backend_without_8_bit_layers_refuses_them(device: str, tmp_path: Path) -> None:
    space = load_space("small_8px@precision")
    for fill in (profile_space, begin_table):
        with pytest.raises(BadSetting, match=rf"device {device} runs layers of float32; found 'int8'"):
            fill(space, Device.load(device), tmp_path)


def test_counts_are_those_of_the_float32_twins(tmp_path: Path) -> None:
    for name in ("macs", "params"):
        plain = profile_space(load_space("small_8px"), Device.load(name), tmp_path).costs(load_space("small_8px"))
        table = profile_space(load_space("small_8px@int8"), Device.load(name), tmp_path)
        held = table.costs(load_space("small_8px@int8"))
        assert [list(blocks) for blocks in held.blocks] == [list(blocks) for blocks in plain.blocks]
        assert table.info.identity["dtype"] == "int8"


def test_a_table_is_named_by_its_types() -> None:
    said = OnnxRuntimeBackend(1, {}).description()
    of = {name: [load_space(name).network(load_space(name).reference)] for name in ("small_8px", "small_8px@int8")}
    assert typed(said, of["small_8px"]) == said
    assert typed(said, of["small_8px@int8"]).words == ("int8", "t1")
    both = typed(said, [*of["small_8px"], *of["small_8px@int8"]])
    assert both.words == ("float32+int8", "t1")
    assert both.environment.identity == said.environment.identity | {"dtype": "float32+int8"}


def test_nothing_is_learned_of_8_bit_layers() -> None:
    space = load_space("small_8px@int8")
    with pytest.raises(BadSetting, match="the int8 layer"):
        features_of([space.network(space.reference)])
