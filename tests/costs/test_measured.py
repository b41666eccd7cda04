"""A cost that is measured: each network once, whoever asks and however often the search is stopped or killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import QUICK, FakeBackend, FakeMachine, Killed, fake_device, fake_machine, tiny_space
from paths import HELPERS
from scipy import stats

from donna_hw._core.journal import Journal
from donna_hw.costs.measured import MeasuredCost, create_measured_cost
from donna_hw.devices.backends.base import ExactBackend
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, FileFormatError, TableError
from donna_hw.graph.graph import layers_hash
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.network_profiling import get_or_create_table
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import COLUMNS
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces import Space, load_space


class Sum:
    """An accuracy that every block lowers by its NSR."""

    def __call__(self, qualities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 100 - qualities.sum(axis=1), np.full(len(qualities), 0.5)

    def scores(self, qualities: object) -> None:
        return None

    def quadratic(self, qualities: object) -> None:
        return None

    def extrapolates(self, qualities: np.ndarray) -> np.ndarray:
        return np.zeros(len(qualities), bool)


def rows_of(space: Space) -> np.ndarray:
    return np.array(list(product(*map(range, space.stage_sizes))))


def truth(space: Space) -> dict[str, int]:
    """Return what every network of a tiny space costs in ns, by layers_hash: no sum of blocks, all different."""
    hashes = [layers_hash(space.network_graph(space.architecture(row))) for row in rows_of(space)]
    return {
        key: 100_000 + 1_000 * int(n) for key, n in zip(hashes, np.random.default_rng(5).permutation(16), strict=True)
    }


def machine_of(space: Space, breaks_at: int | None = None) -> FakeMachine:
    machine = fake_machine(space, breaks_at)
    machine.costs_ns = {**machine.costs_ns, **truth(space)}
    return machine


def cost_on(machine: FakeMachine, root: Path, at_most: int = 100, said: list[str] | None = None) -> MeasuredCost:
    space, device = tiny_space(), fake_device(FakeBackend(machine))
    table = get_or_create_table(space, device, root, QUICK, workers=create_in_process_workers)
    say = (said if said is not None else []).append
    return MeasuredCost(space, device, table, QUICK, at_most, workers=create_in_process_workers, log=say)


def expected(space: Space, rows: np.ndarray) -> np.ndarray:
    costs = truth(space)
    return np.array([costs[layers_hash(space.network_graph(space.architecture(row)))] / 1e9 for row in rows])


def test_networks_cost_what_they_take_and_are_measured_once(tmp_path: Path) -> None:
    space, machine, said = tiny_space(), machine_of(tiny_space()), list[str]()
    cost = cost_on(machine, tmp_path, said=said)
    rows = space.random_rows(6, 0)
    asked = rows[[0, 1, 2, 1, 0, 3]]
    assert cost.mean(asked) == pytest.approx(expected(space, asked), rel=1e-5)
    assert len(machine.visits) == 4 * QUICK.rounds
    cost.std(asked)
    assert cost.mean(rows) == pytest.approx(expected(space, rows), rel=1e-5)
    assert len(machine.visits) == 6 * QUICK.rounds
    assert set(Counter(machine.visits).values()) == {QUICK.rounds}
    assert (cost.name, cost.unit, cost.additive_terms()) == ("measured@fake", "s", None)
    assert len(said) == 2
    assert said[0].startswith("4 networks measured whole in")
    assert "94 more at most, about" in said[1]


def test_a_second_cost_beside_the_same_table_measures_nothing(tmp_path: Path) -> None:
    space, rows = tiny_space(), tiny_space().random_rows(6, 0)
    first = cost_on(machine_of(space), tmp_path)
    means = np.concatenate([first.mean(rows[:4]), first.mean(rows[4:])])
    idle = machine_of(space, breaks_at=0)
    again = cost_on(idle, tmp_path)
    assert again.mean(rows).tolist() == means.tolist()
    assert again.std(rows).tolist() == first.std(rows).tolist()
    assert idle.visits == []
    listed, costs = again.load_measured()
    order = np.lexsort(listed.T[::-1])
    assert listed[order].tolist() == np.unique(rows, axis=0).tolist()
    assert costs[order].tolist() == again.mean(listed[order]).tolist()


def test_no_rows_cost_nothing_to_ask(tmp_path: Path) -> None:
    cost = cost_on(machine_of(tiny_space(), breaks_at=0), tmp_path)
    assert cost.mean(np.empty((0, 2), np.int64)).shape == (0,)
    assert cost.std(np.empty((0, 2), np.int64)).shape == (0,)


def test_more_networks_than_allowed_are_refused_before_any_is_measured(tmp_path: Path) -> None:
    space, machine = tiny_space(), machine_of(tiny_space())
    rows = space.random_rows(8, 0)
    cost_on(machine, tmp_path).mean(rows[[0]])  # known from before: it does not count
    cost = cost_on(machine, tmp_path, at_most=5)
    cost.mean(rows[:4])
    visits = len(machine.visits)
    with pytest.raises(ConfigError, match=r"at most 5 networks .* found '3 and 4 more'"):
        cost.mean(rows)
    assert len(machine.visits) == visits
    assert len(cost.mean(rows[:6])) == 6


def test_the_scale_is_the_tables_where_there_is_one_and_else_that_of_the_first_networks(tmp_path: Path) -> None:
    space, rows = tiny_space(), tiny_space().random_rows(6, 0)
    alone = cost_on(machine_of(space), tmp_path / "alone")
    assert alone.table.info.sentinel_reference_s is None
    alone.mean(rows[:2])
    reference = alone.table.info.sentinel_reference_s
    assert reference == pytest.approx(machine_of(space).costs_ns[machine_of(space).sentinel] / 1e9)
    slow = machine_of(space)
    slow.costs_ns = {key: 3 * cost for key, cost in slow.costs_ns.items()}  # the same machine at a third of its speed
    assert cost_on(slow, tmp_path / "alone").mean(rows) == pytest.approx(expected(space, rows), rel=1e-5)
    profile_space(
        space,
        fake_device(FakeBackend(machine_of(space))),
        tmp_path / "beside",
        QUICK,
        workers=create_in_process_workers,
    )
    beside = cost_on(slow, tmp_path / "beside")
    assert len(beside.table.frame) > 0
    assert beside.mean(rows) == pytest.approx(expected(space, rows), rel=1e-5)


def test_a_table_can_be_filled_later_where_networks_came_first(tmp_path: Path) -> None:
    space, rows = tiny_space(), tiny_space().random_rows(4, 0)
    means = cost_on(machine_of(space), tmp_path).mean(rows)
    table = profile_space(
        space, fake_device(FakeBackend(machine_of(space))), tmp_path, QUICK, workers=create_in_process_workers
    )
    table.costs(space)
    assert cost_on(machine_of(space), tmp_path).mean(rows) == pytest.approx(means, rel=1e-5)


def test_networks_of_another_environment_or_protocol_do_not_mix(tmp_path: Path) -> None:
    space = tiny_space()
    cost_on(machine_of(space), tmp_path).mean(space.random_rows(2, 0))
    with pytest.raises(TableError, match="runtime"):
        get_or_create_table(
            space,
            fake_device(FakeBackend(machine_of(space), runtime="fake 2")),
            tmp_path,
            QUICK,
            workers=create_in_process_workers,
        )


def test_networks_of_an_older_scale_are_derived_again_without_a_visit(tmp_path: Path) -> None:
    space, rows = tiny_space(), tiny_space().random_rows(3, 0)
    cost = cost_on(machine_of(space), tmp_path)
    means, toml = cost.mean(rows), cost.table.path.with_suffix(".toml")
    reference = repr(cost.table.info.sentinel_reference_s)
    toml.write_text(toml.read_text().replace(reference, repr(2 * float(reference))))
    idle = machine_of(space, breaks_at=0)
    assert cost_on(idle, tmp_path).mean(rows) == pytest.approx(2 * means, rel=1e-5)
    assert idle.visits == []


@pytest.mark.parametrize("text", ["", "network,layers_hash\na,b", "network\na\n", 'network,layers_hash\n"a,b\n'])
def test_a_torn_listing_is_one_line(tmp_path: Path, text: str) -> None:
    cost = cost_on(machine_of(tiny_space()), tmp_path)
    cost.table.path.with_suffix(".networks.csv").write_text(text)
    with pytest.raises(FileFormatError, match=r"^[^\n]*must be a listing[^\n]*$"):
        cost.mean(tiny_space().random_rows(2, 0))


def aim_of(cost: MeasuredCost) -> SearchProblem:
    rng = np.random.default_rng(1)
    return SearchProblem(cost.space, tuple(rng.uniform(0, 1, size) for size in cost.space.stage_sizes), Sum(), [cost])


@pytest.mark.parametrize("breaks_at", [1, 7, 20])
def test_a_search_that_was_stopped_goes_on_to_the_same_front(tmp_path: Path, breaks_at: int) -> None:
    space = tiny_space()
    whole = nsga2(aim_of(cost_on(machine_of(space), tmp_path / "whole")), 12, 6, seed=3)
    broken, rest = machine_of(space, breaks_at), machine_of(space)
    with pytest.raises(Killed):
        nsga2(aim_of(cost_on(broken, tmp_path / "broken")), 12, 6, seed=3)
    front = nsga2(aim_of(cost_on(rest, tmp_path / "broken")), 12, 6, seed=3)
    assert front.rows.tolist() == whole.rows.tolist()
    assert front.costs["measured@fake"] == pytest.approx(whole.costs["measured@fake"], rel=1e-5)
    visits = Counter(broken.visits[: breaks_at - 1]) + Counter(rest.visits)
    assert set(visits.values()) == {QUICK.rounds}, "each network is visited once a round, over both searches"
    idle = machine_of(space, breaks_at=0)
    nsga2(aim_of(cost_on(idle, tmp_path / "broken")), 12, 6, seed=3)
    assert idle.visits == []


def test_a_search_measures_no_network_past_its_samples(tmp_path: Path) -> None:
    machine = machine_of(tiny_space())
    front = nsga2(aim_of(cost_on(machine, tmp_path, at_most=9)), 9, 6)
    assert front.evaluations == 9
    assert len(set(machine.visits)) <= 9


def test_a_computed_cost_is_that_of_whole_networks_and_has_no_error(tmp_path: Path) -> None:
    space = tiny_space()
    cost, rows = create_measured_cost(space, "tensor_unit", tmp_path), tiny_space().random_rows(4, 0)
    backend = Device.load("tensor_unit").backend()
    assert isinstance(backend, ExactBackend)
    networks = [space.network_graph(space.architecture(row)) for row in rows]
    assert cost.mean(rows).tolist() == [backend.cost(network) for network in networks]
    assert cost.std(rows).tolist() == [0] * 4
    assert (cost.name, cost.unit) == ("measured@tensor_unit", "s")


CHILD = """
import sys
from pathlib import Path
from counted_backend import NotedDevice
from donna_hw.costs.measured import MeasuredCost
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profiler import begin_table
from donna_hw.spaces import load_space
from donna_hw.profiling.workers.in_process import here

