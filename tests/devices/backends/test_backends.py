"""Backends on this machine run blocks and count them; the shared clock reads what it should."""

from __future__ import annotations

import pytest
import torch
from fakes import tiny_space

from donna_hw.devices.backends import load_backend
from donna_hw.devices.backends.base import ExactBackend, TimingBackend
from donna_hw.devices.backends.timing_loop import time_calls
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.torch_module import GraphModule
from donna_hw.measurement.host_cpu import HostCpu
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.telemetry import Telemetry


class FakeTime:
    """A fake of the module `time`: its clocks stand still but for work, of which the CPU sees half."""

    def __init__(self) -> None:
        self.wall, self.cpu = 0, 0

    def perf_counter_ns(self) -> int:
        return self.wall

    def thread_time_ns(self) -> int:
        return self.cpu

    def work(self, nanoseconds: int) -> None:
        self.wall += nanoseconds
        self.cpu += nanoseconds // 2


def test_each_call_is_timed_alone_by_both_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeTime()
    monkeypatch.setattr("donna_hw.devices.backends.timing_loop.time", clock)
    lengths = iter([10, 2000, 30])
    samples = time_calls(lambda: clock.work(next(lengths)), 3)
    assert samples.wall_s.tolist() == pytest.approx([10e-9, 2000e-9, 30e-9], rel=1e-12)
    assert samples.cpu_s is not None
    assert samples.cpu_s.tolist() == pytest.approx([5e-9, 1000e-9, 15e-9], rel=1e-12)
    assert samples.device_s is None


@pytest.mark.parametrize("name", ["onnxruntime", "torch_cpu"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_timing_backend_runs_every_part_of_a_space(name: str, batch: int) -> None:
    space = tiny_space()
    backend = load_backend(name)(batch, {})
    assert isinstance(backend, TimingBackend)
    graphs = [space.fixed_graph("stem"), space.block_graph(space.stages[0], 3), space.network_graph(space.reference)]
    for graph in graphs:
        runner = backend.prepare(graph)
        samples = runner.samples(4)
        runner.close()
        assert validate_samples(samples.wall_s, name).size == 4
        assert samples.cpu_s is not None
        assert samples.cpu_s.size == 4


def test_a_torch_block_gets_its_batch_in_evaluation_mode_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[int, ...], bool, bool, int]] = []

    def watched(self: GraphModule, x: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(x.shape), self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        return x

    monkeypatch.setattr(GraphModule, "forward", watched)
    before = torch.get_num_threads()
    backend = load_backend("torch_cpu")(5, {"threads": 2})
    assert isinstance(backend, TimingBackend)
    backend.prepare(tiny_space().fixed_graph("stem")).samples(2)
    assert seen == [((5, 1, 4, 4), False, False, 2)] * 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("count", ["macs", "params"])
def test_a_count_does_not_depend_on_the_batch(count: str) -> None:
    graph = tiny_space().fixed_graph("head")
    one, many = (load_backend("ptflops")(batch, {"count": count}) for batch in (1, 32))
    assert isinstance(one, ExactBackend)
    assert isinstance(many, ExactBackend)
    assert one.cost(graph) == many.cost(graph) == one.cost(graph)


def test_the_identity_holds_the_options_that_were_given() -> None:
    assert load_backend("torch_cpu")(1, {"threads": 2}).environment().identity["threads"] == 2
    assert load_backend("torch_cpu")(1, {}).environment().identity["threads"] == 1
    provider = load_backend("onnxruntime")(1, {}).environment().identity["provider"]
    assert provider == "CPUExecutionProvider"


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'torch_cpu'"):
        load_backend("torch-cpu")


@pytest.mark.parametrize("name", ["onnxruntime", "torch_cpu"])
def test_no_threads_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="option threads must be at least 1; got 0"):
        load_backend(name)(1, {"threads": 0})


@pytest.mark.parametrize("name", ["onnxruntime", "torch_cpu"])
def test_backends_of_this_cpu_report_its_telemetry(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Telemetry(clock_hz=3e9, temperature_c=60.0)
    monkeypatch.setattr(HostCpu, "read_telemetry", lambda _: told)
    backend = load_backend(name)(1, {})
    assert isinstance(backend, TimingBackend)
    assert backend.read_telemetry() == told
