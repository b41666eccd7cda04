"""TorchLayer: a custom torch module as a block, or as a layer within a cell."""

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
    """A block that is one custom torch module with one input and one output.

    The module takes images [batch, channels, height, width], or whatever the layer before it returns. A cell can add it between other
    layers by `add_layers`. It is counted by `count_module` and exported by torch's own ONNX exporter; what these do not support raises an
    error when it is needed.

    Args:
        factory: A class or function at the top level of a Python file, which returns a new module.
        settings: The keywords of `factory`, as sorted pairs; `TorchLayer.of` takes them as keywords.
        name: The layer's name.
    """

    factory: Callable[..., nn.Module]
    settings: Settings = ()
    name: str = "module"

    @classmethod
    def of(cls, factory: Callable[..., nn.Module], name: str = "module", **settings: Setting) -> TorchLayer:
        """Return the layer of `factory(**settings)`.

        Args:
            factory: A class or function at the top level of a Python file, which returns a new module.
            name: The layer's name.
            settings: The keywords of `factory`.

        Returns:
            The layer.
        """
        return cls(factory, tuple(sorted(settings.items())), name)

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the layer; raises `ConfigError` if torch cannot run the module on its input."""
        spec = NamedModuleSpec(_key(self.factory, self.settings), builder.shape(x), self.factory, self.settings)
        return builder.module(x, spec, spec.out_shape, name=self.name)


@dataclass(frozen=True)
class NamedModuleSpec:
    """The module that `factory` returns, on an input of one shape; equal specs have the same code and settings."""

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
        return _infer_spec_shape(self)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image, with one for each bias added; raises `ConfigError` for operators that are not counted."""
        return _count_spec(self)[0]

    @cached_property
    def params(self) -> int:
        """Trainable parameters."""
        return _count_spec(self)[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name, so that another process runs the user's file again."""
        module = sys.modules[self.factory.__module__]
        path = str(Path(str(module.__file__)).resolve()) if module.__name__.startswith(MODULE_PREFIX) else ""
        location = (path, module.__name__, self.factory.__qualname__)
        return _rebuild, (self.key, self.in_shape, location, self.settings)


def infer_output_shape(module: nn.Module, in_shape: Shape) -> Shape:
    """Return the shape of a module's output for one image of `in_shape`; raises `ConfigError` if torch cannot run it."""
    import torch

    try:
        with torch.no_grad():
            output = module.eval()(torch.zeros(1, *in_shape))
    except Exception as error:  # whatever a user's module raises
        raise ConfigError(
            f"torch cannot run {type(module).__name__} on one image of shape {in_shape}",
            got=f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}",
            hint="fix the module, or what comes before it",
        ) from error
    if not isinstance(output, torch.Tensor) or output.shape[0] != 1:
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ConfigError(f"{type(module).__name__} must return one tensor with the batch first", got=shape)
    return tuple(int(size) for size in output.shape[1:])


def count_macs_and_params(module: nn.Module, in_shape: Shape) -> tuple[int, int]:
    """Return a module's multiply-accumulates of one image and its parameters; raises `ConfigError` for operators that are not counted."""
    counts = count_module(module, in_shape)
    if counts.uncounted:
        message = f"{type(module).__name__} has operators whose multiply-accumulates cannot be counted"
        raise ConfigError(message, got=", ".join(counts.uncounted), hint="use convolutions and matrix products instead")
    return counts.macs, counts.params


@cache  # a space lowers each of its blocks many times
def _infer_spec_shape(spec: NamedModuleSpec) -> Shape:
    return _call_on_meta(spec, lambda module: infer_output_shape(module, spec.in_shape))


@cache
def _count_spec(spec: NamedModuleSpec) -> tuple[int, int]:
    return _call_on_meta(spec, lambda module: count_macs_and_params(module, spec.in_shape))


def _call_on_meta(spec: NamedModuleSpec, function: Callable[[nn.Module], Result]) -> Result:
    """Call a function on a module of the device `meta`, which computes nothing; on a real module where that fails."""
    import torch

    try:
        with torch.device("meta"):
            return function(spec.build())
    except Exception:
        return function(spec.build())


def _key(factory: Callable[..., nn.Module], settings: Settings) -> str:
    """Return what identifies a module: the code of its factory, and its settings."""
    if "<" in factory.__qualname__ or factory.__module__ == "__main__":
        raise ConfigError(
            "the factory of a torch layer must be a class or function at the top level of an importable file",
            got=f"{factory.__module__}.{factory.__qualname__}",
            hint="move it to a file's top level, and name the space FILE.py:FUNCTION",
        )
    code = hashlib.sha256(inspect.getsource(factory).encode()).hexdigest()[:16]
    return f"{factory.__qualname__}({json.dumps(dict(settings), sort_keys=True)}) {code}"


def _rebuild(key: str, in_shape: Shape, location: tuple[str, str, str], settings: Settings) -> NamedModuleSpec:
    path, module, name = location
    factory: Any = load_user_module(Path(path)) if path else import_module(module)
    for part in name.split("."):
        factory = getattr(factory, part)
    return NamedModuleSpec(key, in_shape, factory, settings)
