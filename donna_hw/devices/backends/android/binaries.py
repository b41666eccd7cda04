"""What runs on the phone: the user's own files in `runners/<abi>/`, found, and refused when they are of another ABI."""

from __future__ import annotations

import os
from pathlib import Path

from donna_hw._core.resources import data_roots
from donna_hw.errors import FileFormatError, UnavailableError

# Android's name of an ABI -> (bits, machine) as an ELF file's header has them.
MACHINES = {"arm64-v8a": (64, 183), "armeabi-v7a": (32, 40), "x86_64": (64, 62), "x86": (32, 3)}
LIBRARIES = {"onnxruntime": "libonnxruntime.so", "litert": "libLiteRt.so"}
COMPANION_PATTERNS = {
    "onnxruntime": "libonnxruntime*.so",
    "litert": "libLiteRt*.so",
}  # accelerators and providers, which it opens itself


def runner_folder(abi: str) -> Path:
    """Return the folder of the user's files for an ABI: `~/.donna_hw/runners/<abi>`, or `$DONNA_HW_DATA/runners/<abi>`."""
    return data_roots()[0] / "runners" / abi


def find_binary(path: str, name: str, abis: tuple[str, ...], hint: str) -> Path:
    """Return the file at `path`, or without one `name` in the folder of the first ABI that has it; it must run on one of the ABIs.

    Raises `UnavailableError` when it is not there, `FileFormatError` when it is no program for the phone.
    """
    if path:
        found = Path(path).expanduser()
        if not found.is_file():
            raise UnavailableError(f"{name} must be a file", got=path, hint=hint)
        validate_abi(found, abis)
        return found
    for abi in abis:
        candidate = runner_folder(abi) / name
        if candidate.is_file():
            validate_abi(candidate, (abi,))
            return candidate
    raise UnavailableError(
        f"{name} for the phone must be in {runner_folder(abis[0] if abis else 'arm64-v8a')}", got="nothing", hint=hint
    )


def find_companions(library: Path, engine: str) -> list[Path]:
    """Return the library and what lies beside it that it opens itself, such as a GPU's accelerator."""
    return sorted({library, *library.parent.glob(COMPANION_PATTERNS[engine])})


def validate_abi(path: Path, abis: tuple[str, ...]) -> None:
    """Raise `FileFormatError` unless a program or library is an ELF file for one of the ABIs."""
    with path.open("rb") as file:
        head = file.read(20)
    wanted = [abi for abi in abis if abi in MACHINES]
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise FileFormatError(
            f"{path} must be a program for {', '.join(wanted)}", got="no ELF file", hint="name another"
        )
    bits, machine = {1: 32, 2: 64}.get(head[4], 0), int.from_bytes(head[18:20], "little")
    if (bits, machine) not in [MACHINES[abi] for abi in wanted]:
        known = {value: abi for abi, value in MACHINES.items()}
        raise FileFormatError(
            f"{os.fspath(path)} must be built for the phone's ABI, {' or '.join(wanted)}",
            got=known.get((bits, machine), f"a {bits}-bit program of machine {machine}"),
            hint="donna-hw build-runner --abi ..., or the library of that ABI",
        )
