"""The contract of backends as a test: what every backend must pass, donna_hw's own and other people's.

from donna_hw.testing import check_backend
check_backend(MyBackend)
"""

from __future__ import annotations

import math
import re

import numpy as np

from donna_hw.devices.backends.base import ORIGINS, UNITS, Backend, ExactBackend, TimingBackend
from donna_hw.graph.builder import lower
from donna_hw.graph.graph import Graph
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.telemetry import Telemetry
from donna_hw.spaces.cells import ConvNormAct, InvertedResidual

REQUIRED_IDENTITY = ("device_model", "runtime", "dtype")


def example_graphs() -> list[Graph]:
    """Return a small convolution, and a block with every kind of layer that cells draw."""
    block = InvertedResidual(
        channels=8, stride=1, kernel=5, expand=2, depth=2, activation="swish", attention="se", cell="grouped"
    )
    return [lower(ConvNormAct(channels=4, kernel=3), (3, 8, 8)), lower(block, (8, 8, 8))]


def check_backend(kind: type[Backend], batch: int = 1) -> None:
    """Raise `AssertionError` with the broken rule when a backend, usable on this machine, does not keep the contract."""
    available = kind.availability()
    assert available.ok, f"the backend must be usable to be checked: {available.reason}; {available.hint}"
    assert kind.origin in ORIGINS, f"origin must be one of {ORIGINS}"
    assert kind.quantity in UNITS, f"quantity must be one of {sorted(UNITS)}"
    backend = kind(batch, {})
    identity = backend.environment().identity
    for key in REQUIRED_IDENTITY:
        assert identity.get(key), f"environment().identity must name {key}"
    assert identity == kind(batch, {}).environment().identity, "identity must be the same every time"
    assert all(re.fullmatch(r"[\w.+]+", word) for word in backend.tags()), "words() must suit a file's name"
    for graph in example_graphs():
        if isinstance(backend, TimingBackend):
            _check_timing(backend, graph)
        else:
            assert isinstance(backend, ExactBackend), "a backend is a TimingBackend or an ExactBackend"
            cost = backend.cost(graph)
            assert math.isfinite(cost), "a cost must be finite"
            assert cost > 0, "a block with weights must cost something"
            assert cost == backend.cost(graph), "an exact cost must be the same for the same layers"
    if isinstance(backend, ExactBackend):
        one_by_one = [backend.cost(graph) for graph in example_graphs()]
        assert backend.costs(example_graphs()) == one_by_one, "costs() must be the cost() of each block"


def _check_timing(backend: TimingBackend, graph: Graph) -> None:
    assert isinstance(backend.read_telemetry(), Telemetry), (
        "readings() must return Readings, empty where nothing is known"
    )
    first, second = backend.prepare(graph), backend.prepare(graph)
    try:
        for runner, count in (
            (first, 1),
            (second, 3),
            (first, 5),
        ):  # two are open at a time, and a runner is used again
            samples = runner.samples(count)
            for times in (samples.wall_s, samples.cpu_s, samples.device_s):
                assert times is None or times.shape == (count,), "a runner must return one time a run"
            assert samples.latency_s.shape == (count,), "a runner must return the times by the clock that it names"
            validate_samples(samples.wall_s, "wall_s")
            assert samples.cpu_s is None or bool((np.asarray(samples.cpu_s) >= 0).all()), (
                "CPU times must not be negative"
            )
    finally:
        first.close()
        second.close()
