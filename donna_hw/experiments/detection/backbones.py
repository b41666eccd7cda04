"""Which networks of a finished run become backbones of detectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from donna_hw._core.csv_files import read_csv
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.spaces.space import Architecture
from donna_hw.training.libraries import SEPARATE_ROLES, ArchitectureLibrary, FinetunedNetwork

EXCLUDED_ROLES = (*SEPARATE_ROLES, "float_counterpart")  # trained otherwise, or quantised from


def select_backbones(folder: Path, library: ArchitectureLibrary, recipe: str, count: int) -> list[FinetunedNetwork]:
    """Return so many networks of a run: those of the front, then those that spread the accuracies most evenly, by one finetuning each.

    folder: the run's; library: its finetuned networks; recipe: its name, for the error. Raises `FileFormatError` where the run is not finished or
    a network's weights are gone, and `ConfigError` where it has too few networks.
    """
    if not (folder / "verified.csv").exists():
        raise FileFormatError(
            f"{folder} must hold the finished run of {recipe}",
            got="no verified.csv",
            hint=f"donna-hw run {recipe}; or name its folder: backbones.run",
        )
    verified = read_csv(folder / "verified.csv", ("role", "network"))
    front = set(verified.loc[verified["role"] == "front", "network"])
    every: dict[Architecture, FinetunedNetwork] = {}
    for network in library.networks():
        if network.role not in EXCLUDED_ROLES and network.architecture not in every:
            role = "front" if library.name(network.architecture) in front else network.role
            every[network.architecture] = replace(network, role=role)
    if len(every) < count:
        rule = "backbones.networks must be at most the finetuned networks of that run"
        raise ConfigError(rule, got=count, hint=f"ask for {len(every)} or fewer")
    found = select_farthest(list(every.values()), count)
    for network in found:
        path = library.weights_path(network.architecture, network.seed)
        if not path.exists():
            cure = f"delete its line in {library.journal.path}: donna-hw finetune {recipe} trains it again"
            raise FileFormatError(
                f"{library.name(network.architecture)} must have its weights", got=f"no {path}", hint=cure
            )
    return found


def select_farthest(networks: list[FinetunedNetwork], count: int) -> list[FinetunedNetwork]:
    """Return so many networks: of the front as many as there are, then each time the one whose accuracy is farthest from all chosen.

    Without a front the most accurate one is first. Equal ones in their order.
    """
    chosen = [network for network in networks if network.role == "front"][:count]
    rest = [network for network in networks if network.role != "front"]
    if not chosen:
        chosen = [rest.pop(int(np.argmax([network.top1_percent for network in rest])))]
    while len(chosen) < count:
        known = np.array([network.top1_percent for network in chosen])
        gaps = [float(np.abs(known - network.top1_percent).min()) for network in rest]
        chosen.append(rest.pop(int(np.argmax(gaps))))
    return chosen
