"""The CPU's own readings, from a fake of Linux's /sys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from donna_hw.measurement.host_cpu import HostCpu
from donna_hw.measurement.telemetry import Telemetry


@pytest.fixture
def sys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty fake of /sys; the process may use cores 0 and 1."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    return tmp_path


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="ascii")


def core(folder: Path, number: int) -> Path:
    return folder / f"devices/system/cpu/cpu{number}"


def test_a_machine_without_sensors_has_empty_telemetry(sys_folder: Path) -> None:
    assert HostCpu(sys_folder).read_telemetry() == Telemetry()


def test_the_clock_is_of_the_fastest_core_that_the_process_may_use(sys_folder: Path) -> None:
    for number, khz in enumerate([800_000, 3_100_000, 4_000_000]):
        write(core(sys_folder, number) / "cpufreq/scaling_cur_freq", khz)
    assert HostCpu(sys_folder).read_telemetry().clock_hz == 3.1e9


def test_an_unreadable_clock_is_unknown_and_not_zero(sys_folder: Path) -> None:
    write(core(sys_folder, 0) / "cpufreq/scaling_cur_freq", "<unknown>")  # what Linux writes for a core that is off
    assert HostCpu(sys_folder).read_telemetry().clock_hz is None


def test_the_temperature_is_the_hottest_sensor_of_the_cpu_and_of_nothing_else(sys_folder: Path) -> None:
    write(sys_folder / "class/hwmon/hwmon0/name", "nvme")
    write(sys_folder / "class/hwmon/hwmon0/temp1_input", 90_000)
    write(sys_folder / "class/hwmon/hwmon1/name", "coretemp")
    write(sys_folder / "class/hwmon/hwmon1/temp1_input", 61_000)
    write(sys_folder / "class/hwmon/hwmon1/temp2_input", 64_500)
    write(sys_folder / "class/thermal/thermal_zone0/type", "acpitz")
    write(sys_folder / "class/thermal/thermal_zone0/temp", 99_000)
    assert HostCpu(sys_folder).read_telemetry().temperature_c == 64.5
    write(sys_folder / "class/thermal/thermal_zone1/type", "cpu-thermal")
    write(sys_folder / "class/thermal/thermal_zone1/temp", 70_250)
    assert HostCpu(sys_folder).read_telemetry().temperature_c == 70.25


def test_throttling_is_a_counter_that_rose_since_the_last_reading(sys_folder: Path) -> None:
    package = core(sys_folder, 1) / "thermal_throttle/package_throttle_count"
    write(core(sys_folder, 0) / "thermal_throttle/core_throttle_count", 5)
    write(package, 7)
    write(core(sys_folder, 1) / "thermal_throttle/package_throttle_total_time_ms", 40)
    host = HostCpu(sys_folder)
    assert host.read_telemetry().throttle_reasons == ()
    write(package, 8)
    assert host.read_telemetry().throttle_reasons == ("package_throttle",)
    assert host.read_telemetry().throttle_reasons == ()
    write(core(sys_folder, 2) / "thermal_throttle/core_throttle_count", 1)
    assert host.read_telemetry().throttle_reasons == ()


def test_this_machines_telemetry_is_physical_where_there_are_any() -> None:
    readings = HostCpu().read_telemetry()
    assert readings.clock_hz is None or 1e8 < readings.clock_hz < 1e10
    assert readings.temperature_c is None or -50 < readings.temperature_c < 150
