"""Profiling: (space, device) -> latency table; which blocks to measure, in what order, on which devices, and what to conclude."""
