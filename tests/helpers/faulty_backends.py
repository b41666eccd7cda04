"""A fake device that breaks as it is told, in this process or in a worker's; its times are declared, its faults are real."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from donna_hw.devices.backends.base import Availability, Backend, Runner, TimingBackend
from donna_hw.devices.device import Device, DeviceConfig
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Environment, Scalar
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.telemetry import Telemetry

STUCK = "TEST_STUCK"  # the environment variable that names a file for the number of a process that is stuck
WANTED_BYTES = 1 << 40
MEETING = threading.Barrier(2)  # where two workers of this process wait for each other once, so that both get a share


def declared_s(graph: Graph) -> float:
    """What a block costs on this fake, in seconds: whole microseconds, so that the journal keeps it exactly."""
    return (1_000 + graph.macs) / 1e6


class FaultyBackend(TimingBackend):
    """Not a device. faults: `<layers_hash>=<fault>`, by commas. gone: a file; while it exists the device does not answer.

    lost_after: runners made ready until the device makes that file itself; 0 for never. slow: factor of all times. model: its name.
    meets: waits at `MEETING` before its first block. falls_after: runners made ready until the clock falls; 0 for never.
    """

    options: ClassVar = {
        "faults": "",
        "gone": "",
        "lost_after": 0,
        "slow": 1.0,
        "model": "fake",
        "meets": False,
        "falls_after": 0,
    }

    def __init__(self, batch: int, options: dict[str, Scalar]) -> None:
        super().__init__(batch, options)
        self.faults = dict(fault.split("=") for fault in str(self.settings["faults"]).split(",") if fault)
        self.made, self.met = 0, False

    @classmethod
    def availability(cls) -> Availability:
        return Availability(True)

    def environment(self) -> Environment:
        return Environment({"device_model": str(self.settings["model"]), "runtime": "fake 1", "dtype": "float32"})

    def prepare(self, graph: Graph) -> Runner:
        gone = Path(str(self.settings["gone"] or "/nonexistent"))
        self.made += 1
        if self.made == self.settings["lost_after"]:
            gone.touch()
        if gone.exists():
            raise OSError("no such device")
        if self.settings["meets"] and not self.met and self.made > 2:
            self.met = True
            MEETING.wait(timeout=30)
        fault = self.faults.get(layers_hash(graph), "")
        if fault == "abort":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.abort()
        return FaultyRunner(declared_s(graph) * float(self.settings["slow"]), fault)

    def read_telemetry(self) -> Telemetry:
        after = int(self.settings["falls_after"])
        return Telemetry(clock_hz=700e6 if after and self.made > after else 1000e6)


class FaultyRunner(Runner):
    def __init__(self, cost_s: float, fault: str) -> None:
        self.cost_s, self.fault = cost_s, fault

    def samples(self, count: int) -> Samples:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if self.fault == "segv":
            ctypes.string_at(0)
        if self.fault == "raise":
            raise ValueError("unsupported\noperator")
        if self.fault == "memory":
            resource.setrlimit(resource.RLIMIT_AS, (WANTED_BYTES // 2, WANTED_BYTES // 2))
            np.ones(WANTED_BYTES, np.uint8)
        if self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "hang":
            time.sleep(3600)
        if self.fault == "stuck":
            Path(os.environ[STUCK]).write_text(str(os.getpid()))
            ctypes.PyDLL(None).sleep(3600)  # with the interpreter's lock held, so that no other thread of Python runs
        if self.fault == "mute":
            os.closerange(3, 1000)
            time.sleep(3600)
        if self.fault == "none":
            return Samples(np.empty(0))
        return Samples(np.full(count, {"nan": np.nan, "zero": 0.0, "tiny": 1e-12}.get(self.fault, self.cost_s)))


class FaultyDevice(Device):
    def backend_class(self) -> type[Backend]:
        return FaultyBackend


def faulty_device(*pool: dict[str, Scalar], **options: Any) -> FaultyDevice:
    """Return the fake device with options, or a pool of them."""
    return FaultyDevice(
        "faulty", DeviceConfig(title="a fake", backend="fake", protocol="precise", options=options, pool=list(pool))
    )
