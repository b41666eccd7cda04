"""Export of networks: as ONNX, as torch weights, and as a TOML that rebuilds the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from donna_hw._core.files import read_text, write_atomic
from donna_hw._core.toml_files import StrictModel, read_model, write_toml
from donna_hw.errors import ConfigError, FileFormatError, UnknownNameError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Space
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

if TYPE_CHECKING:
    from donna_hw.graph.torch_module import GraphModule

FORMATS = ("onnx", "torch", "toml")


class NetworkFile(StrictModel):
    """The keys of a network's TOML; the space, the label of each stage's block and that of each global axis's value rebuild it.

    Attributes:
        donna_hw: The version that wrote it.
        space: What `load_space` is given.
        layers_hash: Of the whole network.
        weights: The safetensors file in the same folder; "" without one.
        weights_from: Where the weights come from, in words.
        blocks: The label of each stage's block.
        settings: The label of each global axis's value.
        predicted: What was predicted of it, by names that end in the unit.
    """

    donna_hw: str
    space: str
    layers_hash: str
    weights: str = ""
    weights_from: str
    blocks: dict[str, str]
    settings: dict[str, str] = Field(default={})
    predicted: dict[str, float] = Field(default={})


@dataclass(frozen=True)
class ExportedNetwork:
    """A network that was read back: its TOML, its space, its architecture, its layers, and the path of the TOML."""

    file: NetworkFile
    space: Space
    architecture: Architecture
    graph: Graph
    path: Path

    def module(self) -> GraphModule:
        """Return the torch module with the exported weights, in evaluation mode; raises `FileFormatError` without weights."""
        from donna_hw.graph.torch_module import to_torch
        from donna_hw.training.checkpoints import load_weights

        if not self.file.weights:
            raise FileFormatError(f"{self.path} names no weights", hint="export with --format torch --format toml")
        module = to_torch(self.graph, seed=0)
        load_weights(module, self.path.parent / self.file.weights)
        return module.eval()


def export_network(
    space: Space,
    architecture: Architecture,
    stem: Path,
    formats: Sequence[str] = FORMATS,
    *,
    weights_from: Path | None = None,
    predicted: Mapping[str, float] | None = None,
) -> list[Path]:
    """Write a network as `<stem>.onnx` (batch 1), `<stem>.safetensors` and `<stem>.toml`.

    Args:
        space: The search space.
        architecture: The network.
        stem: Path of the files without their endings.
        formats: Which files to write: `onnx`, `torch`, `toml`.
        weights_from: The folder of a run, whose finetuned network is exported, or else the network of its distilled blocks; None:
            random weights, the same every time. The TOML states which.
        predicted: What was predicted of the network, by names that end in the unit; saved in the TOML.

    Returns:
        The written files.

    Raises:
        ConfigError: No format is named.
        FileFormatError: The run has no such weights.
        UnknownNameError: A format is unknown.
    """
    from donna_hw.training.checkpoints import save_weights

    validate_formats(formats)
    module, origin = build_module(space, architecture, weights_from)
    written = []
    if "torch" in formats:
        written.append(stem.with_name(f"{stem.name}.safetensors"))
        save_weights(module, written[-1])
    if "onnx" in formats:
        from donna_hw.graph.onnx_export import to_onnx

        written.append(stem.with_name(f"{stem.name}.onnx"))
        state = {key: value.detach().numpy() for key, value in module.state_dict().items()}
        write_atomic(written[-1], to_onnx(module.graph, weights=state).SerializeToString())
    if "toml" in formats:
        labels, axes = space.labels(architecture), {axis.name for axis in space.global_axes}
        content = NetworkFile(
            donna_hw=version("donna-hw"),
            space=space.load_name or space.name,
            layers_hash=layers_hash(module.graph),
            weights=f"{stem.name}.safetensors" if "torch" in formats else "",
            weights_from=origin,
            blocks={name: label for name, label in labels.items() if name not in axes},
            settings={name: label for name, label in labels.items() if name in axes},
            predicted=dict(predicted or {}),
        )
        written.append(stem.with_name(f"{stem.name}.toml"))
        write_toml(written[-1], content.model_dump())
    return written


def load_network(path: Path) -> ExportedNetwork:
    """Read a network's TOML and rebuild its layers.

    Args:
        path: The TOML that `export_network` wrote.

    Returns:
        The network; its method `module` gives the torch module.

    Raises:
        FileFormatError: The file is damaged, or the space has changed since, so that the layers are others.
        UnknownNameError: The file names a stage, block or axis that the space lacks.
    """
    file = read_model(path, NetworkFile)
    if file.weights and Path(file.weights).name != file.weights:
        raise FileFormatError(
            f"{path}: weights must be a file of the same folder", got=file.weights, hint="name one without a folder"
        )
    space = load_space(file.space)
    stages, axes = {stage.name for stage in space.stages}, {axis.name for axis in space.global_axes}
    for kind, names, known in (("stage", file.blocks, stages), ("global axis", file.settings, axes)):
        for name in names.keys() - known:
            raise UnknownNameError(f"{path}: unknown {kind} of {space.name}", got=name, choices=sorted(known))
    architecture = space.architecture_from_labels({**file.blocks, **file.settings})
    graph = space.network_graph(architecture)
    if layers_hash(graph) != file.layers_hash:
        raise FileFormatError(
            f"{path}: the layers of {file.space} have changed since the export; layers_hash must be {layers_hash(graph)}",
            got=file.layers_hash,
            hint="export again",
        )
    return ExportedNetwork(file, space, architecture, graph, path)


def build_module(space: Space, architecture: Architecture, run: Path | None) -> tuple[GraphModule, str]:
    """Return a network in evaluation mode, with weights of a run or random ones, and where they come from, in words."""
    from donna_hw.graph.torch_module import to_torch

    if run is None:
        return to_torch(space.network_graph(architecture), seed=0).eval(), "random, seed 0: nothing was trained"
    finetuned = ArchitectureLibrary(run / "architecture_library", space).find_weights(architecture)
    if finetuned is not None:
        from donna_hw.training.checkpoints import load_weights

        module = to_torch(space.network_graph(architecture), seed=0)
        load_weights(module, finetuned)
        return module.eval(), "finetuned whole"
    from donna_hw.training.finetuning.finetune import stitch_network

    blocks, reference = BlockLibrary(run / "block_library", space), run / "reference" / "weights.safetensors"
    return stitch_network(space, architecture, blocks, reference).eval(), "distilled blocks, not finetuned"


def validate_formats(formats: Sequence[str]) -> None:
    """Raise `UnknownNameError` for an unknown format, `ConfigError` without any."""
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("unknown format", got=name, choices=FORMATS)
    if not formats:
        raise ConfigError("no format is named to export", choices=FORMATS)


def read_front_networks(space: Space, front: Path) -> list[tuple[Architecture, dict[str, float]]]:
    """Return every network of a front's CSV with what was predicted of it, by names that end in the unit.

    Raises `FileFormatError` for a file that is no front of the space, `UnknownNameError` for an unknown label.
    """
    try:
        frame = pd.read_csv(StringIO(read_text(front)), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FileFormatError(
            f"{front} is no CSV of a front", got=str(error), hint="search again with --output"
        ) from None
    names = [*(stage.name for stage in space.stages), *(axis.name for axis in space.global_axes)]
    missing = [name for name in names if name not in frame]
    if missing:
        raise FileFormatError(
            f"{front} has no column {missing[0]}", got=", ".join(map(str, frame)), hint=f"search {space.name}"
        )
    networks = []
    for record in frame.to_dict("records"):
        cells = {str(key): cell for key, cell in record.items() if key not in names}
        predicted = {key: float(cell) for key, cell in cells.items() if _is_number(cell)}
        networks.append((space.architecture_from_labels({name: record[name] for name in names}), predicted))
    return networks


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
