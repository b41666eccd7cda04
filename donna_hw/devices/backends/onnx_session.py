"""A session of ONNX Runtime as a runner: made to use the chosen provider, its inputs and outputs on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from donna_hw.devices.backends.base import Runner
from donna_hw.devices.backends.timing import time_calls
from donna_hw.errors import BadSetting, Unavailable
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.measurement import Samples

if TYPE_CHECKING:
    import onnx

CPU = "CPUExecutionProvider"
NVIDIA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}


class SessionRunner(Runner):
    """A model opened with the settings of `OnnxRuntimeBackend`, fed with random inputs."""

    def __init__(self, model: onnx.ModelProto, batch: int, settings: Mapping[str, Scalar]) -> None:
        self._provider, threads = str(settings["provider"]), int(settings["threads"])
        self._on_this_thread = self._provider == CPU and threads == 1
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
        device = "cuda" if self._provider in NVIDIA else "cpu"
        for name, values in self._feeds.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(values, device, 0))
        for node in session.get_outputs():
            binding.bind_output(node.name, device)
        if self._provider == CPU:  # returns when the outputs are complete
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
    """Open a session that uses the chosen provider and no other, or raise `Unavailable` with ONNX Runtime's reason."""
    import onnxruntime

    provider, threads = str(settings["provider"]), int(settings["threads"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, LEVELS[str(settings["optimisation"])]
    )
    spins = settings["spinning"] and threads > 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins else "0")
    if spins:  # within a run only: else the sentinel's threads would keep the cores busy that the block's threads need
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if provider != CPU and not settings["cpu_fallback"]:
        # a provider that has none of the layers is still listed by get_providers(), while the CPU does its work
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # its errors derive from nothing narrower
        raise Unavailable(
            f"ONNX Runtime must be able to run the model by {provider} alone",
            found=str(error),
            cure="mend the model"
            if provider == CPU
            else "use another provider, or set options.cpu_fallback = true to measure it with the CPU's help",
        ) from error
    if provider not in session.get_providers():
        raise Unavailable(
            f"ONNX Runtime must use {provider}",
            found=", ".join(session.get_providers()),
            cure="the provider's own libraries are missing or of another version: see its installation page",
        )
    return session


def _fixed_shape(node: Any, batch: int) -> tuple[int, ...]:
    """Return the shape of a model's input; raises `BadSetting` unless it is float32, fixed, and begins with the batch."""
    found = f"{node.type} {node.shape}"
    fixed = all(isinstance(size, int) for size in node.shape)
    if node.type != "tensor(float)" or not fixed or node.shape[:1] != [batch]:
        raise BadSetting(
            f"input {node.name!r} of the model must be float32 of a fixed shape that begins with the batch {batch}",
            found=found,
            cure="export it with that batch and without dynamic axes",
        )
    return tuple(node.shape)
