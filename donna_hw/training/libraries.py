"""BlockLibrary and ArchitectureLibrary: files of trained weights and what they are worth; no training happens here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from donna_hw._core.journal import Journal
from donna_hw.errors import FileFormatError, InsufficientDataError, UnknownNameError
from donna_hw.graph.graph import layers_hash
from donna_hw.spaces.extremes import block_macs, block_params
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.spaces.stage import Stage
from donna_hw.training.block_metrics import METRICS, parse_metrics, stack_metrics

BLOCK_COLUMNS = ("stage", "block", "layers_hash", "status", *METRICS, "train_s")
NETWORK_COLUMNS = ("role", "network", "seed", "top1_percent", "stitched_percent", "curve_percent", "train_s")
ROLES = ("library", "test", "stratified", "front", "random", "scaled", "float_counterpart", "scratch", "long")
SEPARATE_ROLES = (
    "scratch",
    "long",
)  # trainings of another kind or length: no other role's training stands for one of these


@dataclass(frozen=True)
class BlockLibrary:
    """The trained blocks of a space: `quality.csv`, a record for each different block, and `weights/`, a file for each.

    status is `trained`, or `diverged` for a block whose NSR is not finite; a diverged block has no weights and no network may hold it.
    Qualities are of images held out of the train set. nsr, l1: equations 1 and 3. loss, error_percent, kl: of the reference with this
    block alone replaced; its cross-entropy, the images it gets wrong, and its divergence from the reference.
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

    def add(self, stage: Stage, number: int, quality: Mapping[str, float], train_s: float) -> None:
        """Record a block by its metrics; one whose NSR is not finite as diverged."""
        self.journal.append(
            {
                "stage": stage.name,
                "block": stage.label(number),
                "layers_hash": layers_hash(self.space.block_graph(stage, number)),
                "status": "trained" if np.isfinite(quality["nsr"]) else "diverged",
                **{name: f"{value:.9g}" for name, value in quality.items()},
                "train_s": f"{train_s:.2f}",
            }
        )

    def recorded_blocks(self) -> set[tuple[str, str]]:
        """Return (stage, layers_hash) of every block that is trained or diverged."""
        return {(record["stage"], record["layers_hash"]) for record in self.journal.records()}

    def qualities(self, metric: str = "nsr") -> tuple[np.ndarray, ...]:
        """Return a metric of every block, `[stage][block]`, lower is better; infinite for a diverged one.

        Several, joined by `+`, give `[stage][block, metric]`; beside metrics these may be counts of the block. Raises `UnknownNameError`,
        `InsufficientDataError` when blocks are missing and `FileFormatError` when a value is no quality.
        """
        names = parse_metrics(metric)
        if len(names) == 1 and names[0] in METRICS:
            return self._metric(metric)
        counts = {"macs": block_macs, "params": block_params}
        each = [self._metric(name) if name in METRICS else counts[name](self.space) for name in names]
        return stack_metrics(each)

    def _metric(self, metric: str) -> tuple[np.ndarray, ...]:
        found: dict[tuple[str, str], float] = {}
        for record in self.journal.records():
            values = {
                name: _parse_quality(record, name, self.journal.path) for name in METRICS
            }  # a broken line is refused whole
            found[record["stage"], record["layers_hash"]] = values[metric]
        arrays, missing = [], []
        for stage in self.space.stages:
            keys = [(stage.name, layers_hash(self.space.block_graph(stage, m))) for m in range(stage.size)]
            missing += [f"{stage.name} {stage.label(m)}" for m, key in enumerate(keys) if key not in found]
            arrays.append(np.array([found.get(key, np.nan) for key in keys]))
        if missing:
            raise InsufficientDataError(
                f"{self.folder} must hold every block of {self.space.name}",
                got=f"{len(missing)} missing: {', '.join(missing[:3])}{' ...' * (len(missing) > 3)}",
                hint="donna-hw distill RECIPE trains them",
            )
        return tuple(arrays)


@dataclass(frozen=True)
class FinetunedNetwork:
    """One finetuning of a network: why (a `ROLES` name), by which seed, and its accuracies in per cent.

    top1_percent: on the test images, after the last epoch; curve_percent: after each. stitched_percent: on the held-out images before any
    training of the whole, batch-norm re-estimated; NaN for one trained from scratch, and for one with 8-bit blocks, which is no more
    trained: it is made of its finetuned float32 `twin`.
    """

    role: str
    architecture: Architecture
    seed: int
    top1_percent: float
    stitched_percent: float
    curve_percent: tuple[float, ...]
    train_s: float


