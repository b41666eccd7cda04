"""The runners that a device file may choose, each started on a block: this project's own with a library, or Google's tool."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from donna_hw.devices.backends.android import benchmark_model
from donna_hw.devices.backends.android import binaries as files
from donna_hw.devices.backends.android.adb import Adb, PhoneDisconnectedError
from donna_hw.devices.backends.android.native_runner import NativeRunner
from donna_hw.devices.backends.android.options import AndroidConfig
from donna_hw.devices.backends.android.remote_files import RemoteFolder
from donna_hw.devices.backends.base import Runner
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Samples

BUILD_HINT = "donna-hw build-runner --abi ABI, or option runner_path"
LIBRARY_HINT = "copy it there from its maker's Android package, or set option library"
TOOL_HINT = "download Google's benchmark_model for Android, and copy it there or set option benchmark_model"


@dataclass(frozen=True)
class RunnerFactory:
    """Starts the chosen runner on a phone of these ABIs, best first; batch: images a run."""

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
        return files.find_binary(self.config.library, files.LIBRARIES[self.config.runner], self.abis, LIBRARY_HINT)

    @cached_property
    def tool(self) -> Path:
        """Google's benchmark_model."""
        return files.find_binary(self.config.benchmark_model, "benchmark_model", self.abis, TOOL_HINT)

    @cached_property
    def remote_program(self) -> str:
        """The native runner on the phone."""
        local = files.find_binary(self.config.runner_path, "donna_runner", self.abis, BUILD_HINT)
        return self.folder.push_once(local, executable=True)

    @cached_property
    def remote_tool(self) -> str:
        """Google's tool on the phone."""
        return self.folder.push_once(self.tool, executable=True)

    def push_model(self, graph: Graph) -> str:
        """Write the block as the runner's kind of file, push it, and return where it is."""
        if self.config.runner == "onnxruntime":
            from donna_hw.graph.onnx_export import to_onnx

            return self.folder.write(to_onnx(graph, self.batch).SerializeToString(), ".onnx")
        from donna_hw.graph.tflite_export import to_tflite

        return self.folder.write(to_tflite(graph, self.batch), ".tflite")

    def start_native(self, graph: Graph) -> NativeRunner:
        """Start the native runner on a block; once it has loaded the model, that is removed from the phone."""
        options, model = self.config, self.push_model(graph)
        try:
            kept = self.remote_program
            folder = self.folder.push_all_once(files.find_companions(self.library, options.runner))
            zone = ["--zone", options.zone] if options.zone.startswith("/") else []
            command = [
                *("env", f"LD_LIBRARY_PATH={folder}", kept),
                *("--engine", options.runner, "--library", f"{folder}/{self.library.name}", "--model", model),
                *("--threads", str(options.threads), "--delegate", options.delegate, *zone),
                *(["--cpu-fallback"] if options.cpu_fallback else []),
            ]
            runner = NativeRunner(self.adb, command, start_s=options.run_s, run_s=options.run_s)
        finally:
            with contextlib.suppress(PhoneDisconnectedError):  # an error of its own
                self.folder.remove(model)
        if options.warmup_runs:
            runner.samples(options.warmup_runs)
        return runner

    def start_benchmark(self, graph: Graph) -> BenchmarkSession:
        """Return Google's tool for a block; closed, it removes the model from the phone."""
        options, model = self.config, self.push_model(graph)
        program = self.remote_tool

        def flags(runs: int) -> list[str]:
            own = benchmark_model.build_flags(
                delegate=options.delegate,
                threads=options.threads,
                fp16=options.fp16,
                warmup=options.warmup_runs,
                runs=runs,
            )
            return [f"--graph={model}", *own]

        def call(arguments: Sequence[str]) -> str:  # it speaks on standard error
            return self.adb.shell("sh", "-c", 'exec "$0" "$@" 2>&1', program, *arguments, timeout_s=options.run_s)

        runner = benchmark_model.BenchmarkRunner(
            call, delegate=options.delegate, flags=flags, cpu_fallback=options.cpu_fallback
        )
        return BenchmarkSession(runner, self.folder, model)


class BenchmarkSession(Runner):
    """Google's tool with the model that it reads at each request."""

    def __init__(self, runner: benchmark_model.BenchmarkRunner, folder: RemoteFolder, model: str) -> None:
        self._runner, self._folder, self._model = runner, folder, model

    def samples(self, count: int) -> Samples:
        """Run the model `count` times, and return what the tool tells of them: a summary."""
        return self._runner.samples(count)

    def operators(self, count: int) -> list[benchmark_model.OperatorTime]:
        """Return the mean time of each operator over `count` runs."""
        return self._runner.operators(count)

    def close(self) -> None:
        """Remove the model; that of a phone that has dropped out goes at the next start."""
        with contextlib.suppress(PhoneDisconnectedError):
            self._folder.remove(self._model)


def file_digest(path: Path) -> str:
    """Return 8 hexadecimal digits that name a file's content, where a program tells no version of its own."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
