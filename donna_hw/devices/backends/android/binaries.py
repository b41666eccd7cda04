"""The programs and libraries that run on the phone: the user's files in `runners/<abi>/`, rejected when they are of another ABI."""

from __future__ import annotations

import os
from pathlib import Path

from donna_hw._core.resources import data_roots
from donna_hw.errors import FileFormatError, UnavailableError

# Android's name of an ABI -> (bits, machine) in the header of an ELF file
MACHINES = {"arm64-v8a": (64, 183), "armeabi-v7a": (32, 40), "x86_64": (64, 62), "x86": (32, 3)}
LIBRARIES = {"onnxruntime": "libonnxruntime.so", "litert": "libLiteRt.so"}
# of accelerators and providers, which a library opens itself
COMPANION_PATTERNS = {"onnxruntime": "libonnxruntime*.so", "litert": "libLiteRt*.so"}


def runner_folder(abi: str) -> Path:
    """Return the folder of the user's files for an ABI: `~/.donna_hw/runners/<abi>`, or `$DONNA_HW_DATA/runners/<abi>`."""
    return data_roots()[0] / "runners" / abi


def find_binary(path: str, name: str, abis: tuple[str, ...], hint: str) -> Path:
    """Return a program or library for the phone.

    Args:
        path: Its path; empty: it is searched by name in the folders of the ABIs.
        name: Its name.
        abis: ABIs that the phone runs, best first.
        hint: How to get the file, for messages.

    Raises:
        UnavailableError: The file is missing.
        FileFormatError: The file is not for one of the ABIs.
    """
    if path:
        file = Path(path).expanduser()
        if not file.is_file():
            raise UnavailableError(f"{name}: no such file", got=path, hint=hint)
        validate_abi(file, abis)
        return file
    for abi in abis:
        file = runner_folder(abi) / name
        if file.is_file():
            validate_abi(file, (abi,))
            return file
    raise UnavailableError(f"no {name} in {runner_folder(abis[0] if abis else 'arm64-v8a')}", hint=hint)


def find_companions(library: Path, engine: str) -> list[Path]:
    """Return the library and the files next to it that it opens itself, such as the accelerator of a GPU."""
    return sorted({library, *library.parent.glob(COMPANION_PATTERNS[engine])})


def validate_abi(path: Path, abis: tuple[str, ...]) -> None:
    """Raise `FileFormatError` unless a program or library is an ELF file for one of the ABIs."""
    with path.open("rb") as file:
        head = file.read(20)
    known_abis = [abi for abi in abis if abi in MACHINES]
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise FileFormatError(f"{path}: not an ELF file for {' or '.join(known_abis)}", hint="choose another file")
    bits, machine = {1: 32, 2: 64}.get(head[4], 0), int.from_bytes(head[18:20], "little")
    if (bits, machine) not in [MACHINES[abi] for abi in known_abis]:
        names = {value: abi for abi, value in MACHINES.items()}
        raise FileFormatError(
            f"{os.fspath(path)}: not built for the phone's ABI",
            got=names.get((bits, machine), f"a {bits}-bit program of machine {machine}"),
            choices=known_abis,
            hint="use donna-hw phone build-runner --abi ABI, or the library of that ABI",
        )
