"""Commands that plot the paper's figures from a run, and networks of any front: `donna-hw plot`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from donna_hw.cli.options import FILE, FOLDER, OUT, RECIPE, SEED, SPACE
from donna_hw.cli.search import path_for_cost

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from donna_hw.pipeline.run import Run

FIGURES = {
    "pareto": "Predicted clouds and front, verified networks, baselines (figure 11).",
    "finetuning": "Accuracy by epoch, compared with training from scratch (figure 10).",
    "predictor": "Predicted against measured accuracy, Kendall's tau and error (figures 4, 13, 14).",
    "random-search": "Box plots of random networks next to the front at equal cost (figure 15).",
    "detection": "mAP of detectors over top-1 (figure 12).",
    "architectures": "Networks of the front, a box for each layer (figures 16 to 22).",
}
DEFAULT_NETWORKS = 3
PER_COST_FIGURES = ("pareto", "random-search")


@click.group()
def plot() -> None:
    """Plot the paper's figures, or networks of any front."""


def _figure_flags(command: Callable[..., None]) -> Callable[..., None]:
    for name, help_text in reversed(FIGURES.items()):
        command = click.option(f"--{name}", is_flag=True, help=help_text)(command)
    return command


@plot.command()
@RECIPE
@OUT
@SEED
@click.option("--output-dir", type=FOLDER, help="Folder for the figures; by default figures/ of the run.")
@click.option("--cost", help="The cost to plot, such as macs; by default the first of the recipe's search.")
@click.option(
    "--networks",
    default=str(DEFAULT_NETWORKS),
    show_default=True,
    metavar="N|FRONT.csv",
    help="How many networks of the run's front are drawn, or a front of which all are drawn.",
)
@_figure_flags
def paper(
    *,
    recipe: str,
    out: Path | None,
    seed: int | None,
    output_dir: Path | None,
    cost: str | None,
    networks: str,
    **flags: bool,
) -> None:
    """Plot the paper's figures from RECIPE's run, as SVG and PNG.

    Without a flag, all figures that the run has data for; a line gives the reason for each figure that is left out. For a detection
    recipe: figure 12.
    """
    from donna_hw.errors import DonnaError, InsufficientDataError
    from donna_hw.experiments.detection.recipe import is_detection
    from donna_hw.pipeline.run import open_run
    from donna_hw.reporting.figures.style import save_figure

    selected = [name for name in FIGURES if flags[name.replace("-", "_")]]
    if is_detection(recipe):
        click.echo(_draw_detection(recipe, out, output_dir, set(selected) - {"detection"}))
        return
    with open_run(recipe, out, seed) as run:
        folder, left_out = output_dir or run.folder / "figures", 0
        for name in selected or FIGURES:
            try:
                figure = _draw_figure(run, name, cost, networks)
            except DonnaError as error:
                if selected:
                    raise
                left_out += 1
                click.echo(f"left out: {name}: {error}")
                continue
            path = folder / name
            if cost is not None and name in PER_COST_FIGURES:
                path = path_for_cost(path, cost)
            click.echo(", ".join(map(str, save_figure(figure, path))))
        if left_out == len(FIGURES):
            raise InsufficientDataError(f"{run.folder} holds no data to plot", hint="donna-hw run RECIPE")


@plot.command("networks")
@SPACE
@click.argument("front", metavar="FRONT.csv", type=FILE)
@click.option(
    "--networks",
    type=click.IntRange(1),
    default=DEFAULT_NETWORKS,
    show_default=True,
    help="How many networks, spread over the front's cost.",
)
@click.option("--output", type=FILE, help="Name of the pictures without .svg and .png; by default that of FRONT.csv.")
def plot_networks(*, space: str, front: Path, networks: int, output: Path | None) -> None:
    """Plot networks of a front of SPACE, as SVG and PNG.

    A box for each layer, as in the paper's figures 16 to 22.
    """
    from donna_hw.reporting.figures.architectures import draw_architectures, load_drawn_networks
    from donna_hw.reporting.figures.style import save_figure
    from donna_hw.spaces import load_space

    figure = draw_architectures(load_drawn_networks(load_space(space), front, networks))
    click.echo(", ".join(map(str, save_figure(figure, output or front.with_suffix("")))))


def _draw_detection(recipe: str, out: Path | None, folder: Path | None, other_figures: set[str]) -> str:
    """Draw the one figure of a detection recipe's run, and return the names of its files."""
    from donna_hw.errors import ConfigError
    from donna_hw.experiments.detection.run import open_detection
    from donna_hw.reporting.figures.detection import draw_detection
    from donna_hw.reporting.figures.run_data import load_detectors
    from donna_hw.reporting.figures.style import save_figure

    if other_figures:
        raise ConfigError(
            "the run of a detection recipe has one figure, --detection",
            got=f"--{min(other_figures)}",
            hint="for other figures, name the recipe of its backbones",
        )
    with open_detection(recipe, out) as run:
        figure = draw_detection(load_detectors(run))
        return ", ".join(map(str, save_figure(figure, (folder or run.folder / "figures") / "detection")))


def _draw_figure(run: Run, name: str, cost: str | None, networks: str) -> Figure:
    """Return a figure of a run by its name."""
    from donna_hw.errors import ConfigError
    from donna_hw.reporting.figures import run_data, search_data

    match name:
        case "pareto":
            from donna_hw.reporting.figures.pareto import draw_pareto

            return draw_pareto(search_data.build_pareto_data(run, cost))
        case "random-search":
            from donna_hw.reporting.figures.random_search import draw_random_search

            return draw_random_search(search_data.build_random_search_data(run, cost))
        case "finetuning":
            from donna_hw.reporting.figures.finetuning import draw_finetuning

            return draw_finetuning(*run_data.load_finetuning_curves(run))
        case "predictor":
            from donna_hw.reporting.figures.predictor import draw_predictor

            return draw_predictor(run_data.load_predictor_groups(run))
        case "detection":
            from donna_hw.reporting.figures.detection import draw_detection

            return draw_detection(run_data.load_detectors(run))
    from donna_hw.reporting.figures.architectures import draw_architectures, load_drawn_networks

    count = int(networks) if networks.isdecimal() else None
    if count == 0:
        raise ConfigError("--networks must be at least 1, or a front's CSV", got=networks)
    front = Path(networks) if count is None else run_data.require_file(run, "front.csv", "donna-hw run RECIPE")
    return draw_architectures(load_drawn_networks(run.space, front, count))
