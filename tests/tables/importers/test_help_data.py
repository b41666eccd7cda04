"""HELP's networks: every encoding becomes the network that it names, and nothing that is not known is taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from donna_hw.errors import DonnaError, FileFormatError, TableError, UnknownNameError
from donna_hw.spaces import load_space
from donna_hw.tables.importers.help import parse_device, parse_encodings, read_help
from donna_hw.tables.network_measurements import MeasuredNetworks

RNG = np.random.default_rng(0)
KERNELS, EXPANDS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)


def ofa_arch(count: int = 30) -> np.ndarray:
    parts = [RNG.choice(values, (count, n)) for values, n in ((KERNELS, 20), (EXPANDS, 20), (DEPTHS, 5))]
    return np.hstack([*parts, RNG.choice(range(128, 225, 4), (count, 1))]).astype(np.uint8)


def fbnet_arch(count: int = 30) -> np.ndarray:
    return RNG.integers(0, 9, (count, 22)).astype(np.uint8)


def made_npz(folder: Path, arch: np.ndarray, times: Mapping[str, np.ndarray]) -> Path:
    np.savez(folder / "made.npz", arch=arch, **times)
    return folder / "made.npz"


def test_a_row_of_once_for_all_is_the_network_of_its_kernels_expansions_depths_and_resolution() -> None:
    arch = ofa_arch()
    name, rows = parse_encodings(arch, Path("made"))
    space = load_space(name)
    for code, row in zip(arch.astype(int), rows, strict=True):
        network = space.network_graph(space.architecture(row))
        assert network.input_shape == (3, code[45], code[45])
        spatial = [layer for layer in network.layers if layer.name.endswith("1_spatial")][1:]
        used = [layer for layer in range(20) if layer % 4 < code[40 + layer // 4]]
        assert [layer.kernel for layer in spatial] == [code[layer] for layer in used]
        channels = (
            24,
            *(c for c, depth in zip((32, 48, 96, 136, 192), code[40:45], strict=True) for _ in range(depth)),
        )
        assert [layer.in_shape[0] for layer in spatial] == [
            into * code[20 + layer] for into, layer in zip(channels[:-1], used, strict=True)
        ]


def test_a_row_of_fbnet_is_its_operators() -> None:
    arch = fbnet_arch()
    name, rows = parse_encodings(arch, Path("made"))
    assert name == "fbnet_cifar100"
    assert (rows == arch).all()
    labels = load_space(name).column_labels[0]
    assert labels == ("k3-e1", "k3-e1-g2", "k3-e3", "k3-e6", "k5-e1", "k5-e1-g2", "k5-e3", "k5-e6", "skip")


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [(0, 4, "kernel"), (20, 5, "expansion"), (40, 1, "depth"), (45, 130, "resolution")],
)
def test_a_value_that_the_space_lacks_is_refused(column: int, value: int, says: str) -> None:
    arch = ofa_arch(3)
    arch[1, column] = value
    with pytest.raises(UnknownNameError, match=f"unknown {says} '{value}'"):
        parse_encodings(arch, Path("made"))


def test_an_npz_becomes_a_file_of_networks_in_seconds(
    tmp_path: Path, main: Callable[..., tuple[int, str, str]]
) -> None:
    arch, times = fbnet_arch(), RNG.uniform(1, 90, (2, 30)).astype(np.float32)
    path = made_npz(tmp_path, arch, {"titan_rtx_64": times[0], "essential_ph_1": times[1]})
    code, said, _ = main("table", "import", "help", str(path), "--tables", str(tmp_path / "out"))
    assert (code, said.count("30 networks, measured, in seconds (the file's ms times 0.001)")) == (0, 2)
    assert "HELP, MIT license, (c) HayeonLee" in said
    for device, variant, row in (("titan_rtx", "help-b64", 0), ("essential_ph_1", "help", 1)):
        found = MeasuredNetworks.read(tmp_path / "out" / device / "fbnet_cifar100" / f"{variant}.networks.csv")
        assert found.device == device
        assert (found.rows == arch).all()
        assert found.seconds == pytest.approx(times[row] / 1000, rel=1e-6)
        assert found.metadata.get("batch") == (64 if row == 0 else None)
        assert found.metadata["license"] == "HELP, MIT license, (c) HayeonLee"


def made_folder(folder: Path, listed: object, file: str, times: Mapping[str, Any]) -> Path:
    (folder / "latency").mkdir(parents=True)
    torch.save(listed, folder / file)
    for device, values in times.items():
        torch.save(values, folder / "latency" / f"{device}.pt")
    return folder


def test_the_repositorys_folders_are_read(tmp_path: Path) -> None:
    code, operators, times = ofa_arch(4).astype(int), fbnet_arch(4).tolist(), [1.0, 2.0, 3.0, 4.0]
    networks = [
        {"ks": row[:20].tolist(), "e": row[20:40].tolist(), "d": row[40:45].tolist(), "r": np.int64(row[45])}
        for row in code
    ]
    listed = {"dataset": "imagenet", "num_classes": 1000, "arch": networks}
    found = read_help(made_folder(tmp_path / "ofa", listed, "ofa_archs.pt", {"v100_1": times}))
    assert (found.rows == parse_encodings(code, Path())[1]).all()
    assert found.seconds["v100_1"].tolist() == [0.001, 0.002, 0.003, 0.004]
    listed = {"dataset": "cifar100", "num_classes": 100, "arch": [{"op_idx_list": row} for row in operators]}
    folder = made_folder(tmp_path / "fbnet", listed, "metainfo.pt", {"pixel2": [1, 2, 3, 4], "fpga": times})
    found = read_help(folder)
    assert found.rows.tolist() == operators
    assert found.seconds.keys() == {"pixel2"}
    with pytest.raises(UnknownNameError, match="sums over a table"):
        read_help(folder, ["fpga"])
    with pytest.raises(UnknownNameError, match="unknown device 'v100_1'"):
        read_help(folder, ["v100_1"])


class Harmful:
    """What a pickle could run; reading must not."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harm",)


