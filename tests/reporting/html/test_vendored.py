"""The page without a browser: what it is written from, and what happens without the plot's library."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest
from example_page import SPACE, example_content

from donna_hw.cli.run import run_and_report
from donna_hw.pipeline import steps
from donna_hw.reporting.html import page
from donna_hw.reporting.html.data import decimal_places, page_data
from donna_hw.reporting.html.networks import CostInfo
from donna_hw.reporting.html.page import render_page


class StoppedError(Exception):
    """Ends a run after its first step."""


def stop(run: object) -> None:
    raise StoppedError


def test_a_run_says_at_its_start_that_its_report_will_hold_a_static_picture(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "validate_run", stop)
    with pytest.raises(StoppedError):
        run_and_report(None, None)  # type: ignore[arg-type]
    assert page.INSTALL_HINT not in capsys.readouterr().err
    monkeypatch.setattr(page, "find_spec", lambda name: None if name == "plotly" else find_spec(name))
    assert page.read_plotly_js() == ""
    with pytest.raises(StoppedError):
        run_and_report(None, None)  # type: ignore[arg-type]
    assert page.INSTALL_HINT in capsys.readouterr().err


def test_no_datum_ends_the_script_that_it_stands_in() -> None:
    content = example_content()
    nasty = "</script><script>alert(1)</script><!--"
    networks = tuple(replace(one, costs={nasty: one.costs["cpu"]}) for one in content.networks)
    content = replace(content, device=nasty, costs=(CostInfo(nasty, "s", "measured"),), networks=networks)
    assert "<" not in page_data(content)
    assert json.loads(page_data(content))["device"] == nasty
    page = render_page(content, "", "")
    assert page.count("<script") == page.count("</script>") == 2


def test_the_data_hold_every_network_and_each_blocks_boxes_once() -> None:
    content = example_content()
    data = json.loads(page_data(content))
    assert len(data["networks"]) == len(content.networks)
    for shown, network in zip(data["networks"], content.networks, strict=True):
        drawn = [
            box
            for stage, label in zip(data["stages"], shown["labels"], strict=True)
            for box in data["blocks"][f"{stage} {label}"]
        ]
        assert [box["kernel"] for box in drawn] == [box.kernel for box in network.boxes]
        assert shown["costs"]["cpu"] == pytest.approx(network.costs["cpu"])
    assert data["stages"] == list(SPACE.columns)


def test_a_column_has_as_many_places_as_its_largest_value_wants() -> None:
    assert decimal_places([1.0e-6, 56.43e-6, None], 1e-6, 4) == 2
    assert decimal_places([0.5e-6], 1e-6, 4) == 4
    assert decimal_places([12345.0], 1.0, 4) == 0
    assert decimal_places([0.0, None], 1.0, 4) == decimal_places([], 1.0, 4) == 0
