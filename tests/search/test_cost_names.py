"""Names of costs, their tables and their limits: what is asked for is what is found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw._core.resources import data_roots
from donna_hw.errors import ConfigError, TableError, UnknownNameError
from donna_hw.search.parsing import CostParser
from donna_hw.spaces import load_space
from donna_hw.tables.lookup import CostName, find_table, load_table

SHIPPED = [data_roots()[-1] / "latency_tables"]
words = st.text("abcdefgh_0123", min_size=1, max_size=8)


def reader() -> CostParser:
    return CostParser(load_space("mobilenetv3_1.0"), SHIPPED)


@settings(deadline=None)
@given(st.sampled_from(["", "latency", "energy", "macs", "params"]), words, st.one_of(st.just(""), words))
def test_a_name_is_read_back_in_its_three_words(quantity: str, device: str, variant: str) -> None:
    text = (f"{quantity}@" if quantity else "") + device + (f"/{variant}" if variant else "")
    assert CostName.parse(text) == (quantity, device, variant)


@pytest.mark.parametrize("text", ["", "@", "latency@", "@v100", "v100/", "/x", "energy@/x"])
def test_a_name_without_its_words_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as latency@v100"):
        CostName.parse(text)


def test_an_unknown_quantity_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="'mood'; expected latency, macs, params or energy"):
        CostName.parse("mood@v100")


def test_a_device_alone_means_its_latency_or_count_and_never_its_energy() -> None:
    space = "mobilenetv3_1.0"
    found = {name: find_table(SHIPPED, name, space).info for name in ("tensor_unit", "macs", "params")}
    assert {name: info.quantity for name, info in found.items()} == {
        "tensor_unit": "latency",
        "macs": "macs",
        "params": "params",
    }
    assert find_table(SHIPPED, "latency@tensor_unit", space).info == found["tensor_unit"]
    energy = find_table(SHIPPED, "energy@tensor_unit", space)
    assert (energy.info.quantity, energy.info.unit) == ("energy", "J")
    assert find_table(SHIPPED, f"tensor_unit/{energy.path.stem}", space).path == energy.path
    assert load_table(f"energy@tensor_unit/{space}", Path("none")).path == energy.path


def test_a_folder_of_energies_alone_is_no_latency(tmp_path: Path) -> None:
    energy = find_table(SHIPPED, "energy@tensor_unit", "mobilenetv3_1.0")
    own = tmp_path / "tensor_unit" / "mobilenetv3_1.0"
    own.mkdir(parents=True)
    for path in energy.path.parent.glob(f"{energy.path.stem}.*"):
        own.joinpath(path.name).write_bytes(path.read_bytes())
    with pytest.raises(TableError, match=r"no table of .* for this cost; got 'tensor_unit'"):
        find_table([tmp_path], "tensor_unit", "mobilenetv3_1.0")
    assert find_table([tmp_path, *SHIPPED], "tensor_unit", "mobilenetv3_1.0").info.quantity == "latency"


def test_a_quantity_that_no_table_holds_names_those_that_are_there() -> None:
    with pytest.raises(TableError, match=r"got 'energy@params'.*energy@tensor_unit.*--device params --metric energy"):
        find_table(SHIPPED, "energy@params", "mobilenetv3_1.0")


def test_costs_are_called_as_they_are_asked_for_and_once() -> None:
    names = ["tensor_unit", "energy@tensor_unit", "latency@tensor_unit/isolated-b1-int8-dram", "params"]
    models = reader().parse_costs(names)
    assert [model.name for model in models] == names
    assert [model.unit for model in models] == ["s", "J", "s", "parameter"]
    rows = load_space("mobilenetv3_1.0").random_rows(20, 0)
    np.testing.assert_array_equal(models[0].mean(rows), models[2].mean(rows))
    with pytest.raises(ConfigError, match="given twice; got 'params'"):
        reader().parse_costs(["params", "params"])


def test_a_limit_is_on_any_cost_in_its_own_unit() -> None:
    costs = reader().parse_costs(["tensor_unit"])
    own = reader().parse_constraint("tensor_unit<=20ms", costs)
    assert own.cost is costs[0]
    assert own.upper_bound == pytest.approx(0.02)
    other = reader().parse_constraint("energy@tensor_unit<=3mJ", costs)
    assert (other.cost.name, other.cost.unit, other.upper_bound) == ("energy@tensor_unit", "J", pytest.approx(3e-3))
    worst = reader().parse_constraint("max(tensor_unit,onnxruntime_cpu)<=5ms", costs)
    assert (worst.cost.unit, worst.upper_bound) == ("s", pytest.approx(5e-3))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("params<=3ms", "in parameter .*'3ms'; expected parameter, k or M"),
        ("energy@tensor_unit<=3ms", "in J .*'3ms'; expected J, mJ, uJ, nJ or pJ"),
        ("tensor_unit<=3mJ", "in s .*'3mJ'; expected s, ms or us"),
        ("tensor_unit<=3", "in s .* with a unit; got '3'"),
        ("tensor_unit", "must be COST<=VALUE with a unit.*got 'tensor_unit'"),
        ("tensor_unit=3ms", "must be COST<=VALUE with a unit.*got 'tensor_unit=3ms'"),
    ],
)
def test_a_limit_whose_unit_does_not_fit_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        reader().parse_constraint(text)


@pytest.mark.parametrize("text", ["max(a", "a*", "2*3", "2*a+b", "a,b", "max(a*2,b)", "-1*a+2*b", "max()"])
def test_a_joined_cost_of_another_form_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises((ConfigError, TableError)) as caught:
        reader().parse_cost(text)
    assert "\n" not in str(caught.value)


def test_costs_of_different_units_do_not_join() -> None:
    with pytest.raises(ConfigError, match="of the same unit can be combined; got 'parameter, s'"):
        reader().parse_cost("max(tensor_unit,params)")


def test_a_weight_may_stand_before_or_after_its_name() -> None:
    rows = load_space("mobilenetv3_1.0").random_rows(10, 0)
    one, other = (
        reader().parse_cost("0.7*tensor_unit+0.3*onnxruntime_cpu"),
        reader().parse_cost("tensor_unit*0.7+onnxruntime_cpu*.3"),
    )
    np.testing.assert_array_equal(one.mean(rows), other.mean(rows))
