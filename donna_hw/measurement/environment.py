"""Environment: what a number depends on (identity) and what merely surrounded it (conditions)."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Environment:
    """Where samples come from.

    Attributes:
        identity: Device model, runtime and driver versions, threads, dtype, mode: rows that differ in one do not share a table.
        conditions: Serial number, operating system, load: recorded, not compared.
    """

    identity: dict[str, Scalar]
    conditions: dict[str, Scalar] = field(default_factory=dict)

    @property
    def device_model(self) -> str:
        """Name of the device, as it reports it."""
        return str(self.identity["device_model"])


def cpu_model() -> str:
    """Return the processor's name with family and model number, since clouds hide the name's end."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(field for line in lines[:30] if len(field := [s.strip() for s in line.split(":", 1)]) == 2)
    name = fields.get("model name", platform.machine())
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields.get('model', '?')})"
    return name


def host_conditions() -> dict[str, Scalar]:
    """Return the operating system, Python and core count."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cores": os.cpu_count() or 0,
    }
