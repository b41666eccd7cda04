"""The simulator of tensor units beside two public ones, SCALE-Sim and Arm's Vela, in one run: their speed, and what they agree on.

    python3.11 -m venv peers && peers/bin/pip install 'ethos-u-vela' 'scalesim' 'numpy<2.4'
    python benchmarks/tensor_unit_peers.py --peers peers/bin/python --csv layers.csv

The peers run in an interpreter of their own, since SCALE-Sim 3.0.0 fails with the NumPy that this project is tested with. SCALE-Sim's cycles must
be ours, to the cycle, for every layer, array and dataflow. Vela estimates a real product; with it the question is the order of layers: Spearman's
rank correlation over MobileNetV2, and the layers that the two see most differently. Speeds are of one process on one core, its start left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from peers.mobilenet_v2 import Layer, layers
from scipy.stats import spearmanr

from donna_hw.device import Device
from donna_hw.simulator.hardware import Hardware, read_hardware
from donna_hw.simulator.simulate import simulate
from donna_hw.simulator.workload import Geometry, Node, Tensor, Workload

HERE = Path(__file__).parent / "peers"
SYSTEM = ("--accelerator-config", "ethos-u65-512", "--config", "Arm/vela.ini")
MEMORY = ("--system-config", "Ethos_U65_High_End", "--memory-mode", "Dedicated_Sram_384KB")
DATAFLOWS, ARRAYS = ("os", "ws", "is"), ((32, 32), (16, 8))


class Small(NamedTuple):
    """A layer for SCALE-Sim: map padded, and a stride that divides, since SCALE-Sim rounds a map's size up."""

    name: str
    height: int
    width: int
    kernel: int
    channels: int
    filters: int
    stride: int


SMALL = (
    Small("stem", 65, 65, 3, 3, 32, 2),
    Small("expand", 28, 28, 1, 24, 144, 1),
    Small("project", 28, 28, 1, 144, 24, 1),
    Small("depthwise", 30, 30, 3, 1, 1, 1),
    Small("dense", 18, 18, 3, 32, 48, 1),
    Small("fifth", 19, 23, 5, 7, 11, 1),
    Small("classifier", 1, 1, 1, 320, 1000, 1),
)


def unit(name: str, *settings: str) -> Hardware:
    """Return a shipped unit with some of its values replaced."""
    return read_hardware(Device.load(name).file.hardware, name, settings)


