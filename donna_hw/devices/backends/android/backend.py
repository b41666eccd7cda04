"""A phone over adb: each block is a file that is pushed, and timed there by the runner that the device file selects."""

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
    """Times blocks on a phone; `devices/README.md` explains each option, `docs/guides/phone.md` all steps up to a table.

    The runners `litert` and `onnxruntime` are this project's native runner with the library of that name, which report every sample.
    `tflite` is Google's benchmark_model, which reports a summary, so that it works with protocols of the mean only. Only files below
    one folder of the phone are written, and its settings are not changed.
    """

    costly_start = True  # before the first trial the phone's state is read, and a first block is run
    options: ClassVar = OPTIONS

    def __init__(self, batch: int, options: Mapping[str, Scalar]) -> None:
        super().__init__(batch, options)
        self.config = AndroidConfig.of(self.settings)
        self._cool_down: CoolDownPolicy | None = None
        self._latest: NativeRunner | None = None

    @classmethod
    def availability(cls) -> Availability:
        """Return whether there is an adb client; `donna-hw devices` lists the phones that it sees below its table."""
        try:
            find_adb()
        except UnavailableError as error:
            return Availability(False, error.message, error.hint)
        return Availability(True)

    @cached_property
    def adb(self) -> Adb:
        """The client for the phone that is connected or selected; waits `wait_s` for one that has disconnected."""
        options = self.config
        client = Adb(find_adb(options.adb), options.serial, options.timeout_s)
        try:
            return select_phone(client)
        except PhoneDisconnectedError:
            client.wait_for_device(options.wait_s)
            return select_phone(client)

    @cached_property
    def phone(self) -> Phone:
        """The phone's model, chip and system."""
        return read_phone(self.adb)

    @cached_property
    def runner_factory(self) -> RunnerFactory:
        """Starts blocks on the phone."""
        return RunnerFactory(self.adb, self.config, self.phone.abis, self.batch)

    def environment(self) -> Environment:
        """Return phone, chip, Android build (which includes drivers), runner, delegate and threads; its state is among the conditions."""
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
            "governor": " ".join(state.governors) or "unknown",
            **({} if state.battery_percent is None else {"battery_percent": state.battery_percent}),
            **{f"{name}_c": value for name in ("battery", "skin") if (value := state.temperature_c(name)) is not None},
            "hints": "; ".join(state.warnings) or "none",
            **host_conditions(),
        }
        return Environment(identity, conditions)

    def info(self) -> BackendInfo:
        """Return what tables record of this phone, with warnings for its user; raises `UnavailableError` where it is too hot to start."""
        now_c, limit_c = self._start_c, self.config.start_below_c
        if now_c is not None and now_c >= limit_c:
            raise UnavailableError(
                f"{self.phone.name} must be below {limit_c:g} C at its {self.config.zone} to start",
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
        """Return runner, delegate, type and threads, and whether the CPU may help."""
        options = self.config
        fallback = ("cpufallback",) if options.cpu_fallback else ()
        return (options.runner, options.delegate, options.dtype, f"t{options.threads}", *fallback)

    def prepare(self, graph: Graph) -> Runner:
        """Write the block in the runner's file format, push it, and start the runner on it."""
        if self.config.runner == "tflite":
            return self.runner_factory.start_benchmark(graph)
        self._latest = self.runner_factory.start_native(graph)
        return self._latest

    def operators(self, graph: Graph, runs: int) -> list[OperatorTime]:
        """Return the time of each operator of a block, by the profiler of benchmark_model; raises `ConfigError` for another runner."""
        if self.config.runner != "tflite":
            raise ConfigError("only the runner tflite times single operators", got=self.config.runner)
        with contextlib.closing(self.runner_factory.start_benchmark(graph)) as runner:
            return runner.operators(runs)

    def read_telemetry(self) -> Telemetry:
        """Return clock and temperature as the runner read them right after its runs, and Android's thermal status."""
        state = read_thermal_state(self.adb)
        latest = self._latest.telemetry if self._latest is not None else Telemetry()
        is_warm = self._cool_down is not None and self._cool_down.timed_out
        warm = ("still warm after cooling down",) if is_warm else ()
        temperature_c = latest.temperature_c if latest.temperature_c is not None else self._temperature_c(state)
        return Telemetry(latest.clock_hz, temperature_c, throttle_reasons=(*state.throttle_reasons, *warm))

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        """Return the protocol's pause, or with `until_cool` a wait until the zone is back at its temperature of the start."""
        options = self.config
        if options.cool_down == "fixed":
            return super().cool_down_s(pause_s, waited_s)
        start_c, now_c = self._start_c, self._temperature_c(read_thermal_state(self.adb))
        if start_c is None or now_c is None:
            raise UnavailableError(
                f"the phone does not report the temperature of its {options.zone}, by which it should cool down",
                got=", ".join(self._state_at_start.temperatures_c) or "no sensor",
                hint='set another option zone, or option cool_down = "fixed"',
            )
        if self._cool_down is None:
            self._cool_down = CoolDownPolicy(start_c, options.cool_within_c, options.cool_limit_s)
        return self._cool_down.wait_s(now_c, waited_s)

    @cached_property
    def _state_at_start(self) -> PhoneState:
        return read_state(self.adb)

    def _temperature_c(self, state: PhoneState) -> float | None:
        """Return the zone's temperature: of a sensor that Android names, or what a file of the kernel reads now."""
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
        """Runtime and version, as the runner reports them for a first block, which also shows that the phone runs blocks."""
        if self.config.runner == "tflite":
            return f"benchmark_model {file_digest(self.runner_factory.tool)}"
        with contextlib.closing(self.runner_factory.start_native(lower(ConvNormAct(4, kernel=3), (3, 8, 8)))) as runner:
            runner.samples(1)
            info = runner.info
        if self.config.runner == "litert":  # it reports no version: a digest of its file replaces one
            return f"litert {file_digest(self.runner_factory.library)}"
        return f"{info.engine} {info.version}"
