"""The options of a phone's device file, validated against each other before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from donna_hw.devices.backends.android import benchmark_model
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.measurement.environment import Scalar

DELEGATES = {
    "onnxruntime": ("cpu", "xnnpack", "nnapi", "qnn"),
    "litert": ("cpu", "gpu", "npu"),
    "tflite": benchmark_model.DELEGATES,
}
COOL_DOWNS = ("fixed", "until_cool")
OPTIONS: dict[str, Scalar] = {
    "adb": "",
    "serial": "",
    "runner": "litert",
    "delegate": "cpu",
    "threads": 1,
    "fp16": True,
    "cpu_fallback": False,
    "warmup_runs": 0,
    "runner_path": "",
    "library": "",
    "benchmark_model": "",
    "cool_down": "fixed",
    "cool_within_c": 1.0,
    "cool_limit_s": 600.0,
    "zone": "battery",
    "start_below_c": 40.0,
    "wait_s": 60.0,
    "timeout_s": 30.0,
    "run_s": 240.0,
}


@dataclass(frozen=True)
class AndroidConfig:
    """`OPTIONS` with their types; `devices/README.md` explains each.

    Raises:
        UnknownNameError: The runner, the delegate or the kind of cool-down is unknown.
        ConfigError: A number is out of its range.
    """

    adb: str
    serial: str
    runner: str
    delegate: str
    threads: int
    fp16: bool
    cpu_fallback: bool
    warmup_runs: int
    runner_path: str
    library: str
    benchmark_model: str
    cool_down: str
    cool_within_c: float
    cool_limit_s: float
    zone: str
    start_below_c: float
    wait_s: float
    timeout_s: float
    run_s: float

    def __post_init__(self) -> None:
        if self.runner == "tvm_rpc":
            raise ConfigError(
                "a phone that runs TVM's server is reached through a tracker",
                got="runner tvm_rpc",
                hint='write backend = "tvm" with options tracker and key: see docs/guides/phone.md, "TVM"',
            )
        if self.runner not in DELEGATES:
            raise UnknownNameError("unknown runner", got=self.runner, choices=[*DELEGATES, "tvm_rpc"])
        if self.delegate not in DELEGATES[self.runner]:
            raise UnknownNameError(
                f"unknown delegate of the runner {self.runner}",
                got=self.delegate,
                choices=DELEGATES[self.runner],
            )
        if self.cool_down not in COOL_DOWNS:
            raise UnknownNameError("unknown cool_down", got=self.cool_down, choices=COOL_DOWNS)
        for name, low in (("threads", 1), ("warmup_runs", 0), ("cool_within_c", 0), ("cool_limit_s", 0), ("wait_s", 0)):
            if not low <= getattr(self, name) < float("inf"):
                raise ConfigError(f"option {name} must be at least {low}", got=getattr(self, name))
        for name in ("timeout_s", "run_s", "start_below_c"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"option {name} must be above 0", got=getattr(self, name))

    @classmethod
    def of(cls, options: Mapping[str, Scalar]) -> AndroidConfig:
        """Return the settings of a device file's options, with defaults for the others."""
        values = {**OPTIONS, **options}
        types = {name: type(default) for name, default in OPTIONS.items()}
        return cls(**{name: types[name](values[name]) for name in OPTIONS})  # type: ignore[arg-type]

    @property
    def dtype(self) -> str:
        """The type of the computation: benchmark_model sets it for a GPU, other delegates choose it themselves."""
        return "float16" if self.runner == "tflite" and self.delegate == "gpu" and self.fp16 else "float32"
