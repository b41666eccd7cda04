"""donna_hw: profile blocks on a device, keep latency tables, search for the best network at every cost (DONNA, ICCV 2021).

The public names are loaded when they are first used: importing donna_hw imports neither torch nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ArchitectureLibrary": "donna_hw.training.libraries",
    "Architecture": "donna_hw.spaces.space",
    "Axis": "donna_hw.spaces.stage",
    "FeatureBasis": "donna_hw.costs.basis",
    "BlockCycleCache": "donna_hw.simulator.block_cache",
    "BlockLibrary": "donna_hw.training.libraries",
    "Classifier": "donna_hw.spaces.cells",
    "TableComparison": "donna_hw.tables.comparison",
    "Counts": "donna_hw.graph.flops",
    "ConvNormAct": "donna_hw.spaces.cells",
    "Device": "donna_hw.devices.device",
    "DonnaError": "donna_hw.errors",
    "ProfilingBudget": "donna_hw.profiling.timed_costs",
    "InvertedResidual": "donna_hw.spaces.cells",
    "FittedCost": "donna_hw.costs.hierarchical",
    "LatencyTable": "donna_hw.tables.latency_table",
    "ParetoFront": "donna_hw.search.pareto_front",
    "Hardware": "donna_hw.simulator.hardware",
    "Protocol": "donna_hw.measurement.protocol",
    "SearchRequest": "donna_hw.search.api",
    "Recipe": "donna_hw.pipeline.recipe",
    "SearchSettings": "donna_hw.search.api",
    "SimulationResult": "donna_hw.simulator.results",
    "Space": "donna_hw.spaces.space",
    "Stage": "donna_hw.spaces.stage",
    "TableCost": "donna_hw.costs.table_sum",
    "TorchLayer": "donna_hw.graph.torch_layer",
    "complete_table": "donna_hw.costs.table_completion",
    "compare_tables": "donna_hw.tables.comparison",
    "load_cost": "donna_hw.costs.serialization",
    "count_module": "donna_hw.graph.flops",
    "list_devices": "donna_hw.devices.device",
    "distill": "donna_hw.training.distillation.blockwise",
    "exact_front": "donna_hw.search.exact",
    "features_only": "donna_hw.experiments.detection.features",
    "finetune": "donna_hw.training.finetuning.finetune",
    "fit_cost": "donna_hw.costs.fit",
    "export_network": "donna_hw.pipeline.export",
    "fit_gp_latency_model": "donna_hw.costs.gaussian_process",
    "fit_predictor": "donna_hw.predictors.factory",
    "load_network": "donna_hw.pipeline.export",
    "load_predictor": "donna_hw.predictors.serialization",
    "load_space": "donna_hw.spaces",
    "measure_networks": "donna_hw.profiling.network_profiling",
    "nsga2": "donna_hw.search.nsga2",
    "profile_space": "donna_hw.profiling.profiler",
    "open_run": "donna_hw.pipeline.run",
    "parse_hardware": "donna_hw.simulator.hardware",
    "read_puzzle": "donna_hw.search.puzzle",
    "read_onnx": "donna_hw.simulator.onnx_frontend.reader",
    "suggest_boundaries": "donna_hw.spaces.from_model.partition",
    "get_protocol": "donna_hw.measurement.protocol",
    "run_search": "donna_hw.search.api",
    "simulate": "donna_hw.simulator.simulate",
    "list_spaces": "donna_hw.spaces",
    "space_from_model": "donna_hw.spaces.from_model.partition",
    "default_blocks": "donna_hw.spaces.from_model.candidates",
    "run_stress_test": "donna_hw.profiling.stress",
    "add_cell": "donna_hw.spaces.extend",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  the names of the map above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'donna_hw' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
