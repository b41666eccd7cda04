"""ONNX Runtime: each block as an ONNX model of its own, run in a session with bound inputs and outputs."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import ClassVar

import numpy as np

from donna_hw.backends.base import Availability, Runner, TimingBackend
from donna_hw.backends.clock import time_calls
from donna_hw.blocks.layers import Graph
from donna_hw.blocks.onnx_model import to_onnx
from donna_hw.errors import Unavailable
from donna_hw.measurement.environment import Environment, cpu_model, host_conditions
from donna_hw.measurement.measurement import Samples


class OnnxRuntimeBackend(TimingBackend):
    """Times blocks with ONNX Runtime on this machine's CPU.

    options: provider (an ONNX Runtime execution provider), threads (of one operator; the CPU time beside the wall time is
    complete for one thread only).
    """

    options: ClassVar = {"provider": "CPUExecutionProvider", "threads": 1}

    @classmethod
    def availability(cls) -> Availability:
        """Say whether ONNX Runtime is installed."""
        if find_spec("onnxruntime") is None:
            return Availability(False, "the package onnxruntime is not installed", "pip install onnxruntime")
        return Availability(True)

    def environment(self) -> Environment:
        """Return the processor, the runtime's version, provider and threads."""
        identity = {
            "device_model": cpu_model(),
            "runtime": f"onnxruntime {version('onnxruntime')}",
            "dtype": "float32",
            **self.settings,
        }
        return Environment(identity, host_conditions())

    def prepare(self, graph: Graph) -> Runner:
        """Build the ONNX model, open a session and bind a random input."""
        return _SessionRunner(graph, self.batch, str(self.settings["provider"]), int(self.settings["threads"]))


class _SessionRunner(Runner):
    def __init__(self, graph: Graph, batch: int, provider: str, threads: int) -> None:
        import onnxruntime

        known = onnxruntime.get_available_providers()
        if provider not in known:
            raise Unavailable(
                "the execution provider must be in the installed ONNX Runtime",
                found=provider,
                known=known,
                cure="set options.provider in the device file, or install the build that has it",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
        self._session = onnxruntime.InferenceSession(
            to_onnx(graph, batch).SerializeToString(), options, providers=[provider]
        )
        image = np.random.default_rng(0).standard_normal((batch, *graph.input_shape), dtype=np.float32)
        self._binding = self._session.io_binding()
        self._binding.bind_cpu_input("input", image)
        self._binding.bind_output("output")

    def samples(self, count: int) -> Samples:
        """Run the session `count` times; the CPU provider returns when the output is complete."""
        session, binding = self._session, self._binding
        return time_calls(lambda: session.run_with_iobinding(binding), count)

    def close(self) -> None:
        """Free the session."""
        del self._binding, self._session
