"""Run: a recipe in its folder. Each step reads and writes plain files there, can be repeated, and goes on where it was stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from donna_hw.backends.base import UNITS
from donna_hw.blocks.torch_module import GraphModule
from donna_hw.costs.basis import Basis
from donna_hw.costs.correct import Plan, candidates_of, correct
from donna_hw.costs.kept import corrected, cost_of, keep
from donna_hw.costs.model import CostModel
from donna_hw.data import Dataset, load_dataset
from donna_hw.data.image_folder import check_size
from donna_hw.data.images import Augmentation
from donna_hw.device import Device
from donna_hw.distillation.blockwise import distill
from donna_hw.distillation.finetune import Start, finetune, save_lessons
from donna_hw.distillation.pool import Pool
from donna_hw.distillation.reference import reference_top1, trained_reference
from donna_hw.errors import BadSetting, UnknownName
from donna_hw.files import locked, write_atomic
from donna_hw.libraries import ArchitectureLibrary, BlockLibrary, qualities_of
from donna_hw.measurement.protocol import Protocol
from donna_hw.predictors.base import FittedPredictor
from donna_hw.predictors.choice import d_optimal
from donna_hw.predictors.fit import SMALLEST_LIBRARY, fit_predictor
from donna_hw.predictors.kept import load_predictor
from donna_hw.profiling.profile import measure_networks, profile_space
from donna_hw.recipe import Recipe, find_recipe, keep_recipe
from donna_hw.search.aim import Aim, Limit
from donna_hw.search.front import ParetoFront
from donna_hw.search.nsga2 import nsga2
from donna_hw.spaces import load_space
from donna_hw.spaces.members import block_macs
from donna_hw.spaces.space import Architecture, Rows, Space
from donna_hw.table import LatencyTable
from donna_hw.tables import table_in
from donna_hw.training.paper import paper_reference
from donna_hw.training.processes import launched
from donna_hw.training.settings import PaperTraining
from donna_hw.units import parse_quantity

LATENCY_TEST, LIBRARY, RANDOM, STRATIFIED, CANDIDATES = (
    2,
    3,
    4,
    5,
    6,
)  # streams of randomness, each with a seed of its own
REFIT_ROLES = ("front", "random", "scaled")  # never test networks, which judge the predictor
CANDIDATES_EACH = 50  # networks that the choice of one to finetune looks at


@dataclass(frozen=True)
class Run:
    """A recipe, its folder, the pool of processes and the command that repeats it; the methods are the steps in their order."""

    recipe: Recipe
    folder: Path
    pool: Pool
    command: str = ""

    @cached_property
    def space(self) -> Space:
        """The recipe's search space; raises `BadSetting` for one with a global axis, since a run's images have one size."""
        space = load_space(self.recipe.space)
        if space.global_axes:
            rule, cure = "a run is of one setting of each global axis", f"such as {space.name}@{space.input_shape[1]}px"
            raise BadSetting(rule, found=", ".join(axis.name for axis in space.global_axes), cure=cure)
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
    def protocol(self) -> Protocol:
        """The device's protocol with the recipe's number of rounds."""
        rounds = self.recipe.latency.rounds
        return self.device.protocol if rounds is None else replace(self.device.protocol, rounds=rounds)

    def preflight(self) -> None:
        """Raise, before hours of training, what the last steps would raise: a device that cannot be used, a cost nobody measures."""
        self.check_images()
        units = {
            name: UNITS[Device.load(name).backend().quantity] for name in (self.device.name, *self.recipe.counters)
        }
        for name in self.recipe.cost_devices:
            if name not in units:
                raise UnknownName(
                    "search.costs must be the latency's device or counters", found=name, known=list(units)
                )
        self.limits({name: units[name] for name in self.recipe.cost_devices})

    def limits(self, units: dict[str, str]) -> dict[str, float]:
        """Return the recipe's limits in the units of its costs; raises `BadSetting` and `UnknownName`."""
        for name in self.recipe.search.limits.keys() - units.keys():
            raise UnknownName("a limit must be on one of the search's costs", found=name, known=sorted(units))
        return {name: parse_quantity(text, units[name]) for name, text in self.recipe.search.limits.items()}

    def check_images(self) -> None:
        """Raise, before the reference is trained, what reading all images into memory would raise."""
        if self.recipe.data.name == "image_folder":
            check_size(self.recipe.data.folder, self.space)

    def reference(self) -> GraphModule:
        """Return the reference network, trained as the recipe says, or read back from the run's folder."""
        recipe, folder = self.recipe, self.folder / "reference"
        part = recipe.reference
        if not isinstance(part, PaperTraining):
            if launched()[1] > 1:
                raise BadSetting("only reference.method = 'paper' trains in several processes", found=part.method)
            return trained_reference(
                self.space, self.data, part.fit(), seed=recipe.seed, threads=recipe.processes, folder=folder
            )
        if recipe.data.name != "image_folder":
            raise BadSetting(
                "reference.method = 'paper' trains on a folder of images: data.name must be 'image_folder'",
                found=recipe.data.name,
            )
        return paper_reference(self.space, recipe.data.folder, part, seed=recipe.seed, folder=folder)

    def distil(self) -> BlockLibrary:
        """Train the reference network, then every block for it."""
        self.check_images()
        recipe, teacher, library = self.recipe, self.reference(), self.blocks
        return distill(
            self.space,
            teacher,
            self.data,
            recipe.distill.bkd(),
            seed=recipe.seed,
            folder=library.folder,
            pool=self.pool,
        )

    def profile(self) -> LatencyTable:
        """Measure every block, then whole networks, and correct the sum by them."""
        table = profile_space(self.space, self.device, self.tables, self.protocol)
        plan = Plan(self.recipe.latency.correct_with, seed=self.recipe.seed)
        names, basis = (table.info.device, table.info.unit), Basis.of_table(self.space, table)
        candidates = candidates_of(self.space, plan)
        keep(self.space, table, correct(names, basis, candidates, lambda rows: self.measured(table, rows), plan))
        if self.recipe.latency.test_networks:
            self.measured(table, self.latency_test_rows())
        return table

    def count(self) -> list[LatencyTable]:
        """Count operations and parameters of every block."""
        return [profile_space(self.space, Device.load(name), self.tables) for name in self.recipe.counters]

    def finetune(self) -> ArchitectureLibrary:
        """Finetune the networks of the Architecture Library."""
        library, test = self.library_rows()
        self.train_networks(library, "library")
        self.train_networks(test, "test")
        self.train_networks(self.stratified_rows(), "stratified")
        return self.architectures

    def fit(self, *, with_front: bool = False) -> FittedPredictor:
        """Fit the accuracy predictor to the Architecture Library and, `with_front`, to what has been finetuned for verification."""
        part = self.recipe.library
        rows, top1, roles = self.fit_targets(("library", *REFIT_ROLES) if with_front else ("library",))
        ceiling = reference_top1(self.folder / "reference")
        predictor = fit_predictor(qualities_of(self.qualities(), rows), top1, part.predictor, ceiling)
        counts = {role: roles.count(role) for role in dict.fromkeys(roles)}
        facts = {"fitted_to": {"networks": len(rows), "quality": part.quality, "roles": counts}}
        predictor.save(self.folder / "predictor.toml", facts)
        return predictor

    def fit_targets(self, roles: Sequence[str]) -> tuple[Rows, np.ndarray, list[str]]:
        """Return (rows int [n, stages], top-1 % float [n], role [n]) of finetuned networks to fit to, each once, by its first role.

        None is a test network. Raises `NothingToFit` below 5 of role `library`.
        """
        rows, top1 = self.architectures.targets("library", at_least=SMALLEST_LIBRARY)
        found = dict(zip(map(tuple, rows.tolist()), top1.tolist(), strict=True))
        first = dict.fromkeys(found, "library")
        judges = {tuple(self.space.row(network)) for network in self.architectures.means("test", "stratified")}
        for role in roles:
            for network, (mean, _) in self.architectures.means(role).items():
                row = tuple(self.space.row(network))
                if row not in found and row not in judges:
                    found[row], first[row] = mean, role
        return np.array(list(found)), np.array(list(found.values())), list(first.values())

    def search(self) -> ParetoFront:
        """Search for the front and write it to `front.csv`."""
        part = self.recipe.search
        front = nsga2(self.aim(), part.samples, part.population, self.recipe.seed)
        write_atomic(self.folder / "front.csv", front.frame().to_csv(index=False, lineterminator="\n"))
        return front

    def aim(self) -> Aim:
        """Return what the recipe's search looks for."""
        predictor = load_predictor(self.folder / "predictor.toml")
        costs = [self.cost(name) for name in self.recipe.cost_devices]
        limits = self.limits({cost.name: cost.unit for cost in costs})
        limited = [Limit(cost, limits[cost.name]) for cost in costs if cost.name in limits]
        return Aim(self.space, self.qualities(), predictor, costs, limited)

    def cost(self, device: str) -> CostModel:
        """Return a device's cost model from the run's table and its correction."""
        return cost_of(self.space, table_in([self.tables], device, self.space.name))

    def measured(self, table: LatencyTable, rows: Rows) -> np.ndarray:
        """Return the measured latencies of whole networks in seconds, float [n]; measured ones are not measured again."""
        return measure_networks(self.space, self.device, table, self.networks(rows), self.protocol)

    def train_networks(self, rows: Rows, role: str) -> None:
        """Finetune networks, int [n, stages], by each of the recipe's seeds by which the Architecture Library holds them not yet."""
        recipe, networks = self.recipe, self.networks(rows)
        reference, ekd = self.folder / "reference" / "weights.safetensors", recipe.finetune.ekd()
        known = {
            (n.architecture, n.seed)
            for n in self.architectures.networks()
            if (n.role == "scratch") == (role == "scratch")
        }
        for seed in range(recipe.seed, recipe.seed + recipe.finetune.repeats):
            if all((network, seed) in known for network in networks):
                continue
            lessons = self.folder / "lessons" / f"seed{seed}"
            if not (lessons / "complete").exists():
                save_lessons(self.reference(), self.data, ekd, seed=seed, folder=lessons)
                write_atomic(lessons / "complete", "")
            start = Start(self.blocks.folder, reference, lessons)
            finetune(self.architectures, networks, role, start, ekd, seed=seed, pool=self.pool)

    def forget_lessons(self) -> None:
        """Delete the prepared images of the finetunings; they are made again, alike, when a network needs them."""
        shutil.rmtree(self.folder / "lessons", ignore_errors=True)

    def library_rows(self) -> tuple[Rows, Rows]:
        """Return the networks to fit the predictor to and those to test it, int [n, stages] each.

        By `library.choice = "d_optimal"` the networks to fit to, corners apart, are those of 50 times as many that tell most about a linear
        predictor's weights. The test networks are the same by any choice.
        """
        library, test = self.uniform_rows()
        if self.recipe.library.choice == "uniform":
            return library, test
        qualities, fixed = self.qualities(), self.corner_rows()[: len(library)]
        known = {tuple(row) for rows in (fixed, test, self.stratified_rows()) for row in rows}
        drawn = self.random_rows(CANDIDATES, min(CANDIDATES_EACH * len(library), self.space.size // 2))
        drawn = drawn[[tuple(row) not in known for row in drawn]]
        count = len(library) - len(fixed)
        chosen = d_optimal(qualities_of(qualities, drawn), qualities_of(qualities, fixed), count)
        return np.concatenate([fixed, drawn[chosen]]), test

    def uniform_rows(self) -> tuple[Rows, Rows]:
        """Return the networks to fit the predictor to, if chance chooses them, and those to test it, int [n, stages] each.

        All are drawn uniformly, as in the paper; if the recipe wants corners, the reference and the network of every axis's first value
        replace two of those to fit to, so that the predictor knows both ends; a corner with a diverged block is left out.
        """
        sizes, corners = self.recipe.library, self.corner_rows()
        drawn = self.random_rows(LIBRARY, sizes.networks + sizes.test_networks + 2)
        others = drawn[~(drawn[:, None] == corners[None]).all(axis=2).any(axis=1)]
        rows = np.concatenate([corners, others])[: sizes.networks + sizes.test_networks]
        return rows[: sizes.networks], rows[sizes.networks :]

    def corner_rows(self) -> Rows:
        """Return the corners that the recipe wants in the library, int [2 or fewer, stages]: those of trained blocks only."""
        space = self.space
        corners = np.unique([space.row(space.reference), [0] * len(space.columns)], axis=0)[::-1]
        usable = np.isfinite(qualities_of(self.qualities(), corners)).all(axis=1)
        return np.asarray(corners[usable & self.recipe.library.corners])

    def stratified_rows(self) -> Rows:
        """Return test networks spread evenly over the logarithm of MACs, int [n, stages], none of those of `uniform_rows`.

        Uniform ones crowd in the middle; of 200 times as many, drawn uniformly too, these are the nearest to evenly spaced MACs.
        """
        count = self.recipe.library.stratified_networks
        if not count:
            return np.empty((0, len(self.space.columns)), np.int64)
        known = {tuple(row) for rows in self.uniform_rows() for row in rows}
        drawn = self.random_rows(STRATIFIED, min(200 * count, self.space.size // 2))
        drawn = drawn[[tuple(row) not in known for row in drawn]]
        macs = np.log(qualities_of(block_macs(self.space), drawn).sum(axis=1))
        wanted = np.linspace(macs.min(), macs.max(), count)
        free, chosen = np.ones(len(drawn), bool), []
        for target in wanted:
            nearest = int(np.argmin(np.where(free, np.abs(macs - target), np.inf)))
            free[nearest] = False
            chosen.append(nearest)
        return np.asarray(drawn[chosen])

    def latency_test_rows(self) -> Rows:
        """Return the networks that test the corrected latency, int [n, stages]: none that the correction was fitted to."""
        part = self.recipe.latency
        cost = corrected(self.space, table_in([self.tables], self.device.name, self.space.name))
        assert cost is not None  # noqa: S101  `profile` came before
        fitted = cost.rows
        drawn = self.random_rows(LATENCY_TEST, part.test_networks + part.correct_with)
        return np.asarray(drawn[~(drawn[:, None] == fitted[None]).all(axis=2).any(axis=1)][: part.test_networks])

    def networks(self, rows: Rows) -> list[Architecture]:
        """Return rows as architectures."""
        return [self.space.architecture(row) for row in rows]

    def random_rows(self, stream: int, count: int) -> Rows:
        """Return different random networks of trained blocks, int [count, stages]; each stream has its own randomness."""
        rng = np.random.default_rng([self.recipe.seed, stream])
        if stream == LATENCY_TEST:
            return self.space.random_rows(count, rng)
        rows = self.space.random_rows(min(64 * count, self.space.size), rng)  # enough where one network in 30 is usable
        usable = rows[np.isfinite(qualities_of(self.qualities(), rows)).all(axis=1)]
        if len(usable) < count:
            raise BadSetting(
                "enough networks must be free of diverged blocks", found=len(usable), cure="lower distill.learning_rate"
            )
        return np.asarray(usable[:count])


@contextmanager
def open_run(
    recipe_name: str, out: Path | None = None, seed: int | None = None, *, jointly: bool = False
) -> Iterator[Run]:
    """Open, or begin, the run of a recipe; its folder is `out`, by default `runs/<recipe>`, or `runs/<recipe>-seed<n>` with a `seed`
    that replaces the recipe's.

    Only one process may write a folder at a time; of several that torch's launcher started, which only a step that knows of them may
    be (`jointly`), it is the first. A folder begun with other settings is refused with the first that differs.
    """
    number, processes = launched()
    if processes > 1 and not jointly:
        raise BadSetting(
            "only `reference` runs in several processes",
            found=f"{processes} processes",
            cure="start this step without torchrun",
        )
    path = find_recipe(recipe_name)
    recipe, name, command = Recipe.read(path), path.stem, f"donna-hw run recipes/{path.stem}.toml"
    if seed is not None:
        recipe, name, command = (
            recipe.model_copy(update={"seed": seed}),
            f"{name}-seed{seed}",
            f"{command} --seed {seed}",
        )
    folder = out or Path("runs") / name
    with locked(folder / ".lock") if number == 0 else nullcontext():
        if number == 0:
            keep_recipe(recipe, folder)
        pool = Pool(recipe.processes)
        try:
            yield Run(recipe, folder, pool, command)
        finally:
            pool.close()
