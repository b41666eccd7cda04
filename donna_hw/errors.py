"""Every exception that a user can meet: one line that states what is wrong, what was expected, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_VALUE_LENGTH = 300  # characters of a value that are shown; a corrupt file may hold one of megabytes


def _format_value(got: object) -> str:
    """Return a value as a message shows it: a text quoted, a long one cut."""
    try:
        text = repr(got) if isinstance(got, str) else str(got)
    except (RecursionError, ValueError):  # nested too deep, or a number of too many digits
        return f"a {type(got).__name__} too large to show"
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}... ({len(text)} characters)"


class DonnaError(Exception):
    """An error that a user can fix; the command line prints it in one line, without a traceback, and exits with 2.

    Args:
        message: What is wrong.
        got: The value that was given instead of a good one.
        choices: The values that would be good; the one nearest to `got` is suggested.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, got: object = None, choices: Iterable[str] = (), hint: str = "") -> None:
        self.message, self.got, self.choices, self.hint = message, got, tuple(choices), hint
        sentences = [self._first_sentence()]
        if self.choices:
            sentences.append(f"expected {_format_choices(self.choices)}{_suggest(got, self.choices)}")
        if hint:
            sentences.append(hint)
        super().__init__("; ".join(" ".join(sentence.split()) for sentence in sentences))

    def _first_sentence(self) -> str:
        return self.message if self.got is None else f"{self.message}; got {_format_value(self.got)}"

    def __str__(self) -> str:
        """Return the line, without the quotes that a `KeyError` would put about it."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling from one process to another."""
        return _rebuild, (type(self), self.message, self.got, self.choices, self.hint)


class UnknownNameError(DonnaError, KeyError):
    """An unknown device, space, backend, protocol, recipe key or axis value: the line reads `unknown mode 'x'; expected ...`."""

    def _first_sentence(self) -> str:
        return self.message if self.got is None else f"{self.message} {_format_value(self.got)}"


class ConfigError(DonnaError, ValueError):
    """A setting or argument with a bad value."""


class FileFormatError(DonnaError, ValueError):
    """A file that is missing, torn, corrupt or not of the format that its name promises."""


class TableError(DonnaError, ValueError):
    """A latency table that lacks a row, has a wrong unit or value, or comes from another environment."""


class MeasurementError(DonnaError, ValueError):
    """Samples that are not times: none at all, NaN, infinite, zero or negative."""


class UnavailableError(DonnaError, RuntimeError):
    """A backend, package or device that cannot be used here; the hint explains how to get it."""


class InsufficientDataError(DonnaError, ValueError):
    """Fewer measurements or finished networks than a fit needs."""


class LockedError(DonnaError, RuntimeError):
    """Another process writes the same run or table."""


def _format_choices(choices: tuple[str, ...]) -> str:
    """Return `a, b or c`."""
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _suggest(got: object, choices: tuple[str, ...]) -> str:
    """Return ` (did you mean 'b'?)` for a choice like `got`."""
    near = difflib.get_close_matches(got if isinstance(got, str) else _format_value(got), choices, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _rebuild(kind: type[DonnaError], message: str, got: object, choices: tuple[str, ...], hint: str) -> DonnaError:
    return kind(message, got=got, choices=choices, hint=hint)
