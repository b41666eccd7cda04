"""Every network measured, or every block: what does a search cost on this machine?

    python benchmarks/measured_search.py --space small_28px --device onnxruntime_cpu --networks 20

Measures random networks whole and as many random blocks alone, each in one batch by the same protocol, and prints the time each takes:
times 2,500 for the paper's search, times the space's different blocks for a table, and with it the networks that correct and verify it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from donna_hw import Device, load_space
from donna_hw._core.units import spoken
from donna_hw.costs.measured import AT_MOST, MeasuredCost
from donna_hw.measurement.protocol import protocol_named
from donna_hw.profiling.profiler import begin_table, measure_graphs
from donna_hw.tables.parts import parts_of

WHOLE = 70  # networks measured for a table: 20 to correct it, five rounds of 10 to verify a front

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--space", default="small_28px")
parser.add_argument("--device", default="onnxruntime_cpu")
parser.add_argument("--protocol", help="by default the device's own")
parser.add_argument("--networks", type=int, default=20)
asked = parser.parse_args()
space, device = load_space(asked.space), Device.load(asked.device)
protocol = device.protocol
if asked.protocol:
    protocol = replace(protocol_named(asked.protocol), batch=protocol.batch)

with tempfile.TemporaryDirectory() as folder:
    table = begin_table(space, device, Path(folder), protocol)
    cost = MeasuredCost(space, device, table, protocol)
    began = time.monotonic()
    costs = cost.mean(space.random_rows(asked.networks, 0))
    network_s = (time.monotonic() - began) / asked.networks
    blocks = {part.layers_hash: part for part in parts_of(space)}
    picks = np.random.default_rng(0).permutation(sorted(blocks))[: asked.networks]
    graphs = {blocks[str(key)].name: blocks[str(key)].graph for key in picks}
    began = time.monotonic()
    measure_graphs(space, device, cost.table, graphs, protocol, listing="blocks")
    block_s = (time.monotonic() - began) / len(graphs)
    whole, filled = AT_MOST * network_s, len(blocks) * block_s
    with_networks = filled + WHOLE * network_s
    print(
        f"{space.name} by {protocol.name}: networks of {1e3 * np.median(costs):.3g} ms, {len(blocks)} different blocks\n"
        f"a network takes {network_s:.2f} s to measure: {AT_MOST} in one search {spoken(whole)}\n"
        f"a block takes {block_s:.2f} s: a table {spoken(filled)}, with {WHOLE} networks {spoken(with_networks)}"
    )
