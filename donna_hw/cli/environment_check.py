"""What works on this machine, what is missing, and how to fix it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from donna_hw._core.resources import data_roots
from donna_hw.devices.backends import list_backends, load_backend
from donna_hw.devices.backends.base import Availability
from donna_hw.devices.device import Device, list_devices
from donna_hw.errors import DonnaError

# package -> its extra, and what it is for
OPTIONAL_PACKAGES = {
    "tvm": ("tvm", "blocks compiled by Apache TVM"),
    "adbutils": ("android", "the adb client for phones"),
    "ai_edge_litert": ("android", "blocks as .tflite files"),
    "ray": ("cluster", "distillation, finetuning and measurements on several hosts"),
    "pynvml": ("cuda", "a GPU's clock, temperature and throttling"),
    "timm": ("timm", "training as in the paper, networks and weights of timm"),
    "torchvision": ("timm", "augmentation as in the paper; detection"),
    "pycocotools": ("detection", "the mean average precision of detectors"),
    "plotly": ("report", "the interactive report"),
    "mkdocs": ("docs", "the site, by `make docs`"),
    "mkdocstrings": ("docs", "the site's Python reference"),
}


@dataclass(frozen=True)
class Finding:
    """One checked thing. state: `ok`, `missing` (some feature does not work) or `note` (it works, with a caveat)."""

    name: str
    state: str
    details: str
    hint: str = ""


def check_environment() -> list[Finding]:
    """Return all findings; a check that fails is a finding, never an exception."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (_python, _backends, _extras, _machine, _folders)
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()}, donna-hw {version('donna-hw')}")
    for name in ("torch", "onnxruntime", "onnx", "ptflops", "pymoo"):
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:  # a build of another name, such as onnxruntime-gpu, brings the same package
            installed = find_spec(name) is not None
            yield Finding(
                name,
                "ok" if installed else "missing",
                "from another build" if installed else "not installed",
                f"pip install {name}",
            )


def _backends() -> Iterator[Finding]:
    devices: dict[str, list[str]] = {}
    for name in list_devices():
        try:
            devices.setdefault(Device.load(name).config.backend, []).append(name)
        except DonnaError as error:
            yield Finding(f"device {name}", "missing", str(error), error.hint or "fix the file")
    for name in list_backends():
        try:
            available = load_backend(name).availability()
        except DonnaError as error:
            available = Availability(False, error.message, error.hint)
        except Exception as error:  # a backend of another package
            available = Availability(False, f"{type(error).__name__}: {error}", "ask its author")
        state = "usable" if available.ok else available.reason
        names = ", ".join(devices.get(name, ["none yet"]))
        yield Finding(
            f"backend {name}", "ok" if available.ok else "missing", f"{state}; devices: {names}", available.hint
        )


def _extras() -> Iterator[Finding]:
    for package, (extra, purpose) in OPTIONAL_PACKAGES.items():
        installed = find_spec(package) is not None
        hint = "" if installed else f"pip install 'donna-hw[{extra}]'"
        yield Finding(f"package {package}", "ok" if installed else "missing", purpose, hint)
    for program, purpose in (("cmake", "builds the native runner for phones"), ("g++", "links what TVM compiles")):
        installed = shutil.which(program) is not None
        yield Finding(program, "ok" if installed else "missing", purpose, "" if installed else f"install {program}")


def _machine() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    busy = load > 0.5
    details = f"{cores} cores, load {load:.1f}" + (": other processes disturb measurements" if busy else "")
    hint = "stop other processes before measuring" if busy else ""
    yield Finding("processor", "note" if busy else "ok", details, hint)
    governors = {
        path.read_text().strip() for path in Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")
    }
    if governors:
        steady = governors == {"performance"}
        hint = "" if steady else "cpupower frequency-set -g performance, as root, while measuring"
        yield Finding("governor", "ok" if steady else "note", ", ".join(sorted(governors)), hint)


def _folders() -> Iterator[Finding]:
    user_root = data_roots()[0]
    kinds = {
        kind: len(list((user_root / kind).glob("*")))
        for kind in ("devices", "recipes", "runners")
        if (user_root / kind).is_dir()
    }
    contents = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "empty"
    yield Finding("your folder", "ok", f"{user_root}: {contents}")
    free_bytes = shutil.disk_usage(Path.cwd()).free
    low = free_bytes < 5e9
    hint = "free some space: a study saves several gigabytes" if low else ""
    yield Finding("disk", "note" if low else "ok", f"{free_bytes / 1e9:.1f} GB free here", hint)
