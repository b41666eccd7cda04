"""The paper's protocols have the paper's numbers; a broken one is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Measurement, Samples, Trial
from donna_hw.measurement.protocol import PROTOCOLS, Protocol, get_protocol


def test_the_v100_runs_20_batches_of_32_drops_the_first_10_and_keeps_the_fastest() -> None:
    protocol = PROTOCOLS["paper_v100"]
    assert (protocol.batch, protocol.warmup + protocol.samples, protocol.warmup) == (32, 20, 10)
    assert (protocol.rounds, protocol.statistic, protocol.sentinel_samples, protocol.cool_down_s) == (1, "min", 0, 0)
    kept = np.arange(20.0, 0.0, -1.0)[protocol.warmup :]
    visit = Trial(0, Samples(kept), np.empty(0))
    assert Measurement((visit,), protocol, Environment({"device_model": "fake"})).value_s == kept.min()


def test_the_s20_averages_30_single_images_and_cools_down_for_a_minute() -> None:
    protocol = PROTOCOLS["paper_s20"]
    assert (protocol.batch, protocol.warmup, protocol.samples, protocol.statistic) == (1, 0, 30, "mean")
    assert (protocol.rounds, protocol.cool_down_s, protocol.sentinel_samples) == (1, 60.0, 0)


def test_the_simulator_takes_the_fastest_of_single_images() -> None:
    protocol = PROTOCOLS["paper_simulator"]
    assert (protocol.batch, protocol.statistic) == (1, "min")


def test_devices_of_the_paper_have_the_papers_protocols() -> None:
    named = {name: Device.load(name).protocol for name in ("v100", "samsung_s20", "tensor_unit")}
    assert named["v100"] == PROTOCOLS["paper_v100"]
    assert named["samsung_s20"] == PROTOCOLS["paper_s20"]
    assert named["tensor_unit"] == PROTOCOLS["paper_simulator"]


def test_protocols_are_known_by_their_names() -> None:
    assert all(get_protocol(name).name == name for name in PROTOCOLS)
    with pytest.raises(UnknownNameError, match=r"expected paper_s20, .*did you mean 'precise'"):
        get_protocol("presise")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rounds", 0),
        ("warmup", -1),
        ("samples", 0),
        ("batch", 0),
        ("sentinel_samples", -1),
        ("cool_down_s", -0.1),
        ("cool_down_s", float("nan")),
        ("cool_down_s", float("inf")),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    good = Protocol("mine", 1, 0, 1, "min")
    with pytest.raises(ConfigError, match=f"protocol mine: {field}"):
        replace(good, **{field: value})


def test_an_unknown_statistic_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown statistic .*expected median, mean or min"):
        Protocol("mine", 1, 0, 1, "average")
