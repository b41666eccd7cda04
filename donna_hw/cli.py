"""The command line: one command a step, in the order a user takes them.

Nothing heavy is imported before a command runs, so that `donna-hw --help` answers at once.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from donna_hw.run import Run

RECIPE = click.argument("recipe")
SPACE = click.argument("space")
OUT = click.option("--out", type=click.Path(path_type=Path), help="The run's folder; by default runs/<recipe>.")
SEED = click.option(
    "--seed", type=click.IntRange(0), help="Replaces the recipe's seed; the run's folder is then its own."
)
TABLES = click.option(
    "--out",
    "root",
    type=click.Path(path_type=Path),
    default=Path("latency_tables"),
    help="Folder of the tables.",
    show_default=True,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="donna-hw")
def cli(debug: bool) -> None:
    """Profile blocks on a device, keep latency tables, and search for the best network at every cost.

    RECIPE is a TOML file, or the name of a shipped recipe. A command that was stopped goes on where it was when it is started again.
    """


@cli.command()
def devices() -> None:
    """Show the devices, and which can be used on this machine."""
    from donna_hw.device import Device, device_names
    from donna_hw.show import table

    rows = []
    for name in device_names():
        device = Device.load(name)
        available = device.availability()
        state = (
            "yes" if available.ok else f"no: {available.reason}" + (f" ({available.cure})" if available.cure else "")
        )
        rows.append([name, device.file.title, device.file.backend, device.file.protocol, state])
    click.echo(table(["device", "title", "backend", "protocol", "usable here"], rows))


@cli.command()
def spaces() -> None:
    """Show the search spaces, their axes and sizes."""
    from donna_hw.show import table
    from donna_hw.spaces import load_space, space_names
    from donna_hw.units import printed

    rows = []
    for name in space_names():
        space = load_space(name)
        reference = space.network(space.reference)
        axes = ", ".join(f"{axis.name} {'/'.join(map(str, axis.values))}" for axis in space.stages[0].axes)
        counts = f"{printed(reference.macs, 'MAC')}, {printed(reference.params, 'parameter')}"
        rows.append([name, f"{len(space.stages)} x {space.stages[0].size}", f"{space.size:.3g}", counts, axes])
    click.echo(table(["space", "stages x blocks", "networks", "reference", "axes of the first stage"], rows))


@cli.command()
@SPACE
@click.option("--device", required=True, help="A device's name or file.")
@click.option("--rounds", type=click.IntRange(1), help="Visits to each block; the device's protocol decides otherwise.")
@TABLES
def profile(space: str, device: str, rounds: int | None, root: Path) -> None:
    """Fill the latency table of SPACE on a device."""
    from dataclasses import replace

    from donna_hw.device import Device
    from donna_hw.profiling.profile import profile_space as fill
    from donna_hw.show import summary_of_table
    from donna_hw.spaces import load_space

    found = Device.load(device)
    protocol = found.protocol if rounds is None else replace(found.protocol, rounds=rounds)
    click.echo(summary_of_table(fill(load_space(space), found, root, protocol)))


@cli.command()
@SPACE
@TABLES
def count(space: str, root: Path) -> None:
    """Count operations and parameters of SPACE's blocks.

    ptflops counts, as in the paper; the tables are called macs and params.
    """
    from donna_hw.device import Device
    from donna_hw.profiling.profile import profile_space as fill
    from donna_hw.show import summary_of_table
    from donna_hw.spaces import load_space

    chosen = load_space(space)
    for name in ("macs", "params"):
        click.echo(summary_of_table(fill(chosen, Device.load(name), root)))


@cli.command()
@RECIPE
@OUT
@SEED
def distill(recipe: str, out: Path | None, seed: int | None) -> None:
    """Train RECIPE's reference and distil its blocks."""
    from donna_hw.run import open_run
    from donna_hw.show import summary_of_blocks

    with open_run(recipe, out, seed) as run:
        click.echo(summary_of_blocks(run.distil()))


@cli.command()
@RECIPE
@OUT
@SEED
def finetune(recipe: str, out: Path | None, seed: int | None) -> None:
    """Finetune RECIPE's Architecture Library."""
    from donna_hw.run import open_run
    from donna_hw.show import summary_of_networks

    with open_run(recipe, out, seed) as run:
        run.distil()
        click.echo(summary_of_networks(run.finetune()))


