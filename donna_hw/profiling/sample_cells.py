"""Samples and telemetry as cells of a CSV, for the journal of a table and that of a stress test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from donna_hw.measurement.measurement import CLOCKS, RunSummary, Samples
from donna_hw.measurement.telemetry import Telemetry

SAMPLE_COLUMNS = ("wall_s", "cpu_s", "device_s", "clock")
TELEMETRY_COLUMNS = ("clock_hz", "temperature_c", "power_w", "throttle")


def format_samples(samples: Samples, picks: np.ndarray | slice = slice(None)) -> dict[str, str]:
    """Return the cells of `SAMPLE_COLUMNS`: times in seconds, rounded to nanoseconds; `picks` selects the samples to save."""
    clocks = {"wall_s": samples.wall_s, "cpu_s": samples.cpu_s, "device_s": samples.device_s}
    cells = {name: format_times(None if times is None else times[picks]) for name, times in clocks.items()}
    return cells | {"clock": samples.clock}


def parse_samples(cells: Mapping[str, str], summary: RunSummary | None = None) -> Samples:
    """Return the samples of `SAMPLE_COLUMNS`; raises `ValueError` for cells that are not numbers or do not fit together."""
    wall = parse_times(cells["wall_s"])
    cpu, device = (parse_times(cells[name]) if cells[name] else None for name in ("cpu_s", "device_s"))
    for name, times in (("cpu_s", cpu), ("device_s", device)):
        if times is not None and (times.size != wall.size or not (np.isfinite(times) & (times >= 0)).all()):
            raise ValueError(f"{name} has {times.size} values for {wall.size} wall times, or one below zero")
    if cells["clock"] not in CLOCKS or (cells["clock"] == "device" and device is None):
        raise ValueError(f"clock {cells['clock']!r}")
    return Samples(wall, cpu, device, cells["clock"], summary)


def format_telemetry(telemetry: Telemetry, digits: int = 9) -> dict[str, str]:
    """Return the cells of `TELEMETRY_COLUMNS`, numbers with so many significant digits; what is not known is empty."""
    numbers = {"clock_hz": telemetry.clock_hz, "temperature_c": telemetry.temperature_c, "power_w": telemetry.power_w}
    cells = {name: "" if value is None else f"{value:.{digits}g}" for name, value in numbers.items()}
    return cells | {"throttle": "|".join(telemetry.throttle_reasons)}


def parse_telemetry(cells: Mapping[str, str]) -> Telemetry:
    """Return the telemetry of `TELEMETRY_COLUMNS`; raises `ValueError` for a cell that is not a finite number."""
    clock, temperature, power = (
        parse_number(cells[name]) if cells[name] else None for name in ("clock_hz", "temperature_c", "power_w")
    )
    return Telemetry(clock, temperature, power, tuple(cells["throttle"].split("|")) if cells["throttle"] else ())


def format_summary(summary: RunSummary | None) -> str:
    """Return a summary as a cell: the number of runs, then mean, deviation, smallest and largest time in seconds."""
    if summary is None:
        return ""
    return f"{summary.runs} {format_times((summary.mean_s, summary.std_s, summary.min_s, summary.max_s))}"


def parse_summary(text: str) -> RunSummary | None:
    """Return the summary of a cell, None of an empty one; raises `ValueError`."""
    if not text:
        return None
    runs, *times = text.split()
    mean, deviation, smallest, largest = map(float, times)
    return RunSummary(int(runs), mean, deviation, smallest, largest)


def format_times(times: Iterable[float] | None) -> str:
    """Return times in seconds as a cell, to nanoseconds; None as an empty one."""
    return "" if times is None else " ".join(f"{value:.9f}" for value in times)


def parse_times(text: str) -> np.ndarray:
    """Return the times of a cell, float [n]; raises `ValueError` for a word that is not a number."""
    return np.array([float(word) for word in text.split()])


def parse_number(text: str) -> float:
    """Return the number of a cell; raises `ValueError` when it is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value
