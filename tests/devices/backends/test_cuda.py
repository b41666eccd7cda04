"""The CUDA backend on a fake GPU with declared costs: no real one is used here."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_cuda import MIB, FakeGpu
from fakes import QUICK, fake_device, tiny_space

from donna_hw.devices.backends.cuda.backend import CHOICES, CudaBackend
from donna_hw.devices.backends.cuda.precision import backend_flags
from donna_hw.devices.backends.cuda.runner import FASTEST_CLOCK_HZ, FIRST_HOLD_S
from donna_hw.errors import MeasurementError, UnavailableError, UnknownNameError
from donna_hw.graph.builder import lower, lower_chain
from donna_hw.graph.graph import Graph
from donna_hw.graph.torch_module import GraphModule
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.measurement import Samples
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces.cells import ConvNormAct, InvertedResidual
from donna_hw.testing import check_backend

LAYERS = 5


def chain(layers: int = LAYERS) -> Graph:
    """That many convolutions, one kernel each on the fake."""
    return lower_chain([(f"c{n}", ConvNormAct(4)) for n in range(layers)], (4, 4, 4))


def sampled(count: int = 3, layers: int = LAYERS, **options: Scalar) -> Samples:
    runner = CudaBackend(2, options).prepare(chain(layers))
    try:
        return runner.samples(count)
    finally:
        runner.close()


def eager_ns(gpu: FakeGpu, layers: int = LAYERS) -> int:
    """Closed form of an eager run from idle to idle: launches and kernels overlap, the slower of the two decides."""
    if gpu.kernel_ns <= gpu.launch_ns:
        return layers * gpu.launch_ns + gpu.kernel_ns
    return gpu.launch_ns + layers * gpu.kernel_ns


def assert_all(found_s: np.ndarray | None, expected_ns: int, count: int = 3) -> None:
    assert found_s is not None
    assert found_s.tolist() == pytest.approx([expected_ns / 1e9] * count, rel=1e-12)


@pytest.mark.parametrize(("launch_ns", "kernel_ns"), [(10_000, 2_000), (10_000, 10_000), (3_000, 40_000)])
@pytest.mark.parametrize("clock", CHOICES["clock"])
def test_eager_both_clocks_are_exact(
    monkeypatch: pytest.MonkeyPatch, launch_ns: int, kernel_ns: int, clock: str
) -> None:
    gpu = FakeGpu(launch_ns=launch_ns, kernel_ns=kernel_ns).install(monkeypatch)
    samples = sampled(clock=clock)
    assert_all(samples.wall_s, eager_ns(gpu))
    assert_all(samples.device_s, LAYERS * kernel_ns)
    assert samples.cpu_s is None


@pytest.mark.parametrize("kernel_ns", [2_000, 40_000])
def test_a_graph_is_captured_once_and_each_run_is_one_launch(monkeypatch: pytest.MonkeyPatch, kernel_ns: int) -> None:
    gpu = FakeGpu(kernel_ns=kernel_ns).install(monkeypatch)
    runner = CudaBackend(2, {"execution": "graph"}).prepare(chain())
    assert gpu.log.count("capture") == 1
    assert (
        gpu.log.count("kernel on side") == (3 + 1) * LAYERS
    )  # three warm-up runs and the capture, none on the main stream
    assert gpu.log.index("kernel on side") < gpu.log.index("capture")
    gpu.log.clear()
    samples = runner.samples(3)
    assert_all(samples.wall_s, gpu.replay_ns + LAYERS * kernel_ns)
    assert_all(samples.device_s, LAYERS * kernel_ns)
    assert gpu.log.count("replay on main") == 3 + 3
    assert not [line for line in gpu.log if line.startswith(("kernel", "capture"))]


def test_launches_bound_a_block_eagerly_but_not_as_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu(launch_ns=10_000, kernel_ns=100, replay_ns=6_000).install(monkeypatch)
    eager, graph = sampled(execution="eager"), sampled(execution="graph")
    assert_all(eager.wall_s, 5 * 10_000 + 100)
    assert_all(graph.wall_s, 6_000 + 5 * 100)
    assert_all(eager.device_s, 5 * 100)
    assert_all(graph.device_s, 5 * 100)


@pytest.mark.parametrize("execution", CHOICES["execution"])
def test_cold_writes_twice_the_cache_before_each_run_outside_the_window(
    monkeypatch: pytest.MonkeyPatch, execution: str
) -> None:
    gpu = FakeGpu(l2_bytes=3 * MIB).install(monkeypatch)
    warm = sampled(cache="warm", execution=execution)
    assert not [line for line in gpu.log if line.startswith("write")]
    gpu.log.clear()
    cold = sampled(cache="cold", execution=execution)
    assert warm.wall_s.tolist() == pytest.approx(cold.wall_s.tolist(), rel=1e-12)  # the fake has no cache
    assert_all(cold.device_s, LAYERS * gpu.kernel_ns)
    flush = f"write {2 * 3 * MIB} bytes on main"
    flushes = [n for n, line in enumerate(gpu.log) if line == flush]
    assert len(flushes) == 3 + 3
    one_run = "replay on main" if execution == "graph" else "kernel on main"
    for n, after in zip(flushes, [*flushes[1:], len(gpu.log)], strict=True):
        assert gpu.log[n + 1] == "synchronize"
        assert gpu.log[n:after].count(one_run) == (1 if execution == "graph" else LAYERS)


def test_a_cold_cache_needs_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu(l2_bytes=0).install(monkeypatch)
    assert sampled(cache="warm").wall_s.size == 3
    with pytest.raises(UnavailableError, match=r"size of the L2 cache of FAKE GPU 9000.*cache = \"warm\""):
        sampled(cache="cold")


def test_a_slow_host_is_given_more_time_until_the_gpu_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hold_ns = round(FIRST_HOLD_S * FASTEST_CLOCK_HZ)  # by the fake's clock of 1 GHz
    gpu = FakeGpu(launch_ns=hold_ns, kernel_ns=5).install(monkeypatch)
    assert_all(sampled().device_s, LAYERS * 5)
    # five launches and two records need more than four first holds and less than eight: three runs fail, three are kept
    assert gpu.log.count("hold on main") == 3 + 3


def test_more_launches_than_the_queue_takes_have_no_device_time(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu(queue=3).install(monkeypatch)
    by_host = sampled(clock="host")
    assert by_host.device_s is None
    assert_all(by_host.wall_s, eager_ns(gpu))
    with pytest.raises(MeasurementError, match=r"more launches than the GPU's queue takes.*execution = \"graph\""):
        sampled(clock="device")
    assert_all(sampled(clock="device", execution="graph").device_s, LAYERS * gpu.kernel_ns)
    assert_all(sampled(clock="device", layers=2).device_s, 2 * gpu.kernel_ns)


def test_a_table_is_of_the_clock_named_and_keeps_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gpu = FakeGpu().install(monkeypatch)
    space = tiny_space()
    expected = {"host": {}, "device": {}}
    for part, layers in (("stem", 1), ("first", 1), ("second", 1), ("head", 3)):
        expected["host"][part] = eager_ns(gpu, layers) / 1e9
        expected["device"][part] = layers * gpu.kernel_ns / 1e9
    for clock, seconds in expected.items():
        table = profile_space(
            space, fake_device(CudaBackend(1, {"clock": clock})), tmp_path, QUICK, workers=create_in_process_workers
        )
        assert table.path.stem == f"isolated-b1-eager-warm-float32-contiguous-{clock}"
        for row in table.frame.itertuples():
            assert row.median_s == pytest.approx(seconds[row.part], rel=1e-9)
            assert row.verdict == "trusted"
        for record in SampleJournal(table.path.with_suffix(".samples.csv")).read().values():
            visits = record.trials
            assert all(visit.samples.device_s is not None for visit in visits)
            for visit in visits:  # the sentinel, one layer of the middle stage, is timed by the blocks' clock
                assert visit.sentinel_s.tolist() == pytest.approx([seconds["second"]] * 4, rel=1e-9)
            assert all((visit.samples.wall_s > visit.samples.device_s).all() for visit in visits)


class Watched:
    """What the module, its input and PyTorch's switches are at each run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[object, ...]] = []
        self.error: Exception | None = None
        original = GraphModule.forward

        def forward(module: GraphModule, x: torch.Tensor) -> torch.Tensor:
            if self.error is not None:
                raise self.error
            self.dtypes = {tensor.dtype for tensor in (*module.parameters(), x)}
            self.last = [x, *(p for p in module.parameters() if p.ndim == 4)]
            self.seen.append((tuple(x.shape), module.training, torch.is_inference_mode_enabled(), *switches()))
            return original(module, x)

        monkeypatch.setattr(GraphModule, "forward", forward)


