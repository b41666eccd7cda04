"""Tables of Once-for-All and ProxylessNAS: files of our own making, written after the public readers, become tables that add up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import ConfigError, DonnaError, TableError, UnknownNameError
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Space
from donna_hw.tables.importers.lookup_yaml import LookupTable, layer_keys
from donna_hw.tables.parts import list_parts

OFA, PROXYLESS = "ofa_mobilenetv3@160px", "proxylessnas_1.3@64px"


def made(folder: Path, space: Space, kind: str, **changed: object) -> tuple[Path, dict[str, float]]:
    """Write a file that has each layer of a space, in ms."""
    keys = {
        key for part in list_parts(space) for key in layer_keys(part.block, part.graph.input_shape, kind, part.name)
    }
    times = dict(zip(sorted(keys), np.random.default_rng(0).uniform(0.1, 9, len(keys)).tolist(), strict=True))
    path = folder / "lookup.yaml"
    path.write_text(yaml.safe_dump({key: {"mean": time} for key, time in times.items()} | changed), encoding="utf-8")
    return path, times


def walked(network: Architecture, pixels: int) -> list[str]:
    """Return the keys of a network of Once-for-All by its own walk: sizes halved up, channels of width 1.2, hidden ones rounded."""

    def shape(side: int, channels: int) -> str:
        return f"{side}x{side}x{channels}"

    side, into = (pixels + 1) // 2, 24
    keys = [f"Conv-input:{shape(pixels, 3)}-output:{shape(side, 24)}"]
    same = shape(side, 24)
    keys.append(f"expanded_conv-input:{same}-output:{same}-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0")
    for number, block in enumerate(network.blocks):
        stage, layer = divmod(number, 4)
        if block == 9:
            continue
        kernel, expand = (3, 5, 7)[block // 3], (3, 4, 6)[block % 3]
        out, stride = (32, 48, 96, 136, 192)[stage], (2, 2, 2, 1, 2)[stage] if layer == 0 else 1
        after, gated, swish = (side - 1) // stride + 1, int(stage in (1, 3, 4)), int(stage > 1)
        key = f"expanded_conv-input:{shape(side, into)}-output:{shape(after, out)}-expand:{expand * into}"
        keys.append(f"{key}-kernel:{kernel}-stride:{stride}-idskip:{int(layer > 0)}-se:{gated}-hs:{swish}")
        side, into = after, out
    keys.append(f"Conv_1-input:{shape(side, 192)}-output:{shape(side, 1152)}")
    keys.append(f"AvgPool2D-input:{shape(side, 1152)}-output:1x1x1152")
    return [*keys, "Conv_2-input:1x1x1152-output:1x1x1536", "Logits-input:1x1x1536-output:1000"]


def test_a_network_of_once_for_all_costs_the_sum_of_its_layers(tmp_path: Path) -> None:
    space = load_space(OFA)
    path, times = made(tmp_path, space, "ofa")
    table = LookupTable.read(path, "ofa", "ms").to_table(space, "note10", tmp_path)
    assert (table.info.origin, table.info.unit, table.info.identity["unit_in_file"]) == ("published", "s", "ms")
    rows = space.random_rows(20, 0)
    found = TableCost.of(space, table).mean(rows)
    by_hand = [1e-3 * sum(times[key] for key in walked(space.architecture(row), 160)) for row in rows]
    assert found == pytest.approx(by_hand, rel=1e-9)


def test_stages_of_several_layers_cost_their_layers_sum(tmp_path: Path) -> None:
    space = load_space(PROXYLESS)
    path, times = made(tmp_path, space, "proxylessnas")
    table = LookupTable.read(path, "proxylessnas", "us").to_table(space, "pixel1", tmp_path)
    first = "expanded_conv-input:32x32x24-output:16x16x32-expand:3-kernel:5-stride:2-idskip:0"
    again = "expanded_conv-input:16x16x32-output:16x16x32-expand:3-kernel:5-stride:1-idskip:1"
    found = table.lookup(space, "stage1", {"kernel": 5, "expand": 3, "depth": 3})
    assert found == pytest.approx(1e-6 * (times[first] + 2 * times[again]))
    assert table.lookup(space, "classifier") == pytest.approx(1e-6 * times["Logits-input:2x2x1664-output:1000"])


@pytest.mark.parametrize(
    ("key", "entry", "says"),
    [
        ("Conv-input:8x8x3-output:4x4x8-groups:2", {"mean": 1}, "a key must be a layer"),
        ("Pool-input:8x8x3-output:4x4x8", {"mean": 1}, "a key must be a layer"),
        ("Conv-input:8x8x?-output:4x4x8", {"mean": 1}, "a key must be a layer"),
        ("Conv-input:8x8x3-output:4x4x8", {"median": 1}, "must have a mean"),
        ("Conv-input:8x8x3-output:4x4x8", {"mean": 0}, "above zero"),
        ("Conv-input:8x8x3-output:4x4x8", {"mean": "1 ms"}, "above zero"),
        ("Conv-input:8x8x3-output:4x4x8", {"mean": float("nan")}, "above zero"),
        ("Conv-input:8x8x3-output:4x4x8", 3.0, "must have a mean"),
        ("expanded_conv-input:8x8x3-output:4x4x8-expand:3-kernel:3-stride:1-idskip:0", {"mean": 1}, "se-hs"),
    ],
)
def test_what_is_not_of_the_format_is_refused(tmp_path: Path, key: str, entry: object, says: str) -> None:
    path, _ = made(tmp_path, load_space("mobilenetv3_1.2@32px"), "ofa", **{key: entry})
    with pytest.raises(TableError, match=says):
        LookupTable.read(path, "ofa", "ms")


def test_missing_layers_other_resolutions_and_other_spaces_are_refused(tmp_path: Path) -> None:
    space = load_space("mobilenetv3_1.2@64px")
    path, _ = made(tmp_path, space, "ofa")
    lookup = LookupTable.read(path, "ofa", "ms")
    with pytest.raises(TableError, match=r"94 of 96 layers of mobilenetv3_1\.2@96px are missing: Conv-input:96x96x3"):
        lookup.to_table(load_space("mobilenetv3_1.2@96px"), "phone", tmp_path)
    with pytest.raises(ConfigError, match="ofa_mobilenetv3@224px"):
        lookup.to_table(load_space("ofa_mobilenetv3"), "phone", tmp_path)
    with pytest.raises(DonnaError):
        lookup.to_table(load_space("proxylessnas_1.3@64px"), "phone", tmp_path)
    with pytest.raises(UnknownNameError, match="unknown unit 'frames'; expected s, ms or us"):
        LookupTable.read(path, "ofa", "frames")


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [", "!!python/object/apply:os.system ['true']\n"])
def test_a_file_that_is_no_mapping_of_plain_values_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DonnaError, match=r"bad\.yaml"):
        LookupTable.read(path, "ofa", "ms")


def test_the_command_says_what_it_took_the_unit_for(tmp_path: Path, main: Callable[..., tuple[int, str, str]]) -> None:
    path, _ = made(tmp_path, load_space("mobilenetv3_1.2@32px"), "ofa")
    asked = ["table", "import", "ofa", str(path), "--tables", str(tmp_path / "out"), "--device", "note10"]
    code, _, said = main(*asked, "--space", "mobilenetv3_1.2@32px")
    assert (code, "--unit" in said) == (2, True)
    code, said, _ = main(*asked, "--space", "mobilenetv3_1.2@32px", "--unit", "ms")
    assert code == 0
    assert "published, in seconds; the file's times were read as ms" in said
    assert (tmp_path / "out" / "note10" / "mobilenetv3_1.2@32px" / "ofa.csv").exists()
