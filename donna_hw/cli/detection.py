"""The command that takes classification networks to detection."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.run import OUT, RECIPE, run_and_report
from donna_hw.cli.study import SUMMARY


@click.command()
@RECIPE
@OUT
@SUMMARY
def study_detection(recipe: str, out: Path | None, summary: Path | None) -> None:
    """Train detectors on the backbones that the detection RECIPE names, and set their precision beside the top-1.

    Finishes the run of the backbones first; writes detectors.csv and detection.md into the run's folder.
    """
    from donna_hw._core.files import write_atomic
    from donna_hw.experiments.detection.markdown import detection_markdown
    from donna_hw.experiments.detection.run import open_detection
    from donna_hw.pipeline.run import open_run

    with open_detection(recipe, out) as run:
        run.validate()
        if not (run.base / "verified.csv").exists():
            with open_run(str(run.recipe.base_path(run.path)), run.base) as base:
                run_and_report(base, None)
        run.train()
        text = detection_markdown(run)
        write_atomic(run.folder / "detection.md", text)
    if summary is not None:
        write_atomic(summary, text)
    click.echo(text, nl=False)


COMMANDS = (study_detection,)
