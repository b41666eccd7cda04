"""A block behind this project's own native runner: a process on the phone that answers each request with every sample."""

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

WIRE_VERSION = 1  # the version of what the runner and we say to each other: `runners/README.md`
MAX_SHOWN_CHARS = 300  # characters of an answer that cannot be read


@dataclass(frozen=True)
class RunnerInfo:
    """What the runner says of itself when its model is loaded."""

    engine: str
    version: str
    delegate: str


class NativeRunner(Runner):
    """Talks to the process; lines of JSON, one for each request. `readings` are those around its latest runs."""

    def __init__(self, adb: Adb, command: Sequence[str], *, start_s: float, run_s: float) -> None:
        self._run_s = run_s
        self._what = f"the runner on {adb.serial or 'the phone'}"
        self._rest = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  read when the process has ended
        self._process: subprocess.Popen[bytes] = adb.open(*command, errors=self._stderr)
        self.telemetry = Telemetry()
        try:
            said = self._read_reply(start_s)
            if said.get("donna_runner") != WIRE_VERSION:
                raise UnavailableError(
                    f"{self._what} must speak version {WIRE_VERSION} of our language",
                    got=str(said.get("donna_runner")),
                    hint="build it anew from this version's sources: donna-hw build-runner",
                )
            self.info = RunnerInfo(*(str(said.get(key, "")) for key in ("engine", "version", "delegate")))
        except BaseException:
            self.close()
            raise

    def samples(self, count: int) -> Samples:
        """Run the block `count` times on the phone; its own monotonic clock, and its thread's CPU time where it computes on one.

        Raises `MeasurementError` for an answer that is not `count` times above zero, and `PhoneDisconnectedError` for none.
        """
        try:
            assert self._process.stdin is not None  # noqa: S101  opened with it
            self._process.stdin.write(f"run {count}\n".encode())
            self._process.stdin.flush()
        except OSError:
            raise self._exit_error() from None
        said = self._read_reply(self._run_s)
        wall, cpu = _times(said.get("wall_s"), count), _times(said.get("cpu_s"), count)
        if wall is None:
            raise MeasurementError(f"{self._what} must answer with {count} times", got=_truncate(json.dumps(said)))
        self.telemetry = _parse_telemetry(said.get("after"))
        return Samples(validate_samples(wall, self._what), cpu)

    def close(self) -> None:
        """End the process; closing its input ends it on the phone too."""
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

    def _read_reply(self, patience_s: float) -> dict[str, Any]:
        line = self._read_line(patience_s)
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise MeasurementError(
                f"{self._what} must answer in JSON",
                got=_truncate(line),
                hint="is it ours, and of this version? donna-hw build-runner",
            )
        if "error" in said:
            raise UnavailableError(
                f"{self._what} must run the block", got=_truncate(f"{said['error']} {self._last_line()}")
            )
        return said

    def _read_line(self, patience_s: float) -> str:
        """Return the next line; raises `PhoneDisconnectedError` when the process ends before, or says nothing for so long."""
        assert self._process.stdout is not None  # noqa: S101  opened with it
        pipe, deadline = self._process.stdout.fileno(), time.monotonic() + patience_s
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                self._process.kill()
                raise PhoneDisconnectedError(f"{self._what} must answer within {patience_s:g} s", got="no answer")
            data = os.read(pipe, 65536)
            if not data:
                raise self._exit_error()
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _last_line(self) -> str:
        """Return the last line that the process or its library said."""
        self._stderr.seek(0)
        last = (self._rest + b"\n" + self._stderr.read()).decode(errors="replace").strip().splitlines()
        return _truncate(last[-1]) if last else ""

    def _exit_error(self) -> Exception:
        """Return the error of a process that ended by itself: with what it said last, and its exit code."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        words = self._last_line() or "nothing"
        killed = " (killed: perhaps for want of memory)" if code in (137, -9) else ""
        return PhoneDisconnectedError(
            f"{self._what} must go on until it is told to end",
            got=f"exit code {code}{killed}, its last line: {words}",
        )


def _times(values: object, count: int) -> np.ndarray | None:
    """Return times as an array; None unless they are `count` numbers."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    return np.array(values, np.float64)


def _parse_telemetry(state: object) -> Telemetry:
    known = state if isinstance(state, dict) else {}
    numbers = {
        key: float(known[key]) if isinstance(known.get(key), int | float) else None
        for key in ("clock_hz", "temperature_c")
    }
    return Telemetry(clock_hz=numbers["clock_hz"], temperature_c=numbers["temperature_c"])


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."
