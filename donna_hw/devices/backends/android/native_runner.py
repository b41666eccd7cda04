"""A block in this project's native runner: a process on the phone that answers each request with every sample."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from donna_hw.devices.backends.android.adb import Adb, PhoneDisconnectedError
from donna_hw.devices.backends.base import Runner
from donna_hw.errors import MeasurementError, UnavailableError
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.telemetry import Telemetry

WIRE_VERSION = 1  # of the protocol between the runner and this class: `runners/README.md`
MAX_SHOWN_CHARS = 300  # of a reply that cannot be parsed


@dataclass(frozen=True)
class RunnerInfo:
    """What the runner reports when its model is loaded."""

    engine: str
    version: str
    delegate: str


class NativeRunner(Runner):
    """The process on the phone, which replies to each request with a line of JSON; `telemetry` is that of its latest runs.

    Args:
        adb: The client for the phone.
        command: The runner's command line on the phone.
        start_s: How long it may take to load the model, in seconds.
        run_s: How long it may take to answer a request, in seconds.

    Raises:
        UnavailableError: The runner is of another version, or cannot run the block.
        MeasurementError: It prints something else than JSON.
        PhoneDisconnectedError: It does not answer in time, or ends.
    """

    def __init__(self, adb: Adb, command: Sequence[str], *, start_s: float, run_s: float) -> None:
        self._run_s = run_s
        self._name = f"the runner on {adb.serial or 'the phone'}"
        self._buffer = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  read after the process has ended
        self._process: subprocess.Popen[bytes] = adb.open(*command, errors=self._stderr)
        self.telemetry = Telemetry()
        try:
            reply = self._read_reply(start_s)
            if reply.get("donna_runner") != WIRE_VERSION:
                raise UnavailableError(
                    f"{self._name} must have protocol version {WIRE_VERSION}",
                    got=str(reply.get("donna_runner")),
                    hint="build it again from the sources of this donna_hw: donna-hw phone build-runner",
                )
            self.info = RunnerInfo(*(str(reply.get(key, "")) for key in ("engine", "version", "delegate")))
        except BaseException:
            self.close()
            raise

    def samples(self, count: int) -> Samples:
        """Run the block `count` times on the phone.

        Returns:
            Times by the phone's monotonic clock, and the thread's CPU times where it computes on one thread.

        Raises:
            MeasurementError: The reply is not `count` times above zero.
            PhoneDisconnectedError: There is no reply.
        """
        try:
            assert self._process.stdin is not None  # noqa: S101  opened with it
            self._process.stdin.write(f"run {count}\n".encode())
            self._process.stdin.flush()
        except OSError:
            raise self._exit_error() from None
        reply = self._read_reply(self._run_s)
        wall, cpu = _parse_times(reply.get("wall_s"), count), _parse_times(reply.get("cpu_s"), count)
        if wall is None:
            raise MeasurementError(f"{self._name} did not reply with {count} times", got=_truncate(json.dumps(reply)))
        self.telemetry = _parse_telemetry(reply.get("after"))
        return Samples(validate_samples(wall, self._name), cpu)

    def close(self) -> None:
        """End the process; closing its input also ends it on the phone."""
        process = self._process
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._stderr.close()

    def _read_reply(self, timeout_s: float) -> dict[str, Any]:
        line = self._read_line(timeout_s)
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise MeasurementError(
                f"{self._name} did not reply in JSON",
                got=_truncate(line),
                hint="check that it is this project's runner: donna-hw phone build-runner",
            )
        if "error" in reply:
            raise UnavailableError(
                f"{self._name} cannot run the block", got=_truncate(f"{reply['error']} {self._last_line()}")
            )
        return reply

    def _read_line(self, timeout_s: float) -> str:
        """Return the next line; raises `PhoneDisconnectedError` when the process ends before, or prints nothing in time."""
        assert self._process.stdout is not None  # noqa: S101  opened with it
        pipe, deadline = self._process.stdout.fileno(), time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0 or not select.select([pipe], [], [], remaining_s)[0]:
                self._process.kill()
                raise PhoneDisconnectedError(f"{self._name} did not answer within {timeout_s:g} s")
            data = os.read(pipe, 65536)
            if not data:
                raise self._exit_error()
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _last_line(self) -> str:
        """Return the last line that the process or its library printed."""
        self._stderr.seek(0)
        lines = (self._buffer + b"\n" + self._stderr.read()).decode(errors="replace").strip().splitlines()
        return _truncate(lines[-1]) if lines else ""

    def _exit_error(self) -> Exception:
        """Return the error of a process that ended by itself, with its exit code and its last line."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        killed = " (killed, perhaps out of memory)" if code in (137, -9) else ""
        return PhoneDisconnectedError(
            f"{self._name} ended with exit code {code}{killed}", got=self._last_line() or "no output"
        )


def _parse_times(values: object, count: int) -> np.ndarray | None:
    """Return times as float [count]; None unless they are `count` numbers."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    return np.array(values, np.float64)


def _parse_telemetry(state: object) -> Telemetry:
    values = state if isinstance(state, dict) else {}
    numbers = {
        key: float(values[key]) if isinstance(values.get(key), int | float) else None
        for key in ("clock_hz", "temperature_c")
    }
    return Telemetry(clock_hz=numbers["clock_hz"], temperature_c=numbers["temperature_c"])


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."
