"""An error is one line: what is wrong, the value, the choices and a hint."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.errors import ConfigError, DonnaError, TableError, UnavailableError, UnknownNameError


@given(st.text(), st.text(), st.lists(st.text()), st.text())
def test_every_message_is_one_line(message: str, got: str, choices: list[str], hint: str) -> None:
    text = str(DonnaError(message, got=got, choices=choices, hint=hint))
    assert len(text.splitlines()) <= 1


@given(st.text())
def test_an_object_of_any_text_is_one_line(text: str) -> None:
    assert len(str(ConfigError("bad value", got=ValueError(text))).splitlines()) == 1


def test_an_unknown_name_is_followed_by_the_choices_and_the_hint() -> None:
    error = UnknownNameError("unknown data set", got="digit", choices=("digits", "fashion"), hint="name a folder")
    assert str(error) == "unknown data set 'digit'; expected digits or fashion (did you mean 'digits'?); name a folder"
    fields = ("unknown data set", "digit", ("digits", "fashion"), "name a folder")
    assert (error.message, error.got, error.choices, error.hint) == fields


def test_a_bad_value_is_followed_by_what_was_given() -> None:
    error = ConfigError("batch must be at least 1", got=0, hint="raise it")
    assert str(error) == "batch must be at least 1; got 0; raise it"


@pytest.mark.parametrize("got", [0, False, 0.0])
def test_a_zero_is_shown(got: object) -> None:
    assert str(ConfigError("bad value", got=got)) == f"bad value; got {got}"


def test_a_value_too_large_to_show_is_cut_or_named_by_its_type() -> None:
    long = str(ConfigError("bad value", got="x" * 5_000_000))
    assert len(long) < 400
    assert long.endswith("(5000002 characters)")
    deep: object = "x"
    for _ in range(100_000):
        deep = {"a": deep}
    assert str(UnknownNameError("unknown name", got=deep, choices=["b"])) == (
        "unknown name a dict too large to show; expected b"
    )
    assert str(ConfigError("bad value", got=10**5000)) == "bad value; got a int too large to show"


def test_an_error_survives_the_way_from_one_process_to_another() -> None:
    error = UnknownNameError("unknown mode", got="x", choices=("a", "b"), hint="choose one")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy), copy.got, copy.choices) == (UnknownNameError, str(error), "x", ("a", "b"))


def test_errors_are_also_those_of_python_that_fit() -> None:
    assert issubclass(UnknownNameError, KeyError)
    assert issubclass(ConfigError, ValueError)
    assert issubclass(TableError, ValueError)
    assert issubclass(UnavailableError, RuntimeError)
