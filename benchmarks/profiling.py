"""How fast and how true a profile is: a table of 384 blocks filled by donna_hw, and by the plain way, twice.

    python benchmarks/profiling.py [--quick]

The plain way exports each block from torch (TorchScript exporter), opens a session on all cores and takes the median of 100 runs,
block after block. Ours composes blocks of their sections, measures a sample whole, and stops at a tenth of the plain way's time. One
run prints the ratio of times, the deviation of plain against plain again, and of ours against plain: medians over the blocks of
|a / b - 1|, after the factor common to all blocks is taken out, which is the machine's state and not the method's.
--quick: a sixth of the blocks.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from donna_hw import Axis, Device, Space, Stage
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.graph.torch_module import to_torch
from donna_hw.measurement.protocol import PROTOCOLS
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.timed_costs import ProfilingBudget
from donna_hw.spaces.cells import ConvNormAct, InvertedResidual

SPEED_UP, RUNS = 10, 100
STYLES = {
    "relu": {"activation": "relu", "attention": "none"},
    "swish_se": {"activation": "swish", "attention": "se"},
}


def one_stage(quick: bool) -> Space:
    """Return the third stage of the paper's space at 224 pixels: 128 channels, 28x28 to 14x14, 384 blocks."""
    axes = (
        Axis("kernel", (7,) if quick else (3, 5, 7)),
        Axis("expand", (2, 4) if quick else (2, 3, 4, 6)),
        Axis("depth", (1, 2, 3, 4)),
        Axis("style", tuple(STYLES), settings=STYLES),
        Axis("cell", ("depthwise", "grouped")),
        Axis("width", (0.5, 1.0)),
    )
    stage = Stage("stage3", axes, partial(InvertedResidual, channels=128, stride=2))
    before = (("stem", ConvNormAct(32, kernel=3, stride=2)), ("stages_1_and_2", ConvNormAct(96, kernel=3, stride=4)))
    return Space("one_stage", "one stage of 384 blocks", (3, 224, 224), before, (stage,), ())


def measure_plain(graph: Graph) -> float:
    """Return a block's latency as a careful newcomer measures it, in seconds."""
    module = to_torch(graph, seed=0).eval()
    file, image = io.BytesIO(), torch.randn(1, *graph.input_shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (image,), file, dynamo=False, opset_version=17)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    feeds, times = {session.get_inputs()[0].name: image.numpy()}, []
    for _ in range(RUNS):
        start = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def deviation(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Return (common factor, median, 90th percentile) of a against b, the last two in per cent beside the factor."""
    ratio = a / b
    common = float(np.median(ratio))
    off = 100 * np.abs(ratio / common - 1)
    return common, float(np.median(off)), float(np.percentile(off, 90))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="a sixth of the blocks")
space = one_stage(parser.parse_args().quick)
stage = space.stages[0]
graphs = [space.block_graph(stage, m) for m in range(stage.size)]

start = time.perf_counter()
plain = np.array([measure_plain(graph) for graph in graphs])
plain_took_s = time.perf_counter() - start

device = Device.load("onnxruntime_cpu")
device = replace(device, file=device.file.model_copy(update={"options": {"threads": os.cpu_count() or 1}}))
with tempfile.TemporaryDirectory() as folder:
    start = time.perf_counter()
    effort = ProfilingBudget(predict_repeats=True, budget_s=0.9 * plain_took_s / SPEED_UP)
    table = profile_space(space, device, Path(folder), PROTOCOLS["brisk"], budget=effort)
    ours_took_s = time.perf_counter() - start
medians_by_hash = dict(zip(table.frame["layers_hash"], table.frame["median_s"], strict=True))
ours = np.array([medians_by_hash[layers_hash(graph)] for graph in graphs])
plain_again = np.array([measure_plain(graph) for graph in graphs])

ratio = plain_took_s / ours_took_s
print(f"{len(graphs)} blocks, {os.cpu_count()} cores; {table.frame['method'].value_counts().to_dict()}")
print(f"plain {plain_took_s:.0f} s, ours {ours_took_s:.0f} s: {ratio:.1f} times faster")
results = {}
for name, a, b in (
    ("plain again against plain", plain_again, plain),
    ("ours against plain", ours, plain),
    ("ours against plain again", ours, plain_again),
):
    common, middle, ninth = results[name] = deviation(a, b)
    print(f"{name:26} common factor {common:.3f}; median deviation {middle:.2f} %, nine of ten within {ninth:.1f} %")
print({name: f"{value:.4g}" for name, value in table.info.conditions.items() if name.startswith("composition")})
assert ratio > SPEED_UP / 2, "filling a table must be far faster than the plain way"
