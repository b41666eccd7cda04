"""The native runner as a program that tests start, with this machine's real libraries."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ai_edge_litert
import onnxruntime

PATIENCE_S = 300.0
LITERT_LIBRARY = Path(str(ai_edge_litert.__path__[0])) / "libLiteRt.so"


def onnx_library() -> Path:
    return next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))


@dataclass(frozen=True)
class Native:
    """The runner with a library; `before` is the command line of an emulator that runs it."""

    program: Path
    engine: str
    library: Path
    model: Path
    before: tuple[str, ...] = ()

    def command(self, *more: object, **instead: object) -> list[str]:
        words = {"engine": self.engine, "library": self.library, "model": self.model} | instead
        named = [word for name, value in words.items() for word in (f"--{name}", str(value))]
        return [*self.before, str(self.program), *named, *map(str, more)]

    def __call__(self, *more: object, asks: str = "", **instead: object) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit code and all answers; each line must be JSON."""
        done = subprocess.run(
            self.command(*more, **instead), input=asks.encode(), capture_output=True, timeout=PATIENCE_S, check=False
        )
        return done.returncode, [json.loads(line) for line in done.stdout.decode().splitlines()]
