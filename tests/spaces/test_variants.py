"""Variations in the name of a space: other images, other classes, and a user's file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from donna_hw.errors import ConfigError, FileFormatError, UnknownNameError
from donna_hw.spaces import load_space

OWN = f"{ROOT / 'examples' / 'custom_space.py'}:narrow"


@pytest.mark.parametrize("name", ["donna", "efficientnet_b0", "mobilenetv3_1.2_extended", "proxylessnas_1.3"])
def test_another_resolution_scales_the_maps_and_nothing_else(name: str) -> None:
    space, smaller = load_space(name), load_space(f"{name}@160px")
    assert smaller.name == f"{name}@160px"
    assert smaller.input_shape == (3, 160, 160)
    ours, theirs = space.network_graph(space.reference), smaller.network_graph(smaller.reference)
    assert ours.params == theirs.params
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        assert mine.weight_shape == other.weight_shape
        if len(mine.out_shape) == 3 and mine.out_shape[1] > 1:
            assert (mine.out_shape[1] * 160, mine.out_shape[0]) == (other.out_shape[1] * 224, other.out_shape[0])
    assert smaller.hash != space.hash


def test_other_classes_change_the_last_layer_only() -> None:
    space, other = load_space("mobilenetv3_1.0"), load_space("mobilenetv3_1.0@10classes")
    layers, found = space.network_graph(space.reference).layers, other.network_graph(other.reference).layers
    assert layers[:-1] == found[:-1]
    assert (found[-1].in_shape, found[-1].out_shape) == ((1280,), (10,))
    both = load_space("mobilenetv3_1.0@64px@10classes")
    assert (both.name, both.input_shape, both.output_shapes["classifier"]) == (
        "mobilenetv3_1.0@64px@10classes",
        (3, 64, 64),
        (10,),
    )


@pytest.mark.parametrize(
    "end", ["", "160", "0px", "160px@160px", "10classes@160px", "-8px", "160px@", "px", "1e3px", "999999px"]
)
def test_a_bad_variation_is_refused_with_the_rule(end: str) -> None:
    with pytest.raises(
        ConfigError, match=r"wrong variation of the space small_8px; got .*<n>px.*such as small_8px@160px"
    ):
        load_space(f"small_8px@{end}")


def test_a_users_file_is_a_space_like_any_other() -> None:
    space = load_space(OWN)
    assert (space.name, space.size) == ("narrow", 12**3)
    assert load_space(f"{OWN}@64px").input_shape == (3, 64, 64)


@pytest.mark.parametrize("name", ["small_8px", "donna@64px", OWN, f"{OWN}@5classes"])
def test_another_process_loads_the_same_space_by_its_address(name: str) -> None:
    space = load_space(name)
    program = "import sys; from donna_hw import load_space; s = load_space(sys.argv[1]); print(s.name, s.hash)"
    done = subprocess.run([sys.executable, "-c", program, space.load_name], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [space.name, space.hash]


def test_a_file_without_a_space_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        load_space(f"{tmp_path / 'none.py'}:narrow")
    with pytest.raises(UnknownNameError, match=r"unknown function 'wide'; expected .*narrow"):
        load_space(f"{ROOT / 'examples' / 'custom_space.py'}:wide")
    broken = tmp_path / "broken.py"
    broken.write_text("def space(:\n")
    with pytest.raises(FileFormatError, match="SyntaxError"):
        load_space(f"{broken}:space")
    leaving = tmp_path / "leaving.py"
    leaving.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(FileFormatError, match="SystemExit"):
        load_space(f"{leaving}:space")
    raising = tmp_path / "raising.py"
    raising.write_text("def number():\n    return 3\n\ndef wrong():\n    return 1 / 0\n")
    with pytest.raises(FileFormatError, match=r"number\(\) must return a Space; got 'int'"):
        load_space(f"{raising}:number")
    with pytest.raises(FileFormatError, match="ZeroDivisionError"):
        load_space(f"{raising}:wrong")
