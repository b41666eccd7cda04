"""A worker in its own process: a block that crashes, hangs or takes all memory ends that process and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any

import numpy as np

from donna_hw.devices.backends.base import BackendInfo
from donna_hw.devices.device import Device
from donna_hw.errors import UnavailableError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.jobs import MeasurementJob
from donna_hw.profiling.workers.base import BlockFailedError, Worker

START_TIMEOUT_S = 300.0  # importing a runtime and opening a device take seconds; a phone or a full disk cache, minutes
EXIT_TIMEOUT_S = 30.0  # from the end of the pipe to that of the process, a core dump included


class SubprocessWorker(Worker):
    """Measures blocks in a child process that holds the device; the child starts when first needed and ends with its parent."""

    def __init__(self, name: str, device: Device, protocol: Protocol) -> None:
        self.name = name
        self._init_args = (device, protocol, name)
        self._timeout_s = protocol.timeout_s
        self._info: BackendInfo | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._output: IO[bytes] | None = None

    def info(self) -> BackendInfo:
        """Return what the child's backend reports; raises what stops the child from opening the device."""
        try:
            info: BackendInfo = self._call("info", (), START_TIMEOUT_S)
        except BlockFailedError as failure:
            raise UnavailableError(f"device {self.name} does not open", got=str(failure)) from failure
        self._info = info
        return info

    def refresh(self) -> None:
        """End the child where a new one starts fast; the next trial starts it."""
        if self._info is not None and not self._info.costly_start:
            self.close()

    def run_trial(self, job: MeasurementJob, sentinel: Graph, round_: int) -> Trial:
        """Run the trial in the child; an exception, its death and no answer within the protocol's `timeout_s` are failures."""
        trial: Trial = self._call("run_trial", (job, sentinel, round_), self._timeout_s)
        return trial

    def time_sentinel(self, sentinel: Graph, count: int) -> np.ndarray:
        """Run the sentinel in the child."""
        times: np.ndarray = self._call("time_sentinel", (sentinel, count), self._timeout_s)
        return times

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Ask the child where its backend decides."""
        if self._info is None or not self._info.controls_cool_down:
            return super().cool_down_s(pause_s, waited_s)
        wait_s: float = self._call("cool_down_s", (pause_s, waited_s), self._timeout_s)
        return wait_s

    def close(self) -> None:
        """End the child."""
        if self._pipe is not None:
            self._pipe.close()
        if self._child is not None:
            assert self._child.stdin is not None  # noqa: S101  opened with it
            self._child.stdin.close()
            self._child.kill()
            self._child.wait()
        if self._output is not None:
            self._output.close()
        self._child = self._pipe = self._output = None

    def _call(self, method: str, arguments: tuple[object, ...], timeout_s: float) -> Any:
        try:
            if self._pipe is None:
                self._start()
                timeout_s += START_TIMEOUT_S
            assert self._pipe is not None  # noqa: S101  just started
            self._pipe.send((method, arguments))
            if not self._pipe.poll(timeout_s):
                self.close()
                raise BlockFailedError(f"no answer within {timeout_s:.0f} s: it hangs, and its process was killed")
            kind, answer = self._pipe.recv()
        except (EOFError, OSError):  # the child is dead; an answer cut short by its death is an OSError
            if self._child is None:
                raise
            raise BlockFailedError(self._describe_exit()) from None
        if kind == "failed":
            raise BlockFailedError(answer)
        if kind == "refused":
            raise answer
        return answer

    def _start(self) -> None:
        parent_end, child_end = Pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  read when the child has died
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "donna_hw.profiling.workers.subprocess_main", str(child_end.fileno())],
            pass_fds=[child_end.fileno()],
            env=environment,
            stdin=subprocess.PIPE,  # its end shows the child that this process is gone
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        child_end.close()
        self._pipe = parent_end
        parent_end.send(self._init_args)

    def _describe_exit(self) -> str:
        """Return why the child died, and the last line of its output."""
        assert self._child is not None  # noqa: S101  it was started
        assert self._output is not None  # noqa: S101  opened with it
        try:
            code = self._child.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:  # it closed the pipe and lives on
            self._child.kill()
            code = self._child.wait()
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - 2000))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        self.close()
        reason = f"its process ended with exit code {code}"
        if code < 0:
            reason = f"its process was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            reason += ", perhaps because memory ran out"
        return f"{reason}; its last output: {lines[-1]}" if lines else reason


def create_subprocess_workers(device: Device, protocol: Protocol) -> list[Worker]:
    """Return a worker process for each device of the pool."""
    members = device.expand_pool()
    return [SubprocessWorker(f"{device.name}.{number}", member, protocol) for number, member in enumerate(members)]
