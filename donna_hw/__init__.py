"""donna_hw: profile blocks on a device, keep latency tables, search for the best network at every cost (DONNA, ICCV 2021).

The public names are loaded when they are first used: importing donna_hw imports neither torch nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ArchitectureLibrary": "donna_hw.libraries",
    "Architecture": "donna_hw.spaces.space",
    "Axis": "donna_hw.spaces.stage",
    "Basis": "donna_hw.costs.basis",
    "BlockCycles": "donna_hw.simulator.blocks",
    "BlockLibrary": "donna_hw.libraries",
    "Classifier": "donna_hw.blocks.cells",
    "Comparison": "donna_hw.compare",
    "Counts": "donna_hw.counting.module",
    "ConvNormAct": "donna_hw.blocks.cells",
    "Device": "donna_hw.device",
    "DonnaError": "donna_hw.errors",
    "Effort": "donna_hw.profiling.filling",
    "InvertedResidual": "donna_hw.blocks.cells",
    "FittedCost": "donna_hw.costs.fitted",
    "LatencyTable": "donna_hw.table",
    "ParetoFront": "donna_hw.search.front",
    "Hardware": "donna_hw.simulator.hardware",
    "Protocol": "donna_hw.measurement.protocol",
    "Question": "donna_hw.search.command",
    "Recipe": "donna_hw.recipe",
    "SearchSettings": "donna_hw.search.methods",
    "Simulation": "donna_hw.simulator.simulation",
    "Space": "donna_hw.spaces.space",
    "Stage": "donna_hw.spaces.stage",
    "TableCost": "donna_hw.costs.table_cost",
    "TorchLayer": "donna_hw.custom.torch_layer",
    "complete_table": "donna_hw.costs.complete",
    "compare_tables": "donna_hw.compare",
    "cost_of": "donna_hw.costs.kept",
    "count_module": "donna_hw.counting.module",
    "device_names": "donna_hw.device",
    "distill": "donna_hw.distillation.blockwise",
    "exact_front": "donna_hw.search.exact",
    "features_only": "donna_hw.detection.features",
    "finetune": "donna_hw.distillation.finetune",
    "fit_cost": "donna_hw.costs.fit",
    "export_network": "donna_hw.export",
    "fit_learned": "donna_hw.costs.learned",
    "fit_predictor": "donna_hw.predictors.fit",
    "load_network": "donna_hw.export",
    "load_predictor": "donna_hw.predictors.kept",
    "load_space": "donna_hw.spaces",
    "measure_networks": "donna_hw.profiling.profile",
    "nsga2": "donna_hw.search.nsga2",
    "profile_space": "donna_hw.profiling.profile",
    "open_run": "donna_hw.run",
    "read_hardware": "donna_hw.simulator.hardware",
    "read_puzzle": "donna_hw.imports.puzzle",
    "read_onnx": "donna_hw.simulator.onnx_reader",
    "propose_boundaries": "donna_hw.splitting.split",
    "protocol_named": "donna_hw.measurement.protocol",
    "search_space": "donna_hw.search.command",
    "simulate": "donna_hw.simulator.simulate",
    "space_names": "donna_hw.spaces",
    "stages_from": "donna_hw.splitting.split",
    "stock_blocks": "donna_hw.splitting.stock",
    "sustain": "donna_hw.sustained",
    "with_cell": "donna_hw.spaces.extended",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  the names of the map above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'donna_hw' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
