"""BlockLibrary and ArchitectureLibrary: the files of trained weights and of their measured quality; no training happens here."""

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
# trained in another way or for longer, so the training of another role never replaces one of these
SEPARATE_ROLES = ("scratch", "long")


@dataclass(frozen=True)
class BlockLibrary:
    """The trained blocks of a space: `quality.csv` with a record of each different block, and `weights/` with a file of each.

    The status of a block is `trained`, or `diverged` when its NSR is not finite. A diverged block has no weights, and no network may
    contain it. Qualities are measured on images held out of the train set. nsr and l1 are equations 1 and 3 of the paper. loss,
    error_percent and kl belong to the reference with this block alone replaced: its cross-entropy, the share of images that it gets
    wrong, and its KL divergence from the reference.

    Args:
        folder: The folder that holds `quality.csv` and `weights/`.
        space: The search space of the blocks.
    """

    folder: Path
    space: Space

    @property
    def journal(self) -> Journal:
        """The records, appended as blocks finish."""
        return Journal(self.folder / "quality.csv", BLOCK_COLUMNS)

    def weights_path(self, stage: Stage, number: int) -> Path:
        """Return the path of a block's weights; blocks with equal layers in one stage share the file."""
        return (
            self.folder / "weights" / f"{stage.name}-{layers_hash(self.space.block_graph(stage, number))}.safetensors"
        )

    def add(self, stage: Stage, number: int, quality: Mapping[str, float], train_s: float) -> None:
        """Record the metrics of a block; one whose NSR is not finite is recorded as diverged.

        Args:
            stage: The block's stage.
            number: The block's number in its stage.
            quality: The block's value of each metric in `METRICS`.
            train_s: Seconds that its training took.
        """
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
        """Return (stage, layers_hash) of every recorded block, trained or diverged."""
        return {(record["stage"], record["layers_hash"]) for record in self.journal.records()}

    def qualities(self, metric: str = "nsr") -> tuple[np.ndarray, ...]:
        """Return a metric of every block; lower is better.

        Args:
            metric: One name in `METRICS`, or several joined by `+`, which may then include names in `COUNTS`.

        Returns:
            An array for each stage: float [blocks] for one metric, float [blocks, metrics] for several; infinite for a diverged block.

        Raises:
            UnknownNameError: For an unknown metric.
            InsufficientDataError: When blocks are missing.
            FileFormatError: When a recorded value is not a finite number of zero or more.
        """
        names = parse_metrics(metric)
        if len(names) == 1 and names[0] in METRICS:
            return self._metric(metric)
        counts = {"macs": block_macs, "params": block_params}
        return stack_metrics([self._metric(name) if name in METRICS else counts[name](self.space) for name in names])

    def _metric(self, metric: str) -> tuple[np.ndarray, ...]:
        recorded: dict[tuple[str, str], float] = {}
        for record in self.journal.records():
            # every metric is validated, so that a broken line is never read in part
            values = {name: _parse_quality(record, name, self.journal.path) for name in METRICS}
            recorded[record["stage"], record["layers_hash"]] = values[metric]
        arrays, missing = [], []
        for stage in self.space.stages:
            keys = [(stage.name, layers_hash(self.space.block_graph(stage, m))) for m in range(stage.size)]
            missing += [f"{stage.name} {stage.label(m)}" for m, key in enumerate(keys) if key not in recorded]
            arrays.append(np.array([recorded.get(key, np.nan) for key in keys]))
        if missing:
            raise InsufficientDataError(
                f"{self.folder}: {len(missing)} blocks of {self.space.name} are missing: "
                f"{', '.join(missing[:3])}{' ...' * (len(missing) > 3)}",
                hint="run donna-hw distill RECIPE to train them",
            )
        return tuple(arrays)


