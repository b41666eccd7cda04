"""Run: a recipe in its folder. Each step reads and writes plain files there, can be repeated, and goes on where it was stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from donna_hw._core.csv_files import write_csv
from donna_hw._core.files import hold_lock
from donna_hw._core.units import parse_quantity
from donna_hw.costs.base import CostModel
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.correction import CorrectionConfig, fit_correction, sample_candidates
from donna_hw.costs.serialization import load_cost, save_correction
from donna_hw.devices.backends.base import UNITS
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.torch_module import GraphModule
from donna_hw.pipeline import sampling as drawn
from donna_hw.pipeline.recipe import Recipe, find_recipe, save_recipe
from donna_hw.pipeline.recipe_schema import ReferenceConfig
from donna_hw.pipeline.run_directory import RunFolder
from donna_hw.pipeline.steps.distill import distill_blocks
from donna_hw.pipeline.steps.extend import copy_base_run, extended_rows
from donna_hw.pipeline.steps.finetune import validate_trainings
from donna_hw.pipeline.steps.quantize import train_or_quantize
from donna_hw.pipeline.steps.reference import load_or_train_reference
from donna_hw.predictors.base import FittedPredictor
from donna_hw.predictors.factory import MIN_NETWORKS, fit_predictor
from donna_hw.predictors.serialization import load_predictor
from donna_hw.profiling.network_profiling import measure_networks
from donna_hw.profiling.profiler import profile_space
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.spaces.space import Rows
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import find_table
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.data.image_folder import validate_dataset_size
from donna_hw.training.executors import ProcessExecutor
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import distributed_context, read_rank_and_world_size
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary
from donna_hw.training.ray_executor import RayExecutor, remove_shared_markers
from donna_hw.training.reference import read_reference_top1

REFIT_ROLES = ("front", "random", "scaled")  # never test networks, which judge the predictor


@dataclass(frozen=True)
class Run(RunFolder):
    """A run's steps in their order."""

    def preflight(self) -> None:
        """Raise, before hours of training, what the last steps would raise: a device that cannot be used, a cost nobody measures."""
        self.validate_images()
        validate_trainings(self)
        if self.cluster is not None:
            self.measurement_workers(self.device, self.protocol)
        units = {
            name: UNITS[Device.load(name).backend().quantity] for name in (self.device.name, *self.recipe.counters)
        }
        for name in self.recipe.cost_devices:
            if name not in units:
                raise UnknownNameError(
                    "search.costs must be the latency's device or counters", got=name, choices=list(units)
                )
        self.constraint_bounds({name: units[name] for name in self.recipe.cost_devices})

    def constraint_bounds(self, units: dict[str, str]) -> dict[str, float]:
        """Return the recipe's limits in the units of its costs; raises `ConfigError` and `UnknownNameError`."""
        for name in self.recipe.search.constraints.keys() - units.keys():
            raise UnknownNameError("a limit must be on one of the search's costs", got=name, choices=sorted(units))
        return {name: parse_quantity(text, units[name]) for name, text in self.recipe.search.constraints.items()}

    def validate_images(self) -> None:
        """Raise, before the reference is trained, what reading all images into memory would raise; training as the paper does streams."""
        streamed = not isinstance(self.recipe.reference, ReferenceConfig) and isinstance(
            self.recipe.finetune, PaperTrainingConfig
        )
        if self.recipe.data.name == "image_folder" and not streamed:
            validate_dataset_size(self.recipe.data.folder, self.space)

    def reference(self) -> GraphModule:
        """Return the reference network, trained as the recipe says, or read back from the run's folder."""
        return load_or_train_reference(self)

    def distill(self) -> BlockLibrary:
        """Train the reference network, then every block for it; of a run that extends another only the blocks that the other lacks."""
        self.validate_images()
        if self.recipe.extends is not None:
            copy_base_run(self)
        return distill_blocks(self)

    def profile(self) -> LatencyTable:
        """Measure every block, then whole networks, and correct the sum by them."""
        table = profile_space(self.space, self.device, self.tables, self.protocol, workers=self.measurement_workers)
        plan = CorrectionConfig(self.recipe.latency.calibration_networks, seed=self.recipe.seed)
        names, basis = (table.info.device, table.info.unit), FeatureBasis.from_table(self.space, table)
        candidates = sample_candidates(self.space, plan)
        save_correction(
            self.space, table, fit_correction(names, basis, candidates, lambda rows: self.measure(table, rows), plan)
        )
        if self.recipe.latency.test_networks:
            self.measure(table, self.latency_test_rows())
        return table

    def count(self) -> list[LatencyTable]:
        """Count operations and parameters of every block."""
        return [profile_space(self.space, Device.load(name), self.tables) for name in self.recipe.counters]

    def finetune(self) -> ArchitectureLibrary:
        """Finetune the networks of the Architecture Library, and train some from scratch if the recipe wants it.

        A run that extends another finetunes networks with new blocks, which test the predictor, and no others.
        """
        validate_trainings(self)
        if self.recipe.extends is not None:
            self.train_networks(extended_rows(self), "test")
            return self.architectures
        library, test = self.library_rows()
        scratch = drawn.scratch_rows(self)
        with distributed_context():  # once for all of them
            self.train_networks(library, "library")
            self.train_networks(drawn.extra_rows(self), "library", seeds=1)
            self.train_networks(test, "test")
            self.train_networks(self.stratified_rows(), "stratified")
            self.train_networks(scratch, "scratch")
            if self.recipe.long_epochs:
                self.train_networks(scratch, "long")
        return self.architectures

    def fit(self, *, with_front: bool = False) -> FittedPredictor:
        """Fit the accuracy predictor to the Architecture Library and, `with_front`, to what has been finetuned for verification.

        The predictor of a run that extends another stays as it was there.
        """
        if self.recipe.extends is not None:
            return load_predictor(self.folder / "predictor.toml")
        part = self.recipe.library
        rows, top1, roles = self.fit_targets(("library", *REFIT_ROLES) if with_front else ("library",))
        ceiling = read_reference_top1(self.folder / "reference")
        predictor = fit_predictor(gather_qualities(self.qualities(), rows), top1, part.predictor, ceiling)
        counts = {role: roles.count(role) for role in dict.fromkeys(roles)}
        facts = {"fitted_to": {"networks": len(rows), "quality": part.quality, "roles": counts}}
        predictor.save(self.folder / "predictor.toml", facts)
        return predictor

    def fit_targets(self, roles: Sequence[str]) -> tuple[Rows, np.ndarray, list[str]]:
        """Return (rows int [n, stages], top-1 % float [n], role [n]) of finetuned networks to fit to, each once, by its first role.

        None is a test network. Raises `InsufficientDataError` below 5 of role `library`.
        """
        rows, top1 = self.architectures.targets("library", at_least=MIN_NETWORKS)
        found = dict(zip(map(tuple, rows.tolist()), top1.tolist(), strict=True))
        first = dict.fromkeys(found, "library")
        judges = {tuple(self.space.row(network)) for network in self.architectures.mean_top1("test", "stratified")}
        for role in roles:
            for network, (mean, _) in self.architectures.mean_top1(role).items():
                row = tuple(self.space.row(network))
                if row not in found and row not in judges:
                    found[row], first[row] = mean, role
        return np.array(list(found)), np.array(list(found.values())), list(first.values())

    def search(self) -> ParetoFront:
        """Search for the front and write it to `front.csv`."""
        part = self.recipe.search
        front = nsga2(self.search_problem(), part.samples, part.population, self.recipe.seed)
        write_csv(self.folder / "front.csv", front.to_frame())
        return front

    def search_problem(self) -> SearchProblem:
        """Return what the recipe's search looks for."""
        predictor = load_predictor(self.folder / "predictor.toml")
        costs = [self.cost(name) for name in self.recipe.cost_devices]
        limits = self.constraint_bounds({cost.name: cost.unit for cost in costs})
        limited = [Constraint(cost, limits[cost.name]) for cost in costs if cost.name in limits]
        return SearchProblem(self.space, self.qualities(), predictor, costs, limited)

    def cost(self, device: str) -> CostModel:
        """Return a device's cost model from the run's table and its correction."""
        return load_cost(self.space, find_table([self.tables], device, self.space.name))

    def measure(self, table: LatencyTable, rows: Rows) -> np.ndarray:
        """Return the measured latencies of whole networks in seconds, float [n]; measured ones are not measured again."""
        networks = self.networks(rows)
        return measure_networks(
            self.space, self.device, table, networks, self.protocol, workers=self.measurement_workers
        )

    def train_networks(self, rows: Rows, role: str, seeds: int | None = None) -> None:
        """Finetune networks, int [n, stages], by each of the recipe's seeds, or by so many; those already held are not.

        Networks with 8-bit blocks are finetuned in float32 and quantised.
        """
        train_or_quantize(self, rows, role, seeds)

    def clear_distill_batches(self) -> None:
        """Delete the prepared images of the finetunings; they are made again, alike, when a network needs them."""
        shutil.rmtree(self.folder / "distill_batches", ignore_errors=True)

    def library_rows(self) -> tuple[Rows, Rows]:
        """Return the networks to fit the predictor to and those to test it; see `rows.library_rows`."""
        return drawn.library_rows(self)

    def stratified_rows(self) -> Rows:
        """Return test networks spread evenly over MACs; see `rows.stratified_rows`."""
        return drawn.stratified_rows(self)

    def latency_test_rows(self) -> Rows:
        """Return the networks that test the corrected latency; see `rows.latency_test_rows`."""
        return drawn.latency_test_rows(self)

    def random_rows(self, stream: int, count: int) -> Rows:
        """Return different random networks of trained blocks; see `rows.random_rows`."""
        return drawn.random_rows(self, stream, count)


