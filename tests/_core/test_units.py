"""Quantities with units: what is printed reads back, and what has no fitting unit is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw._core.units import choose_unit, format_quantity, format_with_error, parse_duration, parse_quantity
from donna_hw.errors import ConfigError

UNITS = ("s", "MAC", "parameter", "J")


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("0.2ms", "s", 2e-4),
        (" 200 us ", "s", 2e-4),
        ("3s", "s", 3.0),
        ("1.5e3us", "s", 1.5e-3),
        ("12MMAC", "MAC", 12e6),
        ("7 MAC", "MAC", 7.0),
        ("2GMAC", "MAC", 2e9),
        ("40k", "parameter", 4e4),
        ("2M", "parameter", 2e6),
        ("9 parameter", "parameter", 9.0),
        ("3mJ", "J", 3e-3),
        ("40 pJ", "J", 4e-11),
    ],
)
def test_a_quantity_is_read_in_its_unit(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@settings(deadline=None)
@given(st.floats(1e-9, 1e12), st.sampled_from(UNITS))
def test_what_is_printed_reads_back_to_four_digits(value: float, unit: str) -> None:
    assert parse_quantity(format_quantity(value, unit), unit) == pytest.approx(value, rel=5.1e-4)


@settings(deadline=None)
@given(st.floats(1e-6, 900), st.sampled_from(UNITS))
def test_a_readable_unit_keeps_numbers_below_a_thousand(value: float, unit: str) -> None:
    _, size = choose_unit(value, unit)
    assert value / size < 1000


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (2**20, "B", "1 MiB"),
        (1000, "B", "0.9766 KiB"),
        (3 * 2**40, "B", "3072 GiB"),
        (2.5e-7, "J", "250 nJ"),
        (1.5, "J", "1.5 J"),
        (8e8, "Hz", "800 MHz"),
    ],
)
def test_bytes_are_printed_by_1024_and_the_rest_by_1000(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


@pytest.mark.parametrize(
    "text", ["5", "5 parsec", "", "ms", "-3ms", "0ms", "1.2.3ms", "nanms", "infs", "1e999s", "5MAC", "5 MS"]
)
def test_a_latency_without_a_fitting_unit_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match="expected s, ms or us") as caught:
        parse_quantity(text, "s")
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "known"), [("MAC", "MAC, kMAC, MMAC or GMAC"), ("parameter", "parameter, k or M"), ("J", "J, mJ, uJ")]
)
def test_counts_refuse_a_time(unit: str, known: str) -> None:
    with pytest.raises(ConfigError, match=f"expected {known}"):
        parse_quantity("3ms", unit)


def test_a_value_and_its_error_are_printed_in_one_unit() -> None:
    assert format_with_error(46.07e-6, 0.7562e-6, "s") == "46.07 +- 0.76 us"
    assert format_with_error(1.5e-3, 20e-6, "s") == "1.5 +- 0.02 ms"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), (" 1.5 h ", 5400), (".5s", 0.5), ("0.25m", 15)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "m", "-1s", "0s", "1d", "1h30m", "5 ms", "nans", "infh", "1e3s", "1.2.3s", "9" * 400 + "s", "٣s"]
)
def test_a_duration_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected s, m or h") as caught:
        parse_duration(text)
    assert caught.value.got == text
