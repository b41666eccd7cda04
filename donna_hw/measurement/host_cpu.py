"""HostCpu: the state of this machine's CPU, as the operating system reports it at the moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from donna_hw.measurement.telemetry import Telemetry

_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal", "x86_pkg_temp")


class HostCpu:
    """The CPU cores that this process may use, read from Linux's sysfs.

    Other systems, and virtual machines that hide their host, report nothing. The clock in /proc/cpuinfo is not read: a virtual
    machine has a constant there.
    """

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._sys = sys
        self._throttle_counts = self._read_throttle_counts()

    def read_telemetry(self) -> Telemetry:
        """Return the fastest core's clock, the hottest CPU sensor, and the throttle counters that rose since the last call."""
        before, self._throttle_counts = self._throttle_counts, self._read_throttle_counts()
        increased = {key.name for key, count in self._throttle_counts.items() if count > before.get(key, count)}
        # idle cores are slower or asleep: the fastest one is the one that ran the block
        clocks_hz = [khz * 1e3 for core in self._cores() for khz in _read_number(core / "cpufreq/scaling_cur_freq")]
        temperatures_c = [millidegrees / 1e3 for millidegrees in self._temperatures()]
        return Telemetry(
            clock_hz=max(clocks_hz, default=None),
            temperature_c=max(temperatures_c, default=None),
            throttle_reasons=tuple(sorted(name.removesuffix("_count") for name in increased)),
        )

    def _cores(self) -> list[Path]:
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
        return [self._sys / f"devices/system/cpu/cpu{number}" for number in sorted(allowed)]

    def _read_throttle_counts(self) -> dict[Path, int]:
        files = [path for core in self._cores() for path in core.glob("thermal_throttle/*_count")]
        return {path: count for path in files for count in _read_number(path)}

    def _temperatures(self) -> Iterator[int]:
        for chip in self._sys.glob("class/hwmon/hwmon*"):
            if _is_cpu(chip / "name"):
                yield from (value for path in chip.glob("temp*_input") for value in _read_number(path))
        for zone in self._sys.glob("class/thermal/thermal_zone*"):
            if _is_cpu(zone / "type"):
                yield from _read_number(zone / "temp")


def _is_cpu(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii").strip().replace("-", "_") in _CPU_SENSORS
    except (OSError, UnicodeDecodeError):
        return False


def _read_number(path: Path) -> list[int]:
    """Return a list of the one number in a file, empty where it cannot be read, as of a sensor that is asleep."""
    try:
        return [int(path.read_text(encoding="ascii"))]
    except (OSError, ValueError):
        return []