@dataclass(frozen=True)
class FinetunedNetwork:
    """One finetuning of a network.

    Args:
        role: Why it was finetuned, a name in `ROLES`.
        architecture: The network.
        seed: The seed of the finetuning.
        top1_percent: Top-1 accuracy on the test images after the last epoch, in per cent.
        stitched_percent: Top-1 accuracy on the held-out images before the whole network was trained, with batch-norm statistics
            re-estimated, in per cent. NaN for a network trained from scratch, and for one with 8-bit blocks, which is not trained but
            converted from its finetuned float32 counterpart.
        curve_percent: Top-1 accuracy on the test images after each epoch, in per cent.
        train_s: Seconds that the finetuning took.
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
    """The finetuned networks of a space: `architectures.csv` with their accuracies, and `weights/` with a file of each.

    Networks of role `scratch` are trained from random weights, and those of role `long` from the Block Library's weights for as many
    epochs as those from scratch.

    Args:
        folder: The folder that holds `architectures.csv` and `weights/`.
        space: The search space of the networks.
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
        """Return the path of a network's weights trained by `seed`; the roles in `SEPARATE_ROLES` have their own file names."""
        kind = role if role in SEPARATE_ROLES else "seed"
        return (
            self.folder / "weights" / f"{layers_hash(self.space.network_graph(architecture))}-{kind}{seed}.safetensors"
        )

    def find_weights(self, architecture: Architecture) -> Path | None:
        """Return the weights of a finetuned network by the lowest of its seeds, or None when it is not finetuned."""
        paths = (self.folder / "weights").glob(
            f"{layers_hash(self.space.network_graph(architecture))}-seed*.safetensors"
        )
        return min(paths, key=lambda path: int(path.stem.partition("-seed")[2]), default=None)

    def networks(self, *roles: str) -> list[FinetunedNetwork]:
        """Return the finetunings of some roles, oldest first.

        Args:
            *roles: Names in `ROLES`; without any, the finetunings of all roles are returned.

        Raises:
            FileFormatError: For a line that does not hold a finetuning of this space.
        """
        networks = []
        for line, record in enumerate(self.journal.records(), start=2):
            try:
                network = self._network(record)
            except (ValueError, UnknownNameError) as error:
                raise FileFormatError(
                    f"{self.journal.path}, line {line}", got=str(error), hint="delete the line"
                ) from None
            invalid = [share for share in (network.top1_percent, *network.curve_percent) if not 0 <= share <= 100]
            if invalid:
                raise FileFormatError(
                    f"{self.journal.path}, line {line}: top-1 must be in 0..100 %",
                    got=invalid[0],
                    hint="delete the line",
                )
            if network.role not in ROLES:
                raise FileFormatError(
                    f"{self.journal.path}, line {line}: unknown role", got=network.role, choices=ROLES
                )
            if not roles or network.role in roles:
                networks.append(network)
        return networks

    def add(self, network: FinetunedNetwork) -> None:
        """Append a finetuning to the records."""
        self.journal.append(
            {
                "role": network.role,
                "network": self.name(network.architecture),
                "seed": network.seed,
                "top1_percent": f"{network.top1_percent:.4f}",
                "stitched_percent": f"{network.stitched_percent:.4f}",
                "curve_percent": " ".join(f"{share:.4f}" for share in network.curve_percent),
                "train_s": f"{network.train_s:.2f}",
            }
        )

    def recorded_networks(self, role: str) -> set[tuple[Architecture, int]]:
        """Return (architecture, seed) of every training that can be reused for this role."""
        kind = role if role in SEPARATE_ROLES else ""
        return {
            (network.architecture, network.seed)
            for network in self.networks()
            if (network.role if network.role in SEPARATE_ROLES else "") == kind
        }

    def mean_top1(self, *roles: str) -> dict[Architecture, tuple[float, int]]:
        """Return each network's top-1 in per cent as the mean over its seeds, and the number of seeds, oldest first."""
        shares: dict[Architecture, list[float]] = {}
        for network in self.networks(*roles):
            shares.setdefault(network.architecture, []).append(network.top1_percent)
        return {network: (float(np.mean(top1)), len(top1)) for network, top1 in shares.items()}

    def targets(self, role: str, at_least: int) -> tuple[Rows, np.ndarray]:
        """Return the networks of one role as rows, with their accuracies.

        Args:
            role: A name in `ROLES`.
            at_least: The least number of networks.

        Returns:
            (rows int [n, stages + global axes], top-1 in per cent float [n], the mean over seeds).

        Raises:
            InsufficientDataError: When there are fewer than `at_least` networks.
        """
        means = self.mean_top1(role)
        if len(means) < at_least:
            raise InsufficientDataError(
                f"{self.folder}: at least {at_least} finetuned networks of role {role!r} are needed",
                got=len(means),
                hint="run donna-hw finetune RECIPE to train them",
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
            f"{path}: the {metric} of {record['stage']} {record['block']} must be a finite number of zero or more",
            got=record[metric],
            hint="delete the line to train this block again",
        )
    return value