@cli.command()
@RECIPE
@OUT
@SEED
def fit(recipe: str, out: Path | None, seed: int | None) -> None:
    """Fit RECIPE's accuracy predictor and judge it.

    Prints how well it orders networks, beside MACs and parameters alone.
    """
    from donna_hw.report.summary import predictor_lines
    from donna_hw.run import open_run

    with open_run(recipe, out, seed) as run:
        run.count()
        run.fit()
        click.echo("\n".join(predictor_lines(run)))


@cli.command()
@SPACE
@click.option("--accuracy-from", "run_folder", required=True, type=click.Path(path_type=Path), help="A run's folder.")
@click.option("--cost", "costs", multiple=True, required=True, help="A device, or DEVICE/VARIANT; once for each cost.")
@click.option("--max", "limits", multiple=True, help="A limit with its unit, such as onnxruntime_cpu=0.2ms.")
@click.option(
    "--tables", type=click.Path(path_type=Path), help="Folder of latency tables; the run's, then shipped ones."
)
@click.option("--samples", type=click.IntRange(4), default=2500, show_default=True, help="Networks to look at.")
@click.option("--population", type=click.IntRange(4), default=50, show_default=True, help="Networks in a generation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the front to this CSV.")
def search(
    *,
    space: str,
    run_folder: Path,
    costs: tuple[str, ...],
    limits: tuple[str, ...],
    tables: Path | None,
    samples: int,
    population: int,
    seed: int,
    out: Path | None,
) -> None:
    """Search SPACE for the best networks at every cost.

    Accuracies are predicted from the blocks and the predictor of a finished run.
    """
    from donna_hw.search.command import search_space
    from donna_hw.show import summary_of_front

    front = search_space(
        space, run_folder, costs, limits, tables=tables, samples=samples, population=population, seed=seed
    )
    if out is not None:
        from donna_hw.files import write_atomic

        write_atomic(out, front.frame().to_csv(index=False, lineterminator="\n"))
    click.echo(summary_of_front(front))


@cli.command()
@RECIPE
@OUT
@SEED
def report(recipe: str, out: Path | None, seed: int | None) -> None:
    """Write the report of a finished run again."""
    from donna_hw.report.page import write_report
    from donna_hw.run import open_run

    with open_run(recipe, out, seed) as run:
        click.echo(f"report: {write_report(run)}")


@cli.command()
@RECIPE
@OUT
@SEED
@click.option(
    "--summary", type=click.Path(path_type=Path), help="Also write the summary of results to this Markdown file."
)
def run(recipe: str, out: Path | None, seed: int | None, summary: Path | None) -> None:
    """Run RECIPE whole, from training to the report."""
    from donna_hw.run import open_run

    with open_run(recipe, out, seed) as opened:
        _run_whole(opened, summary)


def _run_whole(run: Run, summary: Path | None) -> None:
    from donna_hw.files import write_atomic
    from donna_hw.report.page import write_report
    from donna_hw.report.summary import summary_markdown
    from donna_hw.show import summary_of_front, summary_of_verified
    from donna_hw.verify import check_latency, check_predictor, verify

    run.preflight()
    run.distil()
    run.profile()
    run.count()
    run.finetune()
    run.fit()
    front = run.search()
    check_predictor(run)
    check_latency(run)
    verified = verify(run, front)
    text = summary_markdown(run)
    write_atomic(run.folder / "summary.md", text)
    if summary is not None:
        write_atomic(summary, text)
    path = write_report(run)
    run.forget_lessons()
    click.echo(summary_of_front(front))
    click.echo("\n" + summary_of_verified(verified))
    click.echo(f"report: {path}")


def main() -> None:
    """Run the command line; an error a user can mend is one line, exit code 2, and no traceback without `--debug`."""
    from donna_hw.errors import DonnaError

    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; start the same command again to go on", err=True)
        sys.exit(130)
    except DonnaError as error:
        _fail(str(error))
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _fail(
            f"cannot read or write{where}: {error.strerror or error}; mend it and start again: what is finished is kept"
        )


def _fail(message: str) -> None:
    """Print the message and leave with 2; called while the error is handled, so that `--debug` shows its traceback too."""
    if "--debug" in sys.argv:
        click.echo(traceback.format_exc(), err=True)
    click.echo(f"error: {message}", err=True)
    sys.exit(2)
