"""Measured whole networks of HELP (Lee et al., NeurIPS 2021, arXiv:2106.08630): its repository's files, or arrays made of them.

Schema, from the public repository: `data/fbnet` has `metainfo.pt`, {dataset, num_classes, arch: [{op_idx_list, arch_str}]}; `data/ofa` has
`ofa_archs.pt`, {dataset, num_classes, arch: [{ks, e, d, r}]}; both have `latency/<device>.pt`, a list of times in ms in the order of the
networks. An .npz has `arch`, int [n, 22] (operators) or [n, 46] (kernels, expansions, depths, resolution), and a time in ms a device.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from donna_hw.errors import DonnaError, FileFormatError, UnknownNameError
from donna_hw.spaces import load_space
from donna_hw.spaces.space import RESOLUTION, Rows
from donna_hw.tables.network_measurements import MeasuredNetworks, validate_seconds

LICENSE = "HELP, MIT license, (c) HayeonLee"
GPUS = ("1080ti", "2080ti", "titan_rtx", "titan_xp", "titanx", "titanxp", "v100")
OTHER_DEVICES = (
    "essential_ph_1",
    "gold_6226",
    "gold_6240",
    "pixel2",
    "samsung_a50",
    "samsung_s7",
    "silver_4114",
    "silver_4210r",
)
SUMMED_DEVICES = ("eyeriss", "fpga", "pixel3", "raspi4")
LAYERS, MAX_DEPTH = 20, 4  # of Once-for-All: layers in all, and of a stage
MS = 1e-3


@dataclass(frozen=True)
class HelpData:
    """Networks as rows of a space, int [n, stages + global axes], and the times of each device in seconds, float [n]."""

    space: str
    rows: Rows
    seconds: Mapping[str, np.ndarray]
    source: str

    def for_device(self, device: str) -> MeasuredNetworks:
        """Return one device's networks, by HELP's name of it, such as `v100_32`; its batch is known where the name says it."""
        name, batch = parse_device(device)
        if device not in self.seconds:
            raise UnknownNameError(f"{self.source} must have the device", got=device, choices=sorted(self.seconds))
        facts: dict[str, str | int] = {
            "source": self.source,
            "license": LICENSE,
            "help_device": device,
            "unit_in_file": "ms",
        }
        if batch:
            facts["batch"] = batch
        return MeasuredNetworks(load_space(self.space), name, self.rows, self.seconds[device], facts)


def parse_device(name: str) -> tuple[str, int]:
    """Return (device, batch) of HELP's name of a device, batch 0 where it is not said; raises `UnknownNameError`."""
    if name in SUMMED_DEVICES:
        rule = "a device of HELP must be a measured one; the numbers of this one are sums over a table"
        raise UnknownNameError(rule, got=name, choices=[*(f"{gpu}_<batch>" for gpu in GPUS), *OTHER_DEVICES])
    match = re.fullmatch(rf"({'|'.join(GPUS)})_([1-9][0-9]*)", name)
    if match:
        return match[1], int(match[2])
    if name not in OTHER_DEVICES:
        rule = "a device of HELP must be a known one"
        raise UnknownNameError(rule, got=name, choices=[*(f"{gpu}_<batch>" for gpu in GPUS), *OTHER_DEVICES])
    return name, 0


def read_help(source: Path, devices: Sequence[str] = ()) -> HelpData:
    """Read an .npz, or HELP's folder `data/fbnet` or `data/ofa`; without `devices` all that it measured.

    Raises `FileFormatError`, `TableError` and `UnknownNameError`; nothing in a file is run.
    """
    for name in devices:
        parse_device(name)
    arch, times = _read_folder(source, devices) if source.is_dir() else _read_npz(source, devices)
    space, rows = parse_encodings(arch, source)
    for name, values in times.items():
        if values.shape != (len(rows),):
            rule = f"{source}: {name} must have a time for each of {len(rows)} networks"
            raise FileFormatError(rule, got=f"{values.shape}", hint="take both from one version of the data")
    seconds = {name: MS * validate_seconds(values, source) for name, values in times.items()}
    return HelpData(space, rows, seconds, source.name)


