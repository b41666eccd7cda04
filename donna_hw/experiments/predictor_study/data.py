"""What a run's libraries hold, as arrays; nothing is trained or fitted here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from donna_hw.pipeline.run import Run
from donna_hw.pipeline.sampling import extra_rows, library_rows
from donna_hw.spaces.extremes import block_macs, block_params
from donna_hw.spaces.space import Architecture, Rows
from donna_hw.training.block_metrics import METRICS, gather_qualities, parse_metrics, stack_metrics
from donna_hw.training.libraries import ArchitectureLibrary, FinetunedNetwork
from donna_hw.training.reference import read_reference_top1

Array = np.ndarray
TEST_ROLES = ("test", "stratified")


@dataclass(frozen=True)
class NetworkGroup:
    """The finetuned networks of one role, n of them.

    Attributes:
        rows: int [n, stages].
        by_seed: Top-1 % of each finetuning, float [n, seeds], NaN where a network has fewer.
        stitched_percent: Top-1 % before the finetuning, the mean over seeds, float [n].
    """

    rows: Rows
    by_seed: Array
    stitched_percent: Array

    @property
    def top1_percent(self) -> Array:
        """The mean over seeds, float [n]."""
        return np.asarray(np.nanmean(self.by_seed, axis=1))

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class StudyData:
    """What a study of a run needs to know.

    Attributes:
        title: The recipe's.
        kind: The run's kind of predictor.
        metric: The metric of blocks that it reads.
        teacher_percent: Top-1 % of the reference.
        qualities: By metric, [stage][block].
        macs: Multiply-accumulates of every block, [stage][block].
        params: Parameters of every block, [stage][block].
        fixed_macs: Multiply-accumulates of the parts that all networks share.
        fixed_params: Parameters of these parts.
        groups: The networks by role; only roles that hold a network.
        extra_networks: How many of the library's last networks were chosen because they are informative.
    """

    title: str
    kind: str
    metric: str
    teacher_percent: float
    qualities: dict[str, tuple[Array, ...]]
    macs: tuple[Array, ...]
    params: tuple[Array, ...]
    fixed_macs: int
    fixed_params: int
    groups: dict[str, NetworkGroup]
    extra_networks: int = 0

    def quality(self, role: str, metric: str | None = None) -> Array:
        """Return a metric of each network's blocks, by default the run's: float [n, stages], or [n, stages, metrics]."""
        return gather_qualities(self.block_qualities(metric or self.metric), self.groups[role].rows)

    def block_qualities(self, metric: str) -> tuple[Array, ...]:
        """Return a metric of every block, [stage][block], or several joined by `+`, [stage][block, metric]."""
        names, known = parse_metrics(metric), self.qualities | {"macs": self.macs, "params": self.params}
        return known[metric] if len(names) == 1 else stack_metrics([known[name] for name in names])

    def truncate(self, role: str, networks: int) -> StudyData:
        """Return the same data with only the first so many networks of a role."""
        group = self.groups[role]
        first = NetworkGroup(group.rows[:networks], group.by_seed[:networks], group.stitched_percent[:networks])
        dropped = len(group) - len(first) if role == "library" else 0
        return replace(self, groups=self.groups | {role: first}, extra_networks=max(self.extra_networks - dropped, 0))

    def stage_macs(self, role: str) -> Array:
        """Return the multiply-accumulates of each network's blocks, float [n, stages]."""
        return gather_qualities(self.macs, self.groups[role].rows).astype(float)

    def stage_params(self, role: str) -> Array:
        """Return the parameters of each network's blocks, float [n, stages]."""
        return gather_qualities(self.params, self.groups[role].rows).astype(float)

    def network_macs(self, role: str) -> Array:
        """Return the multiply-accumulates of each whole network, float [n]."""
        return np.asarray(self.stage_macs(role).sum(axis=1) + self.fixed_macs)

    def network_params(self, role: str) -> Array:
        """Return the parameters of each whole network, float [n]."""
        return np.asarray(self.stage_params(role).sum(axis=1) + self.fixed_params)


def load_study_data(run: Run) -> StudyData:
    """Return what a run's libraries hold so far; raises `InsufficientDataError` where blocks are missing."""
    config, space = run.recipe.library, run.space
    whole, reference = space.network_graph(space.reference), np.array([space.row(space.reference)])
    macs, params = block_macs(space), block_params(space)
    groups = {role: group for role in ("library", *TEST_ROLES) if len(group := load_group(run.architectures, role))}
    extra = 0
    if "library" in groups and run.recipe.extends is None:  # else they are in the order in which they were copied
        groups["library"], extra = _sort_library(groups["library"], library_rows(run)[0], extra_rows(run))
    return StudyData(
        run.recipe.title,
        config.predictor,
        config.quality,
        read_reference_top1(run.folder / "reference"),
        {metric: run.blocks.qualities(metric) for metric in METRICS},
        macs,
        params,
        whole.macs - int(gather_qualities(macs, reference).sum()),
        whole.params - int(gather_qualities(params, reference).sum()),
        groups,
        extra,
    )


def _sort_library(group: NetworkGroup, first: Rows, extra: Rows) -> tuple[NetworkGroup, int]:
    """Return a group with all but the first networks at its end, and how many these are.

    The extra ones are in the order of their choice; after them come those of an earlier recipe that asked for more.
    """
    places = {tuple(row): place for place, row in enumerate(extra.tolist())}
    places |= dict.fromkeys(map(tuple, first.tolist()), -1)
    place = np.array([places.get(tuple(row), len(extra)) for row in group.rows.tolist()])
    order = np.argsort(place, kind="stable")
    return NetworkGroup(group.rows[order], group.by_seed[order], group.stitched_percent[order]), int((place >= 0).sum())


def load_group(library: ArchitectureLibrary, role: str) -> NetworkGroup:
    """Return the networks of a role, oldest first; a group may be empty."""
    finetunings: dict[Architecture, list[FinetunedNetwork]] = {}
    for network in library.networks(role):
        finetunings.setdefault(network.architecture, []).append(network)
    seeds = max(map(len, finetunings.values()), default=0)
    by_seed = np.full((len(finetunings), seeds), np.nan)
    for i, same in enumerate(finetunings.values()):
        by_seed[i, : len(same)] = [network.top1_percent for network in same]
    stitched = np.array([np.mean([network.stitched_percent for network in same]) for same in finetunings.values()])
    rows = [library.space.row(architecture) for architecture in finetunings]
    return NetworkGroup(np.array(rows, np.int64).reshape(len(rows), len(library.space.columns)), by_seed, stitched)
