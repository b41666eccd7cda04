"""The simulator of tensor units compared with two public ones, SCALE-Sim and Arm's Vela: their speed, and what they agree on.

The peers run in a separate interpreter, since SCALE-Sim 3.0.0 fails with the NumPy that this project is tested with. SCALE-Sim's
cycles must be ours, to the cycle, for every layer, array and dataflow. Vela estimates a real product; with it the question is the order
of layers: Spearman's rank correlation over MobileNetV2, and the layers that the two see most differently. Speeds are of one process on
one core, without its start.

Where Vela differs, and why, by its own formulas (`npu_performance.py`): it takes each pixel of the image, 3 bytes in a row, for a burst of
128, so that its stem reads 224 x 224 x 128 bytes of DRAM, 1,712,674 of its cycles. A sum is a separate pass, which we run in parallel
to the array. It bounds layers by the SRAM port of 16 bytes a cycle, for which our units have no key: their SRAM is the operands' way
into the array. It leaves maps in DRAM that we hold on the chip (`s3b1 project` reads 28 x 28 x 144 bytes there).
"""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

from peers.workloads import SCALESIM_LAYERS, network, single_layer_workload
from scipy.stats import spearmanr

from donna_hw.devices.device import Device
from donna_hw.simulator.hardware import Hardware, parse_hardware
from donna_hw.simulator.results import OperatorResult
from donna_hw.simulator.simulate import simulate

HERE = Path(__file__).parent
SYSTEM = ("--accelerator-config", "ethos-u65-512", "--config", "Arm/vela.ini")
MEMORY = ("--system-config", "Ethos_U65_High_End", "--memory-mode", "Dedicated_Sram_384KB")
VELA = {"total": "Op Cycles", "compute": "NPU", "sram": "SRAM AC", "dram": "DRAM AC", "macs": "MAC Count"}
DATAFLOWS, ARRAYS = ("os", "ws", "is"), ((32, 32), (16, 8))


def load_unit(name: str, *settings: str) -> Hardware:
    """Return a shipped unit with some of its values replaced."""
    return parse_hardware(Device.load(name).config.hardware, name, settings)


def run_peer(python: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a peer's interpreter; its own message ends the benchmark where it fails."""
    done = subprocess.run([python, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{python} {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done


def is_installed(python: str, module: str) -> bool:
    """Return whether the peers' interpreter has a module; print a line where it has not."""
    installed = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    if not installed:
        print(f"{module} is not installed for {python}: left out; `--help` explains how to get it")
    return installed


def compare_scalesim(python: str) -> None:
    """Run the same layers on the same arrays and compare cycles."""
    arrays = [(*size, dataflow) for size, dataflow in product(ARRAYS, DATAFLOWS)]
    theirs = json.loads(
        run_peer(
            python, str(HERE / "run_scalesim.py"), stdin=json.dumps({"layers": SCALESIM_LAYERS, "arrays": arrays})
        ).stdout
    )
    start, ours = time.perf_counter(), []
    for rows, cols, dataflow in arrays:
        bare = load_unit("scalesim_32x32", f"array.rows={rows}", f"array.cols={cols}", f"array.dataflow={dataflow}")
        ours.append([simulate(single_layer_workload(layer), bare).ops[0].array_cycles for layer in SCALESIM_LAYERS])
    seconds, runs = time.perf_counter() - start, len(SCALESIM_LAYERS) * len(arrays)
    pairs = [
        (array, layer.name, our, their)
        for array, our_row, their_row in zip(arrays, ours, theirs["cycles"], strict=True)
        for layer, our, their in zip(SCALESIM_LAYERS, our_row, their_row, strict=True)
    ]
    print(
        f"SCALE-Sim {theirs['version']} (NumPy {theirs['numpy']}): exact {sum(a == b for *_, a, b in pairs)} of {len(pairs)}"
    )
    for array, name, our, their in pairs:
        if our != their:
            print(f"  {array} {name}: ours {our}, theirs {their}")
    print(f"  speed: ours {runs / seconds:.1f} layer runs/s, theirs {runs / theirs['seconds']:.1f}")


def run_vela(python: str, folder: Path) -> tuple[str, float, dict[str, dict[str, float]]]:
    """Return Vela's version, the seconds that it took beyond its start, and its cycles of each layer."""
    run_peer(python, str(HERE / "write_tflite.py"), str(folder / "net.tflite"))
    start = time.perf_counter()
    version = run_peer(python, "-m", "ethosu.vela", "--version").stdout.strip()
    started = time.perf_counter()
    report = ("--verbose-performance", "--output-dir", str(folder))
    run_peer(python, "-m", "ethosu.vela", str(folder / "net.tflite"), *SYSTEM, *MEMORY, *report)
    seconds = (time.perf_counter() - started) - (started - start)
    with (folder / "net_per-layer.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["Op Cycles"])]  # a fused Relu6 has none
    return version, seconds, {row["Name"]: {key: float(row[name]) for key, name in VELA.items()} for row in rows}


def compare_operator(op: OperatorResult, theirs: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return our figures of an operator and Vela's, which lists a separate sum where we fuse it into the convolution above."""
    parts = [theirs[name] for name in (op.name, *op.fused) if name in theirs]
    there = {f"vela_{key}": sum(part[key] for part in parts) for key in VELA}
    bound = max(("compute", "sram", "dram"), key=lambda key: there[f"vela_{key}"])
    ours = {
        "ours": op.total_cycles,
        "ours_compute": op.compute_cycles,
        "ours_dma": op.dma_cycles,
        "ours_bound": op.bound_by,
    }
    return {"layer": op.name, "macs": op.macs, **ours, **there, "vela_bound": bound}


def compare_vela(python: str, table: Path | None) -> None:
    """Compare the layers of MobileNetV2 on the unit that is configured like Vela's."""
    with tempfile.TemporaryDirectory() as folder:
        version, their_seconds, theirs = run_vela(python, Path(folder))
    hardware, workload = load_unit("micro_npu"), network()
    start = time.perf_counter()
    simulation = simulate(workload, hardware)
    seconds = time.perf_counter() - start
    rows = [compare_operator(op, theirs) for op in simulation.ops]
    print(f"Vela {version}, ethos-u65-512: {len(theirs)} layers of MobileNetV2, {len(rows)} after fusion")
    for our, their in (("ours", "vela_total"), ("ours_compute", "vela_compute")):
        here, there = ([row[key] for row in rows] for key in (our, their))
        rank = spearmanr(here, there).statistic
        print(f"  {our} against {their}: Spearman {rank:.3f}; sums {sum(here):,.0f} and {sum(there):,.0f} cycles")
    print(f"  speed: ours {len(theirs) / seconds:.0f} layers/s, theirs {len(theirs) / their_seconds:.0f}")
    print("  most different (ours, Vela's, ratio; bound by):")
    for row in sorted(rows, key=lambda row: -abs(math.log(row["ours"] / row["vela_total"])))[:8]:
        ratio, bounds = row["ours"] / row["vela_total"], f"{row['ours_bound']}, {row['vela_bound']}"
        print(f"    {row['layer']:16} {row['ours']:>10,} {row['vela_total']:>12,.0f} {ratio:6.2f}; {bounds}")
    if table:
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def compare_peers(python: str, table: Path | None) -> None:
    """Compare with each peer that an interpreter has; table: write the layers of MobileNetV2, ours and Vela's, to this CSV."""
    if is_installed(python, "scalesim"):
        compare_scalesim(python)
    if is_installed(python, "ethosu.vela"):
        compare_vela(python, table)
