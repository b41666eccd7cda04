"""Start the runner that a device file selects on a block: this project's native runner with a library, or Google's tool."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from donna_hw.devices.backends.android import benchmark_model, binaries
from donna_hw.devices.backends.android.adb import Adb, PhoneDisconnectedError
from donna_hw.devices.backends.android.native_runner import NativeRunner
from donna_hw.devices.backends.android.options import AndroidConfig
from donna_hw.devices.backends.android.remote_files import RemoteFolder
from donna_hw.devices.backends.base import Runner
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Samples

BUILD_HINT = "build it with donna-hw phone build-runner --abi ABI, or set option runner_path"
LIBRARY_HINT = "copy it there from its Android package, or set option library"
TOOL_HINT = "download Google's benchmark_model for Android, and copy it there or set option benchmark_model"


@dataclass(frozen=True)
class RunnerFactory:
    """Starts the selected runner on a phone.

    Attributes:
        adb: The client for the phone.
        config: The options of the device file.
        abis: ABIs that the phone runs, best first.
        batch: Images per run.
    """

    adb: Adb
    config: AndroidConfig
    abis: tuple[str, ...]
    batch: int

    @cached_property
    def folder(self) -> RemoteFolder:
        """The files of this run on the phone."""
        return RemoteFolder(self.adb)

    @cached_property
    def library(self) -> Path:
        """The library that the native runner loads."""
        return binaries.find_binary(
            self.config.library, binaries.LIBRARIES[self.config.runner], self.abis, LIBRARY_HINT
        )

    @cached_property
    def tool(self) -> Path:
        """Google's benchmark_model."""
        return binaries.find_binary(self.config.benchmark_model, "benchmark_model", self.abis, TOOL_HINT)

    @cached_property
    def remote_program(self) -> str:
        """Path of the native runner on the phone."""
        local = binaries.find_binary(self.config.runner_path, "donna_runner", self.abis, BUILD_HINT)
        return self.folder.push_once(local, executable=True)

    @cached_property
    def remote_tool(self) -> str:
        """Path of Google's tool on the phone."""
        return self.folder.push_once(self.tool, executable=True)

    def push_model(self, graph: Graph) -> str:
        """Write the block in the runner's file format, push it, and return its path on the phone."""
        if self.config.runner == "onnxruntime":
            from donna_hw.graph.onnx_export import to_onnx

            return self.folder.write(to_onnx(graph, self.batch).SerializeToString(), ".onnx")
        from donna_hw.graph.tflite_export import to_tflite

        return self.folder.write(to_tflite(graph, self.batch), ".tflite")

    def start_native(self, graph: Graph) -> NativeRunner:
        """Start the native runner on a block; the model is removed from the phone as soon as it is loaded."""
        options, model = self.config, self.push_model(graph)
        try:
            program = self.remote_program
            folder = self.folder.push_all_once(binaries.find_companions(self.library, options.runner))
            zone = ["--zone", options.zone] if options.zone.startswith("/") else []
            command = [
                *("env", f"LD_LIBRARY_PATH={folder}", program),
                *("--engine", options.runner, "--library", f"{folder}/{self.library.name}", "--model", model),
                *("--threads", str(options.threads), "--delegate", options.delegate, *zone),
                *(["--cpu-fallback"] if options.cpu_fallback else []),
            ]
            runner = NativeRunner(self.adb, command, start_s=options.run_s, run_s=options.run_s)
        finally:
            with contextlib.suppress(PhoneDisconnectedError):  # the next command raises it
                self.folder.remove(model)
        if options.warmup_runs:
            runner.samples(options.warmup_runs)
        return runner

    def start_benchmark(self, graph: Graph) -> BenchmarkSession:
        """Return Google's tool for a block; closing it removes the model from the phone."""
        options, model = self.config, self.push_model(graph)
        program = self.remote_tool

        def flags_for(runs: int) -> list[str]:
            flags = benchmark_model.build_flags(
                delegate=options.delegate,
                threads=options.threads,
                fp16=options.fp16,
                warmup=options.warmup_runs,
                runs=runs,
            )
            return [f"--graph={model}", *flags]

        def call(arguments: Sequence[str]) -> str:  # the tool prints on standard error
            return self.adb.shell("sh", "-c", 'exec "$0" "$@" 2>&1', program, *arguments, timeout_s=options.run_s)

        runner = benchmark_model.BenchmarkRunner(
            call, delegate=options.delegate, flags=flags_for, cpu_fallback=options.cpu_fallback
        )
        return BenchmarkSession(runner, self.folder, model)


class BenchmarkSession(Runner):
    """Google's tool with the model that it loads at each request."""

    def __init__(self, runner: benchmark_model.BenchmarkRunner, folder: RemoteFolder, model: str) -> None:
        self._runner, self._folder, self._model = runner, folder, model

    def samples(self, count: int) -> Samples:
        """Run the model `count` times, and return the tool's summary of them."""
        return self._runner.samples(count)

    def operators(self, count: int) -> list[benchmark_model.OperatorTime]:
        """Return the mean time of each operator over `count` runs."""
        return self._runner.operators(count)

    def close(self) -> None:
        """Remove the model; on a disconnected phone it stays until `donna-hw phone clean`."""
        with contextlib.suppress(PhoneDisconnectedError):
            self._folder.remove(self._model)


def file_digest(path: Path) -> str:
    """Return 8 hexadecimal digits of a file's hash, for a program that reports no version."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
