"""Run: a recipe and its folder, with the space, data, libraries, device and costs that they define."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from donna_hw._core.files import hold_lock
from donna_hw._core.units import parse_quantity
from donna_hw.costs.base import CostModel
from donna_hw.costs.serialization import load_cost
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import graph_dtypes
from donna_hw.measurement.protocol import Protocol
from donna_hw.pipeline.recipe import Recipe, find_recipe, save_recipe
from donna_hw.predictors.serialization import load_predictor
from donna_hw.profiling.network_profiling import measure_networks
from donna_hw.profiling.workers.base import WorkerFactory
from donna_hw.profiling.workers.ray import ray_worker_factory
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import find_table
from donna_hw.training.data import Dataset, load_dataset
from donna_hw.training.data.dataset import Augmentation
from donna_hw.training.executors import Executor, ProcessExecutor
from donna_hw.training.large_scale.distributed import read_rank_and_world_size
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary
from donna_hw.training.ray_executor import RayExecutor, remove_shared_markers


@dataclass(frozen=True)
class Run:
    """A recipe in its folder; the functions of `donna_hw.pipeline.steps` take it and write their results there.

    Attributes:
        recipe: All settings.
        folder: Where every result of the run is saved.
        executor: Does the tasks of training: processes of this machine, or the hosts of a Ray cluster.
        command: The command that repeats the run, for reports.
        cluster: Address of the Ray cluster, None without one.
    """

    recipe: Recipe
    folder: Path
    executor: Executor
    command: str = ""
    cluster: str | None = None

    @cached_property
    def space(self) -> Space:
        """The recipe's search space.

        Raises:
            ConfigError: The space has a global axis, although a run's images have one size, or its reference is in INT8.
        """
        space = load_space(self.recipe.space)
        if space.global_axes:
            raise ConfigError(
                "a run needs a space without global axes",
                got=", ".join(axis.name for axis in space.global_axes),
                hint=f"choose one value of each, such as {space.name}@{space.input_shape[1]}px",
            )
        if "int8" in graph_dtypes(space.network_graph(space.reference)):
            raise ConfigError(
                "a run needs a space whose reference is in float32, since the reference is trained",
                got=self.recipe.space,
                hint="name the space SPACE@precision, which has float32 and 8-bit blocks",
            )
        return space

    @cached_property
    def data(self) -> Dataset:
        """The recipe's images."""
        config = self.recipe.data
        data = load_dataset(config.name, config.held_out, config.folder, self.recipe.seed, self.space)
        return replace(data, augmentation=Augmentation(config.crop, config.flip))

    @property
    def blocks(self) -> BlockLibrary:
        """The Block Library in the run's folder."""
        return BlockLibrary(self.folder / "block_library", self.space)

    def qualities(self) -> tuple[np.ndarray, ...]:
        """Return the metrics of every block that the predictor reads, [stage][block] or [stage][block, metric]."""
        return self.blocks.qualities(self.recipe.library.quality)

    @property
    def architectures(self) -> ArchitectureLibrary:
        """The Architecture Library in the run's folder."""
        return ArchitectureLibrary(self.folder / "architecture_library", self.space)

    @property
    def tables(self) -> Path:
        """The folder of the run's latency tables."""
        return self.folder / "latency_tables"

    @property
    def reference_weights(self) -> Path:
        """The file of the reference's weights."""
        return self.folder / "reference" / "weights.safetensors"

    @cached_property
    def device(self) -> Device:
        """The device that latencies are measured on."""
        return Device.load(self.recipe.latency.device)

    @property
    def measurement_workers(self) -> WorkerFactory:
        """Creates the workers that measure: processes of this machine, or the hosts of the cluster that have the device."""
        return create_subprocess_workers if self.cluster is None else ray_worker_factory(self.cluster)

    @property
    def protocol(self) -> Protocol:
        """The device's protocol with the recipe's number of rounds."""
        rounds = self.recipe.latency.rounds
        return self.device.protocol if rounds is None else replace(self.device.protocol, rounds=rounds)

    def networks(self, rows: Rows) -> list[Architecture]:
        """Return rows, int [n, stages], as architectures."""
        return [self.space.architecture(row) for row in rows]

    def network_names(self, rows: Rows) -> list[str]:
        """Return the names of networks, int [n, stages], as the files of a run have them."""
        return [self.space.network_name(network) for network in self.networks(rows)]

    def latency_table(self) -> LatencyTable:
        """Return the table of the recipe's device; raises `TableError` before `profile_blocks` has measured it."""
        return find_table([self.tables], self.device.name, self.space.name)

    def cost(self, device: str) -> CostModel:
        """Return a device's cost model from the run's table and its correction."""
        return load_cost(self.space, find_table([self.tables], device, self.space.name))

    def constraint_bounds(self, units: dict[str, str]) -> dict[str, float]:
        """Return the recipe's upper bounds of costs.

        Args:
            units: The unit of each cost of the search, by its name.

        Raises:
            ConfigError: A bound is no quantity of its cost's unit.
            UnknownNameError: A bound is on no cost of the search.
        """
        for name in self.recipe.search.constraints.keys() - units.keys():
            raise UnknownNameError("unknown cost in search.constraints", got=name, choices=sorted(units))
        return {name: parse_quantity(text, units[name]) for name, text in self.recipe.search.constraints.items()}

    def search_problem(self) -> SearchProblem:
        """Return what the recipe's search looks for: the fitted predictor, its costs and their constraints."""
        predictor = load_predictor(self.folder / "predictor.toml")
        costs = [self.cost(name) for name in self.recipe.cost_devices]
        bounds = self.constraint_bounds({cost.name: cost.unit for cost in costs})
        constraints = [Constraint(cost, bounds[cost.name]) for cost in costs if cost.name in bounds]
        return SearchProblem(self.space, self.qualities(), predictor, costs, constraints)

    def measure(self, table: LatencyTable, rows: Rows) -> np.ndarray:
        """Return the measured latencies of whole networks in seconds, float [n]; only those not yet measured are measured.

        Args:
            table: The device's table, next to which the measurements are saved.
            rows: The networks, int [n, stages].
        """
        return measure_networks(
            self.space, self.device, table, self.networks(rows), self.protocol, workers=self.measurement_workers
        )