def test_a_torch_file_that_holds_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = made_folder(tmp_path / "ofa", Harmful(), "ofa_archs.pt", {"v100_1": [1.0]})
    with pytest.raises(FileFormatError, match="plain values"):
        read_help(folder)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("arch", "times", "error", "says"),
    [
        (fbnet_arch(3), {"v100_1": np.ones(2)}, FileFormatError, "a time for each of 3 networks"),
        (fbnet_arch(3), {"v100_1": np.array([1, 0, 2])}, TableError, "line 3.*above zero"),
        (fbnet_arch(3), {"v100_1": np.array([1, np.nan, 2])}, TableError, "line 3.*above zero"),
        (fbnet_arch(3), {"toaster_1": np.ones(3)}, UnknownNameError, "unknown device of HELP 'toaster_1'"),
        (fbnet_arch(3), {"eyeriss": np.ones(3)}, UnknownNameError, "sums over a table"),
        (fbnet_arch(3) + 1, {"v100_1": np.ones(3)}, UnknownNameError, "unknown operator"),
        (fbnet_arch(3)[:, :5], {"v100_1": np.ones(3)}, FileFormatError, "22 or of 46"),
        (fbnet_arch(3).astype(float), {"v100_1": np.ones(3)}, FileFormatError, "whole numbers"),
        (fbnet_arch(3), {"v100_1": np.array(["a", "b", "c"])}, FileFormatError, "must be numbers"),
    ],
)
def test_arrays_that_are_not_helps_are_refused(
    tmp_path: Path, arch: np.ndarray, times: dict[str, np.ndarray], error: type[DonnaError], says: str
) -> None:
    with pytest.raises(error, match=says):
        read_help(made_npz(tmp_path, np.where(arch == 1, 9, arch) if "operator" in says else arch, times))


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.npz"
    for content in (b"", b"PK\x03\x04 torn", b"text"):
        bad.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"bad\.npz"):
            read_help(bad)


@pytest.mark.parametrize(
    ("name", "device", "batch"),
    [
        ("v100_32", "v100", 32),
        ("titan_xp_1", "titan_xp", 1),
        ("essential_ph_1", "essential_ph_1", 0),
        ("gold_6226", "gold_6226", 0),
    ],
)
def test_a_devices_name_says_its_batch_only_where_it_does(name: str, device: str, batch: int) -> None:
    assert parse_device(name) == (device, batch)


@pytest.mark.skipif(
    "DONNA_HW_REFERENCE" not in os.environ, reason="needs HELP's numbers in a folder DONNA_HW_REFERENCE"
)
def test_helps_own_numbers_grow_with_the_operators_that_the_space_says_are_larger() -> None:
    """Least squares over 4,000 networks: of operators in their order, an expansion of 6 takes longest and a skip least."""
    data = read_help(Path(os.environ["DONNA_HW_REFERENCE"]) / "fbnet_latency.npz")
    for device in ("1080ti_64", "titanx_64", "gold_6240", "pixel2"):
        chosen = np.concatenate([data.rows == operator for operator in range(9)], axis=1).astype(float)
        cost = np.linalg.lstsq(chosen, data.seconds[device], rcond=None)[0].reshape(9, 22).mean(axis=1)
        e1, e3, e6 = cost[[0, 4]], cost[[2, 6]], cost[[3, 7]]
        assert (e6 > e3).all()
        assert (e3 > e1).all()
        assert (cost[[4, 7]] > cost[[0, 3]]).all()
        assert cost.argmin() == 8
