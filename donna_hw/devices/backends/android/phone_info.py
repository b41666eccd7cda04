"""What a phone is, and the state it is in: read over adb, never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from donna_hw.devices.backends.android.adb import Adb, CommandError

UNKNOWN = "unknown"
# What a chip calls itself in Android's properties -> what people call it.
CHIPS = {
    "sm8250": "Snapdragon 865",
    "kona": "Snapdragon 865",
    "exynos990": "Exynos 990",
    "exynos9830": "Exynos 990",
    "universal9830": "Exynos 990",
    "s5e9830": "Exynos 990",
}
_CHIP_PROPERTIES = ("ro.soc.model", "ro.hardware.chipname", "ro.chipname", "ro.board.platform", "ro.hardware")
# android.os.PowerManager: THERMAL_STATUS_*
THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
LOW_BATTERY_PERCENT = 30
ZONES = ("battery", "skin", "cpu", "gpu")


@dataclass(frozen=True)
class Phone:
    """What of a phone does not change while it is on. abis: what it runs, best first."""

    serial: str
    model: str
    chip: str
    android: str
    build: str
    abis: tuple[str, ...]

    @property
    def name(self) -> str:
        """Model and chip: two phones of one model may have different chips."""
        return f"{self.model} ({self.chip})"


@dataclass(frozen=True)
class PhoneState:
    """How a phone is just now; what it does not tell is None.

    temperatures_c: by sensor, lower case. thermal_status: Android's own, from 0 (`none`) to 6 (`shutdown`).
    governors: of the CPU's clusters.
    """

    temperatures_c: Mapping[str, float]
    thermal_status: int | None = None
    battery_percent: int | None = None
    charging: bool | None = None
    screen_on: bool | None = None
    airplane_mode: bool | None = None
    battery_saver: bool | None = None
    governors: tuple[str, ...] = ()

    def temperature_c(self, zone: str) -> float | None:
        """Return the highest temperature among the sensors whose name holds `zone`, such as `battery`."""
        found = [value for name, value in self.temperatures_c.items() if zone in name]
        return max(found) if found else None

    @property
    def throttle_reasons(self) -> tuple[str, ...]:
        """Why the phone runs slower than it could, as far as it says so."""
        if not self.thermal_status:
            return ()
        return (f"thermal status {THERMAL_STATUS[min(self.thermal_status, len(THERMAL_STATUS) - 1)]}",)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What might disturb the numbers, in words; nothing of it is changed by this package."""
        hints = [
            (self.screen_on, "its screen is on: it draws power and GPU time"),
            (self.airplane_mode is False, "airplane mode is off: radios wake the CPU"),
            (self.battery_saver, "battery saver is on: it lowers the clocks"),
            (self.charging, "it is charging: the battery grows warm"),
            (
                self.battery_percent is not None and self.battery_percent < LOW_BATTERY_PERCENT,
                f"its battery is at {self.battery_percent} %: some phones lower their clocks then",
            ),
            (bool(self.throttle_reasons), ", ".join(self.throttle_reasons)),
        ]
        return tuple(words for present, words in hints if present)


def read_phone(adb: Adb) -> Phone:
    """Return what the phone is; raises `Unavailable` when it cannot be asked."""
    properties = parse_properties(adb.shell("getprop"))
    abis = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    maker, model = (properties.get(f"ro.product.{key}", "") for key in ("manufacturer", "model"))
    return Phone(
        serial=adb.serial or properties.get("ro.serialno", ""),
        model=" ".join(dict.fromkeys(word for word in (maker, model) if word)) or UNKNOWN,
        chip=chip_name(properties),
        android=properties.get("ro.build.version.release", UNKNOWN),
        build=properties.get("ro.build.id", UNKNOWN),
        abis=tuple(word for word in abis.split(",") if word),
    )


def read_thermal_state(adb: Adb) -> PhoneState:
    """Return how warm the phone is now, and nothing else of its state: what is asked again and again costs two commands."""
    return _parse_thermal_state(
        parse_fields(_query(adb, "dumpsys", "battery")), _query(adb, "dumpsys", "thermalservice")
    )


def _parse_thermal_state(battery: Mapping[str, str], thermal: str) -> PhoneState:
    temperatures = parse_temperatures(thermal)
    tenths = _number(battery.get("temperature"))
    if tenths is not None:
        temperatures.setdefault("battery", tenths / 10)
    status = re.search(r"^Thermal Status: (\d+)", thermal, re.MULTILINE)
    return PhoneState(temperatures, int(status[1]) if status else None)


def read_state(adb: Adb) -> PhoneState:
    """Return the phone's state now; a question that it refuses is one unknown, a phone that is gone raises."""
    battery = parse_fields(_query(adb, "dumpsys", "battery"))
    power = _query(adb, "dumpsys", "power")
    level = _number(battery.get("level"))
    governors = _query(adb, "sh", "-c", "cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
    powered = [value for name, value in battery.items() if name.endswith("powered")]
    saver = re.search(r"mBatterySaverEnabled=(true|false)|mSettingBatterySaverEnabled=(true|false)", power)
    awake = re.search(r"mWakefulness=(\w+)", power)
    airplane = _query(adb, "settings", "get", "global", "airplane_mode_on").strip()
    return replace(
        _parse_thermal_state(battery, _query(adb, "dumpsys", "thermalservice")),
        battery_percent=None if level is None else int(level),
        charging="true" in powered if powered else None,
        screen_on=awake[1] == "Awake" if awake else None,
        airplane_mode={"0": False, "1": True}.get(airplane),
        battery_saver="true" in saver.groups() if saver else None,
        governors=tuple(dict.fromkeys(governors.split())),
    )


def chip_name(properties: Mapping[str, str]) -> str:
    """Return a chip's name as people know it, from Android's properties; a chip that is not in our list by its own name."""
    words = [properties[name] for name in _CHIP_PROPERTIES if properties.get(name)]
    for word in words:
        known = CHIPS.get(re.sub(r"[^a-z0-9]", "", word.lower()))
        if known:
            return known
    return words[0] if words else UNKNOWN


def parse_properties(text: str) -> dict[str, str]:
    """Return {name: value} from getprop's lines `[name]: [value]`; a value of several lines keeps its first."""
    return {name: value.rstrip("]") for name, value in re.findall(r"^\[([^\]]+)\]: \[(.*)$", text, re.MULTILINE)}


def parse_fields(text: str) -> dict[str, str]:
    """Return {name: value} from lines `name: value`, names in lower case."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def parse_temperatures(text: str) -> dict[str, float]:
    """Return {sensor: degrees Celsius} from dumpsys thermalservice: what the sensors read now, not the values cached before.

    Sensors that read nothing say -99.9 or so, and are left out.
    """
    _, _, now = text.partition("Current temperatures from HAL:")
    now = now.partition("Current cooling devices")[0]
    found = re.findall(r"Temperature\{mValue=(-?[\d.]+), mType=\d+, mName=([^,}]+)", now)
    return {name.lower(): float(value) for value, name in found if float(value) > -50}


def _query(adb: Adb, *question: str) -> str:
    try:
        return adb.shell(*question)
    except CommandError:  # a command or file that this Android lacks, or keeps to itself
        return ""


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
