"""The command line: one command a step, in the order a user takes them.

Nothing heavy is imported before a command runs, so that `donna-hw --help` answers at once.
"""

from __future__ import annotations

import sys
import traceback

import click

from donna_hw.cli import baselines, detection, doctor, export, figures, search, simulate, study, table
from donna_hw.cli import completion as completing
from donna_hw.cli import phone as phones
from donna_hw.cli import profile as measuring
from donna_hw.cli import run as pipeline
from donna_hw.cli import stress as sustain
from donna_hw.cli import table_fit as fitting
from donna_hw.cli import transfer as extending


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="donna-hw")
def cli(debug: bool) -> None:
    """Profile blocks on a device, keep latency tables, and search for the best network at every cost.

    RECIPE is a TOML file, or the name of a shipped recipe. A command that was stopped goes on where it was when it is started again.
    """


for _module in (
    doctor,
    measuring,
    phones,
    simulate,
    sustain,
    table,
    baselines,
    pipeline,
    search,
    export,
    study,
    extending,
    detection,
    figures,
    completing,
):
    for _command in _module.COMMANDS:
        cli.add_command(_command)
for _command in fitting.COMMANDS:
    table.table.add_command(_command)


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
