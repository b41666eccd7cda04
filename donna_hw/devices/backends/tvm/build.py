"""A block's ONNX model compiled and linked by TVM into one library file, on this machine or for another."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from donna_hw.errors import ConfigError, UnavailableError, UnknownNameError

DEVICES = {"llvm": "cpu", "cuda": "cuda", "metal": "metal", "opencl": "opencl", "rocm": "rocm", "vulkan": "vulkan"}


@dataclass(frozen=True)
class TargetConfig:
    """What TVM generates code for.

    Args:
        kind: A key of `DEVICES`.
        mcpu: LLVM's name of the processor that runs the code or, for a GPU, launches it.
        mtriple: That processor's target triple; empty: this machine's.
        cores: Number of threads that generated CPU code may use.

    Raises:
        UnknownNameError: The kind is unknown.
        ConfigError: There are fewer cores than 1.
    """

    kind: str
    mcpu: str = ""
    mtriple: str = ""
    cores: int = 1

    def __post_init__(self) -> None:
        if self.kind not in DEVICES:
            raise UnknownNameError("unknown TVM target", got=self.kind, choices=sorted(DEVICES))
        if self.cores < 1:
            raise ConfigError("option threads must be at least 1", got=self.cores)

    @property
    def device(self) -> str:
        """TVM's name of the device that runs the code."""
        return DEVICES[self.kind]

    def tvm_target(self) -> Any:
        """Return the `tvm.target.Target`; raises `UnavailableError` when this build of TVM generates no such code."""
        import tvm

        processor: dict[str, Any] = {"kind": "llvm", "num-cores": self.cores}
        processor |= {"mcpu": self.mcpu} if self.mcpu else {}
        processor |= {"mtriple": self.mtriple} if self.mtriple else {}
        missing = [
            k for k in {"llvm", self.kind} if tvm.get_global_func(f"target.build.{k}", allow_missing=True) is None
        ]
        if missing:
            raise UnavailableError(
                f"this build of TVM generates no code for {', '.join(missing)}",
                hint="build TVM with it switched on (USE_CUDA, USE_OPENCL, ... in config.cmake)",
            )
        self._validate_processor()
        try:
            return tvm.target.Target(processor if self.kind == "llvm" else {"kind": self.kind, "host": processor})
        except Exception as error:
            raise ConfigError(
                "TVM rejects the target that the options describe",
                got=last_line(error),
                hint="fix target, mcpu or mtriple in the device file",
            ) from None

    def _validate_processor(self) -> None:
        """Reject an mcpu that LLVM does not know for the triple: TVM would print a warning and generate generic code."""
        import tvm

        triple = self.mtriple or str(tvm.get_global_func("target.llvm_get_system_triple")())
        is_valid = tvm.get_global_func("target.llvm_is_valid_cpu")
        if not self.mcpu or is_valid(self.mcpu, triple):
            return
        similar: list[str] = []
        if is_valid("generic", triple):  # listing the processors of a triple without any crashes
            target = tvm.target.Target({"kind": "llvm", "mtriple": triple})
            names = [str(name) for name in tvm.get_global_func("target.llvm_get_cpu_archlist")(target)]
            similar = difflib.get_close_matches(self.mcpu, names, n=5, cutoff=0)
        raise UnknownNameError(f"unknown mcpu of {triple}", got=self.mcpu, choices=similar)

    def write(self, path: Path) -> None:
        """Write the target as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> TargetConfig:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def host_cpu() -> str:
    """Return LLVM's name of this machine's processor, such as `znver3`."""
    import tvm

    return str(tvm.get_global_func("target.llvm_get_system_cpu")())


def to_relax(model: onnx.ModelProto) -> Any:
    """Return the model as a Relax module, with the weights as constants, as in a deployed network."""
    from tvm.relax.frontend.onnx import from_onnx

    return from_onnx(model)


def build_library(module: Any, target: TargetConfig, path: Path, linker: str = "") -> None:
    """Compile a Relax module and write it to a library file.

    Args:
        module: The Relax module.
        target: What to generate code for.
        path: The library. One that ends in `.so` is linked here; one that ends in `.tar` holds the object files, which the device
            links itself.
        linker: What links it here; empty: this machine's C++ compiler.

    Raises:
        UnavailableError: TVM, the compiler or the linker failed.
    """
    import tvm
    from tvm.support import cc

    tvm_target = target.tvm_target()
    try:
        executable = tvm.compile(module, target=tvm_target)
        executable.export_library(str(path), **({"fcompile": cc.cross_compiler(linker)} if linker else {}))
    except Exception as error:  # errors of a compiler or linker are RuntimeErrors or of TVM's own classes
        raise UnavailableError(
            f"TVM cannot compile and link the block for {target.kind} {target.mtriple}".strip(),
            got=last_line(error),
            hint="set option linker to a compiler for that device, or check target, mcpu and mtriple",
        ) from None


def last_line(error: BaseException) -> str:
    """Return the type and the last line of an exception, without TVM's stack of native frames."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:300] if lines else 'no message'}"
