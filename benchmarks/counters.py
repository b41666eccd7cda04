"""How long all blocks of a space take to count, and how much longer if ptflops ran each block whole, which a sample of them shows.

    python benchmarks/counters.py --space donna

Prints the CPU time on one thread with imports left out, and asserts that both ways count the same in the sample.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch

from donna_hw import load_space, torchvision
from donna_hw.backends.ptflops import PtflopsBackend
from donna_hw.blocks.cells import ConvNormAct
from donna_hw.blocks.layers import Graph, lower
from donna_hw.blocks.torch_module import to_torch

torchvision.ready()
from ptflops import get_model_complexity_info  # noqa: E402  needs torchvision to be ready

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--space", default="donna")
parser.add_argument("--sample", type=int, default=40, help="blocks that are also counted whole")
asked = parser.parse_args()


def whole(graphs: Sequence[Graph]) -> list[float]:
    """Count each block as ptflops does by itself: built with its weights and run."""
    return [
        float(
            get_model_complexity_info(
                to_torch(graph, seed=0), graph.input_shape, as_strings=False, print_per_layer_stat=False, backend="aten"
            )[0]
        )
        for graph in graphs
    ]


torch.set_num_threads(1)
space, backend = load_space(asked.space), PtflopsBackend(1, {})
blocks = [space.block_graph(stage, number) for stage in space.stages for number in range(stage.size)]
warm = [lower(ConvNormAct(channels=4), (3, 8, 8))]
assert backend.costs(warm) == whole(warm)

start = time.process_time()
costs = backend.costs(blocks)
ours_s = time.process_time() - start

numbers = range(0, len(blocks), max(1, len(blocks) // asked.sample))
start = time.process_time()
alone = whole([blocks[number] for number in numbers])
whole_s = (time.process_time() - start) / len(numbers) * len(blocks)

assert alone == [costs[number] for number in numbers], "both ways must count the same"
print(f"{len(blocks)} blocks of {space.name}: {ours_s:.1f} s of one core")
print(
    f"each block whole, from {len(numbers)} of them, which count the same: {whole_s:.0f} s, {whole_s / ours_s:.0f} times as long"
)
