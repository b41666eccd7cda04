"""Quantities with units: limits are read with their unit, costs are printed in a readable one."""

from __future__ import annotations

import math
import re

from donna_hw.errors import ConfigError

_SCALES = {
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    "MAC": {"MAC": 1.0, "kMAC": 1e3, "MMAC": 1e6, "GMAC": 1e9},
    "parameter": {"parameter": 1.0, "k": 1e3, "M": 1e6},
    "J": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12},
}
_DURATIONS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DISPLAY_UNITS = {
    "s": (("us", 1e-6), ("ms", 1e-3), ("s", 1.0)),
    "MAC": (("kMAC", 1e3), ("MMAC", 1e6), ("GMAC", 1e9)),
    "parameter": (("k", 1e3), ("M", 1e6)),
    "B": (("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20), ("GiB", 2.0**30)),
    "J": (("pJ", 1e-12), ("nJ", 1e-9), ("uJ", 1e-6), ("mJ", 1e-3), ("J", 1.0)),
    "Hz": (("Hz", 1.0), ("kHz", 1e3), ("MHz", 1e6), ("GHz", 1e9)),
}


def parse_quantity(text: str, unit: str) -> float:
    """Return a value such as `0.2ms` in `unit` (`s`, `MAC`, `parameter`, `J`); raises `ConfigError` where it has no such unit."""
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    scales = _SCALES[unit]
    try:
        value = float(match[1]) * scales[match[2]] if match else None
    except (KeyError, ValueError):
        value = None
    if value is None or not 0 < value < math.inf:
        raise ConfigError(
            f"a limit in {unit} must be a finite number above zero with a unit", got=text, choices=list(scales)
        )
    return value


def parse_duration(text: str) -> float:
    """Return a duration such as `90s`, `10m` or `1h` in seconds; raises `ConfigError` without a known unit, or when it is not above zero."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*", text)
    value = float(match[1]) * _DURATIONS.get(match[2], math.nan) if match else math.nan
    if not 0 < value < math.inf:
        message = "a duration must be a finite number above zero with a unit, such as 90s, 10m or 1h"
        raise ConfigError(message, got=text, choices=list(_DURATIONS))
    return value


def choose_unit(largest: float, unit: str) -> tuple[str, float]:
    """Return the unit in which values up to `largest` print as 1 to 1000 where possible, and its size in `unit`."""
    for name, size in _DISPLAY_UNITS[unit]:
        if abs(largest) < 1000 * size:
            return name, size
    return _DISPLAY_UNITS[unit][-1]


def format_quantity(value: float, unit: str) -> str:
    """Return a value with a readable unit, such as `29.8 us`."""
    name, size = choose_unit(value, unit)
    return f"{value / size:.4g} {name}"


def format_with_error(value: float, std: float, unit: str) -> str:
    """Return a value and its standard deviation in one readable unit, such as `46.07 +- 0.76 us`."""
    name, size = choose_unit(value, unit)
    return f"{value / size:.4g} +- {std / size:.2g} {name}"


def format_duration(seconds: float) -> str:
    """Return a duration in a readable unit: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
