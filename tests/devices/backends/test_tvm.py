"""TVM on this machine: it computes what it should, states what runs, and its tuner crashes alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from requirements import needs

from donna_hw.devices.backends.tvm.backend import TvmBackend
from donna_hw.devices.backends.tvm.build import TargetConfig, build_library, host_cpu, to_relax
from donna_hw.devices.backends.tvm.runners import set_threads
from donna_hw.devices.backends.tvm.tuning import tune_and_build
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, DonnaError, UnavailableError, UnknownNameError
from donna_hw.graph.graph import Graph
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.measurement.environment import cpu_model
from donna_hw.spaces import load_space
from donna_hw.testing import check_backend, example_graphs


@pytest.fixture(autouse=True, scope="module")
def _tvm_is_here() -> None:
    needs(TvmBackend.availability().ok, "apache-tvm[rpc] and a C++ compiler")


def small_graph() -> Graph:
    return example_graphs()[0]


def whole_network() -> Graph:
    space = load_space("small_8px")
    return space.network_graph(space.reference)


@pytest.mark.parametrize("graph", [*example_graphs(), whole_network()], ids=["conv", "block", "network"])
def test_what_tvm_compiles_agrees_with_onnx_runtime(graph: Graph, tmp_path: Path) -> None:
    import tvm
    from tvm import relax

    model = to_onnx(graph, 2)
    build_library(to_relax(model), TargetConfig("llvm", host_cpu()), tmp_path / "block.so")
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(tmp_path / "block.so")), tvm.cpu())
    image = np.random.default_rng(1).standard_normal((2, *graph.input_shape), dtype=np.float32)
    found = machine["main"](tvm.runtime.tensor(image, tvm.cpu())).numpy()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input": image})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_tvm_keeps_the_contract_on_this_machine() -> None:
    check_backend(TvmBackend)


def test_the_host_tells_wall_and_cpu_time_of_the_calling_thread_and_no_device_time() -> None:
    runner = TvmBackend(4, {}).prepare(example_graphs()[1])
    samples = runner.samples(20)
    runner.close()
    assert samples.device_s is None
    assert samples.cpu_s is not None
    # An undisturbed run computes all of its time on this thread; were it done by a pool, none of it would be.
    assert float((samples.cpu_s / samples.wall_s).max()) > 0.5


def test_the_called_clock_and_tvms_own_evaluator_agree() -> None:
    runner = TvmBackend(4, {}).prepare(example_graphs()[1])
    import tvm

    evaluator = runner._vm.time_evaluator("timed", tvm.cpu(), number=1, repeat=30)  # type: ignore[attr-defined]
    ours, theirs = runner.samples(30).wall_s.min(), min(evaluator().results)
    assert ours == pytest.approx(theirs, rel=0.5)  # fastest of 30: a factor would show, such as of a run counted twice


def test_the_shipped_device_states_what_runs() -> None:
    import tvm

    backend = Device.load("tvm_cpu").backend()
    assert isinstance(backend, TvmBackend)
    identity = backend.environment().identity
    assert identity["device_model"] == cpu_model()
    assert str(identity["runtime"]).startswith("tvm ")
    assert identity["mcpu"] == host_cpu()
    assert (identity["threads"], identity["tuning_trials"], identity["rpc"]) == (1, 0, False)
    assert backend.tags() == ("llvm", "float32", "t1")
    backend.prepare(small_graph()).close()
    assert tvm.runtime.num_threads() == 1


def test_untuned_code_has_no_parallel_loop_which_is_why_more_threads_are_refused() -> None:
    import tvm

    model = to_relax(to_onnx(example_graphs()[1], 1))
    executable = tvm.compile(model, target=TargetConfig("llvm", cores=2).tvm_target())
    (code,) = executable.mod.imports
    assert "define" in code.inspect_source(), "the code must be readable for its absence to mean something"
    assert "TVMBackendParallelLaunch" not in code.inspect_source()
    with pytest.raises(ConfigError, match="threads must be 1 without tuning"):
        TvmBackend(1, {"threads": 2})


def test_a_pool_of_other_size_than_stated_is_refused() -> None:
    def fake_function(name: str) -> object:
        """Stand for a TVM whose pool stays at one thread, as where the environment caps it."""
        return {"runtime.NumThreads": lambda: 1, "runtime.config_threadpool": lambda mode, threads: None}[name]

    set_threads(1, fake_function)
    with pytest.raises(UnavailableError, match=r"must have 3 threads; found 1; start with TVM_NUM_THREADS=3"):
        set_threads(3, fake_function)


def test_a_block_is_compiled_once_and_the_work_folder_goes_with_the_backend() -> None:
    backend = TvmBackend(1, {})
    backend.prepare(small_graph()).close()
    (library,) = backend._folder.iterdir()
    written = library.stat().st_mtime_ns
    backend.prepare(small_graph()).close()
    assert library.stat().st_mtime_ns == written
    folder = backend._folder
    del backend
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"target": "lvm"}, UnknownNameError, "known: cuda, llvm, .*did you mean 'llvm'"),
        ({"threads": 0}, ConfigError, "threads must be 1 or more"),
        ({"tracker": "127.0.0.1:9190"}, ConfigError, "tracker and key"),
        ({"key": "board"}, ConfigError, "tracker and key"),
        ({"tracker": "127.0.0.1", "key": "board"}, ConfigError, "host:port; found '127.0.0.1'"),
        ({"mtriple": "aarch64-linux-gnu"}, ConfigError, "another machine"),
        ({"tuning_trials": -1}, ConfigError, "tuning_trials must be 0 or more"),
        ({"tuning_trials": 1, "tracker": "h:1", "key": "k"}, ConfigError, "tuning measures on this machine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, str | int], error: type[DonnaError], says: str
) -> None:
    with pytest.raises(error, match=says):
        TvmBackend(1, options)


def test_a_target_that_this_build_lacks_is_refused_with_the_cure() -> None:
    import tvm

    needs(not tvm.runtime.enabled("cuda"), "a TVM without CUDA")
    with pytest.raises(UnavailableError, match=r"build TVM with"):
        TvmBackend(1, {"target": "cuda"}).prepare(small_graph())
    with pytest.raises(UnavailableError, match=r"must find a device .*found 'no cuda device'; build TVM with"):
        TvmBackend(1, {"target": "cuda"}).environment()


def test_a_processor_that_llvm_does_not_know_is_refused() -> None:
    # TVM itself prints a line and generates code for any processor: a plausible wrong value.
    with pytest.raises(UnknownNameError, match=r"option mcpu .*found 'znver33'; known: znver.*did you mean 'znver"):
        TargetConfig("llvm", "znver33", "x86_64-linux-gnu").tvm_target()
    with pytest.raises(UnknownNameError, match=r"option mcpu .*for nosuch-linux-gnu; found 'znver3'$"):
        TargetConfig("llvm", "znver3", "nosuch-linux-gnu").tvm_target()


def test_a_triple_that_llvm_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="No available targets"):
        build_library(
            to_relax(to_onnx(small_graph(), 1)), TargetConfig("llvm", "", "nosuch-linux-gnu"), tmp_path / "x.tar"
        )


def test_code_for_another_processor_is_made_here_and_left_to_the_device_to_link(tmp_path: Path) -> None:
    import tarfile

    choice = TargetConfig("llvm", "cortex-a72", "aarch64-linux-gnu")
    build_library(to_relax(to_onnx(small_graph(), 1)), choice, tmp_path / "block.tar")
    with tarfile.open(tmp_path / "block.tar") as archive:
        files = [archive.extractfile(member) for member in archive.getmembers() if member.name.endswith(".o")]
        heads = [file.read(20) for file in files if file is not None]
    assert heads
    for head in heads:
        assert (head[:4], int.from_bytes(head[18:20], "little")) == (b"\x7fELF", 183)  # ELF's number of AArch64


def test_without_tvm_the_cure_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("donna_hw.devices.backends.tvm.backend.find_spec", lambda _: None)
    assert TvmBackend.availability().hint == "pip install 'donna-hw[tvm]'"
    with pytest.raises(UnavailableError, match=r"apache-tvm is not installed.*pip install 'donna-hw\[tvm\]'"):
        Device.load("tvm_cpu").backend()


# The tuner


def stand_in(code: str) -> tuple[str, ...]:
    """Return the command of a stand-in for the tuner: a child of plain Python that gets the same two words."""
    return (sys.executable, "-c", "import os, signal, sys, time, pathlib; " + code)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "sys.stderr.write('half way\\n'); sys.stderr.flush(); os.kill(os.getpid(), signal.SIGSEGV)",
            "SIGSEGV: half way",
        ),
        ("sys.exit('no such rule')", "exit code 1: no such rule"),
        ("pass", "exit code 0: it said nothing"),
        ("time.sleep(600)", "must end within 1 s"),
    ],
)
def test_a_tuner_that_ends_badly_is_told_in_one_line(code: str, says: str, tmp_path: Path) -> None:
    limit = 1.0 if "sleep" in code else 60.0
    choice, model = TargetConfig("llvm"), to_onnx(small_graph(), 1)
    with pytest.raises(UnavailableError, match=f"{says}.*set tuning_trials = 0"):
        tune_and_build(model, choice, tmp_path, trials=2, timeout_s=limit, command=stand_in(code))


def test_the_tuner_gets_its_input_in_plain_files_and_its_library_is_used(tmp_path: Path) -> None:
    code = (
        "folder = pathlib.Path(sys.argv[1]); assert sys.argv[2] == '2'; assert (folder / 'block.onnx').stat().st_size;"
        "(folder / 'block.so').write_bytes((folder / 'target.json').read_bytes())"
    )
    choice, model = TargetConfig("llvm", "znver3", cores=2), to_onnx(small_graph(), 1)
    path = tune_and_build(model, choice, tmp_path / "new", trials=2, timeout_s=60.0, command=stand_in(code))
    assert TargetConfig.read(path) == choice


@pytest.mark.long
def test_the_real_tuner_leaves_a_library_or_a_reason_and_never_takes_the_caller_with_it(tmp_path: Path) -> None:
    backend = TvmBackend(1, {"tuning_trials": 2, "tuning_timeout_s": 120.0, "tuning_dir": str(tmp_path)})
    assert backend.tags() == ("llvm", "float32", "t1", "tuned2")
    try:
        runner = backend.prepare(small_graph())
    except UnavailableError as error:
        reason = str(error)
    else:
        reason = (
            f"{runner.samples(3).wall_s.size} samples, {len(list(tmp_path.rglob('database_*.json')))} files of records"
        )
    seen = ("killed by SIGSEGV: Fatal Python error", "must end within 120 s", "3 samples, 2 files of records")
    assert any(words in reason for words in seen), reason
