"""ONNX Runtime: each block as an ONNX model of its own, run in a session of one execution provider."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from donna_hw.devices.backends.base import Availability, Runner, TimingBackend
from donna_hw.errors import ConfigError, UnavailableError, UnknownNameError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment, Scalar, cpu_model, host_conditions
from donna_hw.measurement.host_cpu import HostCpu
from donna_hw.measurement.telemetry import Telemetry

if TYPE_CHECKING:
    import onnx
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from donna_hw.devices.backends.timing import time_calls
from donna_hw.measurement.measurement import Samples

if TYPE_CHECKING:
    import onnx

CPU_PROVIDER = "CPUExecutionProvider"
NVIDIA_PROVIDERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
OPTIMIZATION_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}


class SessionRunner(Runner):
    """A model opened with the settings of `OnnxRuntimeBackend`, fed with random inputs."""

    def __init__(self, model: onnx.ModelProto, batch: int, settings: Mapping[str, Scalar]) -> None:
        self._provider, threads = str(settings["provider"]), int(settings["threads"])
        self._on_this_thread = self._provider == CPU_PROVIDER and threads == 1
        self._session = _session(model.SerializeToString(), settings)
        rng = np.random.default_rng(0)
        self._feeds = {
            node.name: rng.standard_normal(_fixed_shape(node, batch), dtype=np.float32)
            for node in self._session.get_inputs()
        }
        self._run = self._bound_run() if settings["io_binding"] else self._plain_run()

    def _plain_run(self) -> Callable[[], object]:
        session, feeds = self._session, self._feeds
        return lambda: session.run(None, feeds)

    def _bound_run(self) -> Callable[[], object]:
        from onnxruntime import OrtValue

        session, binding = self._session, self._session.io_binding()
        device = "cuda" if self._provider in NVIDIA_PROVIDERS else "cpu"
        for name, values in self._feeds.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(values, device, 0))
        for node in session.get_outputs():
            binding.bind_output(node.name, device)
        if self._provider == CPU_PROVIDER:  # returns when the outputs are complete
            return lambda: session.run_with_iobinding(binding)

        def run_to_the_end() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        binding.synchronize_inputs()
        return run_to_the_end

    def samples(self, count: int) -> Samples:
        """Run the session `count` times; CPU times only where the calling thread does all the work."""
        samples = time_calls(self._run, count)
        return samples if self._on_this_thread else Samples(samples.wall_s)

    def close(self) -> None:
        """Free the session."""
        del self._run, self._feeds, self._session


def _session(model: bytes, settings: Mapping[str, Scalar]) -> Any:
    """Open a session that uses the chosen provider and no other, or raise `UnavailableError` with ONNX Runtime's reason."""
    import onnxruntime

    provider, threads = str(settings["provider"]), int(settings["threads"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, OPTIMIZATION_LEVELS[str(settings["optimization"])]
    )
    spins = settings["spinning"] and threads > 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins else "0")
    if spins:  # within a run only: else the sentinel's threads would keep the cores busy that the block's threads need
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if provider != CPU_PROVIDER and not settings["cpu_fallback"]:
        # a provider that has none of the layers is still listed by get_providers(), while the CPU does its work
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # its errors derive from nothing narrower
        raise UnavailableError(
            f"ONNX Runtime must be able to run the model by {provider} alone",
            got=str(error),
            hint="mend the model"
            if provider == CPU_PROVIDER
            else "use another provider, or set options.cpu_fallback = true to measure it with the CPU's help",
        ) from error
    if provider not in session.get_providers():
        raise UnavailableError(
            f"ONNX Runtime must use {provider}",
            got=", ".join(session.get_providers()),
            hint="the provider's own libraries are missing or of another version: see its installation page",
        )
    return session


def _fixed_shape(node: Any, batch: int) -> tuple[int, ...]:
    """Return the shape of a model's input; raises `ConfigError` unless it is float32, fixed, and begins with the batch."""
    found = f"{node.type} {node.shape}"
    fixed = all(isinstance(size, int) for size in node.shape)
    if node.type != "tensor(float)" or not fixed or node.shape[:1] != [batch]:
        raise ConfigError(
            f"input {node.name!r} of the model must be float32 of a fixed shape that begins with the batch {batch}",
            got=found,
            hint="export it with that batch and without dynamic axes",
        )
    return tuple(node.shape)


