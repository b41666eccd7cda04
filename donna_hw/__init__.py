"""donna_hw: profile blocks on a device, collect latency tables, and search for the best network at every cost (DONNA, ICCV 2021).

Public names are imported on first use, so that `import donna_hw` loads neither torch nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from donna_hw.costs.fit import fit_cost
    from donna_hw.costs.serialization import load_cost
    from donna_hw.devices.device import Device, list_devices
    from donna_hw.errors import DonnaError
    from donna_hw.graph.flops import count_module
    from donna_hw.graph.torch_layer import TorchLayer
    from donna_hw.measurement.protocol import Protocol
    from donna_hw.pipeline.export import export_network, load_network
    from donna_hw.pipeline.recipe import Recipe
    from donna_hw.pipeline.run import open_run
    from donna_hw.predictors.factory import fit_predictor
    from donna_hw.predictors.serialization import load_predictor
    from donna_hw.profiling.network_profiling import measure_networks
    from donna_hw.profiling.profiler import profile_space
    from donna_hw.profiling.timed_costs import ProfilingBudget
    from donna_hw.search.api import SearchRequest, SearchSettings, run_search
    from donna_hw.search.pareto_front import ParetoFront
    from donna_hw.simulator.hardware import Hardware
    from donna_hw.simulator.onnx_frontend.reader import read_onnx
    from donna_hw.simulator.simulate import simulate
    from donna_hw.spaces import list_spaces, load_space
    from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
    from donna_hw.spaces.from_model.partition import space_from_model, suggest_boundaries
    from donna_hw.spaces.space import Architecture, Space
    from donna_hw.spaces.stage import Axis, Stage
    from donna_hw.tables.comparison import compare_tables
    from donna_hw.tables.latency_table import LatencyTable
    from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

    __version__: str

# The same names at run time; tests/test_public_names.py compares the two lists.
_MODULES = {
    "donna_hw.costs.fit": ("fit_cost",),
    "donna_hw.costs.serialization": ("load_cost",),
    "donna_hw.devices.device": ("Device", "list_devices"),
    "donna_hw.errors": ("DonnaError",),
    "donna_hw.graph.flops": ("count_module",),
    "donna_hw.graph.torch_layer": ("TorchLayer",),
    "donna_hw.measurement.protocol": ("Protocol",),
    "donna_hw.pipeline.export": ("export_network", "load_network"),
    "donna_hw.pipeline.recipe": ("Recipe",),
    "donna_hw.pipeline.run": ("open_run",),
    "donna_hw.predictors.factory": ("fit_predictor",),
    "donna_hw.predictors.serialization": ("load_predictor",),
    "donna_hw.profiling.network_profiling": ("measure_networks",),
    "donna_hw.profiling.profiler": ("profile_space",),
    "donna_hw.profiling.timed_costs": ("ProfilingBudget",),
    "donna_hw.search.api": ("SearchRequest", "SearchSettings", "run_search"),
    "donna_hw.search.pareto_front": ("ParetoFront",),
    "donna_hw.simulator.hardware": ("Hardware",),
    "donna_hw.simulator.onnx_frontend.reader": ("read_onnx",),
    "donna_hw.simulator.simulate": ("simulate",),
    "donna_hw.spaces": ("list_spaces", "load_space"),
    "donna_hw.spaces.cells": ("Classifier", "ConvNormAct", "InvertedResidual"),
    "donna_hw.spaces.from_model.partition": ("space_from_model", "suggest_boundaries"),
    "donna_hw.spaces.space": ("Architecture", "Space"),
    "donna_hw.spaces.stage": ("Axis", "Stage"),
    "donna_hw.tables.comparison": ("compare_tables",),
    "donna_hw.tables.latency_table": ("LatencyTable",),
    "donna_hw.training.libraries": ("ArchitectureLibrary", "BlockLibrary"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Architecture",
    "ArchitectureLibrary",
    "Axis",
    "BlockLibrary",
    "Classifier",
    "ConvNormAct",
    "Device",
    "DonnaError",
    "Hardware",
    "InvertedResidual",
    "LatencyTable",
    "ParetoFront",
    "ProfilingBudget",
    "Protocol",
    "Recipe",
    "SearchRequest",
    "SearchSettings",
    "Space",
    "Stage",
    "TorchLayer",
    "__version__",
    "compare_tables",
    "count_module",
    "export_network",
    "fit_cost",
    "fit_predictor",
    "list_devices",
    "list_spaces",
    "load_cost",
    "load_network",
    "load_predictor",
    "load_space",
    "measure_networks",
    "open_run",
    "profile_space",
    "read_onnx",
    "run_search",
    "simulate",
    "space_from_model",
    "suggest_boundaries",
]

if not TYPE_CHECKING:  # a type checker reads the imports above, and reports every other name as unknown

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return import_module("importlib.metadata").version("donna-hw")
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'donna_hw' has no attribute {name!r}; public names: {', '.join(__all__)}")
        return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
