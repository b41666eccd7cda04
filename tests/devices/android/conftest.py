"""The real adb client with a server of its own, and phones that the test adbd plays."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from adbd import Phone
from phone_output import BATTERY, GETPROP, POWER, THERMAL
from requirements import needs

from donna_hw.devices.backends.android.adb import Adb
from donna_hw.devices.backends.android.discovery import find_adb
from donna_hw.errors import UnavailableError

LONG_S = 60.0  # for a machine that is busy with other tests


@pytest.fixture(scope="session")
def adb_program() -> str:
    """The adb client."""
    try:
        return find_adb()
    except UnavailableError:
        needs(False, "the adb client")
        raise


@pytest.fixture(autouse=True)
def adb_server(adb_program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of this test's own, with keys of its own, which ends with it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {
        "ANDROID_ADB_SERVER_PORT": str(port),
        "HOME": str(home),
        "ANDROID_USER_HOME": str(home),
        "TMPDIR": str(home),
        "ADB": adb_program,
        **dict.fromkeys(
            ("ADB_USB", "ADB_EMU", "ADB_MDNS", "ADB_MDNS_AUTO_CONNECT"), "0"
        ),  # no phone of the developer's
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    yield
    subprocess.run([adb_program, "kill-server"], capture_output=True, check=False, timeout=30)


@pytest.fixture
def adb(adb_program: str) -> Adb:
    """The client, of no phone in particular."""
    return Adb(adb_program, timeout_s=LONG_S)


@pytest.fixture
def plug_in(adb_program: str, tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Return what makes a phone and connects it; `named` tells several apart."""
    phones: list[Phone] = []

    def make(named: str = "phone", connect: bool = True) -> Phone:
        phone = Phone(tmp_path / named)
        for command, text in {
            "getprop": GETPROP,
            "dumpsys battery": BATTERY,
            "dumpsys thermalservice": THERMAL,
            "dumpsys power": POWER,
            "settings get airplane_mode_on": "1\n",
        }.items():
            phone.set_output(command, text)
        cpufreq = phone.here("/sys/devices/system/cpu/cpu0/cpufreq")
        cpufreq.mkdir(parents=True)
        (cpufreq / "scaling_governor").write_text("schedutil\n")
        phone.start()
        phones.append(phone)
        if connect:
            subprocess.run([adb_program, "connect", phone.serial], capture_output=True, check=True, timeout=LONG_S)
        return phone

    yield make
    for phone in phones:
        phone.vanish()


@pytest.fixture
def phone(plug_in: Callable[..., Phone]) -> Phone:
    """One phone, connected."""
    return plug_in()


@pytest.fixture
def client(adb: Adb, phone: Phone) -> Adb:
    """The client for that phone."""
    from dataclasses import replace

    return replace(adb, serial=phone.serial)
