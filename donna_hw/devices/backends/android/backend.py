"""A phone over adb: each block as a file of its own, pushed, run and timed there by a runner that the device file chooses."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from donna_hw.devices.backends.android.adb import Adb, CommandError, PhoneDisconnectedError
from donna_hw.devices.backends.android.benchmark_model import OperatorTime
from donna_hw.devices.backends.android.discovery import find_adb, select_phone
from donna_hw.devices.backends.android.native_runner import NativeRunner
from donna_hw.devices.backends.android.options import OPTIONS, AndroidConfig
from donna_hw.devices.backends.android.phone_info import Phone, PhoneState, read_phone, read_state, read_thermal_state
from donna_hw.devices.backends.android.runner_factory import RunnerFactory, file_digest
from donna_hw.devices.backends.android.thermal import CoolDownPolicy
from donna_hw.devices.backends.base import Availability, BackendInfo, Runner, TimingBackend
from donna_hw.errors import ConfigError, UnavailableError
from donna_hw.graph.builder import lower
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment, Scalar, host_conditions
from donna_hw.measurement.telemetry import Telemetry
from donna_hw.spaces.cells import ConvNormAct


class AndroidBackend(TimingBackend):
    """Times blocks on a phone; `devices/README.md` explains each option, `docs/guides/phone.md` the way from nothing to a table.

    runner: `litert` and `onnxruntime` are this project's native runner with the library of that name, which tell every sample;
    `tflite` is Google's benchmark_model, which tells a summary, so that only protocols of the mean can use it. Nothing but files below
    one folder of the phone is written, and nothing of its settings is changed.
    """

    costly_start = True  # the phone is asked for its state, and a first block is run, before the first visit
    options: ClassVar = OPTIONS

    def __init__(self, batch: int, options: Mapping[str, Scalar]) -> None:
        super().__init__(batch, options)
        self.config = AndroidConfig.of(self.settings)
        self._cooling: CoolDownPolicy | None = None
        self._latest: NativeRunner | None = None

    @classmethod
    def availability(cls) -> Availability:
        """Say whether there is an adb client; which phones it sees, `donna-hw devices` shows below its table."""
        try:
            find_adb()
        except UnavailableError as error:
            return Availability(False, error.message, error.hint)
        return Availability(True)

    @cached_property
    def adb(self) -> Adb:
        """The client, for the one phone that is there or named; waits `wait_s` for a phone that has dropped out."""
        options = self.config
        client = Adb(find_adb(options.adb), options.serial, options.timeout_s)
        try:
            return select_phone(client)
        except PhoneDisconnectedError:
            client.wait_for_device(options.wait_s)
            return select_phone(client)

    @cached_property
    def phone(self) -> Phone:
        """What the phone is."""
        return read_phone(self.adb)

    @cached_property
    def runner_factory(self) -> RunnerFactory:
        """What starts blocks on it."""
        return RunnerFactory(self.adb, self.config, self.phone.abis, self.batch)

    def environment(self) -> Environment:
        """Return phone, chip, Android's build (drivers come with it), runner, delegate and threads; the state now as conditions."""
        options, phone, state = self.config, self.phone, self._state_at_start
        identity: dict[str, Scalar] = {
            "device_model": phone.name,
            "chip": phone.chip,
            "android": phone.android,
            "build": phone.build,
            "runtime": self._runtime,
            "dtype": options.dtype,
            "runner": options.runner,
            "delegate": options.delegate,
            "threads": options.threads,
            "cpu_fallback": options.cpu_fallback,
            "warmup_runs": options.warmup_runs,
            "cool_down": options.cool_down,
        }
        conditions: dict[str, Scalar] = {
            "serial": phone.serial,
            "governor": " ".join(state.governors) or "not told",
            **({} if state.battery_percent is None else {"battery_percent": state.battery_percent}),
            **{f"{name}_c": value for name in ("battery", "skin") if (value := state.temperature_c(name)) is not None},
            "hints": "; ".join(state.warnings) or "none",
            **host_conditions(),
        }
        return Environment(identity, conditions)

    def info(self) -> BackendInfo:
        """Return what tables say of this phone, and what its user should know before the start; refuses a phone that is too hot."""
        now_c, limit_c = self._start_c, self.config.start_below_c
        if now_c is not None and now_c >= limit_c:
            raise UnavailableError(
                f"{self.phone.name} must be cooler than {limit_c:g} C at its {self.config.zone} to start",
                got=f"{now_c:.1f} C",
                hint="unplug it and let it cool, or raise option start_below_c",
            )
        return BackendInfo(
            self.environment(),
            self.tags(),
            self.quantity,
            self.origin,
            self.costly_start,
            warnings=self._state_at_start.warnings,
            statistics=("mean",) if self.config.runner == "tflite" else BackendInfo.statistics,
            controls_cool_down=self.config.cool_down == "until_cool",
        )

    def tags(self) -> tuple[str, ...]:
        """Return runner, delegate, type and threads, and what is not by default."""
        options = self.config
        helped = ("cpufallback",) if options.cpu_fallback else ()
        return (options.runner, options.delegate, options.dtype, f"t{options.threads}", *helped)

    def prepare(self, graph: Graph) -> Runner:
        """Write the block as the runner's kind of file, push it, and start the runner on it."""
        if self.config.runner == "tflite":
            return self.runner_factory.start_benchmark(graph)
        self._latest = self.runner_factory.start_native(graph)
        return self._latest

    def operators(self, graph: Graph, runs: int) -> list[OperatorTime]:
        """Return what each operator of a block takes, by the profiler of benchmark_model; raises `ConfigError` for another runner."""
        if self.config.runner != "tflite":
            raise ConfigError("operators are told by the runner tflite", got=self.config.runner)
        with contextlib.closing(self.runner_factory.start_benchmark(graph)) as runner:
            return runner.operators(runs)

    def read_telemetry(self) -> Telemetry:
        """Return clock and temperature as the runner read them right after its runs, and Android's own word on heat."""
        state = read_thermal_state(self.adb)
        near = self._latest.telemetry if self._latest is not None else Telemetry()
        tired = ("still warm after cooling down",) if self._cooling is not None and self._cooling.timed_out else ()
        temperature_c = near.temperature_c if near.temperature_c is not None else self._temperature_c(state)
        return Telemetry(near.clock_hz, temperature_c, throttle_reasons=(*state.throttle_reasons, *tired))

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Wait for the protocol's pause, or with `until_cool` until the zone is back at its temperature of the start."""
        options = self.config
        if options.cool_down == "fixed":
            return super().cool_down_s(pause_s, waited_s)
        start_c, now_c = self._start_c, self._temperature_c(read_thermal_state(self.adb))
        if start_c is None or now_c is None:
            raise UnavailableError(
                f"the phone must tell the temperature of its {options.zone} to cool down by it",
                got=", ".join(self._state_at_start.temperatures_c) or "no sensor at all",
                hint='name another in option zone, or set option cool_down = "fixed"',
            )
        if self._cooling is None:
            self._cooling = CoolDownPolicy(start_c, options.cool_within_c, options.cool_limit_s)
        return self._cooling.wait_s(now_c, waited_s)

    @cached_property
    def _state_at_start(self) -> PhoneState:
        return read_state(self.adb)

    def _temperature_c(self, state: PhoneState) -> float | None:
        """Return the zone's temperature: of a sensor that Android names, or what a file of the kernel's holds just now."""
        zone = self.config.zone
        if not zone.startswith("/"):
            return state.temperature_c(zone)
        try:
            return float(self.adb.shell("cat", zone)) / 1e3
        except (CommandError, ValueError):
            return None

    @cached_property
    def _start_c(self) -> float | None:
        return self._temperature_c(self._state_at_start)

    @cached_property
    def _runtime(self) -> str:
        """Runtime and version: the runner's own word on a first block, which shows that the phone runs any at all."""
        if self.config.runner == "tflite":
            return f"benchmark_model {file_digest(self.runner_factory.tool)}"
        with contextlib.closing(self.runner_factory.start_native(lower(ConvNormAct(4, kernel=3), (3, 8, 8)))) as runner:
            runner.samples(1)
            ready = runner.info
        if self.config.runner == "litert":  # it tells no version: what it is made of stands for one
            return f"litert {file_digest(self.runner_factory.library)}"
        return f"{ready.engine} {ready.version}"
