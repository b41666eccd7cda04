"""BlockLibrary and ArchitectureLibrary: files of trained weights and what they are worth; no training happens here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from donna_hw.blocks.layers import layers_hash
from donna_hw.errors import BadFile, NothingToFit, UnknownName
from donna_hw.files import Journal
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.spaces.stage import Stage

BLOCK_COLUMNS = ("stage", "block", "layers_hash", "status", "nsr", "train_s")
NETWORK_COLUMNS = ("role", "network", "top1_percent", "train_s")
ROLES = ("library", "test", "front", "random")


@dataclass(frozen=True)
class BlockLibrary:
    """The trained blocks of a space: `quality.csv`, a record for each different block, and `weights/`, a file for each.

    status is `trained`, or `diverged` for a block whose NSR is not finite; a diverged block has no weights and no network may hold it.
    """

    folder: Path
    space: Space

    @property
    def journal(self) -> Journal:
        """The records, appended as blocks finish."""
        return Journal(self.folder / "quality.csv", BLOCK_COLUMNS)

    def weights_path(self, stage: Stage, number: int) -> Path:
        """Return where a block's weights lie; blocks of equal layers in one stage share the file."""
        return (
            self.folder / "weights" / f"{stage.name}-{layers_hash(self.space.block_graph(stage, number))}.safetensors"
        )

    def finished(self) -> set[tuple[str, str]]:
        """Return (stage, layers_hash) of every block that is trained or diverged."""
        return {(record["stage"], record["layers_hash"]) for record in self.journal.records()}

    def qualities(self) -> tuple[np.ndarray, ...]:
        """Return the NSR of every block, [stage][block], lower is better; infinite for a diverged one.

        Raises `NothingToFit` when blocks are missing and `BadFile` when a value is no quality.
        """
        found: dict[tuple[str, str], float] = {}
        for record in self.journal.records():
            found[record["stage"], record["layers_hash"]] = _quality(record, self.journal.path)
        arrays, missing = [], []
        for stage in self.space.stages:
            keys = [(stage.name, layers_hash(self.space.block_graph(stage, m))) for m in range(stage.size)]
            missing += [f"{stage.name} {stage.label(m)}" for m, key in enumerate(keys) if key not in found]
            arrays.append(np.array([found.get(key, np.nan) for key in keys]))
        if missing:
            raise NothingToFit(
                f"{self.folder} must hold every block of {self.space.name}",
                found=f"{len(missing)} missing: {', '.join(missing[:3])}{' ...' * (len(missing) > 3)}",
                cure="donna-hw distill RECIPE trains them",
            )
        return tuple(arrays)


@dataclass(frozen=True)
class Finetuned:
    """One finetuned network: why it was trained (a `ROLES` name), and its accuracy on the test images in per cent."""

    role: str
    architecture: Architecture
    top1_percent: float
    train_s: float


@dataclass(frozen=True)
class ArchitectureLibrary:
    """The finetuned networks of a space: `architectures.csv`, and `weights/`, a file for each network."""

    folder: Path
    space: Space

    @property
    def journal(self) -> Journal:
        """The records, appended as networks finish."""
        return Journal(self.folder / "architectures.csv", NETWORK_COLUMNS)

    def name(self, architecture: Architecture) -> str:
        """Return a network's name: its blocks' labels, joined by `/`."""
        return "/".join(self.space.labels(architecture).values())

    def weights_path(self, architecture: Architecture) -> Path:
        """Return where a network's weights lie."""
        return self.folder / "weights" / f"{layers_hash(self.space.network(architecture))}.safetensors"

    def networks(self, *roles: str) -> list[Finetuned]:
        """Return the finetuned networks of the roles, all if none is named, oldest first; raises `BadFile`."""
        found = []
        for line, record in enumerate(self.journal.records(), start=2):
            try:
                top1, train_s = float(record["top1_percent"]), float(record["train_s"])
                labels = dict(zip(self.space.columns, record["network"].split("/"), strict=True))
                network = self.space.from_labels(labels)
            except (ValueError, UnknownName) as error:
                raise BadFile(f"{self.journal.path}, line {line}", found=str(error), cure="delete the line") from None
            if not 0 <= top1 <= 100:
                raise BadFile(
                    f"{self.journal.path}, line {line}: top-1 lies in 0..100 %", found=top1, cure="delete the line"
                )
            if record["role"] not in ROLES:
                raise BadFile(
                    f"{self.journal.path}, line {line}: a role must be known", found=record["role"], known=ROLES
                )
            if not roles or record["role"] in roles:
                found.append(Finetuned(record["role"], network, top1, train_s))
        return found

    def targets(self, role: str, at_least: int) -> tuple[Rows, np.ndarray]:
        """Return (rows int [n, stages + global axes], top-1 % float [n]) of one role; raises `NothingToFit` below `at_least`."""
        networks = self.networks(role)
        if len(networks) < at_least:
            raise NothingToFit(
                f"{self.folder} must hold at least {at_least} finetuned networks of role {role!r}",
                found=len(networks),
                cure="donna-hw finetune RECIPE trains them",
            )
        rows = np.array([self.space.row(network.architecture) for network in networks])
        return rows, np.array([network.top1_percent for network in networks])


def qualities_of(qualities: tuple[np.ndarray, ...], rows: Rows) -> np.ndarray:
    """Return the NSR of each stage's block of each row, float [n, stages]."""
    return np.stack([values[rows[:, stage]] for stage, values in enumerate(qualities)], axis=1)


def _quality(record: dict[str, str], path: Path) -> float:
    if record["status"] == "diverged":
        return float("inf")
    try:
        nsr = float(record["nsr"])
    except ValueError:
        nsr = float("nan")
    if not (np.isfinite(nsr) and nsr >= 0):
        raise BadFile(
            f"{path}: the NSR of {record['stage']} {record['block']} must be a finite number, zero or more",
            found=record["nsr"],
            cure="delete the line: only this block is trained again",
        )
    return nsr
