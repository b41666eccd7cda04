"""Backends by name. A backend measures, simulates or counts blocks; it is imported only when it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from donna_hw.devices.backends.base import Backend
from donna_hw.errors import UnknownNameError

ENTRY_POINT_GROUP = "donna_hw.backends"  # under which other packages register theirs
_SHIPPED = {
    "android": "donna_hw.devices.backends.android.backend:AndroidBackend",
    "cuda": "donna_hw.devices.backends.cuda.backend:CudaBackend",
    "onnxruntime": "donna_hw.devices.backends.onnxruntime:OnnxRuntimeBackend",
    "ptflops": "donna_hw.devices.backends.ptflops:PtflopsBackend",
    "tensor_unit": "donna_hw.devices.backends.tensor_unit:TensorUnitBackend",
    "torch_cpu": "donna_hw.devices.backends.torch_cpu:TorchCpuBackend",
    "tvm": "donna_hw.devices.backends.tvm.backend:TvmBackend",
}


def list_backends() -> list[str]:
    """Return the names that `load_backend` accepts, including those of other packages."""
    return sorted({*_SHIPPED, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def load_backend(name: str) -> type[Backend]:
    """Return the class of a backend by name; raises `UnknownNameError`."""
    target = _SHIPPED.get(name)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if target is None and point.name == name:
            target = point.value
    if target is None:
        raise UnknownNameError("unknown backend", got=name, choices=list_backends())
    module, _, attribute = target.partition(":")
    backend: type[Backend] = getattr(import_module(module), attribute)
    return backend