@contextmanager
def open_run(
    recipe_name: str,
    out: Path | None = None,
    seed: int | None = None,
    *,
    distributed: bool = False,
    cluster: str | None = None,
) -> Iterator[Run]:
    """Open, or begin, the run of a recipe; its folder is `out`, by default `runs/<recipe>`, or `runs/<recipe>-seed<n>` with a `seed`
    that replaces the recipe's. cluster: address of a Ray cluster that does the work; the folder must be one on all its hosts.

    Only one process may write a folder at a time; of several that torch's launcher started, which only a step that knows of them may
    be (`jointly`), it is the first. A folder begun with other settings is refused with the first that differs.
    """
    number, processes = read_rank_and_world_size()
    if processes > 1 and not distributed:
        raise ConfigError(
            "only `load_or_train_reference` and `finetune` run in several processes",
            got=f"{processes} processes",
            hint="start this step without torchrun",
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
        recipe, name, command = (
            recipe.model_copy(update={"seed": seed}),
            f"{name}-seed{seed}",
            f"{command} --seed {seed}",
        )
    folder = out or Path("runs") / name
    with hold_lock(folder / ".lock") if number == 0 else nullcontext():
        if number == 0:
            save_recipe(recipe, folder)
            remove_shared_markers(folder)
        pool = ProcessExecutor(recipe.processes) if cluster is None else RayExecutor(cluster, folder)
        try:
            yield Run(recipe, folder if cluster is None else folder.resolve(), pool, command, cluster)
        finally:
            pool.close()
