"""A table filled by the devices of a real Ray cluster of two nodes, one of which is killed under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from donna_hw._core.journal import Journal
from donna_hw.devices.device import Device
from donna_hw.errors import UnavailableError
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import COLUMNS
from donna_hw.profiling.workers.ray import ray_worker_factory
from donna_hw.spaces import load_space

SPACE, DEVICE = "small_8px", "onnxruntime_cpu"
PROTOCOL = Protocol("cluster", 4, 1, 3, "median", sentinel_samples=1)
RESOURCE = {"num_cpus": 1, "resources": {DEVICE: 1}, "object_store_memory": 100 * 2**20}
PATIENCE_S = 120.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # Ray leaves sockets and processes to the garbage collector
]


@pytest.fixture
def two_nodes() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=RESOURCE)
    nodes.second = nodes.add_node(**RESOURCE)
    try:
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def visits(path: Path) -> list[tuple[str, str, str]]:
    records = Journal(path, COLUMNS).records()
    return [(record["device"], record["layers_hash"], record["round"]) for record in records]


def test_a_killed_nodes_block_goes_to_the_other_and_the_table_is_whole(
    two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two nodes on one machine disturb each other; how alike devices must be is tested on fakes
    monkeypatch.setattr("donna_hw.profiling.scheduler.POOL_TOLERANCE", 10.0)
    monkeypatch.setattr("donna_hw.profiling.workers.ray.PLACEMENT_TIMEOUT_S", 5.0)
    journal = tmp_path / DEVICE / SPACE / "isolated-b1-float32-t1.samples.csv"

    def kill_second() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if len({device for device, *_ in visits(journal)}) == 2 and len(visits(journal)) > 40:
                two_nodes.remove_node(two_nodes.second, allow_graceful=False)
                return
            time.sleep(0.05)  # looks again; how long it takes decides nothing

    killer = threading.Thread(target=kill_second)
    killer.start()
    space = load_space(SPACE)
    with pytest.raises(UnavailableError, match="no host of the cluster has the resource"):
        ray_worker_factory(two_nodes.address)(Device.load("torch_cpu"), PROTOCOL)
    table = profile_space(space, Device.load(DEVICE), tmp_path, PROTOCOL, workers=ray_worker_factory(two_nodes.address))
    killer.join()
    assert len(two_nodes.worker_nodes) == 0, "the second node must have been killed"
    assert [len(block) for block in table.costs(space).blocks] == [24, 24, 24]
    made = visits(journal)
    assert len(made) == len(set(made)) == 4 * 75, "every block is visited once a round"
    assert len({(key, round_) for _, key, round_ in made}) == len(made)
    by_second = [device for device, *_ in made if device == f"{DEVICE}.1"]
    assert 0 < len(by_second) < len(made) / 2


def test_without_a_cluster_there_is_an_error_in_words() -> None:
    with pytest.raises(UnavailableError, match=r"no Ray cluster answers at 127\.0\.0\.1:9"):
        ray_worker_factory("127.0.0.1:9")(Device.load(DEVICE), PROTOCOL)
