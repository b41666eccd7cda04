"""Latency tables of Once-for-All and ProxylessNAS: YAML of layers, made into a latency table of a space.

Schema, from the public readers (mit-han-lab/once-for-all, `latency_lookup_table.py`; mit-han-lab/proxylessnas, `latency_estimator.py`): a
mapping of a layer's key to {mean: time}. A key is `<type>-input:<h>x<w>x<c>-output:<h>x<w>x<c>`, and for the type `expanded_conv`, one
inverted bottleneck, goes on with `-expand:<e>-kernel:<k>-stride:<s>-idskip:<0|1>`. In ProxylessNAS's tables e is the ratio; in those of
Once-for-All it is the number of hidden channels, and `-se:<0|1>-hs:<0|1>` follow (squeeze-and-excite, Hard-Swish). The files name no
unit. Other fields than `mean` are not read: what they are is not public.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path

import pandas as pd

from donna_hw._core.files import read_text
from donna_hw.errors import ConfigError, FileFormatError, TableError, UnknownNameError
from donna_hw.graph.builder import Block
from donna_hw.graph.graph import Graph, Layer, Shape
from donna_hw.measurement.environment import Scalar
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual, Skip
from donna_hw.spaces.sections import lower_sections
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts
from donna_hw.tables.table_info import TableInfo, table_path

FORMATS = {"ofa": "once-for-all", "proxylessnas": "ProxylessNAS"}
LAYER_TYPES = {"ofa": ("Conv", "Conv_1", "AvgPool2D", "Conv_2", "Logits"), "proxylessnas": ("Conv", "Conv_1", "Logits")}
KEY_FIELDS = {
    "ofa": ("expand", "kernel", "stride", "idskip", "se", "hs"),
    "proxylessnas": ("expand", "kernel", "stride", "idskip"),
}
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True)
class LookupTable:
    """The layers of a file.

    Attributes:
        path: The file.
        kind: Its format, a key of `FORMATS`.
        unit: The unit of its times, as given by the user.
        seconds: {key of a layer: time in seconds}.
    """

    path: Path
    kind: str
    unit: str
    seconds: Mapping[str, float]

    @classmethod
    def read(cls, path: Path, kind: str, unit: str) -> LookupTable:
        """Read a file, every entry of it.

        Args:
            path: The YAML.
            kind: Its format, a key of `FORMATS`.
            unit: The unit of its times, a key of `UNITS`.

        Raises:
            FileFormatError: For a file of another form.
            TableError: For a key that is not of the format, or a time that is not finite and above zero.
            UnknownNameError: For an unknown unit.
        """
        import yaml

        if unit not in UNITS:
            raise UnknownNameError("unknown unit", got=unit, choices=list(UNITS))
        try:
            content = yaml.load(read_text(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  a safe one
        except yaml.YAMLError as error:
            raise FileFormatError(f"{path}: not YAML of plain values: {error}", hint="name such a file") from None
        if not isinstance(content, dict) or not content:
            raise FileFormatError(
                f"{path} must map layers to times", got=type(content).__name__, hint="name such a file"
            )
        seconds = {}
        for key, entry in content.items():
            _validate_key(str(key), kind, path)
            mean = entry.get("mean") if isinstance(entry, dict) else None
            if isinstance(mean, bool) or not isinstance(mean, int | float) or not isfinite(mean) or mean <= 0:
                raise TableError(
                    f"{path}: {key} must have a mean, a finite number above zero",
                    got=str(mean if isinstance(entry, dict) else entry),
                    hint="fix the entry",
                )
            seconds[str(key)] = UNITS[unit] * mean
        return cls(path, kind, unit, seconds)

    def to_table(self, space: Space, device: str, root: Path) -> LatencyTable:
        """Write the table of a space whose layers are all in the file; a block of several layers costs their sum.

        The origin of the table is `published`, since the file has no intervals.

        Args:
            space: The space, at one resolution.
            device: The name of the device.
            root: The folder of tables.

        Raises:
            ConfigError: For a space with global axes, or a block that the format has no key for.
            TableError: When layers are missing, with the first of them.
        """
        if space.global_axes:
            raise ConfigError(
                f"a table needs one resolution of {space.name}",
                hint=f"choose one, such as {space.name}@{space.input_shape[1]}px",
            )
        records, used = [], dict[str, None]()
        axes = list(dict.fromkeys(axis.name for stage in space.stages for axis in stage.axes))
        for part in list_parts(space):
            keys = layer_keys(part.block, part.graph.input_shape, self.kind, part.name)
            used |= dict.fromkeys(keys)
            cells = {axis: part.key_cells.get(axis, "") for axis in axes}
            cost = sum(self.seconds.get(key, 0.0) for key in keys)
            records.append(
                {"part": part.key_cells["part"], **cells, "layers_hash": part.layers_hash, "latency_s": cost}
            )
        missing = [key for key in used if key not in self.seconds]
        if missing:
            raise TableError(
                f"{self.path}: {len(missing)} of {len(used)} layers of {space.name} are missing: "
                f"{', '.join(missing[:3])}{' ...' * (len(missing) > 3)}",
                hint="name the space and the resolution that the file is of",
            )
        path = table_path(root, device, space.name, self.kind)
        LatencyTable(self._info(space, device, len(used)), pd.DataFrame(records), path).write()
        return LatencyTable.read(path)

    def _info(self, space: Space, device: str, used: int) -> TableInfo:
        identity: dict[str, Scalar] = {
            "source": f"a latency table of {FORMATS[self.kind]}",
            "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
            "unit_in_file": self.unit,
            "mode": "isolated",
            "input_shape": "x".join(map(str, space.input_shape)),
            "space_hash": space.hash,
        }
        return TableInfo(
            device=device,
            space=space.name,
            quantity="latency",
            unit="s",
            origin="published",
            column="latency_s",
            identity=identity,
            conditions={"file": self.path.name, "layers_in_file": len(self.seconds), "layers_used": used},
            donna_hw=version("donna-hw"),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def layer_keys(block: Block, shape: Shape, kind: str, name: str) -> list[str]:
    """Return the keys of a block's layers.

    Args:
        block: The block.
        shape: Its input shape (channels, height, width).
        kind: The format, a key of `FORMATS`.
        name: The name of its part; `stem` for the first convolution.

    Raises:
        ConfigError: For a block that the format has no key for.
    """
    graphs = lower_sections(block, shape)
    if isinstance(block, InvertedResidual):
        return [_bottleneck(graph, kind) for graph in graphs]
    [graph] = graphs
    if not graph.layers and isinstance(block, Skip):
        return []
    if isinstance(block, ConvNormAct) and (name == "stem" or block.kernel == 1):
        return [_shape_key("Conv" if name == "stem" else "Conv_1", graph.input_shape, graph.output_shape)]
    if isinstance(block, Classifier):
        return _classifier(graph, kind)
    raise ConfigError(
        f"{name}: only a stem, an inverted bottleneck, a 1x1 convolution or a classifier has a key",
        got=type(block).__name__,
    )


def _bottleneck(graph: Graph, kind: str) -> str:
    layers = {layer.operator: layer for layer in graph.layers}
    [spatial] = [layer for layer in graph.layers if layer.operator == "conv" and layer.groups == layer.in_shape[0] > 1]
    hidden, into = spatial.in_shape[0], graph.input_shape[0]
    settings = {
        "expand": hidden if kind == "ofa" else hidden // into,
        "kernel": spatial.kernel,
        "stride": spatial.stride,
        "idskip": int("add" in layers),
    }
    if kind == "ofa":
        settings |= {"se": int("scale" in layers), "hs": int(spatial.activation == "hard_swish")}
    elif "scale" in layers or hidden % into:
        raise ConfigError("a bottleneck of ProxylessNAS must have a whole expansion and no gate", got=spatial.name)
    words = "-".join(f"{name}:{value}" for name, value in settings.items())
    return f"{_shape_key('expanded_conv', graph.input_shape, graph.output_shape)}-{words}"


def _classifier(graph: Graph, kind: str) -> list[str]:
    linear: list[Layer] = [layer for layer in graph.layers if layer.operator == "linear"]
    channels = graph.input_shape[0]
    if kind == "proxylessnas" and len(linear) == 1:
        return [_shape_key("Logits", graph.input_shape, graph.output_shape)]
    if kind == "ofa" and len(linear) == 2:
        hidden = linear[0].out_shape[0]
        return [
            _shape_key("AvgPool2D", graph.input_shape, (channels, 1, 1)),
            _shape_key("Conv_2", (channels, 1, 1), (hidden, 1, 1)),
            _shape_key("Logits", (hidden, 1, 1), graph.output_shape),
        ]
    raise ConfigError(f"a classifier of {FORMATS[kind]} cannot have this number of linear layers", got=len(linear))


def _shape_key(kind: str, before: Shape, after: Shape) -> str:
    """Return a key without settings; its shapes are height x width x channels."""
    shapes = ["x".join(map(str, (*shape[1:], shape[0]))) for shape in (before, after)]
    return f"{kind}-input:{shapes[0]}-output:{shapes[1]}"


def _validate_key(key: str, kind: str, path: Path) -> None:
    """Raise `TableError` for a key that is not of the format: guessing what it means could make a plausible wrong table."""
    name, *words = key.split("-")
    expected = ("input", "output", *(KEY_FIELDS[kind] if name == "expanded_conv" else ()))
    pairs = [word.partition(":") for word in words]
    sizes = [value.split("x") for _, _, value in pairs]
    whole = all(size.isdecimal() for value in sizes for size in value)
    if (
        name not in (*LAYER_TYPES[kind], "expanded_conv")
        or tuple(word for word, _, _ in pairs) != expected
        or not whole
    ):
        raise TableError(
            f"{path}: a key must be a layer of {FORMATS[kind]}: {', '.join(LAYER_TYPES[kind])} or expanded_conv, {'-'.join(expected)}",
            got=key,
            hint="name the other format, or delete the entry",
        )
