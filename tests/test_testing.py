"""The contract that backends of other packages are tested by: ours fulfill it, and broken ones get the rule that they violate."""

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
def test_the_shipped_backends_fulfill_the_contract(name: str) -> None:
    check_backend(load_backend(name), batch=2)


class FakeCounter(ExactBackend):
    """A fake that fulfills the contract."""

    origin = "computed"
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
    ("kind", "message"),
    [
        (Guesses, "origin"),
        (Joules, "quantity"),
        (Nameless, "must have device_model"),
        (Fickle, "must be the same"),
        (Nan, "finite"),
        (Uneven, r"the cost\(\) of each block"),
        (Absent, "no such device; buy one"),
    ],
)
def test_the_error_names_the_rule_that_a_backend_violates(kind: type[FakeCounter], message: str) -> None:
    check_backend(FakeCounter)
    with pytest.raises(AssertionError, match=message):
        check_backend(kind)
