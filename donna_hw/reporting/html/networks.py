"""The networks that a report shows: each once, with what is predicted, what is measured, and its layers to draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from donna_hw._core.csv_files import read_csv
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.verify import read_verification
from donna_hw.reporting.figures.boxes import Box, build_boxes
from donna_hw.reporting.figures.run_data import parse_network
from donna_hw.spaces.space import Rows
from donna_hw.training.reference import read_reference_top1

PREDICTION_COLUMNS = ("predicted_top1_percent", "predicted_std_percent", "within_noise", "extrapolated")  # of a front


@dataclass(frozen=True)
class ReportedNetwork:
    """One network of a report. labels: of its blocks, one a stage.

    roles: `front`, `library`, `verified` (of the front, finetuned and measured), `random` (the same, drawn at random), `reference`.
    predicted: top-1 and its standard deviation in per cent, of the library's by a predictor not fitted to them, without a deviation.
    top1_percent: finetuned and tested, of the reference as it was trained. costs: by name, (mean, standard deviation) in its unit.
    measured_s: of the whole network on the run's device. within_noise: see `ParetoFront`. What is not known is None.
    """

    name: str
    labels: tuple[str, ...]
    boxes: tuple[Box, ...]
    roles: tuple[str, ...]
    costs: Mapping[str, tuple[float, float]]
    predicted_percent: float | None = None
    predicted_std_percent: float | None = None
    top1_percent: float | None = None
    measured_s: float | None = None
    within_noise: bool | None = None
    extrapolated: bool | None = None


@dataclass(frozen=True)
class CostInfo:
    """What networks cost by one name: its unit, and where its numbers are from (`measured`, `counted`, ...)."""

    name: str
    unit: str
    origin: str

    @property
    def title(self) -> str:
        """What an axis of it is called."""
        kind = {"s": "latency on ", "J": "energy on "}.get(self.unit, "")
        return kind + self.name


def collect_networks(run: Run, costs: tuple[str, ...]) -> tuple[ReportedNetwork, ...]:
    """Return the front, verified and random networks, the library's and the reference, of a finished run, each with these costs."""
    found: dict[str, dict[str, object]] = {}
    roles: dict[str, list[str]] = {}

    def add(name: str, role: str, **known: object) -> None:
        found[name] = found.get(name, {}) | known
        roles.setdefault(name, []).append(role)

    space = run.space
    tested = read_csv(run.folder / "predictor_test.csv", ("network", "predicted_percent"))
    left_out = tested.set_index("network")["predicted_percent"].to_dict()
    for network, (top1, _) in run.architectures.mean_top1("library", "test").items():
        name = run.architectures.name(network)
        add(name, "library", top1_percent=top1, predicted_percent=left_out.get(name))
    for record in read_csv(run.folder / "front.csv", (*space.columns, *PREDICTION_COLUMNS)).to_dict("records"):
        add(
            "/".join(str(record[column]) for column in space.columns),
            "front",
            predicted_percent=record["predicted_top1_percent"],
            predicted_std_percent=record["predicted_std_percent"],
            within_noise=bool(record["within_noise"]),
            extrapolated=bool(record["extrapolated"]),
        )
    for record in read_verification(run).to_dict("records"):
        names = ("predicted_percent", "predicted_std_percent", "top1_percent", "measured_s")
        known = {name: record[name] for name in names}
        add(str(record["network"]), "verified" if record["role"] == "front" else "random", **known)
    kept = [_network(run, name, tuple(roles[name]), known) for name, known in found.items()]
    reference = space.network_name(space.reference)
    top1 = read_reference_top1(run.folder / "reference")
    kept.append(_network(run, reference, ("reference",), {"top1_percent": top1}))
    return _with_costs(run, kept, costs)


def rows_from_names(run: Run, names: list[str]) -> Rows:
    """Return networks by their names as rows, int [n, stages]."""
    rows = [run.space.row(parse_network(run.space, name)) for name in names]
    return np.array(rows, np.int64).reshape(len(names), len(run.space.columns))


def _network(run: Run, name: str, roles: tuple[str, ...], known: dict[str, object]) -> ReportedNetwork:
    architecture = parse_network(run.space, name)
    labels, drawn = tuple(run.space.labels(architecture).values()), build_boxes(run.space, architecture)
    return ReportedNetwork(name, labels, drawn, roles, {}, **known)  # type: ignore[arg-type]


def _with_costs(run: Run, networks: list[ReportedNetwork], costs: tuple[str, ...]) -> tuple[ReportedNetwork, ...]:
    rows = rows_from_names(run, [network.name for network in networks])
    columns = {}
    for name in costs:
        cost = run.cost(name)
        columns[name] = list(zip(cost.mean(rows).tolist(), cost.std(rows).tolist(), strict=True))
    return tuple(
        replace(network, costs={name: values[number] for name, values in columns.items()})
        for number, network in enumerate(networks)
    )
