"""The page of table 7 in Markdown: the predictors of several runs, each on its own space."""

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
    "best baseline, uniform",
    "stratified",
    "noise ceilings",
    "equal-cost pairs minus MACs'",
    "MSE",
)


def spaces_markdown(runs: Sequence[StudyData], command: str) -> str:
    """Return table 7 of several runs, each with its own predictor and the project's (`PROJECT_KINDS`).

    The networks are those drawn uniformly and those spread evenly over MACs; command: what repeats the page.
    """
    lines = [f"| {' | '.join(COLUMN_TITLES)} |", "|---" * len(COLUMN_TITLES) + "|"]
    for run_data in runs:
        for kind, metric in dict.fromkeys(((run_data.kind, run_data.metric), *PROJECT_KINDS)):
            data = replace(run_data, kind=kind, metric=metric)
            lines.append(_line(data, [compare(data, role) for role in TEST_ROLES if role in data.groups]))
    head = [
        "# Across spaces (table 7)",
        "",
        f"- Command: `{command}`; {date.today().isoformat()}; {cpu_model()}.",
        "- Each run has its own space and Block Library; its predictors and baselines are fitted to the same networks. "
        "Intervals contain 95 % of resampled networks.",
    ]
    return "\n".join([*head, "", *lines]) + "\n"


def _line(data: StudyData, comparisons: Sequence[PredictorComparison]) -> str:
    first = comparisons[0]
    scores = [comparison.scores[OURS].kendall_tau for comparison in comparisons]
    baselines = [f"{c.best_baseline}: {c.scores[c.best_baseline].kendall_tau.value:.3f}" for c in comparisons]
    ceilings = ", ".join("-" if c.ceiling is None else f"{c.ceiling.kendall_tau.value:.3f}" for c in comparisons)
    missing = ["-"] * (len(TEST_ROLES) - len(comparisons))
    cells = [
        data.title,
        f"`{data.kind}` on `{data.metric}`",
        str(len(data.groups["library"])),
        *(format_interval(score) for score in scores),
        *missing,
        *baselines,
        *missing,
        ceilings,
        format_interval(first.pairs_gain_over_macs, sign="+"),
        f"{first.scores[OURS].mse:.3f}",
    ]
    return f"| {' | '.join(cells)} |"
