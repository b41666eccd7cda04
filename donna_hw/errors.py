"""Every exception a user can meet: one line that names the rule, the value found, the known names and the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST_FOUND = 300  # characters of a value that are shown; a corrupt file may hold one of megabytes


def _shown(found: object) -> str:
    """Return a value as a message shows it: a text quoted, a long one cut."""
    try:
        text = repr(found) if isinstance(found, str) else str(found)
    except (RecursionError, ValueError):  # nested too deep, or a number of too many digits
        return f"a {type(found).__name__} too large to show"
    return text if len(text) <= LONGEST_FOUND else f"{text[:LONGEST_FOUND]}... ({len(text)} characters)"


class DonnaError(Exception):
    """An error a user can mend.

    `rule` is what must hold, `found` what was there instead, `known` the names that would be right, `cure` what to do.
    The message is always one line; the command line prints it without a traceback and exits with 2.
    """

    def __init__(self, rule: str, *, found: object = None, known: Iterable[str] = (), cure: str = "") -> None:
        self.rule, self.found, self.known, self.cure = rule, found, tuple(known), cure
        parts = [rule]
        if found is not None:
            parts.append(f"found {_shown(found)}")
        if self.known:
            near = difflib.get_close_matches(found if isinstance(found, str) else _shown(found), self.known, n=1)
            parts.append("known: " + ", ".join(self.known) + (f" (did you mean {near[0]!r}?)" if near else ""))
        if cure:
            parts.append(cure)
        super().__init__("; ".join(" ".join(part.split()) for part in parts))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way from one process to another."""
        return _remade, (type(self), self.rule, self.found, self.known, self.cure)


class UnknownName(DonnaError):
    """A device, space, backend, protocol, recipe key or axis value that nothing answers to."""


class BadSetting(DonnaError):
    """A setting whose value breaks its rule."""


class BadFile(DonnaError):
    """A file that is missing, torn, corrupt or not of the format its name promises."""


class BadTable(DonnaError):
    """A latency table that lacks a row, holds a wrong unit or value, or comes from another environment."""


class BadMeasurement(DonnaError):
    """Samples that are no times: none, NaN, infinite, zero or negative."""


class Unavailable(DonnaError):
    """A backend, package or device that cannot be used here; the cure says how to get it."""


class NothingToFit(DonnaError):
    """A library with too few finished entries for what was asked of it."""


class Busy(DonnaError):
    """Another process is writing the same run or table."""


def _remade(kind: type[DonnaError], rule: str, found: object, known: tuple[str, ...], cure: str) -> DonnaError:
    return kind(rule, found=found, known=known, cure=cure)