@dataclass(frozen=True)
class ArchitectureLibrary:
    """The finetuned networks of a space: `architectures.csv`, and `weights/`, a file for each network.

    Role `scratch`: trained from random weights; `long`: from the Block Library's, for as long as those from scratch.
    """

    folder: Path
    space: Space

    @property
    def journal(self) -> Journal:
        """The records, appended as networks finish."""
        return Journal(self.folder / "architectures.csv", NETWORK_COLUMNS)

    def name(self, architecture: Architecture) -> str:
        """Return a network's name: its blocks' labels, joined by `/`."""
        return self.space.network_name(architecture)

    def weights_path(self, architecture: Architecture, seed: int, role: str = "library") -> Path:
        """Return where the weights of a network trained by `seed` lie; those of the roles `SEPARATE_ROLES` have names of their own."""
        kind = role if role in SEPARATE_ROLES else "seed"
        return (
            self.folder / "weights" / f"{layers_hash(self.space.network_graph(architecture))}-{kind}{seed}.safetensors"
        )

    def find_weights(self, architecture: Architecture) -> Path | None:
        """Return the weights of a finetuned network, those by the lowest of its seeds, or None when it is not finetuned."""
        found = (self.folder / "weights").glob(
            f"{layers_hash(self.space.network_graph(architecture))}-seed*.safetensors"
        )
        return min(found, key=lambda path: int(path.stem.partition("-seed")[2]), default=None)

    def networks(self, *roles: str) -> list[FinetunedNetwork]:
        """Return the finetunings of the roles, all if none is named, oldest first; raises `FileFormatError`."""
        found = []
        for line, record in enumerate(self.journal.records(), start=2):
            try:
                network = self._network(record)
            except (ValueError, UnknownNameError) as error:
                raise FileFormatError(
                    f"{self.journal.path}, line {line}", got=str(error), hint="delete the line"
                ) from None
            wrong = [share for share in (network.top1_percent, *network.curve_percent) if not 0 <= share <= 100]
            if wrong:
                rule = f"{self.journal.path}, line {line}: top-1 lies in 0..100 %"
                raise FileFormatError(rule, got=wrong[0], hint="delete the line")
            if network.role not in ROLES:
                rule = f"{self.journal.path}, line {line}: a role must be known"
                raise FileFormatError(rule, got=network.role, choices=ROLES)
            if not roles or network.role in roles:
                found.append(network)
        return found

    def add(self, found: FinetunedNetwork) -> None:
        """Record a finetuning."""
        self.journal.append(
            {
                "role": found.role,
                "network": self.name(found.architecture),
                "seed": found.seed,
                "top1_percent": f"{found.top1_percent:.4f}",
                "stitched_percent": f"{found.stitched_percent:.4f}",
                "curve_percent": " ".join(f"{share:.4f}" for share in found.curve_percent),
                "train_s": f"{found.train_s:.2f}",
            }
        )

    def recorded_networks(self, role: str) -> set[tuple[Architecture, int]]:
        """Return (architecture, seed) of every training that may stand for one of this role."""
        kind = role if role in SEPARATE_ROLES else ""
        return {
            (network.architecture, network.seed)
            for network in self.networks()
            if (network.role if network.role in SEPARATE_ROLES else "") == kind
        }

    def mean_top1(self, *roles: str) -> dict[Architecture, tuple[float, int]]:
        """Return each network's top-1 in per cent, the mean over its seeds, and how many there are, oldest first."""
        found: dict[Architecture, list[float]] = {}
        for network in self.networks(*roles):
            found.setdefault(network.architecture, []).append(network.top1_percent)
        return {network: (float(np.mean(top1)), len(top1)) for network, top1 in found.items()}

    def targets(self, role: str, at_least: int) -> tuple[Rows, np.ndarray]:
        """Return (rows int [n, stages + global axes], top-1 % float [n], the mean over seeds) of one role.

        Raises `InsufficientDataError` below `at_least` networks.
        """
        means = self.mean_top1(role)
        if len(means) < at_least:
            raise InsufficientDataError(
                f"{self.folder} must hold at least {at_least} finetuned networks of role {role!r}",
                got=len(means),
                hint="donna-hw finetune RECIPE trains them",
            )
        rows = np.array([self.space.row(network) for network in means])
        return rows, np.array([top1 for top1, _ in means.values()])

    def _network(self, record: dict[str, str]) -> FinetunedNetwork:
        return FinetunedNetwork(
            record["role"],
            self.space.architecture_from_name(record["network"]),
            int(record["seed"]),
            float(record["top1_percent"]),
            float(record["stitched_percent"]),
            tuple(float(share) for share in record["curve_percent"].split()),
            float(record["train_s"]),
        )


def _parse_quality(record: dict[str, str], metric: str, path: Path) -> float:
    if record["status"] == "diverged":
        return float("inf")
    try:
        value = float(record[metric])
    except ValueError:
        value = float("nan")
    if not (np.isfinite(value) and value >= 0):
        raise FileFormatError(
            f"{path}: the {metric} of {record['stage']} {record['block']} must be a finite number, zero or more",
            got=record[metric],
            hint="delete the line: only this block is trained again",
        )
    return value
