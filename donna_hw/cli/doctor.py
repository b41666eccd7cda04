"""The command that checks this machine."""

from __future__ import annotations

import click


@click.command()
def doctor() -> None:
    """Show what works on this machine, and how to install the rest.

    What is missing is needed by some feature; everything else works without it.
    """
    from donna_hw.cli.environment_check import check_environment
    from donna_hw.reporting.text.rich_table import render_table

    findings = check_environment()
    rows = [[finding.name, finding.state, finding.details, finding.hint] for finding in findings]
    click.echo(render_table(["what", "state", "details", "fix"], rows))
    missing = sum(finding.state == "missing" for finding in findings)
    available = f"{len(findings) - missing} of {len(findings)} are available"
    click.echo(f"\n{available}, {missing} are missing" if missing else f"\n{available}")
