"""Libraries read what was written, report what is missing, and refuse invalid qualities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import tiny_space

from donna_hw.errors import DonnaError, FileFormatError, InsufficientDataError
from donna_hw.graph.graph import layers_hash
from donna_hw.spaces import Architecture
from donna_hw.spaces.extremes import block_macs, block_params
from donna_hw.training.block_metrics import METRICS, gather_qualities, is_trained
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

SPACE = tiny_space()


def filled_library(folder: Path, skip: int = 0) -> BlockLibrary:
    """A library whose block m of stage s has the NSR s + m / 10; the last block of the last stage diverged."""
    library = BlockLibrary(folder, SPACE)
    blocks = [(s, stage, m) for s, stage in enumerate(SPACE.stages) for m in range(stage.size)]
    for s, stage, m in blocks[: len(blocks) - skip]:
        diverged = (s, m) == (len(SPACE.stages) - 1, stage.size - 1)
        library.journal.append(
            {
                "stage": stage.name,
                "block": stage.label(m),
                "layers_hash": layers_hash(SPACE.block_graph(stage, m)),
                "status": "diverged" if diverged else "trained",
                **dict.fromkeys(METRICS, "" if diverged else s + m / 10),
                "train_s": 1.0,
            }
        )
    return library


def test_qualities_are_by_stage_and_number_and_infinite_where_training_diverged(tmp_path: Path) -> None:
    first, second = filled_library(tmp_path).qualities()
    assert first.tolist() == [0.0, 0.1, 0.2, 0.3]
    assert second.tolist() == [1.0, 1.1, 1.2, np.inf]
    rows = np.array([[3, 0], [0, 3]])
    assert gather_qualities((first, second), rows).tolist() == [[0.3, 1.0], [0.0, np.inf]]


def test_several_metrics_and_counts_are_combined(tmp_path: Path) -> None:
    library = filled_library(tmp_path)
    first, second = library.qualities("kl+macs+params")
    np.testing.assert_array_equal(first[:, 0], library.qualities("kl")[0])
    assert first[:, 1].tolist() == block_macs(SPACE)[0].tolist()
    assert second[:, 2].tolist() == block_params(SPACE)[1].tolist()
    assert is_trained(second).tolist() == [True, True, True, False]
    assert gather_qualities((first, second), np.array([[3, 0], [0, 3]])).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kl+kl", "metrics must be different"),
        ("macs", "at least one of them not a count"),
        ("kl+speed", "unknown block metric 'speed'; expected nsr, l1,"),
        ("", "unknown block metric ''; expected nsr, l1,"),
    ],
)
def test_invalid_metrics_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DonnaError, match=message):
        filled_library(tmp_path).qualities(text)


def test_none_of_no_networks_is_of_trained_blocks() -> None:
    assert is_trained(np.empty((0, 4))).tolist() == is_trained(np.empty((0, 4, 2))).tolist() == []


def test_missing_blocks_are_counted_and_listed(tmp_path: Path) -> None:
    with pytest.raises(
        InsufficientDataError,
        match=r"2 blocks of .* are missing: second k3-relu, second k3-swish; run donna-hw distill",
    ):
        filled_library(tmp_path, skip=2).qualities()
    assert len(filled_library(tmp_path / "other", skip=2).recorded_blocks()) == 6


@pytest.mark.parametrize("nsr", ["nan", "inf", "-0.1", "", "good"])
def test_an_invalid_quality_is_refused(tmp_path: Path, nsr: str) -> None:
    library = filled_library(tmp_path)
    stage = SPACE.stages[0]
    key = layers_hash(SPACE.block_graph(stage, 0))
    record = {"stage": stage.name, "block": "b", "layers_hash": key, "status": "trained", "train_s": 1}
    record |= dict.fromkeys(METRICS, nsr)
    library.journal.append(record)
    with pytest.raises(FileFormatError, match="must be a finite number of zero or more"):
        library.qualities()


def test_different_blocks_have_different_files(tmp_path: Path) -> None:
    library = BlockLibrary(tmp_path, SPACE)
    paths = {library.weights_path(stage, m) for stage in SPACE.stages for m in range(stage.size)}
    assert len(paths) == sum(SPACE.stage_sizes)


def network_record(name: str, role: str = "library", top1: object = 50.0, train_s: object = 2.5) -> dict[str, object]:
    record = {"role": role, "network": name, "seed": 0, "top1_percent": top1, "train_s": train_s}
    return record | {"stitched_percent": 40.0, "curve_percent": "30.0 45.5"}


def test_networks_read_back_by_role(tmp_path: Path) -> None:
    library = ArchitectureLibrary(tmp_path, SPACE)
    networks = [Architecture((0, 3)), Architecture((2, 1)), Architecture((1, 1))]
    for number, (network, role) in enumerate(zip(networks, ["library", "test", "library"], strict=True)):
        library.journal.append(network_record(library.name(network), role, 10.0 * number))
    assert [network.architecture for network in library.networks()] == networks
    assert [network.architecture for network in library.networks("test")] == [networks[1]]
    rows, top1 = library.targets("library", 2)
    assert rows.tolist() == [[0, 3], [1, 1]]
    assert top1.tolist() == [0.0, 20.0]
    with pytest.raises(
        InsufficientDataError, match=r"at least 3 finetuned networks of role 'library' are needed; got 2"
    ):
        library.targets("library", 3)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (network_record("k1-relu/k3-relu", top1="good"), r"line 2.*good"),
        (network_record("k1-relu/k3-relu", top1=101), r"line 2: top-1 must be in 0\.\.100 %; got 101"),
        (network_record("k1-relu/k3-relu", top1="nan"), "line 2: top-1 must be in"),
        (network_record("k1-relu"), "line 2"),
        (network_record("k1-relu/k3-relu", train_s="long"), r"line 2.*long"),
        (network_record("k1-relu/k9-relu"), r"line 2.*k9-relu"),
        (network_record("k1-relu/k3-relu", role="guest"), r"line 2: unknown role; got 'guest'; expected library, test"),
    ],
)
def test_an_invalid_network_is_reported_with_its_line(tmp_path: Path, record: dict[str, object], message: str) -> None:
    library = ArchitectureLibrary(tmp_path, SPACE)
    library.journal.append(record)
    with pytest.raises(FileFormatError, match=message):
        library.networks()