def switches() -> tuple[object, ...]:
    """cuDNN's autotuning, and the precision of float32 products in matrix products and convolutions."""
    backends = torch.backends
    return (
        backends.cudnn.benchmark,
        backends.cuda.matmul.fp32_precision,
        backends.cudnn.conv.fp32_precision,
    )


def set_switches(autotune: object, matmul: object, conv: object) -> None:
    torch.backends.cudnn.benchmark = autotune
    torch.backends.cuda.matmul.fp32_precision = matmul
    torch.backends.cudnn.conv.fp32_precision = conv


@pytest.fixture
def _torch_as_before() -> Iterator[None]:
    """Put torch's switches back after a test; pytest's monkeypatch cannot, since they are no plain attributes."""
    before = switches()
    yield
    set_switches(*before)


@pytest.mark.usefixtures("_torch_as_before")
@pytest.mark.parametrize("outside", ["ieee", "tf32"])
@pytest.mark.parametrize(
    ("precision", "word"), [("fp32", "ieee"), ("tf32", "tf32"), ("fp16", "ieee"), ("bf16", "ieee")]
)
@pytest.mark.parametrize("autotune", [False, True])
def test_torchs_switches_are_set_for_each_run_and_put_back(
    monkeypatch: pytest.MonkeyPatch, precision: str, word: str, autotune: bool, outside: str
) -> None:
    FakeGpu().install(monkeypatch)
    watched = Watched(monkeypatch)
    before = (not autotune, outside, outside)
    set_switches(*before)
    runner = CudaBackend(2, {"precision": precision, "autotune": autotune, "execution": "graph"}).prepare(chain())
    assert switches() == before
    eager = CudaBackend(2, {"precision": precision, "autotune": autotune}).prepare(chain())
    eager.samples(2)
    assert switches() == before
    assert watched.seen == [((2, 4, 4, 4), False, True, autotune, word, word)] * (3 + 1 + 2 + 2)
    watched.error = RuntimeError("the run fails")
    with pytest.raises(RuntimeError, match="the run fails"):
        eager.samples(1)
    assert switches() == before
    runner.close()


