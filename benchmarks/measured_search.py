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
from donna_hw._core.units import format_duration
from donna_hw.costs.measured import MAX_NETWORKS, MeasuredCost
from donna_hw.measurement.protocol import get_protocol
from donna_hw.profiling.network_profiling import get_or_create_table, measure_graphs
from donna_hw.tables.parts import list_parts

TABLE_NETWORKS = 70  # networks measured for a table: 20 to correct it, five rounds of 10 to verify a front

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--space", default="small_28px")
parser.add_argument("--device", default="onnxruntime_cpu")
parser.add_argument("--protocol", help="by default the device's own")
parser.add_argument("--networks", type=int, default=20)
args = parser.parse_args()
space, device = load_space(args.space), Device.load(args.device)
protocol = device.protocol
if args.protocol:
    protocol = replace(get_protocol(args.protocol), batch=protocol.batch)

with tempfile.TemporaryDirectory() as folder:
    table = get_or_create_table(space, device, Path(folder), protocol)
    cost = MeasuredCost(space, device, table, protocol)
    began = time.monotonic()
    costs = cost.mean(space.random_rows(args.networks, 0))
    network_s = (time.monotonic() - began) / args.networks
    blocks = {part.layers_hash: part for part in list_parts(space)}
    picks = np.random.default_rng(0).permutation(sorted(blocks))[: args.networks]
    graphs = {blocks[str(key)].name: blocks[str(key)].graph for key in picks}
    began = time.monotonic()
    measure_graphs(space, device, cost.table, graphs, protocol, listing="blocks")
    block_s = (time.monotonic() - began) / len(graphs)
    whole, filled = MAX_NETWORKS * network_s, len(blocks) * block_s
    with_networks = filled + TABLE_NETWORKS * network_s
    print(
        f"{space.name} by {protocol.name}: networks of {1e3 * np.median(costs):.3g} ms, {len(blocks)} different blocks\n"
        f"a network takes {network_s:.2f} s to measure: {MAX_NETWORKS} in one search {format_duration(whole)}\n"
        f"a block takes {block_s:.2f} s: a table {format_duration(filled)}, with {TABLE_NETWORKS} networks {format_duration(with_networks)}"
    )
