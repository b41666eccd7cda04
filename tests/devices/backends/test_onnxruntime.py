"""ONNX Runtime does what its options say, on the device that is named, or refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from fakes import tiny_space
from requirements import needs

from donna_hw.devices.backends.onnxruntime import OnnxRuntimeBackend
from donna_hw.errors import ConfigError, UnavailableError, UnknownNameError
from donna_hw.graph.graph import Graph
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.telemetry import Telemetry

CUDA = "CUDAExecutionProvider"
WITHOUT_LAYERS = "AzureExecutionProvider"  # in the plain CPU builds; it computes none of our layers


def block() -> Graph:
    return tiny_space().block_graph(tiny_space().stages[0], 3)


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_a_provider_goes_by_its_short_name_and_has_one_identity(name: str) -> None:
    backend = OnnxRuntimeBackend(1, {"provider": name})
    assert backend.environment() == OnnxRuntimeBackend(1, {}).environment()
    assert backend.tags() == ("float32", "t1")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"provider": "cpux"}, UnavailableError, "got 'cpux'; expected .*CPUExecutionProvider"),
        ({"provider": ""}, UnavailableError, "got ''; expected .*CPUExecutionProvider"),
        (
            {"optimization": "al"},
            UnknownNameError,
            "unknown optimization 'al'; expected all, extended, basic or none .did you mean 'all'",
        ),
        ({"threads": 0}, ConfigError, "threads must be at least 1; got 0"),
        ({"threads": -1}, ConfigError, "threads must be at least 1; got -1"),
    ],
)
def test_a_bad_option_is_refused_with_the_known_ones(
    options: dict[str, Scalar], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        OnnxRuntimeBackend(1, options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ()),
        ({"threads": 4}, ()),
        ({"optimization": "none"}, ("optnone",)),
        ({"io_binding": False, "spinning": False}, ("unbound", "nospin")),
        ({"provider": "cuda", "cpu_fallback": True}, ("cuda", "cpufallback")),
    ],
)
def test_tags_and_identity_distinguish_tables(
    options: dict[str, Scalar], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    backend = OnnxRuntimeBackend(1, options)
    assert backend.tags() == ("float32", f"t{options.get('threads', 1)}", *words)
    monkeypatch.setattr("donna_hw.devices.backends.onnxruntime._device_model", lambda provider: provider)
    identity = backend.environment().identity
    assert {key: identity[key] for key in options if key != "provider"} == {
        key: value for key, value in options.items() if key != "provider"
    }
    assert set(OnnxRuntimeBackend.options) <= set(identity)


@pytest.mark.parametrize("io_binding", [True, False])
@pytest.mark.parametrize("optimization", ["all", "extended", "basic", "none"])
def test_blocks_run_at_every_level_bound_or_not(io_binding: bool, optimization: str) -> None:
    runner = OnnxRuntimeBackend(2, {"io_binding": io_binding, "optimization": optimization}).prepare(block())
    samples = runner.samples(3)
    assert validate_samples(samples.wall_s, "wall_s").size == 3
    assert samples.cpu_s is not None
    runner.close()


def test_cpu_times_are_absent_where_other_threads_work_too() -> None:
    assert OnnxRuntimeBackend(1, {"threads": 2}).prepare(block()).samples(2).cpu_s is None


def test_the_options_reach_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    real, opened = onnxruntime.InferenceSession, []

    def watched(*args: Any, **keywords: Any) -> Any:
        session = real(*args, **keywords)
        opened.append(session.get_session_options())
        return session

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    for options in ({}, {"threads": 2}, {"threads": 2, "spinning": False, "optimization": "basic"}):
        OnnxRuntimeBackend(1, options).prepare(block())
    spins = [found.get_session_config_entry("session.intra_op.allow_spinning") for found in opened]
    assert spins == ["0", "1", "0"]
    assert [found.intra_op_num_threads for found in opened] == [1, 2, 2]
    levels = onnxruntime.GraphOptimizationLevel
    assert [found.graph_optimization_level for found in opened] == [levels.ORT_ENABLE_ALL] * 2 + [
        levels.ORT_ENABLE_BASIC
    ]


def test_a_provider_that_leaves_the_work_to_the_cpu_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    needs(WITHOUT_LAYERS in onnxruntime.get_available_providers(), f"a build of ONNX Runtime with {WITHOUT_LAYERS}")
    with pytest.raises(UnavailableError, match=r"with AzureExecutionProvider alone; got .*CPU EP.*cpu_fallback = true"):
        OnnxRuntimeBackend(1, {"provider": "azure"}).prepare(block())
    assert capfd.readouterr() == ("", "")
    backend = OnnxRuntimeBackend(1, {"provider": "azure", "cpu_fallback": True})
    assert backend.environment().device_model.startswith("azure device of ")
    assert validate_samples(backend.prepare(block()).samples(2).wall_s, "wall_s").size == 2


class FakeSession:
    """A fake of a session that got `providers` though it was asked for CUDA; it and its binding log what they do."""

    def __init__(self, providers: list[str]) -> None:
        self.providers = providers
        self.log: list[str] = []

    def __call__(self, *_: object, **keywords: Any) -> FakeSession:
        assert keywords["providers"] == [CUDA]
        assert keywords["enable_fallback"] == 0
        return self

    def get_providers(self) -> list[str]:
        return self.providers

    def get_inputs(self) -> list[FakeNode]:
        return [FakeNode("input")]

    def get_outputs(self) -> list[FakeNode]:
        return [FakeNode("output")]

    def io_binding(self) -> FakeSession:
        return self

    def bind_ortvalue_input(self, name: str, value: tuple[str, tuple[int, ...]]) -> None:
        self.log.append(f"{name} on {value[0]}")

    def bind_output(self, name: str, device: str) -> None:
        self.log.append(f"{name} on {device}")

    def synchronize_inputs(self) -> None:
        self.log.append("inputs ready")

    def run_with_iobinding(self, _: object) -> None:
        self.log.append("run")

    def synchronize_outputs(self) -> None:
        self.log.append("outputs ready")


class FakeNode:
    type, shape = "tensor(float)", [1, 3, 4, 4]

    def __init__(self, name: str) -> None:
        self.name = name


class FakeOrtValue:
    @staticmethod
    def ortvalue_from_numpy(values: np.ndarray, device: str, _: int) -> tuple[str, tuple[int, ...]]:
        return device, values.shape


def fake_cuda(monkeypatch: pytest.MonkeyPatch, providers: list[str]) -> FakeSession:
    session = FakeSession(providers)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "OrtValue", FakeOrtValue)
    return session


def test_a_provider_that_silently_fell_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cuda(monkeypatch, ["CPUExecutionProvider"])
    with pytest.raises(
        UnavailableError, match=r"does not use CUDAExecutionProvider; got 'CPUExecutionProvider'; .*libraries"
    ):
        OnnxRuntimeBackend(1, {"provider": "cuda"}).prepare(block())


def test_on_a_gpu_inputs_and_outputs_lie_there_and_each_run_ends_before_the_clock_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = fake_cuda(monkeypatch, [CUDA, "CPUExecutionProvider"])
    backend = OnnxRuntimeBackend(1, {"provider": "cuda"})
    runner = backend.prepare(block())
    monkeypatch.setattr("donna_hw.devices.backends.timing_loop.time", FakeClock(session.log))
    assert runner.samples(2).cpu_s is None
    run = ["clock", "run", "outputs ready", "clock"]
    assert session.log == ["input on cuda", "output on cuda", "inputs ready", *run, *run]
    assert backend.read_telemetry() == Telemetry()


class FakeClock:
    """A fake of the module `time` that logs when the wall clock is read."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def perf_counter_ns(self) -> int:
        self.log.append("clock")
        return len(self.log)

    def thread_time_ns(self) -> int:
        return 0


