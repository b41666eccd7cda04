"""What `donna-hw devices` and `donna-hw phone operators` print: devices, attached phones, and a block's operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from donna_hw._core.units import format_quantity
from donna_hw.devices.backends.android.adb import Adb, AdbDevice
from donna_hw.devices.backends.android.benchmark_model import OperatorTime
from donna_hw.devices.backends.android.discovery import find_adb
from donna_hw.devices.backends.android.phone_info import read_phone, read_state
from donna_hw.devices.device import Device, list_devices
from donna_hw.errors import DonnaError, UnavailableError
from donna_hw.reporting.text.rich_table import render_table

PHONE_COLUMNS = ("phone", "model", "chip", "Android", "temperature", "battery", "governor", "state")
STATE_HINTS = {
    "unauthorized": "unauthorized: accept the request on its screen",
    "offline": "offline: reconnect its cable",
    "no permissions": "no permission for the USB device: see docs/guides/phone.md",
}


def format_devices() -> str:
    """Return a row for each device: its backend and protocol, and whether it works on this machine."""
    rows = []
    for name in list_devices():
        device = Device.load(name)
        available = device.availability()
        hint = f" ({available.hint})" if available.hint else ""
        usable = "yes" if available.ok else f"no: {available.reason}{hint}"
        rows.append([name, device.config.title, device.config.backend, device.config.protocol, usable])
    return render_table(["device", "title", "backend", "protocol", "usable here"], rows)


def format_attached_phones() -> str:
    """Return the table of the attached phones, or one line on why there is none."""
    try:
        return format_phones(Adb(find_adb())) or "adb sees no phone"
    except UnavailableError as error:  # no client, or one that cannot start its server
        return f"no phones are shown: {error.message}"


def format_phones(adb: Adb) -> str:
    """Return a table of all attached phones, empty text where there is none; a phone that does not answer has a row with the reason."""
    rows = [_phone_row(adb, phone) for phone in adb.devices()]
    return render_table(PHONE_COLUMNS, rows) if rows else ""


def _phone_row(adb: Adb, attached: AdbDevice) -> Sequence[str]:
    unknown = [attached.serial, *[""] * (len(PHONE_COLUMNS) - 2)]
    if attached.state != "device":
        return [*unknown, STATE_HINTS.get(attached.state, attached.state)]
    try:
        client = replace(adb, serial=attached.serial)
        phone, state = read_phone(client), read_state(client)
    except DonnaError as error:
        return [*unknown, str(error)]
    temperatures = [
        f"{name} {value:.1f} C" for name in ("battery", "skin") if (value := state.temperature_c(name)) is not None
    ]
    battery = "" if state.battery_percent is None else f"{state.battery_percent} %"
    charging = ", charging" if state.charging else ""
    return [
        attached.serial,
        phone.model,
        phone.chip,
        phone.android,
        ", ".join(temperatures) or "unknown",
        battery + charging,
        " ".join(state.governors) or "unknown",
        "; ".join(state.warnings) or "ready",
    ]


def format_operators(times: Sequence[OperatorTime]) -> str:
    """Return a row for each operator of a block: its mean time and its share of the sum."""
    total_s = sum(operator.mean_s for operator in times)
    rows = [
        [
            operator.kind,
            operator.name,
            format_quantity(operator.mean_s, "s"),
            f"{100 * operator.mean_s / total_s:.1f} %",
        ]
        for operator in times
    ]
    return render_table(["operator", "place", "mean", "share"], rows)
