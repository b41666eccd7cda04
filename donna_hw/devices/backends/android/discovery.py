"""Find the adb client, and select one of the phones that it sees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from donna_hw.devices.backends.android.adb import Adb, PhoneDisconnectedError, ambiguous_phone_error, unauthorized_error
from donna_hw.errors import UnavailableError


def select_phone(adb: Adb) -> Adb:
    """Return the client for the phone of its serial number, or of `$ANDROID_SERIAL`, or for the only one that is connected.

    Raises:
        UnavailableError: There is no phone, it may not be used, or there are several and none is selected.
    """
    adb = replace(adb, serial=adb.serial or os.environ.get("ANDROID_SERIAL", ""))
    phones = {phone.serial: phone for phone in adb.devices()}
    if adb.serial and adb.serial not in phones and ":" in adb.serial:
        adb.reconnect()
        phones = {phone.serial: phone for phone in adb.devices()}
    if not phones:
        raise PhoneDisconnectedError(
            "no phone is connected with USB debugging on", hint="plug one in; see docs/guides/phone.md"
        )
    if adb.serial and adb.serial not in phones:
        raise PhoneDisconnectedError(
            "no connected phone has the serial number of option serial",
            got=adb.serial,
            choices=sorted(phones),
            hint="plug it in",
        )
    usable = [phone for phone in phones.values() if phone.state == "device"]
    selected = phones[adb.serial] if adb.serial else (usable or list(phones.values()))[0]
    if not adb.serial and len(usable) > 1:
        raise ambiguous_phone_error([phone.serial for phone in usable])
    if selected.state in ("unauthorized", "authorizing"):
        raise unauthorized_error(selected.serial)
    if selected.state != "device":
        raise PhoneDisconnectedError(f"phone {selected.serial} is {selected.state}", hint="plug it in again")
    return replace(adb, serial=selected.serial)


def find_adb(path: str = "") -> str:
    """Return the path of the client: the given one, `$ADB`, the one on the PATH, of the Android SDK, or of the package adbutils."""
    if path:
        return _resolve_client(path, "option adb")
    searches: tuple[Callable[[], str | None], ...] = (
        lambda: os.environ.get("ADB") and _resolve_client(os.environ["ADB"], "the variable ADB"),
        lambda: shutil.which("adb"),
        _sdk_client,
        _bundled_client,
    )
    for search in searches:
        client = search()
        if client:
            return client
    raise UnavailableError(
        "no adb client, which a phone needs", hint="pip install 'donna-hw[android]', or apt install adb"
    )


def _sdk_client() -> str | None:
    for variable in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        if os.environ.get(variable):
            return shutil.which("adb", path=str(Path(os.environ[variable]) / "platform-tools"))
    return None


def _bundled_client() -> str | None:
    """Return the client in the wheel of adbutils, without importing the package, which takes a second."""
    spec = find_spec("adbutils")
    for folder in spec.submodule_search_locations or [] if spec else []:
        client = shutil.which("adb", path=str(Path(folder) / "binaries"))
        if client:
            return client
    return None


def _resolve_client(path: str, source: str) -> str:
    client = shutil.which(path)
    if client is None:
        raise UnavailableError(f"{source} does not name an adb client", got=path, hint="fix the path")
    return client