@contextmanager
def open_run(
    recipe_name: str,
    out: Path | None = None,
    seed: int | None = None,
    *,
    distributed: bool = False,
    cluster: str | None = None,
) -> Iterator[Run]:
    """Open the run of a recipe, or begin it; only one process at a time may write its folder.

    Args:
        recipe_name: A recipe's file, or the name of a shipped one.
        out: The run's folder; by default `runs/<recipe>`, or `runs/<recipe>-seed<n>` where `seed` is given.
        seed: Replaces the recipe's seed.
        distributed: Whether the step may run in several processes that torchrun started; the first of them holds the lock.
        cluster: Address of a Ray cluster that does the work; all its hosts must share the folder.

    Raises:
        ConfigError: The folder holds a run of other settings (the first difference is named), or the step cannot run in several processes.
        LockedError: Another process writes the folder.
    """
    rank, processes = read_rank_and_world_size()
    if processes > 1 and not distributed:
        raise ConfigError(
            "this step cannot run in several processes; only reference and finetune can",
            got=f"{processes} processes",
            hint="start it without torchrun",
        )
    if processes > 1 and cluster is not None:
        raise ConfigError(
            "torchrun and a Ray cluster cannot share one training",
            got=f"{processes} processes and --cluster",
            hint="choose one of them",
        )
    path = find_recipe(recipe_name)
    # an absolute path would be this machine's: a page that others read names the file as one among the recipes
    shown = recipe_name if Path(recipe_name).is_file() and not path.is_absolute() else f"recipes/{path.stem}.toml"
    recipe, name, command = Recipe.read(path), path.stem, f"donna-hw run {shown}"
    if seed is not None:
        recipe = recipe.model_copy(update={"seed": seed})
        name, command = f"{name}-seed{seed}", f"{command} --seed {seed}"
    folder = out or Path("runs") / name
    with hold_lock(folder / ".lock") if rank == 0 else nullcontext():
        if rank == 0:
            save_recipe(recipe, folder)
            remove_shared_markers(folder)
        executor = ProcessExecutor(recipe.processes) if cluster is None else RayExecutor(cluster, folder)
        try:
            yield Run(recipe, folder if cluster is None else folder.resolve(), executor, command, cluster)
        finally:
            executor.close()