def alone(layer: Small) -> Workload:
    """Return one layer as a network."""
    height, width = ((size - layer.kernel) // layer.stride + 1 for size in (layer.height, layer.width))
    shape = Geometry(
        1,
        layer.channels,
        layer.height,
        layer.width,
        layer.filters,
        height,
        width,
        *[layer.kernel] * 2,
        *[layer.stride] * 2,
    )
    tensors = (
        Tensor(layer.channels * layer.height * layer.width, layer.channels),
        Tensor(layer.filters * height * width, layer.filters),
    )
    weights = layer.kernel**2 * layer.channels * layer.filters
    node = Node("array", "", layer.name, "Conv", (0,), (1,), shape, weights)
    return Workload(tensors, (node,), (0,), (1,))


def network() -> Workload:
    """Return MobileNetV2 as a workload; Relu6 is an operator of its own, as in ONNX."""
    tensors, nodes, outputs = [Tensor(3 * 224 * 224, 3)], [], [0]
    for layer in layers():
        inputs = tuple(outputs[number + 1] for number in layer.inputs)
        made = len(tensors)
        tensors.append(Tensor(layer.out_channels * layer.out_size**2, layer.out_channels))
        nodes.append(_node(layer, inputs, made))
        if layer.relu6:
            tensors.append(tensors[-1])
            work = tensors[-1].elements
            relu6 = Node(
                "vector", "relu6", f"{layer.name} relu6", "Clip", (made,), (made + 1,), work=work, elementwise=True
            )
            nodes.append(relu6)
        outputs.append(len(tensors) - 1)
    return Workload(tuple(tensors), tuple(nodes), (0,), (outputs[-1],))


def _node(layer: Layer, inputs: tuple[int, ...], output: int) -> Node:
    """Return a layer of MobileNetV2 as a node."""
    elements = layer.in_channels * layer.in_size**2
    if layer.kind == "add":
        return Node("vector", "add", layer.name, "Add", inputs, (output,), work=elements, elementwise=True)
    if layer.kind == "pool":
        return Node("vector", "global_pool", layer.name, "GlobalAveragePool", inputs, (output,), work=elements)
    groups = layer.in_channels if layer.kind == "depthwise" else 1
    into, out = (layer.in_channels, *[layer.in_size] * 2), (layer.out_channels, *[layer.out_size] * 2)
    shape = Geometry(1, *into, *out, *[layer.kernel] * 2, *[layer.stride] * 2, groups=groups)
    weights = layer.kernel**2 * layer.in_channels // groups * layer.out_channels
    return Node("array", "", layer.name, "Conv", inputs, (output,), shape, weights, layer.out_channels)


def run(python: str, *arguments: str, given: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a peer's interpreter; its own message ends the benchmark where it fails."""
    done = subprocess.run([python, *arguments], input=given, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        sys.exit(f"{python} {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done


def beside_scalesim(python: str) -> None:
    """Run the same layers on the same arrays and compare cycles."""
    arrays = [(*size, dataflow) for size, dataflow in product(ARRAYS, DATAFLOWS)]
    theirs = json.loads(
        run(python, str(HERE / "run_scalesim.py"), given=json.dumps({"layers": SMALL, "arrays": arrays})).stdout
    )
    start, ours = time.perf_counter(), []
    for rows, cols, dataflow in arrays:
        bare = unit("scalesim_32x32", f"array.rows={rows}", f"array.cols={cols}", f"array.dataflow={dataflow}")
        ours.append([simulate(alone(layer), bare).ops[0].array_cycles for layer in SMALL])
    seconds, runs = time.perf_counter() - start, len(SMALL) * len(arrays)
    pairs = [
        (array, layer.name, our, their)
        for array, our_row, their_row in zip(arrays, ours, theirs["cycles"], strict=True)
        for layer, our, their in zip(SMALL, our_row, their_row, strict=True)
    ]
    print(
        f"SCALE-Sim {theirs['version']} (NumPy {theirs['numpy']}): exact {sum(a == b for *_, a, b in pairs)} of {len(pairs)}"
    )
    for array, name, our, their in pairs:
        if our != their:
            print(f"  {array} {name}: ours {our}, theirs {their}")
    print(f"  speed: ours {runs / seconds:.1f} layer runs/s, theirs {runs / theirs['seconds']:.1f}")


def vela_layers(python: str, folder: Path) -> tuple[dict[str, dict[str, float]], float, str]:
    """Return Vela's cycles of each layer, the seconds that it took beyond its start, and its version."""
    run(python, str(HERE / "write_tflite.py"), str(folder / "net.tflite"))
    times, version = [], ""
    for arguments in (("--version",), ("net.tflite", *SYSTEM, *MEMORY, "--verbose-performance", "--output-dir", ".")):
        start = time.perf_counter()
        version = version or run(python, "-m", "ethosu.vela", *arguments, cwd=folder).stdout.strip()
        if times:
            run(python, "-m", "ethosu.vela", *arguments, cwd=folder)
        times.append(time.perf_counter() - start)
    with (folder / "net_per-layer.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["Op Cycles"])]
    keys = {"total": "Op Cycles", "compute": "NPU", "sram": "SRAM AC", "dram": "DRAM AC", "macs": "MAC Count"}
    return (
        {row["Name"]: {key: float(row[name]) for key, name in keys.items()} for row in rows},
        times[1] - times[0],
        version,
    )


def beside_vela(python: str, table: Path | None) -> None:
    """Compare the layers of MobileNetV2 on the unit that is configured like Vela's."""
    with tempfile.TemporaryDirectory() as folder:
        theirs, their_seconds, version = vela_layers(python, Path(folder))
    hardware, workload = unit("micro_npu"), network()
    start = time.perf_counter()
    ops = {op.name: op for op in simulate(workload, hardware).ops}
    seconds = time.perf_counter() - start
    shared = [layer.name for layer in layers() if layer.name in ops and layer.name in theirs]
    rows: list[dict[str, Any]] = []
    for name in shared:
        op, vela = ops[name], theirs[name]
        bound = max(("compute", "sram", "dram"), key=vela.__getitem__)
        mine = {
            "ours": op.total_cycles,
            "ours_compute": op.compute_cycles,
            "ours_dma": op.dma_cycles,
            "ours_bound": op.bound_by,
        }
        rows.append(
            {"layer": name, "macs": op.macs, **mine, **{f"vela_{k}": v for k, v in vela.items()}, "vela_bound": bound}
        )
    print(f"Vela {version}, ethos-u65-512: {len(rows)} of {len(theirs)} layers of MobileNetV2")
    for ours, their in (("ours", "vela_total"), ("ours_compute", "vela_compute")):
        rank = spearmanr([row[ours] for row in rows], [row[their] for row in rows]).statistic
        totals = sum(row[ours] for row in rows), sum(row[their] for row in rows)
        print(f"  {ours} against {their}: Spearman {rank:.3f}; sums {totals[0]:,.0f} and {totals[1]:,.0f} cycles")
    print(f"  speed: ours {len(rows) / seconds:.0f} layers/s, theirs {len(rows) / their_seconds:.0f}")
    print("  most different (ours, Vela's, ratio; bound by):")
    far = sorted(
        rows, key=lambda row: max(row["ours"] / row["vela_total"], row["vela_total"] / row["ours"]), reverse=True
    )
    for row in far[:8]:
        ratio = row["ours"] / row["vela_total"]
        bounds = f"{row['ours_bound']}, {row['vela_bound']}"
        print(f"    {row['layer']:16} {row['ours']:>10,} {row['vela_total']:>12,.0f} {ratio:6.2f}; {bounds}")
    if table:
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--peers", default=sys.executable, help="interpreter that has scalesim and ethos-u-vela; default: this one"
    )
    parser.add_argument("--csv", type=Path, help="write the layers of MobileNetV2, ours and Vela's, to this file")
    asked = parser.parse_args()
    beside_scalesim(asked.peers)
    beside_vela(asked.peers, asked.csv)
