"""How fast the tensor unit is simulated on one core, and what it agrees on with SCALE-Sim and Arm's Vela where those are installed.

    python3.11 -m venv peers && peers/bin/pip install ethos-u-vela scalesim 'numpy<2.4'
    python benchmarks/tensor_unit.py --peers peers/bin/python --csv layers.csv

Blocks from their descriptions, cold and remembered, and a whole ONNX file; `benchmarks/peers/compare.py` explains how the peers are
compared.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from peers.compare import compare_peers

from donna_hw.devices.device import Device
from donna_hw.graph.builder import lower_chain
from donna_hw.graph.graph import Graph, Shape
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.simulator.block_cache import BlockCycleCache
from donna_hw.simulator.hardware import parse_hardware
from donna_hw.simulator.onnx_frontend.reader import read_onnx
from donna_hw.simulator.simulate import simulate
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual

REPEATS = 5


def random_blocks(count: int, seed: int) -> list[tuple[InvertedResidual, Shape]]:
    """Draw different inverted residuals with squeeze-and-excite, as spaces have them."""
    rng = np.random.default_rng(seed)
    blocks: dict[tuple[InvertedResidual, Shape], None] = {}
    while len(blocks) < count:
        channels, pixels = 8 * int(rng.integers(2, 31)), int(rng.choice([7, 14, 28, 56]))
        block = InvertedResidual(
            channels=8 * int(rng.integers(2, 31)),
            stride=int(rng.choice([1, 2])),
            kernel=int(rng.choice([3, 5, 7])),
            expand=int(rng.choice([2, 3, 4, 6])),
            activation=str(rng.choice(["relu", "swish"])),
            attention="se",
        )
        blocks[block, (channels, pixels, pixels)] = None
    return list(blocks)


def mobilenet_v2() -> Graph:
    """Return MobileNetV2 at 224 pixels; its first block has no expansion, drawn here with one of factor 1."""
    stages = [(6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    parts: list[tuple[str, ConvNormAct | InvertedResidual | Classifier]] = [
        ("stem", ConvNormAct(32, kernel=3, stride=2, activation="relu6")),
        ("first", InvertedResidual(16, expand=1, activation="relu6")),
    ]
    parts += [
        (f"stage{number}", InvertedResidual(channels, stride=stride, expand=expand, depth=depth, activation="relu6"))
        for number, (expand, channels, depth, stride) in enumerate(stages, start=1)
    ]
    return lower_chain(
        [*parts, ("tail", ConvNormAct(1280, activation="relu6")), ("head", Classifier(1000))], (3, 224, 224)
    )


def best_cpu_time(act: object) -> float:
    """Return the CPU time of the fastest of several calls: one core's work, whatever else the machine does."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        act()  # type: ignore[operator]
        best = min(best, time.process_time() - began)
    return best


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=5000)
    parser.add_argument("--device", default="tensor_unit")
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has scalesim and ethos-u-vela")
    parser.add_argument("--csv", type=Path, help="write the layers of MobileNetV2, ours and Vela's, to this file")
    args = parser.parse_args()
    device = Device.load(args.device)
    hardware = parse_hardware(device.config.hardware, device.name)
    blocks = random_blocks(args.blocks, seed=0)
    cold = best_cpu_time(lambda: BlockCycleCache(hardware).cycles(blocks))
    print(f"cold: {len(blocks) / cold:,.0f} blocks/s from description to cycles ({len(blocks)} different blocks)")
    memo = BlockCycleCache(hardware)
    memo.cycles(blocks)
    warm = best_cpu_time(lambda: memo.cycles(blocks))
    print(f"remembered: {len(blocks) / warm:,.0f} blocks/s")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mobilenet_v2.onnx"
        onnx.save(to_onnx(mobilenet_v2()), path)
        model = onnx.load(path)
        whole = best_cpu_time(lambda: simulate(read_onnx(model), hardware))
        read = best_cpu_time(lambda: read_onnx(model))
    print(f"MobileNetV2, loaded ONNX to operators: {1e3 * whole:.1f} ms, {1e3 * read:.1f} of them reading")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    small = BlockCycleCache(hardware, max_size=1000)
    for seed in range(1, 5):
        small.cycles(random_blocks(args.blocks, seed))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"memory after {4 * args.blocks} more blocks: {grown / 1024:.1f} MiB more at the peak")
    compare_peers(args.peers, args.csv)
    assert warm < cold / 10, "remembering must pay"


if __name__ == "__main__":
    main()
