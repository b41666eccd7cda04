"""Tasks on a real Ray cluster of two nodes, whose workers and nodes are killed: the results are those of one machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from donna_hw.distillation.cluster_pool import ClusterPool
from donna_hw.errors import BadSetting

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # Ray leaves sockets and processes to the garbage collector
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # hosts cannot import a test
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    cluster.second = cluster.add_node(**NODE)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def pool(nodes: Any, tmp_path: Path) -> Iterator[ClusterPool]:
    pool = ClusterPool(nodes.address, tmp_path)
    yield pool
    pool.close()


def square(x: int) -> tuple[int, int, int]:
    import torch

    return x * x, os.getpid(), torch.get_num_threads()


def refuse(x: int) -> int:
    if x == 0:
        raise BadSetting("x must not be 0", found=x, cure="take another")
    return x


def test_every_result_arrives_beside_its_task_from_workers_of_one_thread(pool: ClusterPool) -> None:
    found = dict(pool.map(square, range(20)))
    assert {x: result[0] for x, result in found.items()} == {x: x * x for x in range(20)}
    assert {threads for _, _, threads in found.values()} == {1}
    assert os.getpid() not in {pid for _, pid, _ in found.values()}
    assert list(pool.map(square, [])) == []


def test_an_error_in_a_task_is_raised_as_it_was_and_the_pool_still_works(pool: ClusterPool) -> None:
    with pytest.raises(BadSetting, match="x must not be 0; found 0; take another"):
        dict(pool.map(refuse, [1, 0, 2, 3]))
    assert dict(pool.map(refuse, [2])) == {2: 2}


def test_closing_leaves_nothing_in_the_folder(pool: ClusterPool, tmp_path: Path) -> None:
    assert dict(pool.map(refuse, [2])) == {2: 2}
    assert len(list(tmp_path.iterdir())) == 1
    pool.close()
    pool.close()
    assert not list(tmp_path.iterdir())
