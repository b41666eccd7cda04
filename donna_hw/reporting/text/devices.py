"""The phones that adb sees, each with what it is and how it is just now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from donna_hw.devices.backends.android.adb import Adb, AdbDevice
from donna_hw.devices.backends.android.phone_info import read_phone, read_state
from donna_hw.errors import DonnaError
from donna_hw.reporting.text.summaries import tabulate

HEADER = ("phone", "model", "chip", "Android", "temperature", "battery", "governor", "state")
HINTS = {
    "unauthorized": "unauthorised: accept the question on its screen",
    "offline": "offline: plug it in again",
    "no permissions": "no right to the USB device: see docs/guides/phone.md",
}


def format_phones(adb: Adb) -> str:
    """Return a table of all phones; one that cannot be asked has a row that says why. Empty where there is none."""
    rows = [_row(adb, phone) for phone in adb.devices()]
    return tabulate(HEADER, rows) if rows else ""


def _row(adb: Adb, attached: AdbDevice) -> Sequence[str]:
    unknown = [attached.serial, *[""] * (len(HEADER) - 2)]
    if attached.state != "device":
        return [*unknown, HINTS.get(attached.state, attached.state)]
    try:
        one = replace(adb, serial=attached.serial)
        phone, state = read_phone(one), read_state(one)
    except DonnaError as error:
        return [*unknown, str(error)]
    warm = [f"{name} {value:.1f} C" for name in ("battery", "skin") if (value := state.temperature_c(name)) is not None]
    battery = "" if state.battery_percent is None else f"{state.battery_percent} %"
    charging = ", charging" if state.charging else ""
    return [
        attached.serial,
        phone.model,
        phone.chip,
        phone.android,
        ", ".join(warm) or "not told",
        battery + charging,
        " ".join(state.governors) or "not told",
        "; ".join(hint for hint in state.warnings) or "ready",
    ]
