"""What each counter gives for a block, how long all blocks of a space take to count, and how much longer if ptflops ran each whole.

    python benchmarks/counters.py --space donna

Times are CPU time on one thread, imports left out; the plain way is timed on a sample, in which both ways must count the same.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from donna_hw import load_space
from donna_hw._core import torchvision_compat
from donna_hw.devices.backends.ptflops import PtflopsBackend
from donna_hw.graph.graph import Graph
from donna_hw.graph.torch_module import to_torch

torchvision_compat.patch_torchvision()
from ptflops import get_model_complexity_info  # noqa: E402  it imports torchvision, which must be ready

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--space", default="donna")
parser.add_argument("--sample", type=int, default=40, help="blocks that are also counted whole")
args = parser.parse_args()


def count_with_ptflops(graph: Graph, backend: str = "aten") -> int:
    """Count a block as ptflops does by itself: built with its weights and run."""
    macs, _ = get_model_complexity_info(
        to_torch(graph, seed=0), graph.input_shape, as_strings=False, print_per_layer_stat=False, backend=backend
    )
    return int(macs)


torch.set_num_threads(1)
space, backend = load_space(args.space), PtflopsBackend(1, {})
stage = space.stages[0]
block = space.block_graph(stage, stage.reference)
with torch.no_grad(), FlopCounterMode(display=False) as flops:
    to_torch(block, seed=0).eval()(torch.zeros(1, *block.input_shape))
print(f"{space.name}, {stage.name} {stage.label(stage.reference)}")
print(f"  donna_hw, device macs   {int(backend.cost(block)):>13,} MAC")
print(f"  ptflops, aten           {count_with_ptflops(block):>13,} MAC")
print(f"  ptflops, pytorch        {count_with_ptflops(block, 'pytorch'):>13,} MAC")
print(f"  torch, FlopCounterMode  {flops.get_total_flops():>13,} FLOP")
print(f"  closed form             {block.macs:>13,} MAC")

backend = PtflopsBackend(1, {})
blocks = [space.block_graph(stage, number) for stage in space.stages for number in range(stage.size)]
start = time.process_time()
costs = backend.costs(blocks)
ours_s = time.process_time() - start

sample = np.random.default_rng(0).choice(len(blocks), min(args.sample, len(blocks)), replace=False)
start = time.process_time()
sample_macs = [count_with_ptflops(blocks[number]) for number in sample]
whole_s = (time.process_time() - start) / len(sample) * len(blocks)

assert sample_macs == [costs[number] for number in sample], "both ways must count the same"
print(f"all {len(blocks)} blocks: {ours_s:.1f} s of one core")
print(f"each run whole, from {len(sample)} that count the same: {whole_s:.0f} s, {whole_s / ours_s:.1f} times as long")
