"""Networks of a front as files: ONNX, torch weights, and a TOML that rebuilds the network."""

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
    """The keys of a network's TOML: a space, the label of each stage's block, and of each global axis's value rebuild it.

    layers_hash: of the whole network. weights: the safetensors beside it, "" without. weights_from: where these are from, in words.
    predicted: what its front said of it, units in the names. donna_hw: the version that wrote it.
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
    """A network that was read back: what its TOML says, its space, its place in it, its layers and the file of its weights."""

    file: NetworkFile
    space: Space
    architecture: Architecture
    graph: Graph
    path: Path

    def module(self) -> GraphModule:
        """Return the torch module with the exported weights, in evaluation mode; raises `FileFormatError` when they are not there."""
        from donna_hw.graph.torch_module import to_torch
        from donna_hw.training.checkpoints import load_weights

        if not self.file.weights:
            raise FileFormatError(
                f"{self.path} must name its weights", got="none", hint="export with --format torch --format toml"
            )
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
    """Write a network as `<stem>.onnx` (batch 1), `.safetensors` and `.toml`, and return what was written.

    weights_from: the folder of a run, whose finetuned network is taken, or else its distilled blocks; None: random weights, the same every
    time. The TOML says which. Raises `UnknownNameError` for a format and `FileFormatError` where the run has no such weights.
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
    """Read a network's TOML and rebuild its layers; raises `FileFormatError` when they are not those that were exported."""
    file = read_model(path, NetworkFile)
    if file.weights and Path(file.weights).name != file.weights:
        raise FileFormatError(
            f"{path} must name weights beside it", got=file.weights, hint="name a file of this folder"
        )
    space = load_space(file.space)
    known = {stage.name for stage in space.stages}, {axis.name for axis in space.global_axes}
    for names, right in zip((file.blocks, file.settings), known, strict=True):
        for name in names.keys() - right:
            raise UnknownNameError(f"{path} must name parts of {space.name}", got=name, choices=sorted(right))
    architecture = space.architecture_from_labels({**file.blocks, **file.settings})
    graph = space.network_graph(architecture)
    if layers_hash(graph) != file.layers_hash:
        raise FileFormatError(
            f"{path} must be of the layers {layers_hash(graph)} that {file.space} draws now",
            got=file.layers_hash,
            hint="the space was changed since: export again",
        )
    return ExportedNetwork(file, space, architecture, graph, path)


def build_module(space: Space, architecture: Architecture, run: Path | None) -> tuple[GraphModule, str]:
    """Return a network in evaluation mode, with weights of a run or random ones, and where they are from, in words."""
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
    """Raise `UnknownNameError` for a format that is none, `ConfigError` without any."""
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("a format must be a known one", got=name, choices=FORMATS)
    if not formats:
        raise ConfigError("an export needs a format", got="none", choices=FORMATS)


def read_front_networks(space: Space, front: Path) -> list[tuple[Architecture, dict[str, float]]]:
    """Return every network of a front's CSV with what was predicted of it, units in the names; raises `FileFormatError` and `UnknownNameError`."""
    try:
        frame = pd.read_csv(StringIO(read_text(front)), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FileFormatError(
            f"{front} must be a front's CSV", got=str(error), hint="search again with --out"
        ) from None
    names = [*(stage.name for stage in space.stages), *(axis.name for axis in space.global_axes)]
    missing = [name for name in names if name not in frame]
    if missing:
        raise FileFormatError(
            f"{front} must have a column {missing[0]}", got=", ".join(map(str, frame)), hint=f"search {space.name}"
        )
    found = []
    for record in frame.to_dict("records"):
        others = {str(key): cell for key, cell in record.items() if key not in names}
        predicted = {key: float(cell) for key, cell in others.items() if _is_number(cell)}
        found.append((space.architecture_from_labels({name: record[name] for name in names}), predicted))
    return found


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
