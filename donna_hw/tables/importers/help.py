"""Measured whole networks of HELP (Lee et al., NeurIPS 2021, arXiv:2106.08630): its repository's files, or arrays made of them.

Schema, from the public repository: `data/fbnet` has `metainfo.pt`, {dataset, num_classes, arch: [{op_idx_list, arch_str}]}; `data/ofa` has
`ofa_archs.pt`, {dataset, num_classes, arch: [{ks, e, d, r}]}; both have `latency/<device>.pt`, a list of times in ms in the order of the
networks. An .npz has `arch`, int [n, 22] (operators) or [n, 46] (kernels, expansions, depths, resolution), and times in ms by device.
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
DEVICE_CHOICES = (*(f"{gpu}_<batch>" for gpu in GPUS), *OTHER_DEVICES)
SUMMED_DEVICES = ("eyeriss", "fpga", "pixel3", "raspi4")
LAYERS, MAX_DEPTH = 20, 4  # of Once-for-All: layers in all, and of a stage
MS = 1e-3


@dataclass(frozen=True)
class HelpData:
    """Networks of HELP and their times.

    Attributes:
        space: The name of the space.
        rows: The networks, int [n, stages + global axes].
        seconds: The times of each device in seconds, float [n].
        source: The name of the file or folder.
    """

    space: str
    rows: Rows
    seconds: Mapping[str, np.ndarray]
    source: str

    def for_device(self, device: str) -> MeasuredNetworks:
        """Return one device's networks, by HELP's name of it, such as `v100_32`; the batch is known where the name has it."""
        name, batch = parse_device(device)
        if device not in self.seconds:
            raise UnknownNameError(f"{self.source}: unknown device", got=device, choices=sorted(self.seconds))
        metadata: dict[str, str | int] = {
            "source": self.source,
            "license": LICENSE,
            "help_device": device,
            "unit_in_file": "ms",
        }
        if batch:
            metadata["batch"] = batch
        return MeasuredNetworks(load_space(self.space), name, self.rows, self.seconds[device], metadata)


def parse_device(name: str) -> tuple[str, int]:
    """Return (device, batch) of HELP's name of a device, batch 0 where the name has none; raises `UnknownNameError`."""
    if name in SUMMED_DEVICES:
        raise UnknownNameError(
            "HELP's numbers are sums over a table, not measurements, of device", got=name, choices=DEVICE_CHOICES
        )
    match = re.fullmatch(rf"({'|'.join(GPUS)})_([1-9][0-9]*)", name)
    if match:
        return match[1], int(match[2])
    if name not in OTHER_DEVICES:
        raise UnknownNameError("unknown device of HELP", got=name, choices=DEVICE_CHOICES)
    return name, 0


def read_help(source: Path, devices: Sequence[str] = ()) -> HelpData:
    """Read an .npz, or HELP's folder `data/fbnet` or `data/ofa`; no code in a file is run.

    Args:
        source: The file or folder.
        devices: HELP's names of the devices to read; by default all that were measured.

    Raises:
        FileFormatError: For files of another form.
        TableError: For times that are not finite and above zero.
        UnknownNameError: For an unknown device, or a value that the space lacks.
    """
    for name in devices:
        parse_device(name)
    arch, times = _read_folder(source, devices) if source.is_dir() else _read_npz(source, devices)
    space, rows = parse_encodings(arch, source)
    for name, values in times.items():
        if values.shape != (len(rows),):
            raise FileFormatError(
                f"{source}: {name} must have a time for each of {len(rows)} networks",
                got=values.shape,
                hint="take both from one version of the data",
            )
    seconds = {name: MS * validate_seconds(values, source) for name, values in times.items()}
    return HelpData(space, rows, seconds, source.name)


