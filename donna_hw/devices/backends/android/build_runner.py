"""Build the native runner for this machine, for aarch64 Linux, or for Android with the user's NDK."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from donna_hw._core.resources import data_roots
from donna_hw.errors import FileFormatError, UnavailableError, UnknownNameError

ANDROID_ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
API_LEVEL = 26  # Android 8, the first with glob() and all other functions that the runner uses
BUILD_TIMEOUT_S = 300.0
LAST_LINES = 6


def build_runner(folder: Path, *, abi: str = "host", ndk: Path | None = None) -> Path:
    """Build `donna_runner` for an ABI.

    Args:
        folder: Where the program is written.
        abi: `host`, `aarch64-linux` (by gcc-aarch64-linux-gnu), or one of `ANDROID_ABIS`.
        ndk: The Android NDK; None: `$ANDROID_NDK_HOME` or `$ANDROID_NDK_ROOT`.

    Returns:
        Path of the program.

    Raises:
        UnavailableError: CMake, the compiler or the NDK is missing, or the build takes too long.
        UnknownNameError: The ABI is unknown.
        FileFormatError: The sources are missing or do not compile.
    """
    cmake = shutil.which("cmake")
    if cmake is None:
        raise UnavailableError("building the native runner needs CMake", hint="pip install cmake, or apt install cmake")
    with tempfile.TemporaryDirectory() as work:
        _run([cmake, "-S", str(_find_sources()), "-B", work, *_cmake_definitions(abi, ndk)])
        _run([cmake, "--build", work])
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(Path(work) / "donna_runner", folder / "donna_runner"))


def _cmake_definitions(abi: str, ndk: Path | None) -> list[str]:
    """Return CMake's definitions for an ABI."""
    if abi == "host":
        return []
    if abi == "aarch64-linux":
        compiler = shutil.which("aarch64-linux-gnu-gcc")
        if compiler is None:
            raise UnavailableError("no compiler for aarch64-linux", hint="apt install gcc-aarch64-linux-gnu")
        return [
            "-DCMAKE_SYSTEM_NAME=Linux",
            "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
            f"-DCMAKE_C_COMPILER={compiler}",
        ]
    if abi not in ANDROID_ABIS:
        raise UnknownNameError("unknown ABI", got=abi, choices=["host", "aarch64-linux", *ANDROID_ABIS])
    toolchain = _find_ndk(ndk) / "build" / "cmake" / "android.toolchain.cmake"
    return [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", f"-DANDROID_ABI={abi}", f"-DANDROID_PLATFORM=android-{API_LEVEL}"]


def _find_ndk(ndk: Path | None) -> Path:
    variables = [os.environ.get(name) for name in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT")]
    folders = [*([ndk] if ndk is not None else []), *(Path(value) for value in variables if value)]
    for folder in folders:
        if (folder / "build" / "cmake" / "android.toolchain.cmake").is_file():
            return folder.absolute()
    raise UnavailableError(
        "a runner for Android needs the Android NDK",
        got=", ".join(map(str, folders)) or None,
        hint="give --ndk FOLDER, or set ANDROID_NDK_HOME; docs/guides/phone.md explains where to get it",
    )


def _find_sources() -> Path:
    for root in data_roots()[1:]:
        if (root / "runners" / "CMakeLists.txt").is_file():
            return root / "runners"
    raise FileFormatError("the sources of the native runner are missing", hint="install donna_hw again")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"the build did not end within {BUILD_TIMEOUT_S:g} s", got=" ".join(command)) from None
    if done.returncode:
        output = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise FileFormatError(
            "the native runner does not compile",
            got=" / ".join(lines[-LAST_LINES:]),
            hint="check that the compiler is installed completely",
        )
