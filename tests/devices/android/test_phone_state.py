"""A phone's words about itself, read from what Android prints."""

from __future__ import annotations

import pytest
from phone_output import BATTERY, GETPROP, THERMAL

from donna_hw.devices.backends.android.phone_info import (
    PhoneState,
    chip_name,
    parse_fields,
    parse_properties,
    parse_temperatures,
)


def test_properties_are_read_by_name() -> None:
    found = parse_properties(GETPROP)
    assert found["ro.product.model"] == "SM-G981U"
    assert found["ro.product.cpu.abilist"] == "arm64-v8a,armeabi-v7a,armeabi"
    assert found["persist.note"] == "first"


@pytest.mark.parametrize(
    ("properties", "chip"),
    [
        ({"ro.soc.model": "SM8250", "ro.board.platform": "kona"}, "Snapdragon 865"),
        ({"ro.board.platform": "kona", "ro.hardware": "qcom"}, "Snapdragon 865"),
        ({"ro.hardware.chipname": "exynos990", "ro.hardware": "exynos990"}, "Exynos 990"),
        ({"ro.board.platform": "universal9830"}, "Exynos 990"),
        ({"ro.soc.model": "Tensor G3", "ro.hardware": "zuma"}, "Tensor G3"),
        ({"ro.soc.model": ""}, "unknown"),
    ],
)
def test_a_chip_is_named_as_people_name_it_or_by_its_own_name(properties: dict[str, str], chip: str) -> None:
    assert chip_name(properties) == chip


def test_only_what_the_sensors_read_now_counts_and_dead_ones_are_left_out() -> None:
    found = parse_temperatures(THERMAL)
    assert found == {"cpu0": 33.1, "cpu1": 34.9, "gpu0": 32.0, "skin": 29.9}
    assert PhoneState(found).temperature_c("cpu") == 34.9
    assert PhoneState(found).temperature_c("battery") is None
    assert parse_temperatures("Thermal Status: 0\nHAL Ready: false\n") == {}


def test_the_batterys_fields_are_read() -> None:
    assert {"level": "71", "temperature": "287", "usb powered": "true"}.items() <= parse_fields(BATTERY).items()


def test_advice_names_what_disturbs_and_nothing_that_is_unknown() -> None:
    assert PhoneState({}).warnings == ()
    disturbed = PhoneState(
        {}, thermal_status=2, battery_percent=12, charging=True, screen_on=True, airplane_mode=False, battery_saver=True
    )
    said = " | ".join(disturbed.warnings)
    for word in ("screen", "airplane", "battery saver", "charging", "12 %", "thermal status moderate"):
        assert word in said
    calm = PhoneState({}, 0, 80, charging=False, screen_on=False, airplane_mode=True, battery_saver=False)
    assert calm.warnings == ()
    assert calm.throttle_reasons == ()