space, device = load_space("small_8px"), NotedDevice.load("onnxruntime_cpu")
protocol = Protocol("killed", 2, 1, 2, "median", sentinel_samples=1)
table = begin_table(space, device, Path(sys.argv[1]), protocol, workers=here)
cost = MeasuredCost(space, device, table, protocol, workers=here)
rows = space.random_rows(7, 0)
print(repr([*cost.mean(rows[:4]), *cost.mean(rows), *cost.std(rows)]))
"""


def asked(root: Path, notes: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(HELPERS), *(part for part in sys.path if part)])
    environment = os.environ | {"TEST_NOTES": str(notes), "PYTHONPATH": path}
    command = [sys.executable, "-c", CHILD, str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_measuring_on_this_cpu_survives_a_kill_and_never_measures_again(tmp_path: Path) -> None:
    journal = tmp_path / "onnxruntime_cpu" / "small_8px" / "isolated-b1-float32-t1.networks.samples.csv"
    with asked(tmp_path, tmp_path / "first") as child:
        deadline = time.monotonic() + 60
        while child.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 6):
            assert time.monotonic() < deadline, "nothing is measured"
        child.kill()
        child.communicate()
    assert child.returncode == -9
    before = journal.read_bytes()
    answers = []
    for notes in (tmp_path / "second", tmp_path / "third"):
        with asked(tmp_path, notes) as child:
            out, error = child.communicate()
        assert child.returncode == 0, error
        answers.append(out)
    assert answers[0] == answers[1]
    assert not (tmp_path / "third").exists(), "nothing was made ready to run: everything is known"
    assert journal.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    visits = Counter((record["layers_hash"], record["round"]) for record in Journal(journal, COLUMNS).records())
    assert set(visits.values()) == {1}
    assert len(visits) == 7 * 2


def test_the_error_is_the_intervals(tmp_path: Path) -> None:
    protocol = Protocol("twice", 2, 1, 2, "median", sentinel_samples=1)
    space, device = load_space("small_8px"), Device.load("onnxruntime_cpu")
    table = get_or_create_table(space, device, tmp_path, protocol, workers=create_in_process_workers)
    cost = MeasuredCost(space, device, table, protocol, workers=create_in_process_workers, log=lambda _: None)
    rows = space.random_rows(3, 0)
    a, b = rows[[0, 0]], rows[[1, 0]]
    np.testing.assert_allclose(cost.std_of_difference(a, b), [np.hypot(*cost.std(rows[:2])), 0])
    listed = pd.read_csv(table.path.with_suffix(".networks.csv")).set_index("network")
    for row, mean, std in zip(rows[:2], cost.mean(rows[:2]), cost.std(rows[:2]), strict=True):
        cells = listed.loc["/".join(space.labels(space.architecture(row)).values())]
        assert mean == cells["median_s"]
        freedom = cells["rounds"] - 1
        quantile = stats.t.ppf(0.975, freedom) if freedom else stats.norm.ppf(0.975)
        assert std == pytest.approx((cells["high_s"] - cells["low_s"]) / 2 / quantile)