def test_a_gpu_is_named_by_torch_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    fake_cuda(monkeypatch, [CUDA])
    backend = OnnxRuntimeBackend(1, {"provider": "cuda"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnavailableError, match=r"torch sees no CUDA GPU.*CUDA build of torch"):
        backend.environment()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: ["a fake GPU"][index])
    assert backend.environment().device_model == "a fake GPU"


def test_any_torch_module_can_be_timed() -> None:
    import torch

    from donna_hw.graph.torch_to_onnx import export_onnx

    module = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.LayerNorm(8))
    runner = OnnxRuntimeBackend(4, {}).prepare_model(export_onnx(module, (6,), batch=4))
    assert validate_samples(runner.samples(3).wall_s, "wall_s").size == 3


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (onnx.TensorProto.INT64, [1, 3]),
        (onnx.TensorProto.FLOAT, ["batch", 3]),
        (onnx.TensorProto.FLOAT, [1, None]),
        (onnx.TensorProto.FLOAT, [2, 3]),
        (onnx.TensorProto.FLOAT, []),
    ],
)
def test_a_model_of_other_inputs_is_refused(kind: int, shape: list[int | str | None]) -> None:
    ends = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    body = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(body, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])
    with pytest.raises(ConfigError, match=r"input 'x' of the model must be float32 of a fixed shape.*batch 1; got"):
        OnnxRuntimeBackend(1, {}).prepare_model(model)


def test_a_model_that_the_runtime_refuses_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    model = to_onnx(block())
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(UnavailableError, match=r"got .*NoSuchOperator"):
        OnnxRuntimeBackend(1, {}).prepare_model(model)
    assert capfd.readouterr() == ("", "")
