"""TorchLayer: a torch module of one's own as a block, or as a layer within a cell."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from donna_hw._core.user_modules import MODULE_PREFIX, load_user_module
from donna_hw.errors import ConfigError
from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.flops import count_module
from donna_hw.graph.graph import Shape

if TYPE_CHECKING:
    from torch import nn

Setting = int | float | str | bool
Settings = tuple[tuple[str, Setting], ...]
Result = TypeVar("Result")


@dataclass(frozen=True)
class TorchLayer:
    """A block that is one torch module of one input and one output, images [batch, channels, height, width] or what fits its place.

    make: a class or function at the top of a Python file, which returns a new module; settings: its keywords. The layer is named `name`. A
    cell draws it between layers of its own by `draw`. It is counted by `count_module`, and exported by torch's own ONNX exporter: what
    neither knows is refused where it is asked for.
    """

    factory: Callable[..., nn.Module]
    settings: Settings = ()
    name: str = "module"

    @classmethod
    def of(cls, factory: Callable[..., nn.Module], name: str = "module", **settings: Setting) -> TorchLayer:
        """Return the layer of `make(**settings)`."""
        return cls(factory, tuple(sorted(settings.items())), name)

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the one layer; raises `ConfigError` where torch cannot run the module on what reaches it."""
        made = NamedModuleSpec(_key(self.factory, self.settings), builder.shape(x), self.factory, self.settings)
        return builder.module(x, made, made.out_shape, name=self.name)


@dataclass(frozen=True)
class NamedModuleSpec:
    """What `make` returns, on an input of one shape; equal ones have the same code and settings."""

    key: str
    in_shape: Shape
    factory: Callable[..., nn.Module] = field(compare=False, repr=False)
    settings: Settings = field(compare=False, repr=False)

    def build(self) -> nn.Module:
        """Return a new module."""
        return self.factory(**dict(self.settings))

    @cached_property
    def out_shape(self) -> Shape:
        """Shape of the output for one image."""
        return _out_shape(self)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image, with one for each number plus a bias; raises `ConfigError` for operators that nobody counts."""
        return _counts(self)[0]

    @cached_property
    def params(self) -> int:
        """Trainable parameters."""
        return _counts(self)[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process by name: a user's file is run there anew."""
        module = sys.modules[self.factory.__module__]
        path = str(Path(str(module.__file__)).resolve()) if module.__name__.startswith(MODULE_PREFIX) else ""
        place = (path, module.__name__, self.factory.__qualname__)
        return _rebuild, (self.key, self.in_shape, place, self.settings)


def infer_output_shape(module: nn.Module, in_shape: Shape) -> Shape:
    """Return the shape of a module's output for one image of `in_shape`; raises `ConfigError` when torch cannot run it on that."""
    import torch

    try:
        with torch.no_grad():
            found = module.eval()(torch.zeros(1, *in_shape))
    except Exception as error:  # whatever a user's module raises
        raise ConfigError(
            f"torch must be able to run {type(module).__name__} on one image of shape {in_shape}",
            got=f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}",
            hint="mend the module, or what stands before it",
        ) from error
    if not isinstance(found, torch.Tensor) or found.shape[0] != 1:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ConfigError(f"{type(module).__name__} must return one tensor, the batch first", got=shape)
    return tuple(int(size) for size in found.shape[1:])


def count_macs_and_params(module: nn.Module, in_shape: Shape) -> tuple[int, int]:
    """Return a module's multiply-accumulates of one image and its parameters; raises `ConfigError` for operators that nobody counts."""
    found = count_module(module, in_shape)
    if found.uncounted:
        rule = f"every operator of {type(module).__name__} must be one that is counted"
        raise ConfigError(rule, got=", ".join(found.uncounted), hint="write it with convolutions and matrix products")
    return found.macs, found.params


@cache  # a space draws each of its blocks many times
def _out_shape(made: NamedModuleSpec) -> Shape:
    return _call_on_meta(made, lambda module: infer_output_shape(module, made.in_shape))


@cache
def _counts(made: NamedModuleSpec) -> tuple[int, int]:
    return _call_on_meta(made, lambda module: count_macs_and_params(module, made.in_shape))


def _call_on_meta(made: NamedModuleSpec, ask: Callable[[nn.Module], Result]) -> Result:
    """Ask a module without numbers, on the device `meta`, which draws and computes none; where it cannot do without, one with."""
    import torch

    try:
        with torch.device("meta"):
            return ask(made.build())
    except Exception:
        return ask(made.build())


def _key(make: Callable[..., nn.Module], settings: Settings) -> str:
    """Return what names a module's function: the code that makes it, and its settings."""
    if "<" in make.__qualname__ or make.__module__ == "__main__":
        raise ConfigError(
            "a torch layer must be made by a class or function at the top of a file that can be imported",
            got=f"{make.__module__}.{make.__qualname__}",
            hint="move it to a file's top level, and name the space FILE.py:FUNCTION",
        )
    code = hashlib.sha256(inspect.getsource(make).encode()).hexdigest()[:16]
    return f"{make.__qualname__}({json.dumps(dict(settings), sort_keys=True)}) {code}"


def _rebuild(key: str, in_shape: Shape, place: tuple[str, str, str], settings: Settings) -> NamedModuleSpec:
    path, module, name = place
    found: Any = load_user_module(Path(path)) if path else import_module(module)
    for step in name.split("."):
        found = getattr(found, step)
    return NamedModuleSpec(key, in_shape, found, settings)
