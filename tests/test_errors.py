"""An error is one line with rule, value, known names and cure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.errors import ConfigError, DonnaError, UnknownNameError


@given(st.text(), st.text(), st.lists(st.text()), st.text())
def test_every_message_is_one_line(rule: str, found: str, known: list[str], cure: str) -> None:
    message = str(DonnaError(rule, got=found, choices=known, hint=cure))
    assert len(message.splitlines()) <= 1


@given(st.text())
def test_a_found_object_of_any_text_is_one_line(text: str) -> None:
    assert len(str(ConfigError("rule", got=ValueError(text))).splitlines()) == 1


def test_the_parts_stand_in_order() -> None:
    error = UnknownNameError("a rule", got="digit", choices=("digits", "fashion"), hint="a cure")
    assert str(error) == "a rule; found 'digit'; known: digits, fashion (did you mean 'digits'?); a cure"
    assert (error.message, error.got, error.choices, error.hint) == ("a rule", "digit", ("digits", "fashion"), "a cure")


@pytest.mark.parametrize("found", [0, False, 0.0])
def test_a_found_zero_is_named(found: object) -> None:
    assert str(ConfigError("a rule", got=found)) == f"a rule; found {found}"


def test_a_found_value_too_large_to_show_is_cut_or_named_by_its_kind() -> None:
    long = str(ConfigError("a rule", got="x" * 5_000_000))
    assert len(long) < 400
    assert long.endswith("(5000002 characters)")
    deep: object = "x"
    for _ in range(100_000):
        deep = {"a": deep}
    assert (
        str(UnknownNameError("a rule", got=deep, choices=["b"])) == "a rule; found a dict too large to show; known: b"
    )
    assert str(ConfigError("a rule", got=10**5000)) == "a rule; found a int too large to show"
