"""Finetuning as in the paper, one network on each host of a Ray cluster, one worker killed: the results are those of one process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from paper_runs import recipe, start_run
from ray_nodes import kill_one, two_nodes, when

from donna_hw._core import torchvision_compat
from donna_hw.spaces import load_space
from donna_hw.training.libraries import ArchitectureLibrary

torchvision_compat.patch_torchvision()
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # Ray leaves sockets and processes to the garbage collector
]


def test_networks_finetuned_on_a_cluster_are_those_of_one_process(
    tmp_path: Path, main: Callable[..., tuple[int, str, str]]
) -> None:
    start_run(tmp_path, batch_norm=True)
    here, there, killed = tmp_path / "here", tmp_path / "there", []  # type: ignore[var-annotated]
    for run in (here, there):
        shutil.copytree(tmp_path / "run", run)
    path = recipe(tmp_path, epochs=6)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as each task has
    assert main("finetune", path, "--out", here)[0] == 0
    torch.set_num_threads(before)
    with two_nodes() as nodes:
        killer = when(kill_one("train_student", killed))
        code, _, error = main("finetune", path, "--out", there, "--cluster", nodes.address)
        killer.join()
    assert code == 0, error
    assert killed == ["train_student"]
    space = load_space(f"{tmp_path / 'space.py'}:plain")
    local, remote = (ArchitectureLibrary(run / "architecture_library", space) for run in (here, there))
    remote_networks = {network.architecture: network for network in remote.networks()}
    assert len(remote_networks) == len(remote.networks()) == len(local.networks()) == 5
    for left in local.networks():
        right = remote_networks[left.architecture]
        assert (left.curve_percent, left.stitched_percent) == (right.curve_percent, right.stitched_percent)
        paths = [library.weights_path(left.architecture, 4) for library in (local, remote)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not list((remote.folder / "checkpoints").iterdir())
