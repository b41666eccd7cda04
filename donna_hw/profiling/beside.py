"""Measuring beside a table: by the protocol that it was measured by."""

from __future__ import annotations

from dataclasses import replace

from donna_hw.devices.device import Device
from donna_hw.measurement.protocol import Protocol, protocol_named
from donna_hw.tables.latency_table import LatencyTable


def protocol_of(table: LatencyTable, device: Device) -> Protocol:
    """Return the protocol that a table was measured by; the device's own where it was computed."""
    named = table.info.identity.get("protocol")
    if named is None:
        return device.protocol
    return replace(protocol_named(str(named)), batch=int(table.info.identity["batch"]))
