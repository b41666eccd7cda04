"""donna-hw simulate: what it prints and writes, and what it refuses in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
import pytest
import tomli_w
from onnx import TensorProto, helper
from simulation_examples import CONTENT

from donna_hw.cli.simulate import parse_input_shapes
from donna_hw.cli.simulate import simulate as command
from donna_hw.errors import ConfigError

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(main: Call) -> Call:
    """Return `donna-hw simulate` in a folder with net.onnx and the device unit: (exit code, standard output, standard error)."""
    onnx.save(model(), "net.onnx")
    device = {"title": "made", "backend": "tensor_unit", "protocol": "paper_simulator", "hardware": CONTENT}
    Path("unit.toml").write_text(tomli_w.dumps(device))

    def run(*arguments: object) -> tuple[int, str, str]:
        return main("simulate", *arguments, *(() if "--device" in arguments else ("--device", "unit.toml")))

    return run


def model(*, odd: bool = False) -> onnx.ModelProto:
    """Return a convolution of 16 3x3 filters on 3 x 12 x 12 and a ReLU, with an operator that nobody knows if asked for."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [16, 3, 3, 3], [0.5] * 432)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b" if odd else "y"], name="relu"),
    ]
    if odd:
        nodes.append(helper.make_node("Frobnicate", ["b"], ["y"], name="oddity", domain="made"))
    batch = 1 if odd else "batch"  # nobody can infer the shape behind an unknown operator
    shape = [batch, 16, 12, 12]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (["b"] if odd else [])]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weights],
        value_info=values,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("made", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


SHAPE = ("--input-shape", "x=1,3,12,12")


def strict(text: str) -> dict[str, Any]:
    """Return JSON that holds no NaN and no infinity."""

    def refuse(token: str) -> None:
        raise AssertionError(token)

    read: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return read


def simulated(call: Call, *arguments: object) -> dict[str, Any]:
    code, out, error = call("net.onnx", "--json", *SHAPE, *arguments)
    assert (code, error) == (0, "")
    return strict(out)


def test_json_holds_every_operator_and_sums_to_its_totals(call: Call) -> None:
    found = simulated(call)
    assert found["model"] == "net"
    assert found["unknown_ops"] == []
    assert found["total_cycles"] == sum(op["total_cycles"] for op in found["ops"]) > 0
    assert found["latency_s"] == found["total_cycles"] / CONTENT["clock_hz"]
    assert found["energy_j"] == pytest.approx(sum(op["energy_j"] for op in found["ops"]))
    assert sum(op["macs"] for op in found["ops"]) == 12 * 12 * 16 * 27
    wanted = {
        "name",
        "op_type",
        "array_cycles",
        "compute_cycles",
        "dma_cycles",
        "total_cycles",
        "dram_bytes",
        "bound_by",
        "macs",
    }
    assert all(wanted <= set(op) for op in found["ops"])


def test_settings_and_shapes_reach_the_simulation(call: Call) -> None:
    one = simulated(call)
    free = simulated(call, "--set", "memory.dram_bytes_per_cycle=inf", "--set", "array.rows=8")
    assert free["hardware"]["memory"]["dram_bytes_per_cycle"] == "inf"
    assert free["hardware"]["array"]["rows"] == 8
    code, out, _ = call("net.onnx", "--json", "--input-shape", "x=2,3,12,12")
    assert code == 0
    assert strict(out)["macs"] == 2 * one["macs"]


def test_the_table_says_the_same_as_json(call: Call) -> None:
    found = simulated(call)
    code, out, error = call("net.onnx", *SHAPE)
    assert (code, error) == (0, "")
    assert f"{found['total_cycles']} cycles" in out
    for op in found["ops"]:
        assert op["name"] in out
    assert "conv" not in call("net.onnx", *SHAPE, "--top", 0)[1]


def test_an_unknown_operator_is_a_warning_next_to_pure_json(call: Call) -> None:
    onnx.save(model(odd=True), "odd.onnx")
    code, out, error = call("odd.onnx", *SHAPE, "--json")
    assert code == 0
    assert strict(out)["unknown_ops"]
    assert error.count("\n") == 1
    assert error.startswith("warning: unknown operators, treated as data movement: ")
    assert strict(out)["unknown_ops"][0] in call("odd.onnx", *SHAPE)[1]


def test_files_hold_what_json_prints(call: Call) -> None:
    found = simulated(call, "--csv", "new/ops.csv", "--trace", "trace.json", "--roofline", "roof.svg")
    frame = pd.read_csv(StringIO(Path("new/ops.csv").read_text()), keep_default_na=False)
    table = pd.DataFrame(found["ops"]).assign(fused=["; ".join(op["fused"]) for op in found["ops"]])
    pd.testing.assert_frame_equal(frame, table, check_exact=True)
    assert b"<svg" in Path("roof.svg").read_bytes()
    trace = strict(Path("trace.json").read_text())
    ends = {op["start_cycle"]: op["start_cycle"] + op["total_cycles"] for op in found["ops"]}
    for event in (e for e in trace["traceEvents"] if e["ph"] == "X"):
        start = event["args"]["start_cycle"]
        assert start + event["args"]["cycles"] <= ends[start]
    assert simulated(call, "--roofline", "roof.PNG") == found
    assert Path("roof.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--device", "onnxruntime_cpu"],
            ["of backend tensor_unit", "not one of onnxruntime", "expected ", "tensor_unit"],
        ),
        (["--device", "tensor_unti"], ["'tensor_unti'", "did you mean 'tensor_unit'"]),
        (["--set", "array.rows"], ["KEY=VALUE", "'array.rows'"]),
        (["--set", "array.row=3"], ["unknown key 'row'", "did you mean 'rows'"]),
        (["--set", "array.rows=many"], ["device unit: hardware: array.rows", "'many'"]),
        (["--set", "array.rows=0"], ["array.rows", "got 0"]),
        (["--input-shape", "1,3,12,12"], ["NAME=SHAPE", "'1,3,12,12'"]),
        (["--input-shape", "x=1,3,0,12"], ["NAME=SHAPE", "'x=1,3,0,12'"]),
        (["--input-shape", "x=1x3"], ["NAME=SHAPE"]),
        (["--input-shape", "x=1,3", "--input-shape", "x=2,3"], ["two shapes for one input", "'x=2,3'"]),
        (["--roofline", "roof.pdf"], [".svg or .png", "'roof.pdf'"]),
        (["--roofline", "roof"], [".svg or .png"]),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_written(
    call: Call, tmp_path: Path, arguments: list[str], says: list[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    code, out, error = call("net.onnx", "--csv", "ops.csv", "--trace", "trace.json", *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("error: ")
    for part in says:
        assert part in error
    assert sorted(tmp_path.iterdir()) == before


def test_a_model_that_is_none_is_one_line(call: Call) -> None:
    Path("text.onnx").write_text("no model")
    for path in ("none.onnx", "text.onnx"):
        code, out, error = call(path)
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert path in error


def test_a_broken_device_of_ones_own_does_not_hide_the_tensor_units(call: Call, tmp_path: Path) -> None:
    own = tmp_path / "own" / "devices"
    own.mkdir(parents=True)
    (own / "broken.toml").write_text("title = ")
    (own / "mine.toml").write_text((tmp_path / "unit.toml").read_text())
    _, _, error = call("net.onnx", "--device", "macs")
    known = error.partition("expected ")[2].split()
    assert {"mine", "tensor_unit"} <= {word.rstrip(",") for word in known}
    assert "broken" not in error


def test_the_help_names_every_option(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    for parameter in command.params:
        assert (parameter.opts[-1] if parameter.opts[-1].startswith("--") else str(parameter.metavar)) in out


@pytest.mark.parametrize(
    "text", ["", "=1", "x", "x=", "x=1,", "x=,1", "x=-1", "x=1.5", "x=1, 3", "x=٣", "x=01", f"x={'9' * 5000}"]
)
def test_a_shape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="NAME=SHAPE"):
        parse_input_shapes([text])


def test_shapes_are_read_by_name_even_of_odd_names() -> None:
    assert parse_input_shapes(["x=1,3", "a=b:0=7"]) == {"x": (1, 3), "a=b:0": (7,)}
