"""The driver's readings, from a fake of nvidia-ml-py with declared values: no driver is used here."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from fake_cuda import FakeGpu
from requirements import needs

from donna_hw.devices.backends.cuda.backend import CudaBackend
from donna_hw.devices.backends.cuda.nvml import THROTTLE_BITS, find_gpu, throttle_reasons
from donna_hw.measurement.telemetry import Telemetry

UUID = "0a0b0c0d-0000-0000-0000-00000000000{}"


class FakeNvml:
    """A fake of the module pynvml on a machine of two GPUs; handle n is GPU n. `silent`: questions that it cannot answer."""

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, bits: int = 0, silent: tuple[str, ...] = (), prefix: str = "GPU-") -> None:
        self.bits, self.silent, self.prefix = bits, silent, prefix

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
        monkeypatch.setitem(sys.modules, "pynvml", self)  # type: ignore[arg-type]
        return self

    def nvmlInit(self) -> None:  # noqa: N802  pynvml's names
        if "nvmlInit" in self.silent:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return self._search(uuid, [self.prefix + UUID.format(n) for n in range(2)])

    def nvmlDeviceGetHandleByPciBusId(self, address: str) -> int:  # noqa: N802
        return self._search(address, ["00000000:17:00.0", "00000001:CA:03.0"])

    def _search(self, name: str, known: list[str]) -> int:
        if name not in known:
            raise self.NVMLError("Not Found")
        return known.index(name)

    def _answer(self, question: str, answer: object) -> object:
        if question in self.silent:
            raise self.NVMLError("Not Supported")
        return answer

    def nvmlSystemGetDriverVersion(self) -> object:  # noqa: N802
        return self._answer("driver", "570.86.15")

    def nvmlDeviceGetSerial(self, handle: int) -> object:  # noqa: N802
        return self._answer("serial", f"165042{handle}")

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> object:  # noqa: N802
        assert kind == self.NVML_CLOCK_SM
        return self._answer("clock", 1980 + handle)  # MHz

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> object:  # noqa: N802
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._answer("temperature", 61 + handle)  # degrees Celsius

    def nvmlDeviceGetPowerUsage(self, handle: int) -> object:  # noqa: N802
        return self._answer("power", 412_500 + handle)  # mW

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> object:  # noqa: N802
        return self._answer("events", self.bits)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> object:  # noqa: N802
        return self._answer("throttle", self.bits)


def torch_gpu(number: int) -> SimpleNamespace:
    """Torch's properties of the driver's GPU `number`."""
    uuid = UUID.format(number)
    return SimpleNamespace(name="FAKE GPU", major=9, minor=0, total_memory=2**30, multi_processor_count=1, uuid=uuid)


def telemetry(number: int = 0) -> Telemetry:
    found = find_gpu(torch_gpu(number))
    assert found is not None
    return found.read_telemetry()


def test_telemetry_is_in_hertz_degrees_and_watts(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNvml(bits=0x44).install(monkeypatch)
    assert telemetry(0) == Telemetry(1.98e9, 61.0, 412.5, ("software power cap", "hardware thermal slowdown"))


def test_a_renumbered_gpu_is_found_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNvml().install(monkeypatch)
    FakeGpu().install(monkeypatch)
    monkeypatch.setattr(
        "torch.cuda.get_device_properties", lambda index: torch_gpu(1 - index)
    )  # as CUDA_VISIBLE_DEVICES=1,0 does
    here, other = (CudaBackend(1, {"index": index}) for index in (0, 1))
    assert here.read_telemetry().clock_hz == 1981e6
    assert other.read_telemetry().clock_hz == 1980e6
    assert here.environment().conditions["gpu_serial"] == "1650421"
    assert here.environment().identity["driver"] == "570.86.15"
    assert here.environment().identity == other.environment().identity


def test_without_a_uuid_the_pci_address_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNvml().install(monkeypatch)
    found = find_gpu(SimpleNamespace(pci_domain_id=1, pci_bus_id=0xCA, pci_device_id=3))
    assert found is not None
    assert found.serial == "1650421"


def test_a_part_of_a_gpu_is_found_by_its_own_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNvml(prefix="MIG-").install(monkeypatch)
    assert telemetry(1).clock_hz == 1981e6


@pytest.mark.parametrize("properties", [SimpleNamespace(), torch_gpu(7)])
def test_a_gpu_that_nothing_identifies_has_no_telemetry(
    monkeypatch: pytest.MonkeyPatch, properties: SimpleNamespace
) -> None:
    FakeNvml().install(monkeypatch)
    assert find_gpu(properties) is None


def test_without_the_package_or_driver_telemetry_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeGpu().install(monkeypatch)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    backends = [CudaBackend(1, {})]
    assert backends[0].read_telemetry() == Telemetry()
    FakeNvml(silent=("nvmlInit",)).install(monkeypatch)
    backends.append(CudaBackend(1, {}))
    for backend in backends:
        assert backend.read_telemetry() == Telemetry()
        assert "driver" not in backend.environment().identity
        assert "gpu_serial" not in backend.environment().conditions


def test_the_real_package_finds_no_gpu_of_an_unknown_uuid() -> None:
    needs(find_spec("pynvml") is not None, "nvidia-ml-py")
    assert find_gpu(torch_gpu(0)) is None


def test_what_a_gpu_does_not_report_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(bits=0x04).install(monkeypatch)
    fake.silent = ("clock", "power")
    assert telemetry() == Telemetry(None, 61.0, None, ("software power cap",))
    fake.silent = ("events",)  # a driver that knows the older name only
    assert telemetry().throttle_reasons == ("software power cap",)
    fake.silent = ("clock", "power", "temperature", "events", "throttle")
    assert telemetry() == Telemetry()
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetCurrentClocksThrottleReasons")  # a package that has dropped it
    assert telemetry() == Telemetry()


def test_only_heat_and_power_are_throttling() -> None:
    limits, settings = sum(THROTTLE_BITS), 0x1 | 0x2 | 0x10 | 0x100
    assert limits & settings == 0
    assert throttle_reasons(settings) == ()
    assert throttle_reasons(0) == ()
    assert throttle_reasons(limits | settings) == tuple(THROTTLE_BITS.values())
    for bit, word in THROTTLE_BITS.items():
        assert throttle_reasons(bit) == (word,)


def test_the_bits_are_the_packages() -> None:
    needs(find_spec("pynvml") is not None, "nvidia-ml-py")
    import pynvml as nvml

    names = ("SwPowerCap", "HwSlowdown", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")
    assert [getattr(nvml, f"nvmlClocksThrottleReason{name}") for name in names] == list(THROTTLE_BITS)
