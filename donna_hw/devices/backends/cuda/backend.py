"""PyTorch on a CUDA GPU: eager as the paper measured (A.2), or as CUDA graphs; warm or cold; in four precisions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from donna_hw.devices.backends.base import Availability, Runner, TimingBackend
from donna_hw.devices.backends.cuda.nvml import NvmlGpu, find_gpu
from donna_hw.devices.backends.cuda.precision import PRECISIONS
from donna_hw.devices.backends.cuda.runner import CudaConfig, CudaRunner
from donna_hw.errors import UnavailableError, UnknownNameError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment, Scalar, host_conditions
from donna_hw.measurement.telemetry import Telemetry

CHOICES = {
    "execution": ("eager", "graph"),
    "clock": ("host", "device"),
    "cache": ("warm", "cold"),
    "precision": tuple(PRECISIONS),
    "layout": ("contiguous", "channels_last"),
}


class CudaBackend(TimingBackend):
    """Times blocks in PyTorch on a GPU.

    options: index of the GPU among the visible ones; those of `CHOICES`, where clock is which of the two recorded times is the
    block's latency; autotune, whether cuDNN tries its algorithms at the first run. Raises `UnknownNameError` for any other choice.
    """

    options: ClassVar = {
        "index": 0,
        "execution": "eager",
        "clock": "host",
        "cache": "warm",
        "precision": "fp32",
        "layout": "contiguous",
        "autotune": False,
    }

    def __init__(self, batch: int, options: Mapping[str, Scalar]) -> None:
        super().__init__(batch, options)
        for option, choices in CHOICES.items():
            if self.settings[option] not in choices:
                raise UnknownNameError(f"unknown {option} of backend cuda", got=self.settings[option], choices=choices)

    @classmethod
    def availability(cls) -> Availability:
        """Return whether this PyTorch sees a GPU."""
        import torch

        if torch.version.hip is not None:
            return Availability(False, f"torch {torch.__version__} is built for ROCm", "install a CUDA build of torch")
        if torch.cuda.is_available():
            return Availability(True)
        if torch.version.cuda is None:
            return Availability(
                False, f"torch {torch.__version__} is built without CUDA", "install a CUDA build of torch"
            )
        return Availability(False, "torch sees no CUDA GPU", "check the driver with nvidia-smi")

    def environment(self) -> Environment:
        """Return the GPU's name as the driver reports it, the versions that the numbers depend on, and the mode.

        Which of several equal GPUs it is (index, UUID, serial number) is a condition: a pool of them fills one table.
        """
        import torch

        properties, nvml = self._properties, self._nvml
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        identity: dict[str, Scalar] = {
            "device_model": properties.name,
            "memory_gib": round(properties.total_memory / 2**30),
            "multiprocessors": properties.multi_processor_count,
            "runtime": f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}",
            "dtype": PRECISIONS[str(self.settings["precision"])].name,
            **{option: self.settings[option] for option in ("execution", "clock", "cache", "layout", "autotune")},
        }
        conditions = host_conditions() | {"gpu_index": self.settings["index"]}
        ids = {"gpu_uuid": getattr(properties, "uuid", None), "gpu_serial": nvml and nvml.serial}
        conditions |= {name: str(value) for name, value in ids.items() if value is not None}
        if nvml is not None and nvml.driver is not None:
            identity["driver"] = nvml.driver
        return Environment(identity, conditions)

    def tags(self) -> tuple[str, ...]:
        """Return every option that distinguishes tables; `autotune` only where it is on."""
        precision = PRECISIONS[str(self.settings["precision"])].name
        execution, cache, layout, clock = (str(self.settings[o]) for o in ("execution", "cache", "layout", "clock"))
        return (execution, cache, precision, layout, clock, *(("autotune",) if self.settings["autotune"] else ()))

    def read_telemetry(self) -> Telemetry:
        """Return the clock of the GPU's multiprocessors, its temperature, power and throttling; empty without nvidia-ml-py."""
        return Telemetry() if self._nvml is None else self._nvml.read_telemetry()

    def prepare(self, graph: Graph) -> Runner:
        """Build the block on the GPU, and capture it where it runs as a CUDA graph; raises `UnavailableError` where the GPU lacks the mode."""
        properties, settings = self._properties, self.settings
        precision = PRECISIONS[str(settings["precision"])]
        capability = (properties.major, properties.minor)
        if capability < precision.min_capability:
            raise UnavailableError(
                f"precision {settings['precision']} needs compute capability {precision.min_capability[0]}.{precision.min_capability[1]}",
                got=f"{properties.name} of {capability[0]}.{capability[1]}",
                hint="set another options.precision in the device file",
            )
        mode = CudaConfig(
            index=int(settings["index"]),
            execution=str(settings["execution"]),
            clock=str(settings["clock"]),
            precision=str(settings["precision"]),
            layout=str(settings["layout"]),
            autotune=bool(settings["autotune"]),
            flush_bytes=2 * self._l2_bytes() if settings["cache"] == "cold" else 0,
        )
        return CudaRunner(graph, self.batch, mode)

    def _l2_bytes(self) -> int:
        size = int(getattr(self._properties, "L2_cache_size", 0))
        if size <= 0:
            raise UnavailableError(
                f"this torch does not report the size of the L2 cache of {self._properties.name}, which a cold cache needs",
                hint='install a newer torch, or set options.cache = "warm"',
            )
        return size

    @cached_property
    def _properties(self) -> Any:
        """The GPU's properties by torch."""
        import torch

        index, count = int(self.settings["index"]), torch.cuda.device_count()
        if not 0 <= index < count:
            raise UnavailableError(f"option index must be below the number of visible GPUs, {count}", got=index)
        return torch.cuda.get_device_properties(index)

    @cached_property
    def _nvml(self) -> NvmlGpu | None:
        """The same GPU by the driver."""
        return find_gpu(self._properties)
