"""Telemetry: the state of a device at one moment, as the device reports it itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Telemetry:
    """What a device reports of itself between two measurements; what it does not report is None.

    Attributes:
        clock_hz: Clock of the compute units, in hertz.
        temperature_c: Temperature of the chip, in degrees Celsius.
        power_w: Power that the device draws, in watts.
        throttle_reasons: Why the device runs below its clock now; limits of heat and power only, since an idle clock is not throttling.
    """

    clock_hz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttle_reasons: tuple[str, ...] = ()


NO_TELEMETRY = Telemetry()