def test_an_older_torch_has_other_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn = SimpleNamespace(benchmark=False, allow_tf32=True)
    cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=True))
    monkeypatch.setattr(torch, "backends", SimpleNamespace(cudnn=cudnn, cuda=cuda))  # a fake of torch before 2.9
    for tf32, autotune in product((False, True), repeat=2):
        with backend_flags(tf32=tf32, autotune=autotune):
            assert (cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark) == (tf32, tf32, autotune)
        assert (cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark) == (True, True, False)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", "float32"), ("tf32", "float32"), ("fp16", "float16"), ("bf16", "bfloat16")]
)
@pytest.mark.parametrize("layout", CHOICES["layout"])
def test_precision_and_layout_reach_weights_and_input(
    monkeypatch: pytest.MonkeyPatch, precision: str, dtype: str, layout: str
) -> None:
    FakeGpu().install(monkeypatch)
    watched = Watched(monkeypatch)
    block = lower(InvertedResidual(channels=4, stride=1, kernel=3, expand=2, attention="se"), (4, 6, 6))
    CudaBackend(2, {"precision": precision, "layout": layout}).prepare(block).samples(1)
    assert watched.dtypes == {getattr(torch, dtype)}
    wanted = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    assert len(watched.last) > 3
    assert all(tensor.is_contiguous(memory_format=wanted) for tensor in watched.last)
    assert watched.last[0].is_contiguous() == (layout == "contiguous")


def test_a_gpu_without_the_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu(name="Tesla V100-SXM2-16GB", capability=(7, 0)).install(monkeypatch)
    for precision in ("fp32", "fp16"):
        assert sampled(precision=precision).wall_s.size == 3
    for precision in ("tf32", "bf16"):
        with pytest.raises(UnavailableError, match=rf"{precision} needs compute capability 8.0; got 'Tesla V100.*7.0'"):
            sampled(precision=precision)
    gpu.capability = (8, 0)
    assert sampled(precision="bf16").wall_s.size == 3


