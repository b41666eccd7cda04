"""NVML, the NVIDIA driver's report of a GPU: clock, temperature, power, throttling, driver version.

It needs the optional package nvidia-ml-py (extra `cuda`). What the driver or the GPU does not report, or a missing package, is never
an error: the latencies do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from donna_hw.measurement.telemetry import Telemetry

# NVML API reference, "NvmlClocksEventReasons". Idle (0x1), application clocks (0x2), sync boost (0x10) and display clocks (0x100)
# are settings, not limits of heat or power.
THROTTLE_BITS = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Return those of NVML's clock reasons that are limits of heat or power, lowest bit first."""
    return tuple(reason for bit, reason in THROTTLE_BITS.items() if bits & bit)


@dataclass(frozen=True)
class NvmlGpu:
    """One GPU as the driver knows it; every value is None where the driver does not report it. Made by `find_gpu`."""

    nvml: Any
    handle: Any

    @property
    def driver(self) -> str | None:
        """Version of the driver."""
        return self._text("nvmlSystemGetDriverVersion")

    @property
    def serial(self) -> str | None:
        """Serial number of the board, which only data center GPUs report."""
        return self._text("nvmlDeviceGetSerial", self.handle)

    def read_telemetry(self) -> Telemetry:
        """Return the clock of the multiprocessors, the chip's temperature, the board's power and the reasons of throttling."""
        nvml, handle = self.nvml, self.handle
        clock_mhz = self._ask("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM)
        temperature_c = self._ask("nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU)
        power_mw = self._ask("nvmlDeviceGetPowerUsage", handle)
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
        if bits is None:  # drivers before 535 have the older name only
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        return Telemetry(
            clock_hz=None if clock_mhz is None else clock_mhz * 1e6,
            temperature_c=None if temperature_c is None else float(temperature_c),
            power_w=None if power_mw is None else power_mw / 1e3,
            throttle_reasons=() if bits is None else throttle_reasons(bits),
        )

    def _text(self, question: str, *details: object) -> str | None:
        answer = self._ask(question, *details)
        return None if answer is None else str(answer)

    def _ask(self, question: str, *details: object) -> Any:
        try:
            return getattr(self.nvml, question)(*details)
        except (AttributeError, self.nvml.NVMLError):  # AttributeError: an older or newer package
            return None


def find_gpu(properties: Any) -> NvmlGpu | None:
    """Return the driver's view of the GPU with torch's device `properties`, or None without package, driver or match.

    Matched by UUID, else by PCI address, never by number: CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER renumber torch's GPUs, not
    the driver's.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()  # stays open: the driver counts the calls, and other code of the process may have called it too
    except pynvml.NVMLError:
        return None
    for search, name in _possible_names(pynvml, properties):
        try:
            return NvmlGpu(pynvml, search(name))
        except pynvml.NVMLError:
            continue
    return None


def _possible_names(nvml: Any, properties: Any) -> Iterator[tuple[Callable[[str], Any], str]]:
    """Yield (search, name) of each name by which NVML may know the GPU."""
    uuid = getattr(properties, "uuid", None)  # an older torch has none
    if uuid is not None:
        for prefix in ("GPU-", "MIG-"):  # torch omits the prefix
            yield nvml.nvmlDeviceGetHandleByUUID, prefix + str(uuid).removeprefix(prefix)
    address = [getattr(properties, f"pci_{part}_id", None) for part in ("domain", "bus", "device")]
    if None not in address:
        domain, bus, device = address
        yield nvml.nvmlDeviceGetHandleByPciBusId, f"{domain:08X}:{bus:02X}:{device:02X}.0"
