"""The command line, with click: one module per command or group of commands.

Nothing heavy is imported before a command runs, so that `donna-hw --help` answers at once.
"""

from __future__ import annotations

import sys
import traceback

import click

from donna_hw.cli.baselines import baselines
from donna_hw.cli.devices import devices
from donna_hw.cli.doctor import doctor
from donna_hw.cli.export import export
from donna_hw.cli.phone import phone
from donna_hw.cli.plot import plot
from donna_hw.cli.profile import count, profile
from donna_hw.cli.run import distill, finetune, fit, reference, report, run
from donna_hw.cli.search import search
from donna_hw.cli.sections import SectionedGroup
from donna_hw.cli.shell_completion import completion
from donna_hw.cli.simulate import simulate
from donna_hw.cli.spaces import spaces
from donna_hw.cli.stress import stress
from donna_hw.cli.study import study
from donna_hw.cli.table import table


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="donna-hw")
def cli(debug: bool) -> None:
    """Profile blocks on a device, keep latency tables, and search for the best network at every cost.

    RECIPE is a TOML file or the name of a shipped recipe; SPACE is a name that `donna-hw spaces` lists, or FILE.py:FUNCTION. A command
    that was stopped resumes when it is started again.
    """


cli.add_section("Measure", profile, count, baselines, stress, simulate)
cli.add_section("Tables", table)
cli.add_section("Search", search, export)
cli.add_section("Run", run, reference, distill, finetune, fit, report)
cli.add_section("Studies", study, plot)
cli.add_section("Setup", devices, spaces, doctor, completion, phone)


def main() -> None:
    """Run the command line; an error that a user can fix is one line, exit code 2, and no traceback without `--debug`."""
    from donna_hw.cli.logging_setup import configure_logging
    from donna_hw.errors import DonnaError

    configure_logging()
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; run the same command again to resume", err=True)
        sys.exit(130)
    except DonnaError as error:
        _fail(str(error))
    except OSError as error:
        path = f" {error.filename}" if error.filename else ""
        _fail(
            f"cannot read or write{path}: {error.strerror or error}; fix this and start again: finished work is saved"
        )


def _fail(message: str) -> None:
    """Print the message and exit with 2; called while the error is handled, so that `--debug` shows its traceback too."""
    if "--debug" in sys.argv:
        click.echo(traceback.format_exc(), err=True)
    click.echo(f"error: {message}", err=True)
    sys.exit(2)