@pytest.mark.parametrize("option", CHOICES)
def test_an_unknown_choice_names_the_known_ones(option: str) -> None:
    with pytest.raises(
        UnknownNameError,
        match=rf"unknown {option} of backend cuda 'x'; expected {', '.join(CHOICES[option][:-1])} or {CHOICES[option][-1]}",
    ):
        CudaBackend(1, {option: "x"})


def test_every_mode_has_words_and_an_identity_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu().install(monkeypatch)
    modes = [
        dict(zip([*CHOICES, "autotune"], chosen, strict=True)) for chosen in product(*CHOICES.values(), (False, True))
    ]
    backends = [CudaBackend(1, mode) for mode in modes]
    assert len({backend.tags() for backend in backends}) == len(modes) == 2 * 2 * 2 * 4 * 2 * 2
    assert len({tuple(backend.environment().identity.items()) for backend in backends}) == len(modes)
    assert all(re.fullmatch(r"\w+", word) for backend in backends for word in backend.tags())
    half = CudaBackend(1, {"precision": "fp16", "layout": "channels_last", "clock": "device", "autotune": True})
    assert half.tags() == ("eager", "warm", "float16", "channels_last", "device", "autotune")
    assert half.tags()[2] == half.environment().identity["dtype"]


@pytest.mark.parametrize("name", ["FAKE GPU 9000", "NVIDIA Jetson (nvgpu)", "Tesla V100-SXM2-16GB"])
def test_the_environment_is_that_of_the_gpu_and_equal_gpus_share_an_identity(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    FakeGpu(name=name).install(monkeypatch)
    one, other = (CudaBackend(1, {"index": index}).environment() for index in (0, 1))
    assert one.device_model == name
    assert one.identity["memory_gib"] == 80
    assert one.identity["multiprocessors"] == 114
    assert one.identity == other.identity
    assert (one.conditions["gpu_index"], other.conditions["gpu_index"]) == (0, 1)
    assert one.conditions["gpu_uuid"] == "0a0b0c0d-0000-0000-0000-000000000001"
    assert torch.__version__ in str(one.identity["runtime"])
    assert "index" not in one.identity


def test_the_gpu_of_the_index_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu().install(monkeypatch)
    sampled(index=1)
    assert {line for line in gpu.log if line.startswith("device")} == {"device 1"}


def test_a_lost_gpu_speaks_by_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu().install(monkeypatch)
    runner = CudaBackend(1, {}).prepare(chain())
    gpu.broken = RuntimeError("CUDA error: GPU is lost")
    with pytest.raises(RuntimeError, match="CUDA error: GPU is lost"):
        runner.samples(1)
    runner.close()  # hides nothing and raises nothing new
    with pytest.raises(RuntimeError, match="CUDA error: GPU is lost"):
        CudaBackend(1, {"execution": "graph"}).prepare(chain())


@pytest.mark.parametrize("execution", CHOICES["execution"])
def test_out_of_memory_comes_through_and_frees(monkeypatch: pytest.MonkeyPatch, execution: str) -> None:
    gpu = FakeGpu().install(monkeypatch)
    gpu.broken = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"Tried to allocate 80\.00 GiB"):
        CudaBackend(1, {"execution": execution}).prepare(chain()).samples(1)
    assert gpu.log[-1] == "empty_cache"
    gpu.broken = None
    assert sampled(execution=execution).wall_s.size == 3


def test_close_frees_weights_and_input(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu().install(monkeypatch)
    alive: list[weakref.ref[GraphModule]] = []
    build = CudaBackend(1, {"cache": "cold"})
    monkeypatch.setattr(
        "donna_hw.graph.torch_module.GraphModule.eval", lambda self: alive.append(weakref.ref(self)) or self
    )
    runner = build.prepare(chain())
    assert alive[0]() is not None
    runner.close()
    gc.collect()
    assert alive[0]() is None
    assert gpu.log[-1] == "empty_cache"


@pytest.mark.parametrize("mode", [{}, {"execution": "graph", "cache": "cold", "clock": "device", "precision": "bf16"}])
def test_the_backend_fulfills_the_contract(monkeypatch: pytest.MonkeyPatch, mode: dict[str, Scalar]) -> None:
    FakeGpu().install(monkeypatch)

    class InThisMode(CudaBackend):
        options = CudaBackend.options | mode

    check_backend(InThisMode, batch=2)
