"""ONNX Runtime: each block as an ONNX model, run in a session of one execution provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from donna_hw.devices.backends.base import Availability, Runner, TimingBackend
from donna_hw.devices.backends.timing_loop import time_calls
from donna_hw.errors import ConfigError, UnavailableError, UnknownNameError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment, Scalar, cpu_model, host_conditions
from donna_hw.measurement.host_cpu import HostCpu
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.telemetry import Telemetry

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
        self._session = _open_session(model.SerializeToString(), settings)
        rng = np.random.default_rng(0)
        self._feeds = {
            node.name: rng.standard_normal(_fixed_shape(node, batch), dtype=np.float32)
            for node in self._session.get_inputs()
        }
        self._run = self._run_with_binding() if settings["io_binding"] else self._run_with_copies()

    def _run_with_copies(self) -> Callable[[], object]:
        session, feeds = self._session, self._feeds
        return lambda: session.run(None, feeds)

    def _run_with_binding(self) -> Callable[[], object]:
        from onnxruntime import OrtValue

        session, binding = self._session, self._session.io_binding()
        device = "cuda" if self._provider in NVIDIA_PROVIDERS else "cpu"
        for name, values in self._feeds.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(values, device, 0))
        for node in session.get_outputs():
            binding.bind_output(node.name, device)
        if self._provider == CPU_PROVIDER:  # returns when the outputs are complete
            return lambda: session.run_with_iobinding(binding)

        def run_and_synchronize() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        binding.synchronize_inputs()
        return run_and_synchronize

    def samples(self, count: int) -> Samples:
        """Run the session `count` times; CPU times only where the calling thread does all the work."""
        samples = time_calls(self._run, count)
        return samples if self._on_this_thread else Samples(samples.wall_s)

    def close(self) -> None:
        """Free the session."""
        del self._run, self._feeds, self._session


def _open_session(model: bytes, settings: Mapping[str, Scalar]) -> Any:
    """Open a session that uses the chosen provider and no other; raises `UnavailableError` with ONNX Runtime's reason."""
    import onnxruntime

    provider, threads = str(settings["provider"]), int(settings["threads"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, OPTIMIZATION_LEVELS[str(settings["optimization"])]
    )
    spinning = settings["spinning"] and threads > 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    if spinning:  # within a run only: else the sentinel's threads would occupy the cores that the block's threads need
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if provider != CPU_PROVIDER and not settings["cpu_fallback"]:
        # a provider that supports none of the layers is still listed by get_providers(), while the CPU does its work
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # its errors have no narrower base class
        raise UnavailableError(
            f"ONNX Runtime cannot run the model with {provider} alone",
            got=str(error),
            hint="fix the model"
            if provider == CPU_PROVIDER
            else "use another provider, or set options.cpu_fallback = true to let the CPU run the rest",
        ) from error
    if provider not in session.get_providers():
        raise UnavailableError(
            f"ONNX Runtime does not use {provider}",
            got=", ".join(session.get_providers()),
            hint="the provider's libraries are missing or of another version: see its installation page",
        )
    return session


def _fixed_shape(node: Any, batch: int) -> tuple[int, ...]:
    """Return the shape of a model's input; raises `ConfigError` unless it is float32, fixed, and begins with the batch."""
    is_fixed = all(isinstance(size, int) for size in node.shape)
    if node.type != "tensor(float)" or not is_fixed or node.shape[:1] != [batch]:
        raise ConfigError(
            f"input {node.name!r} of the model must be float32 of a fixed shape that begins with the batch {batch}",
            got=f"{node.type} {node.shape}",
            hint="export it with that batch and without dynamic axes",
        )
    return tuple(node.shape)


class OnnxRuntimeBackend(TimingBackend):
    """Times blocks with ONNX Runtime, on this machine's CPU or with another of its execution providers.

    options: provider (`CUDAExecutionProvider`, or short `cuda`); threads of one operator; spinning (waiting threads keep their
    cores busy); optimization of the graph; io_binding (inputs and outputs stay on the device; without it each run copies
    them); cpu_fallback (layers that the provider does not support may run on the CPU).

    Layers of type int8 are exported as QDQ, with QuantizeLinear and DequantizeLinear around each.

    To time any torch module:

        from donna_hw.graph.torch_to_onnx import export
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
            raise ConfigError("option threads must be at least 1", got=self.settings["threads"])
        if self.settings["optimization"] not in OPTIMIZATION_LEVELS:
            raise UnknownNameError(
                "unknown optimization", got=str(self.settings["optimization"]), choices=OPTIMIZATION_LEVELS
            )
        self.settings["provider"] = _resolve_provider(str(self.settings["provider"]))
        self._host = HostCpu()

    @classmethod
    def availability(cls) -> Availability:
        """Return whether ONNX Runtime is installed."""
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
        """Return type and threads, then the options that differ from their defaults."""
        settings, tags = self.settings, ["float32", f"t{self.settings['threads']}"]
        if settings["provider"] != CPU_PROVIDER:
            tags.append(_short_name(str(settings["provider"])))
        if settings["optimization"] != "all":
            tags.append(f"opt{settings['optimization']}")
        tags += ["unbound"] * (not settings["io_binding"]) + ["nospin"] * (not settings["spinning"])
        return (*tags, *["cpufallback"] * bool(settings["cpu_fallback"]))

    def read_telemetry(self) -> Telemetry:
        """Return the CPU's telemetry; the devices of other providers report none here."""
        return self._host.read_telemetry() if self.settings["provider"] == CPU_PROVIDER else Telemetry()

    def prepare(self, graph: Graph) -> Runner:
        """Build the block's ONNX model with random weights, and open a session."""
        from donna_hw.graph.onnx_export import to_onnx

        return self.prepare_model(to_onnx(graph, self.batch))

    def prepare_model(self, model: onnx.ModelProto) -> Runner:
        """Open a session of any ONNX model with random float32 inputs of fixed shapes, the batch first.

        Raises:
            ConfigError: The model has other inputs.
            UnavailableError: ONNX Runtime cannot run the model with the chosen provider alone.
        """
        return SessionRunner(model, self.batch, self.settings)


def _resolve_provider(name: str) -> str:
    """Return the full name of a provider of the installed build, given in full or short, in any case."""
    if name == CPU_PROVIDER:  # it is in every build, and importing the runtime takes time
        return CPU_PROVIDER
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    for provider in providers:
        if name.lower() in (provider.lower(), _short_name(provider)):
            return str(provider)
    raise UnavailableError(
        "this execution provider is not in the installed ONNX Runtime",
        got=name,
        choices=providers,
        hint="set options.provider in the device file, or install the build that has it",
    )


def _short_name(provider: str) -> str:
    return provider.lower().removesuffix("executionprovider")


def _device_model(provider: str) -> str:
    """Return the CPU's or the GPU's name; for the devices of other providers only the machine's CPU is known."""
    if provider == CPU_PROVIDER:
        return cpu_model()
    if provider not in NVIDIA_PROVIDERS:
        return f"{_short_name(provider)} device of {cpu_model()}"
    import torch

    if not torch.cuda.is_available():
        raise UnavailableError("torch sees no CUDA GPU to name the device", hint="install a CUDA build of torch")
    return str(torch.cuda.get_device_name(0))
