"""Backends by name: what fills latency tables. Each is imported only when it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from donna_hw.backends.base import Backend
from donna_hw.errors import Unavailable, UnknownName

_SHIPPED = {
    "cuda": "donna_hw.backends.cuda:CudaBackend",
    "onnxruntime": "donna_hw.backends.onnxruntime:OnnxRuntimeBackend",
    "ptflops": "donna_hw.backends.ptflops:PtflopsBackend",
    "tensor_unit": "donna_hw.backends.tensor_unit:TensorUnitBackend",
    "torch_cpu": "donna_hw.backends.torch_cpu:TorchCpuBackend",
    "tvm": "donna_hw.backends.tvm:TvmBackend",
}
_PLANNED = {"android": "phones over adb"}


def backend_names() -> list[str]:
    """Return the names that `load_backend` knows, those of other packages included."""
    return sorted({*_SHIPPED, *(point.name for point in entry_points(group="donna_hw.backends"))})


def load_backend(name: str) -> type[Backend]:
    """Return the backend class of that name; raises `Unavailable` for a planned one and `UnknownName` for any other."""
    target = _SHIPPED.get(name)
    for point in entry_points(group="donna_hw.backends"):
        if target is None and point.name == name:
            target = point.value
    if target is None and name in _PLANNED:
        raise Unavailable(
            f"backend {name!r} ({_PLANNED[name]}) does not exist yet in this version",
            known=backend_names(),
            cure="use a device of a known one",
        )
    if target is None:
        raise UnknownName("a backend must be a known one", found=name, known=backend_names())
    module, _, attribute = target.partition(":")
    backend: type[Backend] = getattr(import_module(module), attribute)
    return backend
