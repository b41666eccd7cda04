"""Devices: files, backends, and the device found being the one named."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from paths import ROOT

from donna_hw._core.resources import data_roots, find_resource, resource_names
from donna_hw.devices.backends import list_backends, load_backend
from donna_hw.devices.backends.base import UNITS, Backend, ExactBackend, TimingBackend
from donna_hw.devices.device import Device, list_devices
from donna_hw.errors import ConfigError, FileFormatError, UnavailableError, UnknownNameError

CHECKOUT = ROOT
SHIPPED = sorted(path.stem for path in (CHECKOUT / "devices").glob("*.toml"))


def own_device(name: str, text: str) -> Path:
    """Write a device into the user's own folder."""
    path = data_roots()[0] / "devices" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_device_loads(name: str) -> None:
    device = Device.load(name)
    assert device.name == name
    assert device.config.title
    assert device.protocol.batch == (device.config.batch or device.protocol.batch)
    kind = load_backend(device.config.backend)
    assert issubclass(kind, Backend)
    assert set(device.config.options) <= set(kind.options)
    assert kind.quantity in UNITS


def test_all_shipped_devices_are_listed() -> None:
    assert set(SHIPPED) <= set(list_devices())


@pytest.mark.parametrize("name", ["onnxruntime_cpu", "torch_cpu", "macs", "params", "tensor_unit"])
def test_devices_of_this_machine_give_their_backends(name: str) -> None:
    device = Device.load(name)
    assert device.availability().ok
    backend = device.backend()
    assert isinstance(backend, TimingBackend | ExactBackend)
    assert {"device_model", "runtime", "dtype"} <= backend.environment().identity.keys()
    assert backend.batch == device.protocol.batch


