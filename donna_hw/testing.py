"""The contract of backends as a test that every backend must pass, donna_hw's and those of other packages.

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
    """Return a small convolution, and a block with every kind of layer that cells have."""
    block = InvertedResidual(
        channels=8, stride=1, kernel=5, expand=2, depth=2, activation="swish", attention="se", cell="grouped"
    )
    return [lower(ConvNormAct(channels=4, kernel=3), (3, 8, 8)), lower(block, (8, 8, 8))]


def check_backend(kind: type[Backend], batch: int = 1) -> None:
    """Test that a backend fulfills the contract of `donna_hw.devices.backends.base`.

    Args:
        kind: The backend's class; it must be usable on this machine.
        batch: Images per run to test it with.

    Raises:
        AssertionError: The backend violates the rule in the message.
    """
    available = kind.availability()
    assert available.ok, f"the backend is not usable here and cannot be tested: {available.reason}; {available.hint}"
    assert kind.origin in ORIGINS, f"origin must be one of {ORIGINS}"
    assert kind.quantity in UNITS, f"quantity must be one of {sorted(UNITS)}"
    backend = kind(batch, {})
    identity = backend.environment().identity
    for key in REQUIRED_IDENTITY:
        assert identity.get(key), f"environment().identity must have {key}"
    assert identity == kind(batch, {}).environment().identity, "environment().identity must be the same every time"
    assert all(re.fullmatch(r"[\w.+]+", tag) for tag in backend.tags()), "tags() must be usable in a file name"
    for graph in example_graphs():
        if isinstance(backend, TimingBackend):
            _check_timing(backend, graph)
        else:
            assert isinstance(backend, ExactBackend), "a backend must be a TimingBackend or an ExactBackend"
            cost = backend.cost(graph)
            assert math.isfinite(cost), "cost() must be finite"
            assert cost > 0, "cost() of a block with weights must be above zero"
            assert cost == backend.cost(graph), "cost() must be the same for the same layers"
    if isinstance(backend, ExactBackend):
        expected = [backend.cost(graph) for graph in example_graphs()]
        assert backend.costs(example_graphs()) == expected, "costs() must be the cost() of each block"


def _check_timing(backend: TimingBackend, graph: Graph) -> None:
    assert isinstance(backend.read_telemetry(), Telemetry), (
        "read_telemetry() must return Telemetry, empty where nothing is known"
    )
    first, second = backend.prepare(graph), backend.prepare(graph)
    try:
        # two runners are open at the same time, and one is used again
        for runner, count in ((first, 1), (second, 3), (first, 5)):
            samples = runner.samples(count)
            for times in (samples.wall_s, samples.cpu_s, samples.device_s):
                assert times is None or times.shape == (count,), "a runner must return one time per run"
            assert samples.latency_s.shape == (count,), "a runner must return the times by the clock that it names"
            validate_samples(samples.wall_s, "wall_s")
            assert samples.cpu_s is None or bool((np.asarray(samples.cpu_s) >= 0).all()), (
                "CPU times must not be negative"
            )
    finally:
        first.close()
        second.close()
