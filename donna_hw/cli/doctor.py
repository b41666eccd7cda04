"""The command that looks at this machine."""

from __future__ import annotations

import click


@click.command()
def doctor() -> None:
    """Show what works on this machine, what is missing, and the command that mends it.

    Missing is what some feature needs; without all of them the rest works.
    """
    from donna_hw.cli.environment_check import check_environment
    from donna_hw.reporting.text.summaries import tabulate

    found = check_environment()
    click.echo(
        tabulate(
            ["what", "state", "what is known", "to mend it"],
            [[one.name, one.state, one.details, one.hint] for one in found],
        )
    )
    missing = sum(one.state == "missing" for one in found)
    click.echo(f"\n{len(found) - missing} of {len(found)} are here" + (f", {missing} are missing" if missing else ""))


COMMANDS = (doctor,)
