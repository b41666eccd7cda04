"""RunFolder: a recipe, its folder, and what the two name: space, images, libraries, device. Nothing is trained or measured here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError
from donna_hw.graph.graph import graph_dtypes
from donna_hw.measurement.protocol import Protocol
from donna_hw.pipeline.recipe import Recipe
from donna_hw.profiling.workers.base import WorkerFactory
from donna_hw.profiling.workers.ray import ray_worker_factory
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.training.data import Dataset, load_dataset
from donna_hw.training.data.dataset import Augmentation
from donna_hw.training.executors import Executor
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary


@dataclass(frozen=True)
class RunFolder:
    """A recipe, its folder, who does its tasks, the command that repeats it, and the address of a Ray cluster, if it has one."""

    recipe: Recipe
    folder: Path
    pool: Executor
    command: str = ""
    cluster: str | None = None

    @cached_property
    def space(self) -> Space:
        """The recipe's search space; raises `ConfigError` for one with a global axis, since a run's images have one size, or all in INT8."""
        space = load_space(self.recipe.space)
        if space.global_axes:
            rule, cure = "a run is of one setting of each global axis", f"such as {space.name}@{space.input_shape[1]}px"
            raise ConfigError(rule, got=", ".join(axis.name for axis in space.global_axes), hint=cure)
        if "int8" in graph_dtypes(space.network_graph(space.reference)):
            rule = "a run's reference is trained, in float32: 8-bit blocks are made of float32 ones beside them"
            raise ConfigError(rule, got=self.recipe.space, hint="name the space SPACE@precision, which has both")
        return space

    @cached_property
    def data(self) -> Dataset:
        """The recipe's images."""
        part = self.recipe.data
        data = load_dataset(part.name, part.held_out, part.folder, self.recipe.seed, self.space)
        return replace(data, augmentation=Augmentation(part.crop, part.flip))

    @property
    def blocks(self) -> BlockLibrary:
        """The Block Library in the run's folder."""
        return BlockLibrary(self.folder / "block_library", self.space)

    def qualities(self) -> tuple[np.ndarray, ...]:
        """Return what the predictor reads of every block, [stage][block]."""
        return self.blocks.qualities(self.recipe.library.quality)

    @property
    def architectures(self) -> ArchitectureLibrary:
        """The Architecture Library in the run's folder."""
        return ArchitectureLibrary(self.folder / "architecture_library", self.space)

    @property
    def tables(self) -> Path:
        """The folder of the run's latency tables."""
        return self.folder / "latency_tables"

    @cached_property
    def device(self) -> Device:
        """The device that latencies are measured on."""
        return Device.load(self.recipe.latency.device)

    @property
    def measurement_workers(self) -> WorkerFactory:
        """Who measures: processes of this machine, or the hosts of the cluster that have the device."""
        return create_subprocess_workers if self.cluster is None else ray_worker_factory(self.cluster)

    @property
    def protocol(self) -> Protocol:
        """The device's protocol with the recipe's number of rounds."""
        rounds = self.recipe.latency.rounds
        return self.device.protocol if rounds is None else replace(self.device.protocol, rounds=rounds)

    def networks(self, rows: Rows) -> list[Architecture]:
        """Return rows as architectures."""
        return [self.space.architecture(row) for row in rows]
