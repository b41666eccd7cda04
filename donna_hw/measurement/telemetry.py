"""Readings: the state of a device at one moment, as the device reports it itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Telemetry:
    """What a device says of itself between two measurements; what it does not say is None.

    clock_hz: of the compute units. temperature_c: of the chip, in degrees Celsius. power_w: drawn by the device. throttle: the
    device's own reasons for running below its clock just now, heat and power limits only: an idle clock is no throttling.
    """

    clock_hz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttle_reasons: tuple[str, ...] = ()


NO_TELEMETRY = Telemetry()
