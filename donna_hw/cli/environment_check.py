"""What works on this machine, what does not, and the command that mends it."""

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

# package -> its extra, and what is done with it
OPTIONAL_PACKAGES = {
    "tvm": ("tvm", "blocks compiled by Apache TVM"),
    "adbutils": ("android", "the adb client for phones"),
    "ai_edge_litert": ("android", "blocks as .tflite files"),
    "ray": ("cluster", "blocks, finetunings and measurements on several hosts"),
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
    """One thing looked at. state: `ok`, `missing` (something cannot be done) or `note` (it can, but look)."""

    name: str
    state: str
    details: str
    hint: str = ""


def check_environment() -> list[Finding]:
    """Return everything that was found, never raising: a check that fails is a finding."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (_python, _backends, _extras, _machine, _folders)
    found: list[Finding] = []
    for check in checks:
        found.extend(check())
    return found


def _python() -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()}, donna-hw {version('donna-hw')}")
    for name in ("torch", "onnxruntime", "onnx", "ptflops", "pymoo"):
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:  # a build of another name, such as onnxruntime-gpu, brings the same package
            here = find_spec(name) is not None
            yield Finding(
                name,
                "ok" if here else "missing",
                "of another build" if here else "not installed",
                f"pip install {name}",
            )


def _backends() -> Iterator[Finding]:
    devices: dict[str, list[str]] = {}
    for name in list_devices():
        try:
            devices.setdefault(Device.load(name).config.backend, []).append(name)
        except DonnaError as error:
            yield Finding(f"device {name}", "missing", str(error), error.hint or "mend the file")
    for name in list_backends():
        try:
            available = load_backend(name).availability()
        except DonnaError as error:
            available = Availability(False, error.message, error.hint)
        except Exception as error:  # a backend of another package
            available = Availability(False, f"{type(error).__name__}: {error}", "ask whoever wrote it")
        words = "usable" if available.ok else available.reason
        asked = ", ".join(devices.get(name, ["none yet"]))
        yield Finding(
            f"backend {name}", "ok" if available.ok else "missing", f"{words}; devices: {asked}", available.hint
        )


def _extras() -> Iterator[Finding]:
    for package, (extra, words) in OPTIONAL_PACKAGES.items():
        here = find_spec(package) is not None
        yield Finding(
            f"package {package}", "ok" if here else "missing", words, "" if here else f"pip install 'donna-hw[{extra}]'"
        )
    for program, words in (("cmake", "builds the native runner for phones"), ("g++", "links what TVM compiles")):
        here = shutil.which(program) is not None
        yield Finding(program, "ok" if here else "missing", words, "" if here else f"install {program}")


def _machine() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    busy = load > 0.5
    words = f"{cores} cores, load {load:.1f}" + (": what runs beside a measurement slows it" if busy else "")
    yield Finding("processor", "note" if busy else "ok", words, "stop what else runs before measuring" if busy else "")
    governors = {
        path.read_text().strip() for path in Path("/sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_governor")
    }
    if governors:
        steady = governors == {"performance"}
        cure = "" if steady else "cpupower frequency-set -g performance, as root, while measuring"
        yield Finding("governor", "ok" if steady else "note", ", ".join(sorted(governors)), cure)


def _folders() -> Iterator[Finding]:
    own = data_roots()[0]
    kinds = {
        kind: len(list((own / kind).glob("*"))) for kind in ("devices", "recipes", "runners") if (own / kind).is_dir()
    }
    words = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing of yours yet"
    yield Finding("your folder", "ok", f"{own}: {words}")
    free_bytes = shutil.disk_usage(Path.cwd()).free
    few = free_bytes < 5e9
    cure = "free some: a study keeps some gigabytes" if few else ""
    yield Finding("disk", "note" if few else "ok", f"{free_bytes / 1e9:.1f} GB free here", cure)
