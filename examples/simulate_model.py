"""Simulate an ONNX model on a tensor unit with arrays of several sizes: what does a larger one gain?"""

from __future__ import annotations

import sys
from pathlib import Path

from donna_hw import Device, read_onnx, simulate
from donna_hw.simulator.hardware import parse_hardware

workload = read_onnx(Path(sys.argv[1]))
device = Device.load("tensor_unit")
for size in (16, 32, 64, 128):
    settings = [f"array.rows={size}", f"array.cols={size}"]
    result = simulate(workload, parse_hardware(device.config.hardware, device.name, settings))
    by_limit = result.to_frame().groupby("bound_by")["total_cycles"].sum() / result.total_cycles
    shares = ", ".join(f"{limit} {share:.0%}" for limit, share in by_limit.items())
    print(f"{size:3} x {size:<3} {1e6 * result.latency_s:8.1f} us {1e3 * result.energy_j:6.3f} mJ   bound by: {shares}")
