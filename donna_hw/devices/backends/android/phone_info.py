"""A phone's model, chip, system and current state: read over adb, never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from donna_hw.devices.backends.android.adb import Adb, CommandError

UNKNOWN = "unknown"
# a chip's name in Android's properties -> its product name
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
    """What does not change while a phone is on; `abis` are those that it runs, best first."""

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
    """The state of a phone at one moment; what it does not report is None.

    Attributes:
        temperatures_c: Temperature in degrees Celsius by sensor, in lower case.
        thermal_status: Android's, from 0 (`none`) to 6 (`shutdown`).
        battery_percent: Charge of the battery.
        charging: Whether it is plugged in.
        screen_on: Whether its screen is on.
        airplane_mode: Whether its radios are off.
        battery_saver: Whether it saves power.
        governors: Frequency governors of the CPU's clusters.
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
        """Return the highest temperature of the sensors whose name contains `zone`, such as `battery`."""
        return max((value for name, value in self.temperatures_c.items() if zone in name), default=None)

    @property
    def throttle_reasons(self) -> tuple[str, ...]:
        """Why the phone runs slower than it could, as far as it reports it."""
        if not self.thermal_status:
            return ()
        return (f"thermal status {THERMAL_STATUS[min(self.thermal_status, len(THERMAL_STATUS) - 1)]}",)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may disturb the numbers, for users; this package changes none of it."""
        warnings = [
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
        return tuple(text for applies, text in warnings if applies)


def read_phone(adb: Adb) -> Phone:
    """Return the phone's model, chip and system; raises `PhoneDisconnectedError` where it does not answer."""
    properties = parse_properties(adb.shell("getprop"))
    abis = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    manufacturer, model = (properties.get(f"ro.product.{key}", "") for key in ("manufacturer", "model"))
    return Phone(
        serial=adb.serial or properties.get("ro.serialno", ""),
        model=" ".join(dict.fromkeys(word for word in (manufacturer, model) if word)) or UNKNOWN,
        chip=chip_name(properties),
        android=properties.get("ro.build.version.release", UNKNOWN),
        build=properties.get("ro.build.id", UNKNOWN),
        abis=tuple(abi for abi in abis.split(",") if abi),
    )


def read_thermal_state(adb: Adb) -> PhoneState:
    """Return the phone's temperatures and nothing else of its state: it is read often, and so with two commands only."""
    return _parse_thermal_state(
        parse_fields(_query(adb, "dumpsys", "battery")), _query(adb, "dumpsys", "thermalservice")
    )


def _parse_thermal_state(battery: Mapping[str, str], thermal: str) -> PhoneState:
    temperatures = parse_temperatures(thermal)
    tenths = _parse_number(battery.get("temperature"))
    if tenths is not None:
        temperatures.setdefault("battery", tenths / 10)
    status = re.search(r"^Thermal Status: (\d+)", thermal, re.MULTILINE)
    return PhoneState(temperatures, int(status[1]) if status else None)


def read_state(adb: Adb) -> PhoneState:
    """Return the phone's state; what it refuses to report is unknown, and a phone that does not answer raises."""
    battery = parse_fields(_query(adb, "dumpsys", "battery"))
    power = _query(adb, "dumpsys", "power")
    level = _parse_number(battery.get("level"))
    governors = _query(adb, "sh", "-c", "cat /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
    power_sources = [value for name, value in battery.items() if name.endswith("powered")]
    saver = re.search(r"mBatterySaverEnabled=(true|false)|mSettingBatterySaverEnabled=(true|false)", power)
    wakefulness = re.search(r"mWakefulness=(\w+)", power)
    airplane_mode = _query(adb, "settings", "get", "global", "airplane_mode_on").strip()
    return replace(
        _parse_thermal_state(battery, _query(adb, "dumpsys", "thermalservice")),
        battery_percent=None if level is None else int(level),
        charging="true" in power_sources if power_sources else None,
        screen_on=wakefulness[1] == "Awake" if wakefulness else None,
        airplane_mode={"0": False, "1": True}.get(airplane_mode),
        battery_saver="true" in saver.groups() if saver else None,
        governors=tuple(dict.fromkeys(governors.split())),
    )


def chip_name(properties: Mapping[str, str]) -> str:
    """Return a chip's product name from Android's properties; a chip that is not in `CHIPS` has the name of the properties."""
    names = [properties[name] for name in _CHIP_PROPERTIES if properties.get(name)]
    for name in names:
        product_name = CHIPS.get(re.sub(r"[^a-z0-9]", "", name.lower()))
        if product_name:
            return product_name
    return names[0] if names else UNKNOWN


def parse_properties(text: str) -> dict[str, str]:
    """Return {name: value} from getprop's lines `[name]: [value]`; of a value of several lines the first."""
    return {name: value.rstrip("]") for name, value in re.findall(r"^\[([^\]]+)\]: \[(.*)$", text, re.MULTILINE)}


def parse_fields(text: str) -> dict[str, str]:
    """Return {name: value} from lines `name: value`, names in lower case."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def parse_temperatures(text: str) -> dict[str, float]:
    """Return {sensor: degrees Celsius} from dumpsys thermalservice: current values, not the cached ones.

    Sensors without a value report about -99.9 and are omitted.
    """
    _, _, current = text.partition("Current temperatures from HAL:")
    current = current.partition("Current cooling devices")[0]
    pairs = re.findall(r"Temperature\{mValue=(-?[\d.]+), mType=\d+, mName=([^,}]+)", current)
    return {name.lower(): float(value) for value, name in pairs if float(value) > -50}


def _query(adb: Adb, *command: str) -> str:
    try:
        return adb.shell(*command)
    except CommandError:  # this Android lacks the command or file, or does not permit it
        return ""


def _parse_number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