class FakeV100Driver:
    """A fake of torch.cuda on a machine that has one GPU called `name`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        gpu = SimpleNamespace(name=name, total_memory=16 * 2**30, multi_processor_count=80)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: [gpu][index])


def test_v100_refuses_another_gpu_by_the_name_found(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeV100Driver(monkeypatch, "NVIDIA H200")
    with pytest.raises(UnavailableError, match="device v100 must be a 'V100'; got 'NVIDIA H200'; run on that device"):
        Device.load("v100").backend()
    assert Device.load("h200").backend().environment().device_model == "NVIDIA H200"


def test_v100_takes_a_v100(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeV100Driver(monkeypatch, "Tesla V100-SXM2-16GB")
    assert Device.load("v100").backend().batch == 32


def test_an_index_beyond_the_gpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeV100Driver(monkeypatch, "Tesla V100-SXM2-16GB")
    own_device("second", 'title = "x"\nbackend = "cuda"\nprotocol = "precise"\n[options]\nindex = 1\n')
    with pytest.raises(UnavailableError, match=r"index.*got 1"):
        Device.load("second").backend()


@pytest.mark.parametrize(
    ("version", "reason", "cure"), [(None, "without CUDA", "CUDA build"), ("12.4", "no CUDA GPU", "nvidia-smi")]
)
def test_without_cuda_the_backend_is_unavailable_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, version: str | None, reason: str, cure: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", version)
    available = Device.load("v100").availability()
    assert not available.ok
    assert reason in available.reason
    assert cure in available.hint
    with pytest.raises(UnavailableError, match=f"v100: backend cuda is not available: .*{reason}.*{cure}"):
        Device.load("v100").backend()


def test_a_missing_onnxruntime_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr("donna_hw.devices.backends.onnxruntime.find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match=r"not installed.*pip install onnxruntime"):
        Device.load("onnxruntime_cpu").backend()


def test_an_unknown_provider_names_the_known_ones() -> None:
    from fakes import tiny_space

    own_device(
        "npu",
        'title = "x"\nbackend = "onnxruntime"\nprotocol = "precise"\n[options]\nprovider = "NoSuchProvider"\n',
    )
    with pytest.raises(UnavailableError, match=r"got 'NoSuchProvider'; expected .*CPUExecutionProvider"):
        Device.load("npu").backend().prepare(tiny_space().fixed_graph("stem"))  # type: ignore[attr-defined]


def test_an_unknown_device_names_the_known_ones_and_where_to_add_one() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"unknown device 'v1000'; expected cuda, h200, macs.*did you mean 'v100'.*write .*v1000\.toml",
    ):
        Device.load("v1000")


GOOD = 'title = "x"\nbackend = "torch_cpu"\nprotocol = "precise"\n'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (GOOD + "batsh = 3\n", UnknownNameError, "unknown key 'batsh'; expected .*did you mean 'batch'"),
        (GOOD + "batch = 0\n", ConfigError, "batch: .*got 0"),
        (GOOD + "batch = true\n", ConfigError, "batch: "),
        (GOOD + 'batch = "4"\n', ConfigError, "batch: "),
        (GOOD.replace("precise", "fast"), UnknownNameError, "unknown protocol 'fast'; expected paper_s20"),
        (GOOD.replace('title = "x"\n', ""), ConfigError, "missing key 'title'"),
        (GOOD + GOOD, FileFormatError, "valid TOML"),
    ],
)
def test_a_bad_device_file_is_named_when_it_is_loaded(text: str, error: type[Exception], message: str) -> None:
    own_device("mine", text)
    with pytest.raises(error, match=message):
        Device.load("mine")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            GOOD + "[options]\nthread = 2\n",
            UnknownNameError,
            "unknown option of backend torch_cpu 'thread'; expected threads",
        ),
        (GOOD + '[options]\nthreads = "two"\n', ConfigError, "option threads must be a whole number.*got 'two'"),
        (GOOD + "[options]\nthreads = true\n", ConfigError, "option threads must be a whole number"),
        (
            GOOD.replace("torch_cpu", "torch_gpu"),
            UnknownNameError,
            "unknown backend 'torch_gpu'; expected android, cuda, onnxruntime",
        ),
        (
            GOOD.replace("torch_cpu", "ptflops") + '[options]\ncount = "mac"\n',
            UnknownNameError,
            "unknown count 'mac'; expected macs or params",
        ),
    ],
)
def test_a_bad_backend_or_option_is_named_when_it_is_used(text: str, error: type[Exception], message: str) -> None:
    own_device("mine", text)
    device = Device.load("mine")
    with pytest.raises(error, match=message):
        device.backend()


def test_availability_never_raises() -> None:
    own_device("mine", GOOD.replace("torch_cpu", "torch_gpu"))
    available = Device.load("mine").availability()
    assert not available.ok
    assert "unknown backend" in available.reason


def test_the_users_own_device_comes_before_a_shipped_one_of_its_name() -> None:
    assert Device.load("v100").config.backend == "cuda"
    own_device("v100", GOOD)
    own_device("mine", GOOD)
    assert Device.load("v100").config.backend == "torch_cpu"
    assert "mine" in list_devices()
    assert list_devices().count("v100") == 1


def test_the_default_for_the_users_folder_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DONNA_HW_DATA")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert data_roots()[0] == tmp_path / ".donna_hw"


def test_a_path_to_a_file_stands_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert Device.load(str(path)).name == "elsewhere"


@pytest.mark.parametrize("name", ["../v100", "../devices/v100", "sub/v100", "..", ".", "", "/v100", "a\0b"])
def test_a_name_that_is_a_way_through_folders_is_refused(name: str) -> None:
    own_device("v100", GOOD)
    with pytest.raises(UnknownNameError):
        find_resource("devices", name)


def test_names_are_of_toml_files_only() -> None:
    own_device("mine", GOOD).with_suffix(".txt").touch()
    assert resource_names("devices") == sorted({*SHIPPED, "mine"})
    assert set(list_backends()) >= {"cuda", "onnxruntime", "ptflops", "tensor_unit", "torch_cpu", "tvm"}
