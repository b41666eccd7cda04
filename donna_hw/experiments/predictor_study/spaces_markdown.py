"""The page of table 7 in Markdown: the predictors of several runs, each on a space of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from donna_hw.experiments.predictor_study.comparison import OURS, PredictorComparison, compare
from donna_hw.experiments.predictor_study.data import TEST_ROLES, StudyData
from donna_hw.experiments.predictor_study.markdown import format_interval
from donna_hw.experiments.predictor_study.tables import PROJECT_KINDS
from donna_hw.measurement.environment import cpu_model

COLUMN_TITLES = (
    "run",
    "predictor",
    "fitted to",
    "Kendall tau, uniform",
    "stratified",
    "best rival, uniform",
    "stratified",
    "noise ceilings",
    "equal-cost pairs less MACs'",
    "MSE",
)


def spaces_markdown(runs: Sequence[StudyData], command: str) -> str:
    """Return table 7: the runs' own predictors and ours on the networks drawn uniformly and on those spread evenly over MACs."""
    lines = [f"| {' | '.join(COLUMN_TITLES)} |", "|---" * len(COLUMN_TITLES) + "|"]
    for found in runs:
        for kind, metric in dict.fromkeys(((found.kind, found.metric), *PROJECT_KINDS)):
            asked = replace(found, kind=kind, metric=metric)
            lines.append(_line(asked, [compare(asked, role) for role in TEST_ROLES if role in found.groups]))
    head = [
        "# Across spaces (table 7)",
        "",
        f"- Command: `{command}`; {date.today().isoformat()}; {cpu_model()}.",
        "- Each run has a space and a Block Library of its own; its predictors and rivals are fitted to the same networks. "
        "Intervals hold 95 % of resampled networks.",
    ]
    return "\n".join([*head, "", *lines]) + "\n"


def _line(found: StudyData, compared: Sequence[PredictorComparison]) -> str:
    first = compared[0]
    scores = [each.scores[OURS].kendall_tau for each in compared]
    rivals = [f"{c.best_baseline}: {c.scores[c.best_baseline].kendall_tau.value:.3f}" for c in compared]
    ceilings = ", ".join("-" if c.ceiling is None else f"{c.ceiling.kendall_tau.value:.3f}" for c in compared)
    missing = ["-"] * (len(TEST_ROLES) - len(compared))
    cells = [
        found.title,
        f"`{found.kind}` on `{found.metric}`",
        str(len(found.groups["library"])),
        *(format_interval(score) for score in scores),
        *missing,
        *rivals,
        *missing,
        ceilings,
        format_interval(first.pairs_gain_over_macs, sign="+"),
        f"{first.scores[OURS].mse:.3f}",
    ]
    return f"| {' | '.join(cells)} |"
