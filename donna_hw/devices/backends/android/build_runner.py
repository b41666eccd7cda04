"""Builds the native runner for this machine, for aarch64 Linux, or for Android with the user's NDK."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from donna_hw._core.resources import data_roots
from donna_hw.errors import FileFormatError, UnavailableError, UnknownNameError

ANDROID_ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
API_LEVEL = 26  # Android 8: glob() and all else that the runner takes from the system
BUILD_TIMEOUT_S = 300.0
LAST_LINES = 6


def build_runner(folder: Path, *, abi: str = "host", ndk: Path | None = None) -> Path:
    """Build `donna_runner` for an ABI into a folder, and return its path.

    abi: `host`, `aarch64-linux` (by gcc-aarch64-linux-gnu), or one of `ANDROID_ABIS`, for which the NDK is `ndk`, `$ANDROID_NDK_HOME` or
    `$ANDROID_NDK_ROOT`. Raises `UnavailableError` without CMake, compiler or NDK, and `FileFormatError` with the compiler's last lines.
    """
    cmake = shutil.which("cmake")
    if cmake is None:
        raise UnavailableError("building the native runner needs CMake", hint="pip install cmake, or apt install cmake")
    with tempfile.TemporaryDirectory() as work:
        _run([cmake, "-S", str(_find_sources()), "-B", work, *_target(abi, ndk)])
        _run([cmake, "--build", work])
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(Path(work) / "donna_runner", folder / "donna_runner"))


def _target(abi: str, ndk: Path | None) -> list[str]:
    """Return CMake's definitions for an ABI."""
    if abi == "host":
        return []
    if abi == "aarch64-linux":
        compiler = shutil.which("aarch64-linux-gnu-gcc")
        if compiler is None:
            raise UnavailableError("aarch64-linux needs its compiler", hint="apt install gcc-aarch64-linux-gnu")
        return [
            "-DCMAKE_SYSTEM_NAME=Linux",
            "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
            f"-DCMAKE_C_COMPILER={compiler}",
        ]
    if abi not in ANDROID_ABIS:
        raise UnknownNameError("an ABI must be a known one", got=abi, choices=["host", "aarch64-linux", *ANDROID_ABIS])
    tools = _find_ndk(ndk) / "build" / "cmake" / "android.toolchain.cmake"
    return [f"-DCMAKE_TOOLCHAIN_FILE={tools}", f"-DANDROID_ABI={abi}", f"-DANDROID_PLATFORM=android-{API_LEVEL}"]


def _find_ndk(named: Path | None) -> Path:
    places = [
        named,
        *(Path(os.environ[name]) for name in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT") if os.environ.get(name)),
    ]
    for place in places:
        if place is not None and (place / "build" / "cmake" / "android.toolchain.cmake").is_file():
            return place.absolute()
    raise UnavailableError(
        "a runner for Android needs the Android NDK",
        got=", ".join(str(place) for place in places if place is not None) or "none named",
        hint="--ndk FOLDER, or set ANDROID_NDK_HOME; docs/guides/phone.md says where it is from",
    )


def _find_sources() -> Path:
    for root in data_roots()[1:]:
        if (root / "runners" / "CMakeLists.txt").is_file():
            return root / "runners"
    raise FileFormatError("the native runner's sources must come with donna_hw", got="none", hint="install it anew")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"a build must end within {BUILD_TIMEOUT_S:g} s", got=" ".join(command)) from None
    if done.returncode:
        said = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        raise FileFormatError(
            "the native runner must compile", got=" / ".join(lines[-LAST_LINES:]), hint="is the compiler whole?"
        )
