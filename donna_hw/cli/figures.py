"""Commands that draw: the paper's figures from a run, and networks of any front."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.profile import SPACE
from donna_hw.cli.run import OUT, RECIPE, SEED
from donna_hw.cli.search import path_for_cost

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from donna_hw.pipeline.run import Run

FIGURES = {
    "pareto": "Predicted clouds and front, verified networks, baselines (figure 11).",
    "finetuning": "Accuracy by epoch, beside training from scratch (figure 10).",
    "predictor": "Predicted beside measured accuracy, Kendall's tau and error (figures 4, 13, 14).",
    "random-search": "Box plots of random networks beside the front at equal cost (figure 15).",
    "detection": "mAP of detectors over top-1 (figure 12).",
    "architectures": "Networks of the front, a box a layer (figures 16 to 22).",
}
DEFAULT_NETWORKS = 3
PER_COST_FIGURES = ("pareto", "random-search")


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    for name, words in reversed(FIGURES.items()):
        command = click.option(f"--{name}", is_flag=True, help=words)(command)
    return command


@click.command()
@RECIPE
@OUT
@SEED
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), help="Folder for the files; by default the run's figures/."
)
@click.option("--cost", help="Which cost, such as macs; by default the first of the recipe's search.")
@click.option(
    "--networks",
    default=str(DEFAULT_NETWORKS),
    show_default=True,
    metavar="N|FRONT.csv",
    help="How many networks of the front are drawn, or a front of which all are.",
)
@_flags
def plot_paper(
    *,
    recipe: str,
    out: Path | None,
    seed: int | None,
    folder: Path | None,
    cost: str | None,
    networks: str,
    **asked: bool,
) -> None:
    """Draw the paper's figures from RECIPE's run, as SVG and PNG.

    Without a flag all that the run has data for; a line says of each other one why it is left out. Of a detection recipe: figure 12.
    """
    from donna_hw.errors import DonnaError, InsufficientDataError
    from donna_hw.experiments.detection.recipe import is_detection
    from donna_hw.pipeline.run import open_run
    from donna_hw.reporting.figures.style import save_figure

    chosen = [name for name in FIGURES if asked[name.replace("-", "_")]]
    if is_detection(recipe):
        click.echo(_draw_detection(recipe, out, folder, set(chosen) - {"detection"}))
        return
    with open_run(recipe, out, seed) as run:
        to, left_out = folder or run.folder / "figures", 0
        for name in chosen or FIGURES:
            try:
                figure = _draw_figure(run, name, cost, networks)
            except DonnaError as error:
                if chosen:
                    raise
                left_out += 1
                click.echo(f"left out: {name}: {error}")
                continue
            path = to / name
            if cost is not None and name in PER_COST_FIGURES:
                path = path_for_cost(path, cost)
            click.echo(", ".join(map(str, save_figure(figure, path))))
        if left_out == len(FIGURES):
            raise InsufficientDataError(
                f"{run.folder} must hold what is drawn", got="nothing", hint="donna-hw run RECIPE"
            )


@click.command()
@SPACE
@click.argument("front", type=click.Path(path_type=Path))
@click.option(
    "--networks",
    type=click.IntRange(1),
    default=DEFAULT_NETWORKS,
    show_default=True,
    help="How many, spread over its cost.",
)
@click.option(
    "--to", "path", type=click.Path(path_type=Path), help="Name of the files without .svg and .png; by default FRONT's."
)
def plot_networks(*, space: str, front: Path, networks: int, path: Path | None) -> None:
    """Draw networks of FRONT.csv, a front of SPACE, a box a layer, as SVG and PNG (the paper's figures 16 to 22)."""
    from donna_hw.reporting.figures.architectures import draw_architectures, load_drawn_networks
    from donna_hw.reporting.figures.style import save_figure
    from donna_hw.spaces import load_space

    figure = draw_architectures(load_drawn_networks(load_space(space), front, networks))
    click.echo(", ".join(map(str, save_figure(figure, path or front.with_suffix("")))))


def _draw_detection(recipe: str, out: Path | None, folder: Path | None, others: set[str]) -> str:
    """Draw the one figure of a detection recipe's run, and return where."""
    from donna_hw.errors import ConfigError
    from donna_hw.experiments.detection.run import open_detection
    from donna_hw.reporting.figures.detection import draw_detection
    from donna_hw.reporting.figures.run_data import load_detectors
    from donna_hw.reporting.figures.style import save_figure

    if others:
        rule, cure = "the run of a detection recipe has one figure, --detection", "name the recipe of its backbones"
        raise ConfigError(rule, got=f"--{min(others)}", hint=cure)
    with open_detection(recipe, out) as run:
        figure = draw_detection(load_detectors(run))
        return ", ".join(map(str, save_figure(figure, (folder or run.folder / "figures") / "detection")))


def _draw_figure(run: Run, name: str, cost: str | None, networks: str) -> Figure:
    """Return a figure of a run by its name."""
    from donna_hw.errors import ConfigError
    from donna_hw.reporting.figures import run_data as of_run
    from donna_hw.reporting.figures import search_data as searched

    match name:
        case "pareto":
            from donna_hw.reporting.figures.pareto import draw_pareto

            return draw_pareto(searched.build_pareto_data(run, cost))
        case "random-search":
            from donna_hw.reporting.figures.random_search import draw_random_search

            return draw_random_search(searched.build_random_search_data(run, cost))
        case "finetuning":
            from donna_hw.reporting.figures.finetuning import draw_finetuning

            return draw_finetuning(*of_run.load_finetuning_curves(run))
        case "predictor":
            from donna_hw.reporting.figures.predictor import draw_predictor

            return draw_predictor(of_run.load_predictor_groups(run))
        case "detection":
            from donna_hw.reporting.figures.detection import draw_detection

            return draw_detection(of_run.load_detectors(run))
    from donna_hw.reporting.figures.architectures import draw_architectures, load_drawn_networks

    count = int(networks) if networks.isdecimal() else None
    if count == 0:
        raise ConfigError("--networks must be 1 or more, or a front's CSV", got=networks)
    front = Path(networks) if count is None else of_run.require_file(run, "front.csv", "donna-hw run RECIPE")
    return draw_architectures(load_drawn_networks(run.space, front, count))


COMMANDS = (plot_paper, plot_networks)
