"""Options of a search that measures its front."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from donna_hw.search.verification_loop import Plan

VERIFY = click.option(
    "--verify",
    type=click.IntRange(4),
    help="Measure so many networks of the front whole, correct the first cost, search again, until the front stands.",
)
ROUNDS = click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Of --verify, at most.")


def verifying(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `verify` and `rounds`."""
    return VERIFY(ROUNDS(command))


def plan_of(verify: int | None, rounds: int) -> Plan | None:
    """Return what the options ask for, None for no verification."""
    from donna_hw.search.verification_loop import Plan

    return None if verify is None else Plan(verify, rounds)
