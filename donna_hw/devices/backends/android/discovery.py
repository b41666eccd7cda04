"""Which adb client, and which of the phones that it sees."""

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
    """Return the client for the one phone that is there, or for the one that its serial names, or `$ANDROID_SERIAL`.

    Raises `UnavailableError` when there is none, when it may not be used, and when there are several and none is named.
    """
    adb = replace(adb, serial=adb.serial or os.environ.get("ANDROID_SERIAL", ""))
    found = {phone.serial: phone for phone in adb.devices()}
    if adb.serial and adb.serial not in found and ":" in adb.serial:
        adb.reconnect()
        found = {phone.serial: phone for phone in adb.devices()}
    if not found:
        raise PhoneDisconnectedError(
            "a phone must be plugged in, with USB debugging on", got="none", hint="see docs/guides/phone.md"
        )
    if adb.serial and adb.serial not in found:
        raise PhoneDisconnectedError(
            "option serial must be of a phone that is plugged in",
            got=adb.serial,
            choices=sorted(found),
            hint="plug it in",
        )
    usable = [phone for phone in found.values() if phone.state == "device"]
    phone = found[adb.serial] if adb.serial else (usable or list(found.values()))[0]
    if not adb.serial and len(usable) > 1:
        raise ambiguous_phone_error([one.serial for one in usable])
    if phone.state in ("unauthorized", "authorizing"):
        raise unauthorized_error(phone.serial)
    if phone.state != "device":
        raise PhoneDisconnectedError(f"phone {phone.serial} must be usable", got=phone.state, hint="plug it in again")
    return replace(adb, serial=phone.serial)


def find_adb(named: str = "") -> str:
    """Return the path of the client: the one named, else `$ADB`, the one on the PATH, Android's SDK's, the one of package adbutils."""
    if named:
        return _resolve_client(named, "option adb")
    places: tuple[Callable[[], str | None], ...] = (
        lambda: os.environ.get("ADB") and _resolve_client(os.environ["ADB"], "the variable ADB"),
        lambda: shutil.which("adb"),
        _sdk_client,
        _bundled_client,
    )
    for place in places:
        found = place()
        if found:
            return found
    raise UnavailableError(
        "a phone needs the adb client", got="none", hint="pip install 'donna-hw[android]', or apt install adb"
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
        found = shutil.which("adb", path=str(Path(folder) / "binaries"))
        if found:
            return found
    return None


def _resolve_client(path: str, what: str) -> str:
    found = shutil.which(path)
    if found is None:
        raise UnavailableError(f"{what} must name the adb client", got=path, hint="mend the path")
    return found
