"""The contract that other people's backends are checked by: ours keep it, broken ones are told which rule they break."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from donna_hw.devices.backends import load_backend
from donna_hw.devices.backends.base import Availability, ExactBackend
from donna_hw.devices.backends.torch_cpu import TorchCpuBackend
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment
from donna_hw.testing import check_backend


@pytest.mark.parametrize("name", ["onnxruntime", "ptflops", "tensor_unit", "torch_cpu"])
def test_the_shipped_backends_keep_the_contract(name: str) -> None:
    check_backend(load_backend(name), batch=2)


class FakeCounter(ExactBackend):
    """A fake that keeps the contract."""

    origin = "counted"
    quantity = "macs"

    @classmethod
    def availability(cls) -> Availability:
        return Availability(True)

    def environment(self) -> Environment:
        return Environment({"device_model": "fake", "runtime": "fake", "dtype": "float32"})

    def cost(self, graph: Graph) -> float:
        return float(graph.macs)


class Guesses(FakeCounter):
    origin = "guessed"


class Joules(FakeCounter):
    quantity = "joules"


class Nameless(FakeCounter):
    def environment(self) -> Environment:
        return Environment({"device_model": "", "runtime": "fake", "dtype": "float32"})


class Fickle(FakeCounter):
    calls = 0

    def cost(self, graph: Graph) -> float:
        Fickle.calls += 1
        return float(Fickle.calls)


class Nan(FakeCounter):
    def cost(self, graph: Graph) -> float:
        return float(np.nan)


class Uneven(FakeCounter):
    def costs(self, graphs: Sequence[Graph]) -> list[float]:
        return [float(len(graphs))] * len(graphs)


class Absent(TorchCpuBackend):
    @classmethod
    def availability(cls) -> Availability:
        return Availability(False, "no such device", "buy one")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Guesses, "origin"),
        (Joules, "quantity"),
        (Nameless, "must name device_model"),
        (Fickle, "must be the same"),
        (Nan, "finite"),
        (Uneven, r"the cost\(\) of each block"),
        (Absent, "no such device; buy one"),
    ],
)
def test_a_backend_that_breaks_a_rule_is_told_which(kind: type[FakeCounter], says: str) -> None:
    check_backend(FakeCounter)
    with pytest.raises(AssertionError, match=says):
        check_backend(kind)