def parse_encodings(arch: np.ndarray, source: Path) -> tuple[str, Rows]:
    """Return (space, rows) of HELP's encodings, int [n, 22] or [n, 46]; layers beyond a stage's depth are `skip`."""
    if arch.ndim == 2 and arch.shape[1] == 22:
        _validate_values(arch, range(9), "operator", source)
        return "fbnet_cifar100", arch.astype(np.int64)
    if arch.ndim != 2 or arch.shape[1] != 2 * LAYERS + LAYERS // MAX_DEPTH + 1:
        raise FileFormatError(
            f"{source}: networks must be rows of 22 or of 46 numbers", got=arch.shape, hint="see docs/importing.md"
        )
    kernels, expands, depths, pixels = np.split(arch.astype(np.int64), [LAYERS, 2 * LAYERS, -1], axis=1)
    resolutions = next(axis.values for axis in load_space("ofa_mobilenetv3").global_axes if axis.name == RESOLUTION)
    _validate_values(kernels, (3, 5, 7), "kernel", source)
    _validate_values(expands, (3, 4, 6), "expansion", source)
    _validate_values(depths, (2, 3, 4), "depth", source)
    _validate_values(pixels, resolutions, "resolution", source)
    rows = 3 * np.searchsorted([3, 5, 7], kernels) + np.searchsorted([3, 4, 6], expands)
    beyond = np.arange(LAYERS) % MAX_DEPTH >= np.repeat(depths, MAX_DEPTH, axis=1)
    rows[beyond] = 9
    return "ofa_mobilenetv3", np.hstack([rows, np.searchsorted(np.array(resolutions), pixels)])


def _validate_values(values: np.ndarray, choices: Sequence[Any], kind: str, source: Path) -> None:
    bad = ~np.isin(values, np.array(choices))
    if bad.any():
        raise UnknownNameError(f"{source}: unknown {kind}", got=str(values[bad][0]), choices=map(str, choices))


def _read_npz(source: Path, devices: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    try:
        with source.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            names = getattr(file, "files", [])  # none where the file is a single array
            arrays = {name: file[name] for name in names if not devices or name in ("arch", *devices)}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise FileFormatError(f"{source}: not an .npz of arrays: {error}", hint="name such a file") from None
    arch = arrays.pop("arch", np.empty(0))
    for name in (*devices, *arrays):
        parse_device(name)
        if name not in arrays:
            raise UnknownNameError(f"{source}: unknown device", got=name, choices=sorted(arrays))
        if not np.issubdtype(arrays[name].dtype, np.number):
            raise FileFormatError(f"{source}: {name} must be numbers", got=str(arrays[name].dtype), hint="fix the file")
    if not np.issubdtype(arch.dtype, np.integer):
        raise FileFormatError(f"{source} must have `arch`, whole numbers", got=str(arch.dtype), hint="fix the file")
    return arch, {name: values.astype(np.float64) for name, values in arrays.items()}


def _read_folder(folder: Path, devices: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    fbnet, ofa = folder / "metainfo.pt", folder / "ofa_archs.pt"
    if fbnet.exists() == ofa.exists():
        raise FileFormatError(
            f"{folder} must have either metainfo.pt (data/fbnet) or ofa_archs.pt (data/ofa)",
            hint="name one of HELP's two folders",
        )
    path = fbnet if fbnet.exists() else ofa
    listed = _load_torch(path)
    try:
        if fbnet.exists():
            if listed["dataset"] != "cifar100":
                raise FileFormatError(
                    f"{path}: the networks must be of CIFAR-100", got=listed["dataset"], hint="see docs/importing.md"
                )
            arch = np.array([network["op_idx_list"] for network in listed["arch"]])
        else:
            arch = np.array([[*n["ks"], *n["e"], *n["d"], int(n["r"])] for n in listed["arch"]])
    except DonnaError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"{path}: not a file of HELP: {type(error).__name__} {error}", hint="see docs/importing.md"
        ) from None
    measured = sorted(file.stem for file in (folder / "latency").glob("*.pt") if file.stem not in SUMMED_DEVICES)
    for name in devices:
        if name not in measured:
            raise UnknownNameError(f"{folder}: unknown device", got=name, choices=measured)
    times = {}
    for name in devices or measured:
        parse_device(name)
        times[name] = _parse_times(_load_torch(folder / "latency" / f"{name}.pt"), folder / "latency" / f"{name}.pt")
    return arch, times


def _parse_times(times: object, path: Path) -> np.ndarray:
    try:
        return np.array(times, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: not a list of times: {error}", hint="see docs/importing.md") from None


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
        raise FileFormatError(f"{path}: no such file", hint="check the path") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        first = str(error).split("\n")[-3:][0]
        raise FileFormatError(
            f"{path}: not a torch file of plain values: {first}", hint="see docs/importing.md"
        ) from None
