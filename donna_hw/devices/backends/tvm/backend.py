"""Apache TVM: each block compiled from its ONNX model through Relax, run on this machine or on a device behind a tracker."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from donna_hw.devices.backends.base import Availability, Runner, TimingBackend
from donna_hw.devices.backends.tvm.build import TargetConfig, build_library, host_cpu, to_relax
from donna_hw.devices.backends.tvm.rpc import request_session, tracker_address, translate_errors
from donna_hw.devices.backends.tvm.runners import LocalRunner, TimeEvaluatorRunner, set_threads
from donna_hw.devices.backends.tvm.tuning import tune_and_build
from donna_hw.errors import ConfigError, UnavailableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.measurement.environment import Environment, Scalar, cpu_model, host_conditions

# what TVM looks for; importing TVM to ask it takes seconds
_COMPILERS = ("g++", "gcc", "clang++", "clang", "c++", "cc")


class TvmBackend(TimingBackend):
    """Times blocks compiled by TVM; `devices/README.md` explains each option.

    Untuned (`tuning_trials` 0), TVM's code for CPUs is plain loops on one thread: far slower than ONNX Runtime's code, and not
    representative of the processor. Each instance with a `tracker` holds one session, so that instances share a pool of devices.
    """

    costly_start = True  # compiled blocks live as long as the process
    options: ClassVar = {
        "target": "llvm",
        "mcpu": "",
        "mtriple": "",
        "threads": 1,
        "linker": "",
        "tracker": "",
        "key": "",
        "wait_s": 60.0,
        "session_timeout_s": 0.0,
        "tuning_trials": 0,
        "tuning_dir": "",
        "tuning_timeout_s": 3600.0,
    }

    def __init__(self, batch: int, options: Mapping[str, Scalar]) -> None:
        super().__init__(batch, options)
        self._tracker, self._key = str(self.settings["tracker"]), str(self.settings["key"])
        self._threads, self._trials = int(self.settings["threads"]), int(self.settings["tuning_trials"])
        self._target = self._resolve_target()
        self._session: Any = None
        self._libraries: dict[str, Path] = {}
        self._numbers = itertools.count()
        self._folder = Path(tempfile.mkdtemp(prefix="donna_hw_tvm_"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @classmethod
    def availability(cls) -> Availability:
        """Return whether TVM is installed, and a C++ compiler to link what it compiles."""
        if find_spec("tvm") is None:
            return Availability(False, "the package apache-tvm is not installed", "pip install 'donna-hw[tvm]'")
        if not any(map(os.environ.get, ("CXX", "CC"))) and not any(map(shutil.which, _COMPILERS)):
            return Availability(False, "TVM finds no C++ compiler to link its code", "install g++ or clang, or set CXX")
        return Availability(True)

    def environment(self) -> Environment:
        """Return device, TVM's version, target, threads and tuning; behind a tracker the key is the device's name."""
        target = self._target
        identity: dict[str, Scalar] = {
            "device_model": self._device_model(),
            "runtime": f"tvm {version('apache-tvm')}",
            "dtype": "float32",
            "target": target.kind,
            "mcpu": target.mcpu,
            "mtriple": target.mtriple,
            "threads": self._threads,
            "tuning_trials": self._trials,
            "rpc": bool(self._tracker),
        }
        return Environment(identity, host_conditions())

    def tags(self) -> tuple[str, ...]:
        """Return target, type and threads, and the number of trials of a tuned table."""
        tuned = (f"tuned{self._trials}",) if self._trials else ()
        return (self._target.kind, "float32", f"t{self._threads}", *tuned)

    def prepare(self, graph: Graph) -> Runner:
        """Compile the block, once per instance, load it where it runs, and give it a random input."""
        library = self._library(graph)
        image = np.random.default_rng(0).standard_normal((self.batch, *graph.input_shape), dtype=np.float32)
        if not self._tracker:
            return self._local_runner(library, image)
        with translate_errors(self._key):
            session = self._get_session()
            device = session.device(self._target.device)
            # A unique name: overwriting a library that another runner has mapped would crash the server.
            name = f"{next(self._numbers)}{library.suffix}"
            session.upload(bytearray(library.read_bytes()), target=name)  # given a path, TVM leaves the file open
            module = session.load_module(name)
            session.remove(name)
            return TimeEvaluatorRunner(module, device, image, self._key)

    def _local_runner(self, library: Path, image: np.ndarray) -> Runner:
        import tvm

        device = self._local_device()
        module = tvm.runtime.load_module(str(library))
        if self._target.device == "cpu":
            return LocalRunner(module, device, image, self._threads)
        return TimeEvaluatorRunner(module, device, image, key="")

    def _local_device(self) -> Any:
        import tvm

        if not tvm.runtime.enabled(self._target.kind) or not tvm.device(self._target.device).exist:
            raise UnavailableError(
                f"this build of TVM finds no {self._target.device} device on this machine",
                hint="build TVM with that runtime, or set options tracker and key of a machine that has it",
            )
        return tvm.device(self._target.device)

    def _library(self, graph: Graph) -> Path:
        key = layers_hash(graph)
        if key not in self._libraries:
            model = to_onnx(graph, self.batch)
            if self._trials:
                folder = Path(str(self.settings["tuning_dir"])) if self.settings["tuning_dir"] else self._folder
                self._libraries[key] = tune_and_build(
                    model,
                    self._target,
                    folder / f"{key}-b{self.batch}",
                    trials=self._trials,
                    timeout_s=float(self.settings["tuning_timeout_s"]),
                )
                return self._libraries[key]
            linker = str(self.settings["linker"])
            is_linked_here = linker or not self._target.mtriple
            path = self._folder / f"{key}{'.so' if is_linked_here else '.tar'}"
            build_library(to_relax(model), self._target, path, linker)
            self._libraries[key] = path
        return self._libraries[key]

    def _get_session(self) -> Any:
        """Return the instance's session, requested at first use."""
        if self._session is None:
            session = request_session(
                self._tracker,
                self._key,
                wait_s=float(self.settings["wait_s"]),
                session_timeout_s=float(self.settings["session_timeout_s"]),
            )
            device = session.device(self._target.device)
            if not device.exist:
                raise UnavailableError(
                    f"the server of TVM device {self._key!r} has no {self._target.device} device",
                    hint="build the server's TVM with that runtime, or choose another target",
                )
            if self._target.device == "cpu":
                set_threads(self._threads, session.get_function)
            self._session = session
        return self._session

    def _device_model(self) -> str:
        """Return the processor or the key of the pool; for a GPU its name, after the key where there is one."""
        if self._target.device == "cpu":
            return self._key or cpu_model()  # a processor behind a tracker does not report its name
        if not self._tracker:
            return str(self._local_device().device_name or self._target.device)
        with translate_errors(self._key):
            name = self._get_session().device(self._target.device).device_name
        return f"{self._key} {name}" if name else self._key

    def _resolve_target(self) -> TargetConfig:
        """Return the target after checking the options against each other."""
        if bool(self._tracker) != bool(self._key):
            raise ConfigError("options tracker and key must be given together", got=f"{self._tracker!r}, {self._key!r}")
        if self._tracker:
            tracker_address(self._tracker)
        if not self._tracker and (self.settings["mtriple"] or self.settings["linker"]):
            raise ConfigError("options mtriple and linker are for another machine, reached by tracker and key")
        if self._trials < 0:
            raise ConfigError("option tuning_trials must be at least 0", got=self._trials)
        if self._trials and self._tracker:
            raise ConfigError("options tuning_trials and tracker exclude each other: tuning measures on this machine")
        if self._threads > 1 and not self._trials:
            raise ConfigError(
                "option threads must be 1 without tuning, since the code then has no parallel loop", got=self._threads
            )
        mcpu = str(self.settings["mcpu"])
        if not mcpu and not self._tracker and find_spec("tvm") is not None:
            mcpu = host_cpu()
        return TargetConfig(str(self.settings["target"]), mcpu, str(self.settings["mtriple"]), self._threads)
