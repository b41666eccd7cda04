"""Which networks of a finished run become backbones of detectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from donna_hw._core.csv_files import read_csv
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.spaces.space import Architecture
from donna_hw.training.libraries import SEPARATE_ROLES, ArchitectureLibrary, FinetunedNetwork

EXCLUDED_ROLES = (*SEPARATE_ROLES, "float_counterpart")  # trained otherwise, or quantized from


def select_backbones(folder: Path, library: ArchitectureLibrary, recipe: str, count: int) -> list[FinetunedNetwork]:
    """Return networks of a run by one finetuning each: those of the front, then those that spread the accuracies most evenly.

    Args:
        folder: The run's folder.
        library: Its finetuned networks.
        recipe: Name of its recipe, for messages.
        count: How many networks.

    Raises:
        ConfigError: The run has too few networks.
        FileFormatError: The run is not finished, or the weights of a network are gone.
    """
    if not (folder / "verified.csv").exists():
        raise FileFormatError(
            f"{folder} must hold the finished run of {recipe}",
            got="no verified.csv",
            hint=f"run donna-hw run {recipe}, or name its folder by backbones.run",
        )
    verified = read_csv(folder / "verified.csv", ("role", "network"))
    front = set(verified.loc[verified["role"] == "front", "network"])
    networks: dict[Architecture, FinetunedNetwork] = {}
    for network in library.networks():
        if network.role not in EXCLUDED_ROLES and network.architecture not in networks:
            role = "front" if library.name(network.architecture) in front else network.role
            networks[network.architecture] = replace(network, role=role)
    if len(networks) < count:
        raise ConfigError(
            "backbones.networks must be at most the finetuned networks of that run",
            got=count,
            hint=f"ask for {len(networks)} or fewer",
        )
    selected = select_farthest(list(networks.values()), count)
    for network in selected:
        path = library.weights_path(network.architecture, network.seed)
        if not path.exists():
            raise FileFormatError(
                f"the weights of {library.name(network.architecture)} are gone",
                got=f"no {path}",
                hint=f"delete its line in {library.journal.path}, then donna-hw finetune {recipe} trains it again",
            )
    return selected


def select_farthest(networks: list[FinetunedNetwork], count: int) -> list[FinetunedNetwork]:
    """Return so many networks: those of the front, then one after another the one whose accuracy is farthest from all selected.

    Without a front the most accurate one is first. Of equal ones the first is taken.
    """
    selected = [network for network in networks if network.role == "front"][:count]
    rest = [network for network in networks if network.role != "front"]
    if not selected:
        selected = [rest.pop(int(np.argmax([network.top1_percent for network in rest])))]
    while len(selected) < count:
        known = np.array([network.top1_percent for network in selected])
        gaps = [float(np.abs(known - network.top1_percent).min()) for network in rest]
        selected.append(rest.pop(int(np.argmax(gaps))))
    return selected