def parse_encodings(arch: np.ndarray, source: Path) -> tuple[str, Rows]:
    """Return (space, rows) of HELP's encodings, int [n, 22] or [n, 46]; layers beyond a stage's depth are `skip`."""
    if arch.ndim == 2 and arch.shape[1] == 22:
        _validate_values(arch, range(9), "an operator", source)
        return "fbnet_cifar100", arch.astype(np.int64)
    if arch.ndim != 2 or arch.shape[1] != 2 * LAYERS + LAYERS // MAX_DEPTH + 1:
        raise FileFormatError(
            f"{source}: networks must be rows of 22 or of 46 numbers", got=f"{arch.shape}", hint="see docs"
        )
    kernels, expands, depths, pixels = np.split(arch.astype(np.int64), [LAYERS, 2 * LAYERS, -1], axis=1)
    known = next(axis.values for axis in load_space("ofa_mobilenetv3").global_axes if axis.name == RESOLUTION)
    _validate_values(kernels, (3, 5, 7), "a kernel", source)
    _validate_values(expands, (3, 4, 6), "an expansion", source)
    _validate_values(depths, (2, 3, 4), "a depth", source)
    _validate_values(pixels, known, "a resolution", source)
    rows = 3 * np.searchsorted([3, 5, 7], kernels) + np.searchsorted([3, 4, 6], expands)
    beyond = np.arange(LAYERS) % MAX_DEPTH >= np.repeat(depths, MAX_DEPTH, axis=1)
    rows[beyond] = 9
    return "ofa_mobilenetv3", np.hstack([rows, np.searchsorted(np.array(known), pixels)])


def _validate_values(found: np.ndarray, known: Sequence[Any], what: str, source: Path) -> None:
    bad = ~np.isin(found, np.array(known))
    if bad.any():
        words = [str(value) for value in known]
        raise UnknownNameError(f"{source}: {what} must be a known one", got=str(found[bad][0]), choices=words)


def _read_npz(source: Path, devices: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    try:
        with source.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            names = getattr(file, "files", [])  # none where the file is a single array
            found = {name: file[name] for name in names if not devices or name in ("arch", *devices)}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise FileFormatError(f"{source} must be an .npz of arrays", got=str(error), hint="name such a file") from None
    arch = found.pop("arch", np.empty(0))
    for name in (*devices, *found):
        parse_device(name)
        if name not in found:
            raise UnknownNameError(f"{source} must have the device", got=name, choices=sorted(found))
        if not np.issubdtype(found[name].dtype, np.number):
            raise FileFormatError(f"{source}: {name} must be numbers", got=str(found[name].dtype), hint="mend the file")
    if not np.issubdtype(arch.dtype, np.integer):
        raise FileFormatError(f"{source} must have `arch`, whole numbers", got=str(arch.dtype), hint="mend the file")
    return arch, {name: values.astype(np.float64) for name, values in found.items()}


def _read_folder(folder: Path, devices: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    fbnet, ofa = folder / "metainfo.pt", folder / "ofa_archs.pt"
    if fbnet.exists() == ofa.exists():
        known = "metainfo.pt (data/fbnet) or ofa_archs.pt (data/ofa)"
        raise FileFormatError(f"{folder} must have {known}", got="none, or both", hint="name one of HELP's two folders")
    path = fbnet if fbnet.exists() else ofa
    listed = _load_torch(path)
    try:
        if fbnet.exists():
            if listed["dataset"] != "cifar100":
                raise FileFormatError(
                    f"{path}: the networks must be of CIFAR-100", got=listed["dataset"], hint="see docs"
                )
            arch = np.array([network["op_idx_list"] for network in listed["arch"]])
        else:
            arch = np.array([[*n["ks"], *n["e"], *n["d"], int(n["r"])] for n in listed["arch"]])
    except DonnaError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"{path} must be HELP's", got=f"{type(error).__name__} {error}", hint="see docs"
        ) from None
    there = sorted(file.stem for file in (folder / "latency").glob("*.pt") if file.stem not in SUMMED_DEVICES)
    for name in devices:
        if name not in there:
            raise UnknownNameError(f"{folder} must have the device", got=name, choices=there)
    times = {}
    for name in devices or there:
        parse_device(name)
        times[name] = _parse_times(_load_torch(folder / "latency" / f"{name}.pt"), folder / "latency" / f"{name}.pt")
    return arch, times


def _parse_times(found: object, path: Path) -> np.ndarray:
    try:
        return np.array(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{path} must be a list of times", got=str(error), hint="see docs") from None


def _load_torch(path: Path) -> Any:
    """Return what a torch file holds: plain values and NumPy's whole numbers; any other object in it is refused unread."""
    import _codecs
    import pickle

    import torch

    scalar: Any = np.int64(0).__reduce__()[0]  # what makes a NumPy number of its bytes
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]  # by NumPy 1's name, and by 2's
    plain: list[Any] = [*names, np.dtype, type(np.dtype(np.int64)), _codecs.encode]
    try:
        with torch.serialization.safe_globals(plain):
            return torch.load(path, weights_only=True)
    except FileNotFoundError:
        raise FileFormatError(f"{path} must be there", got="no such file", hint="check the path") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        first = str(error).split("\n")[-3:][0]
        raise FileFormatError(
            f"{path} must be a torch file of plain values", got=first, hint="see docs/importing.md"
        ) from None