class OnnxRuntimeBackend(TimingBackend):
    """Times blocks with ONNX Runtime, on this machine's CPU or by another of its execution providers.

    options: provider (`CUDAExecutionProvider`, or short `cuda`); threads of one operator; spinning (waiting threads keep their
    cores busy); optimization of the graph; io_binding (inputs and outputs stay on the device; without it each run copies
    them); cpu_fallback (layers that the provider lacks may run on the CPU).

    Layers of type int8 are given to it as QDQ, with QuantizeLinear and DequantizeLinear around each.

    A torch module of your own, not of a space:

        from donna_hw.graph.onnx_torch import export
        runner = OnnxRuntimeBackend(1, {"threads": 2}).prepare_model(export(module, (3, 224, 224)))
        runner.samples(3)  # warm up
        print(np.median(runner.samples(30).wall_s))
    """

    dtypes: ClassVar = ("float32", "int8")
    options: ClassVar = {
        "provider": CPU_PROVIDER,
        "threads": 1,
        "spinning": True,
        "optimization": "all",
        "io_binding": True,
        "cpu_fallback": False,
    }

    def __init__(self, batch: int, options: Mapping[str, Scalar]) -> None:
        super().__init__(batch, options)
        if int(self.settings["threads"]) < 1:
            raise ConfigError("option threads must be 1 or more", got=self.settings["threads"])
        if self.settings["optimization"] not in OPTIMIZATION_LEVELS:
            raise UnknownNameError(
                "option optimization must be known", got=str(self.settings["optimization"]), choices=OPTIMIZATION_LEVELS
            )
        self.settings["provider"] = _resolve_provider(str(self.settings["provider"]))
        self._host = HostCpu()

    @classmethod
    def availability(cls) -> Availability:
        """Say whether ONNX Runtime is installed."""
        if find_spec("onnxruntime") is None:
            return Availability(False, "the package onnxruntime is not installed", "pip install onnxruntime")
        return Availability(True)

    def environment(self) -> Environment:
        """Return the processor, the runtime's version and all options."""
        import onnxruntime

        identity = {
            "device_model": _device_model(str(self.settings["provider"])),
            "runtime": f"onnxruntime {onnxruntime.__version__}",  # the package has another name in a build for GPUs
            "dtype": "float32",
            **self.settings,
        }
        return Environment(identity, host_conditions())

    def tags(self) -> tuple[str, ...]:
        """Return type and threads, then what is not by default."""
        settings, words = self.settings, ["float32", f"t{self.settings['threads']}"]
        if settings["provider"] != CPU_PROVIDER:
            words.append(_short_name(str(settings["provider"])))
        if settings["optimization"] != "all":
            words.append(f"opt{settings['optimization']}")
        words += ["unbound"] * (not settings["io_binding"]) + ["nospin"] * (not settings["spinning"])
        return (*words, *["cpufallback"] * bool(settings["cpu_fallback"]))

    def read_telemetry(self) -> Telemetry:
        """Return the CPU's readings; of other providers' devices nothing is known here."""
        return self._host.read_telemetry() if self.settings["provider"] == CPU_PROVIDER else Telemetry()

    def prepare(self, graph: Graph) -> Runner:
        """Build the block's ONNX model with random weights and open a session."""
        from donna_hw.graph.onnx_export import to_onnx

        return self.prepare_model(to_onnx(graph, self.batch))

    def prepare_model(self, model: onnx.ModelProto) -> Runner:
        """Open a session of any ONNX model with random float32 inputs of fixed shapes, the batch first.

        Raises `ConfigError` for other inputs, and `UnavailableError` when ONNX Runtime cannot run the model by the chosen provider alone.
        """
        return SessionRunner(model, self.batch, self.settings)


def _resolve_provider(name: str) -> str:
    """Return the full name of a provider of the installed build, given in full or short, upper or lower case."""
    if name == CPU_PROVIDER:  # in every build: asking would import the runtime for nothing
        return CPU_PROVIDER
    import onnxruntime

    known = onnxruntime.get_available_providers()
    for full in known:
        if name.lower() in (full.lower(), _short_name(full)):
            return str(full)
    raise UnavailableError(
        "the execution provider must be in the installed ONNX Runtime",
        got=name,
        choices=known,
        hint="set options.provider in the device file, or install the build that has it",
    )


def _short_name(provider: str) -> str:
    return provider.lower().removesuffix("executionprovider")


def _device_model(provider: str) -> str:
    """Return the CPU's or the GPU's name; of other providers' devices only the machine that they are in is known."""
    if provider == CPU_PROVIDER:
        return cpu_model()
    if provider not in NVIDIA_PROVIDERS:
        return f"{_short_name(provider)} device of {cpu_model()}"
    import torch

    if not torch.cuda.is_available():
        raise UnavailableError(
            "the GPU must be named by torch", got="no CUDA GPU", hint="install a CUDA build of torch"
        )
    return str(torch.cuda.get_device_name(0))
