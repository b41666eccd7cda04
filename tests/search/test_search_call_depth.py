"""How deep a command calls until partial sums are merged: a reader should not have to follow more than seven functions."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_search import tiny_problem

from donna_hw.cli import cli
from donna_hw.search import api, exact_sums
from donna_hw.search.pareto import unique_non_dominated

MAX_FRAMES = 7


def test_the_command_reaches_the_merge_of_partial_sums_in_seven_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks: list[list[str]] = []

    def merge(points: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stack, frame = ["unique_non_dominated"], sys._getframe(1)
        while frame is not None and stack[-1] != "donna_hw.cli.search.search":
            if frame.f_globals["__name__"].startswith("donna_hw."):
                stack.append(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")
            frame = frame.f_back  # type: ignore[assignment]
        stacks.append(stack)
        return unique_non_dominated(points, counts)

    monkeypatch.setattr(exact_sums, "unique_non_dominated", merge)
    monkeypatch.setattr(api, "_build_problem", lambda request: (tiny_problem(costs=2), []))
    result = CliRunner().invoke(cli, ["search", "tiny", "--accuracy-from", str(tmp_path), "--cost", "chip"])
    assert result.exit_code == 0, result.output
    merges = [stack for stack in stacks if "donna_hw.search.exact_sums._add_stage" in stack]
    assert merges, "partial sums are merged"
    for stack in merges:
        assert stack[-1] == "donna_hw.cli.search.search"
        assert len(stack) <= MAX_FRAMES, stack
