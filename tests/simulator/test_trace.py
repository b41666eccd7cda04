"""The timeline: valid events, one track a unit, every slice within its operator, exact cycles."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from simulation_examples import made_operator, made_simulation, mobile, simulations

from donna_hw.simulator.results import SimulationResult
from donna_hw.simulator.trace import GROUPS, OPERATORS, TRACKS, to_perfetto

REQUIRED = {  # keys of an event by its phase, with their types: the Trace Event Format
    "X": {"name": str, "cat": str, "pid": int, "tid": int, "ts": float, "dur": float, "args": dict},
    "C": {"name": str, "pid": int, "ts": float, "args": dict},
    "M": {"name": str, "pid": int, "tid": int, "args": dict},
}


def tracks(found: SimulationResult) -> dict[str, list[dict[str, Any]]]:
    """Return the slices of each track by its name, as a viewer reads them."""
    events = json.loads(json.dumps(to_perfetto(found), allow_nan=False))["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    slices = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            slices[names[event["tid"]]].append(event)
    return slices


def span(event: dict[str, Any]) -> tuple[int, int]:
    return event["args"]["start_cycle"], event["args"]["start_cycle"] + event["args"]["cycles"]


@settings(deadline=None, max_examples=60)
@given(simulations())
def test_every_event_has_the_keys_of_its_phase(found: SimulationResult) -> None:
    trace = json.loads(json.dumps(to_perfetto(found), allow_nan=False))
    assert trace["displayTimeUnit"] == "ns"
    assert {e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"} == set(TRACKS)
    for event in trace["traceEvents"]:
        keys = REQUIRED[event["ph"]]
        assert set(event) - {"ph"} == set(keys)
        assert all(isinstance(event[key], kind) for key, kind in keys.items())
        assert event.get("dur", 0) >= 0
        assert event.get("ts", 0) >= 0
    for event in (e for e in trace["traceEvents"] if e["ph"] == "C"):
        assert all(isinstance(value, int) for value in event["args"].values())


@settings(deadline=None, max_examples=60)
@given(simulations())
def test_slices_of_a_track_do_not_overlap_and_lie_within_their_operators(found: SimulationResult) -> None:
    slices = tracks(found)
    assert [span(e) for e in slices[OPERATORS]] == [
        (op.start_cycle, op.start_cycle + op.total_cycles) for op in found.ops
    ]
    operators = {e["args"]["start_cycle"]: span(e) for e in slices[OPERATORS]}
    for track, events in slices.items():
        for before, after in itertools.pairwise(events):
            assert span(before)[1] <= span(after)[0]
            assert before["ts"] + before["dur"] <= after["ts"] * (1 + 1e-12)
        if track not in (GROUPS, OPERATORS):
            for event in events:
                assert span(event)[1] <= operators[span(event)[0]][1]


@settings(deadline=None, max_examples=60)
@given(simulations())
def test_times_are_cycles_over_the_clock(found: SimulationResult) -> None:
    for events in tracks(found).values():
        for event in events:
            start, end = span(event)
            assert event["ts"] == pytest.approx(start / found.hardware.clock_hz * 1e6, rel=1e-12)
            assert event["ts"] + event["dur"] == pytest.approx(end / found.hardware.clock_hz * 1e6, rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(simulations())
def test_units_are_busy_for_the_cycles_of_the_simulation(found: SimulationResult) -> None:
    slices = tracks(found)
    for track, field in (
        ("array", "array_cycles"),
        ("vector unit", "vector_cycles"),
        ("output stage", "output_cycles"),
        ("DMA", "dma_cycles"),
    ):
        assert sum(e["args"]["cycles"] for e in slices[track]) == sum(getattr(op, field) for op in found.ops)
    assert sum(e["args"]["dram_bytes"] for e in slices["DMA"]) == sum(
        op.dram_bytes for op in found.ops if op.dma_cycles
    )


def test_a_depth_first_group_spans_its_members() -> None:
    names = ("stem", "expand", "depthwise", "project", "head", "last")
    groups = (-1, 0, 0, 0, -1, 1)
    found = made_simulation(
        *(
            made_operator(name, array=10 * i + 1, strip_group=group)
            for i, (name, group) in enumerate(zip(names, groups, strict=True))
        )
    )
    first, second = tracks(found)[GROUPS]
    assert (first["name"], first["args"]["members"]) == ("group 0", ["expand", "depthwise", "project"])
    assert span(first) == (found.ops[1].start_cycle, found.ops[4].start_cycle)
    assert span(second) == (found.ops[5].start_cycle, found.total_cycles)


def test_an_operator_carries_what_it_moved_and_what_bounds_it() -> None:
    found = mobile()
    for op, event in zip(found.ops, tracks(found)[OPERATORS], strict=True):
        args = event["args"]
        assert (event["name"], event["cat"]) == (op.name, op.op_type)
        assert (args["bound_by"], args["tile"], args["dram_bytes"]) == (op.bound_by, op.tile, op.dram_bytes)


def test_an_empty_network_has_an_empty_timeline() -> None:
    assert tracks(made_simulation()) == {}
