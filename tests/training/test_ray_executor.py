"""Tasks on a real Ray cluster of two nodes, whose workers and nodes are killed: the results are those of one machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import NODE, kill_one, two_nodes, when
from small_space import few_digits, untrained_teacher

from donna_hw.errors import ConfigError, UnavailableError
from donna_hw.spaces import load_space
from donna_hw.training.distillation.blockwise import BlockDistillConfig, distill
from donna_hw.training.executors import ProcessExecutor
from donna_hw.training.libraries import BlockLibrary
from donna_hw.training.loop import OptimConfig
from donna_hw.training.ray_executor import RayExecutor, TaskResources
from donna_hw.training.ray_host import HostRequirements, validate_host

SPACE = """from functools import partial

from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage


def pair():
    cells = [partial(InvertedResidual, channels=c, stride=2, depth=1, activation="relu", attention="none") for c in (4, 6)]
    stages = tuple(Stage(f"stage{i}", (Axis("kernel", (3, 5)), Axis("expand", (2,))), cell) for i, cell in enumerate(cells, 1))
    stem, tail = ConvNormAct(channels=4, kernel=3, activation="relu"), Classifier(classes=10)
    return Space("pair", "for tests", (1, 8, 8), (("stem", stem),), stages, (("classifier", tail),))
"""
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # Ray leaves sockets and processes to the garbage collector
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # hosts cannot import a test
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture
def pool(nodes: Any, tmp_path: Path) -> Iterator[RayExecutor]:
    pool = RayExecutor(nodes.address, tmp_path)
    yield pool
    pool.close()


def square(x: int) -> tuple[int, int, int]:
    import torch

    return x * x, os.getpid(), torch.get_num_threads()


def refuse(x: int) -> int:
    if x == 0:
        raise ConfigError("x must not be 0", got=x, hint="take another")
    return x


def test_every_result_arrives_with_its_task_from_workers_of_one_thread(pool: RayExecutor) -> None:
    results = dict(pool.map(square, range(20)))
    assert {x: result[0] for x, result in results.items()} == {x: x * x for x in range(20)}
    assert {threads for _, _, threads in results.values()} == {1}
    assert os.getpid() not in {pid for _, pid, _ in results.values()}
    assert list(pool.map(square, [])) == []


def test_an_error_in_a_task_is_raised_as_it_was_and_the_pool_still_works(pool: RayExecutor) -> None:
    with pytest.raises(ConfigError, match="x must not be 0; got 0; take another"):
        dict(pool.map(refuse, [1, 0, 2, 3]))
    assert dict(pool.map(refuse, [2])) == {2: 2}


def test_closing_leaves_nothing_in_the_folder(pool: RayExecutor, tmp_path: Path) -> None:
    assert dict(pool.map(refuse, [2])) == {2: 2}
    assert len(list(tmp_path.iterdir())) == 1
    pool.close()
    pool.close()
    assert not list(tmp_path.iterdir())


def distill_pair(folder: Path, pool: ProcessExecutor | RayExecutor, epochs: int) -> BlockLibrary:
    """Distill the space of `space.py` in the working folder, whose name is a relative one."""
    space = load_space("space.py:pair")
    config, teacher = BlockDistillConfig(OptimConfig(epochs, 4, 0.01, 20)), untrained_teacher(space)
    try:
        return distill(space, teacher, few_digits(), config, seed=1, folder=folder, pool=pool)
    finally:
        pool.close()


def saved_results(library: BlockLibrary) -> dict[str, object]:
    """Return the weights, and the quality of every block without the seconds that it took."""
    weights = {path.name: path.read_bytes() for path in library.folder.rglob("*.safetensors")}
    lines = [{k: v for k, v in record.items() if k != "train_s"} for record in library.journal.records()]
    return weights | {"quality.csv": sorted(lines, key=str)}


def test_a_worker_killed_while_training_a_block_changes_no_byte(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("space.py").write_text(SPACE)
    killed: list[str] = []

    killer = when(kill_one("train_group", killed))
    on_cluster = distill_pair(tmp_path / "cluster", RayExecutor(nodes.address, tmp_path / "cluster"), epochs=20)
    killer.join()
    assert killed == ["train_group"]
    here = distill_pair(tmp_path / "here", ProcessExecutor(1), epochs=20)
    assert saved_results(on_cluster) == saved_results(here)
    assert len(on_cluster.journal.records()) == len(list((tmp_path / "here").rglob("*.safetensors"))) == 4


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_work_that_always_kills_its_worker_is_given_up_with_an_error(
    pool: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("donna_hw.training.ray_executor.RETRIES", 1)
    with pytest.raises(
        UnavailableError,
        match="a worker process of the cluster died, also in 1 more attempts at 0; got 'WorkerCrashedError'",
    ):
        dict(pool.map(die, [0]))
    assert dict(pool.map(refuse, [2])) == {2: 2}


def begin_once(started: Path) -> str:
    """Return this node's id; the first call writes it into a file and never ends."""
    import ray

    node = str(ray.get_runtime_context().get_node_id())
    if started.exists():
        return node
    started.with_suffix(".draft").write_text(node)
    started.with_suffix(".draft").rename(started)
    signal.pause()
    return ""


def test_the_work_of_a_removed_node_is_done_on_another_and_without_any_there_is_an_error(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("donna_hw.training.ray_executor.POLL_S", 0.2)
    monkeypatch.setattr("donna_hw.training.ray_executor.HOST_TIMEOUT_S", 0.5)
    spare = {node.node_id: node for node in (nodes.add_node(**NODE, resources={"spare": 1}) for _ in range(2))}
    pool, removed = RayExecutor(nodes.address, tmp_path, TaskResources(custom_resources={"spare": 1})), []

    def remove(started: Path) -> Callable[[], bool]:
        def removing() -> bool:
            if started.exists():
                removed.append(started.read_text())
                nodes.remove_node(spare[removed[-1]], allow_graceful=False)
            return started.exists()

        return removing

    remover = when(remove(tmp_path / "one"))
    ((_, node),) = pool.map(begin_once, [tmp_path / "one"])
    remover.join()
    assert {*removed, node} == set(spare)
    remover = when(remove(tmp_path / "two"))
    with pytest.raises(UnavailableError, match="no host of the cluster has what a task needs: 1 CPU, 1 spare"):
        dict(pool.map(begin_once, [tmp_path / "two"]))
    remover.join()
    pool.close()


def test_resources_that_no_host_has_and_an_empty_address_are_refused(nodes: Any, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no host of the cluster has what a task needs: 1 CPU, 9 GPU"):
        dict(RayExecutor(nodes.address, tmp_path, TaskResources(gpus=9)).map(refuse, [1]))
    with pytest.raises(UnavailableError, match="empty address of a Ray cluster"):
        dict(RayExecutor("", tmp_path).map(refuse, [1]))
    assert not list(tmp_path.iterdir())


def test_a_host_that_does_not_see_the_drivers_folder_is_refused(pool: RayExecutor, tmp_path: Path) -> None:
    assert dict(pool.map(refuse, [2])) == {2: 2}
    (marker,) = tmp_path.iterdir()
    marker.unlink()
    with pytest.raises(
        UnavailableError, match=r"is another folder, or none, on .*; it must be one folder on all hosts of the cluster"
    ):
        dict(pool.map(refuse, [2]))


def test_a_host_with_another_torch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"must have torch 0\.1, .*; got .*; install torch 0\.1 there"):
        validate_host(HostRequirements(str(tmp_path), str(tmp_path), 1, (("torch", "0.1"),)))
