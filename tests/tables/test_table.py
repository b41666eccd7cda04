"""A table round-trips, and every way in which it can be wrong has its one-line error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import QUICK, FakeBackend, all_graphs, declared_costs, fake_device, fake_machine, tiny_space
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from donna_hw.errors import ConfigError, DonnaError, FileFormatError, TableError, UnknownNameError
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces import Axis, Space, Stage
from donna_hw.spaces.cells import ConvNormAct
from donna_hw.tables.coverage import block_key
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.table_info import table_path

SPACE = tiny_space()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    device = fake_device(FakeBackend(fake_machine(SPACE)))
    return profile_space(SPACE, device, tmp_path_factory.mktemp("good"), QUICK, workers=create_in_process_workers)


@pytest.fixture
def copy(good: LatencyTable, tmp_path: Path) -> LatencyTable:
    """A copy that a test may spoil."""
    table = replace(good, frame=good.frame.copy(), path=tmp_path / "table.csv")
    table.write()
    return table


def edited(table: LatencyTable, suffix: str, edit: Callable[[str], str]) -> Path:
    path = table.path.with_suffix(suffix)
    text = path.read_text(encoding="utf-8")
    changed = edit(text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    return table.path


def test_a_table_reads_back_as_it_was_written(copy: LatencyTable) -> None:
    again = LatencyTable.read(copy.path)
    assert again.info == copy.info
    pd.testing.assert_frame_equal(again.frame, copy.frame)
    before = copy.path.read_bytes(), copy.path.with_suffix(".toml").read_bytes()
    again.write()
    assert (copy.path.read_bytes(), copy.path.with_suffix(".toml").read_bytes()) == before


def test_costs_are_the_rows_by_stage_and_number(copy: LatencyTable) -> None:
    declared = declared_costs(SPACE)
    costs = copy.costs(SPACE)
    for stage, values in zip(SPACE.stages, costs.blocks, strict=True):
        keys = [layers_hash(SPACE.block_graph(stage, m)) for m in range(stage.size)]
        assert values.tolist() == [float(f"{declared[key] * 1e-9:.6g}") for key in keys]
    fixed = [float(f"{declared[layers_hash(SPACE.fixed_graph(name))] * 1e-9:.6g}") for name in SPACE.fixed]
    assert costs.fixed == pytest.approx(sum(fixed), rel=1e-12)


def test_the_order_of_the_rows_says_nothing(copy: LatencyTable) -> None:
    shuffled = replace(copy, frame=copy.frame.sample(frac=1, random_state=0).reset_index(drop=True))
    for mine, theirs in zip(copy.costs(SPACE).blocks, shuffled.costs(SPACE).blocks, strict=True):
        assert mine.tolist() == theirs.tolist()


def test_rows_of_blocks_that_the_space_lacks_are_passed_over(copy: LatencyTable) -> None:
    extra = copy.frame.iloc[[-1]].assign(part="third")
    more = replace(copy, frame=pd.concat([copy.frame, extra], ignore_index=True))
    assert more.costs(SPACE).blocks[1].tolist() == copy.costs(SPACE).blocks[1].tolist()


def test_standard_errors_are_those_of_the_rounds(copy: LatencyTable) -> None:
    from scipy import stats

    row = {"median_s": 0.010, "low_s": 0.009, "high_s": 0.011, "rounds": 4}
    frame = copy.frame.assign(**row)
    costs = replace(copy, frame=frame).costs(SPACE)
    error = 0.001 / stats.t.ppf(0.975, 3)
    assert np.concatenate(costs.errors) == pytest.approx(np.full(8, error))
    assert costs.fixed_error == pytest.approx(np.sqrt(2) * error)
    one_round = replace(copy, frame=frame.assign(rounds=1)).costs(SPACE)
    assert np.concatenate(one_round.errors) == pytest.approx(np.full(8, 0.001 / stats.norm.ppf(0.975)))


def test_a_space_without_fixed_parts_has_costs_too(tmp_path: Path) -> None:
    stage = Stage("only", (Axis("kernel", (1, 3)),), lambda kernel: ConvNormAct(3, kernel=kernel))
    space = Space("bare", "", (3, 4, 4), (), (stage,), ())
    table = profile_space(
        space, fake_device(FakeBackend(fake_machine(space))), tmp_path, QUICK, workers=create_in_process_workers
    )
    costs = table.costs(space)
    assert (costs.fixed, costs.fixed_error) == (0.0, 0.0)
    assert costs.blocks[0].shape == (2,)


def test_a_missing_row_is_counted_and_named_with_the_hint(copy: LatencyTable) -> None:
    rows = copy.frame[copy.frame["part"] != "second"].reset_index(drop=True)
    with pytest.raises(
        TableError, match=r"4 rows of tiny are missing: second 1 relu, .* \.\.\.; donna-hw profile tiny --device fake"
    ):
        replace(copy, frame=rows).costs(SPACE)
    rows = copy.frame[copy.frame["part"] != "stem"].reset_index(drop=True)
    with pytest.raises(TableError, match="1 rows of tiny are missing: stem"):
        replace(copy, frame=rows).costs(SPACE)


@pytest.mark.parametrize("column", ["samples", "rounds"])
def test_a_latency_in_a_column_without_its_unit_is_refused(copy: LatencyTable, column: str) -> None:
    edited(copy, ".toml", lambda text: text.replace('column = "median_s"', f'column = "{column}"'))
    with pytest.raises(TableError, match=f"must end in _s; got '{column}'"):
        LatencyTable.read(copy.path)


def test_a_doubled_row_is_named(copy: LatencyTable) -> None:
    edited(copy, ".csv", lambda text: text + text.splitlines(keepends=True)[-1])
    with pytest.raises(TableError, match="two rows for second 3 swish; delete one"):
        LatencyTable.read(copy.path).costs(SPACE)


def test_a_table_of_another_space_is_refused(copy: LatencyTable) -> None:
    with pytest.raises(TableError, match="a table of tiny, not of other"):
        copy.costs(tiny_space(name="other"))


def test_a_row_of_other_layers_is_named_with_both_hashes(copy: LatencyTable) -> None:
    stage = SPACE.stages[1]
    changed = replace(stage, cell=lambda kernel, activation: ConvNormAct(4, kernel=kernel + 2, activation=activation))
    with pytest.raises(TableError, match=r"row second 1 relu is of layers [0-9a-f]{16}, but tiny has [0-9a-f]{16} now"):
        copy.costs(replace(SPACE, stages=(SPACE.stages[0], changed)))


@pytest.mark.parametrize("bad", ["nan", "", "inf", "-inf", "-0.001", "0", "0.0", "fast", "1e400"])
@pytest.mark.parametrize("column", ["median_s", "low_s"])
def test_a_value_that_is_no_time_is_named_by_line(copy: LatencyTable, column: str, bad: str) -> None:
    frame = copy.frame.astype({column: object})
    frame.loc[2, column] = bad
    replace(copy, frame=frame).write()
    if column == "low_s" and bad in ("0", "0.0"):
        LatencyTable.read(copy.path)  # an interval may start at zero
        return
    with pytest.raises(TableError, match=f"line 4: {column} must be a finite number"):
        LatencyTable.read(copy.path)


def test_an_interval_upside_down_is_named_by_line(copy: LatencyTable) -> None:
    frame = copy.frame.assign(low_s=copy.frame["high_s"] * 2)
    replace(copy, frame=frame).write()
    with pytest.raises(TableError, match=r"line 2: low_s [0-9.]+ is above high_s [0-9.]+"):
        LatencyTable.read(copy.path)


@pytest.mark.parametrize(
    ("place", "new", "error", "says"),
    [
        ((".csv", "median_s"), "median_ms", TableError, r"no column median_s \(times are in seconds\)"),
        ((".toml", 'unit = "s"'), 'unit = "ms"', TableError, "wrong quantity or unit; got 'latency in ms'"),
        (
            (".toml", 'quantity = "latency"'),
            'quantity = "joules"',
            TableError,
            "got 'joules in s'; expected latency in s",
        ),
        (
            (".toml", 'origin = "measured"'),
            'origin = "guessed"',
            TableError,
            "unknown origin.*'guessed'; expected measured, simulated",
        ),
        ((".toml", 'device = "fake"'), 'devise = "fake"', UnknownNameError, "'devise'.*did you mean 'device'"),
        ((".toml", 'device = "fake"'), "device = 3", ConfigError, "device: .*got 3"),
        ((".toml", 'device = "fake"\n'), "", ConfigError, "table.toml: missing key 'device'"),
        ((".toml", "[identity]"), "[identity", FileFormatError, "table.toml: not valid TOML; got .*line 14"),
        ((".toml", 'column = "median_s"'), 'column = "part"', TableError, "line 2: part must be a finite number"),
        ((".toml", 'column = "median_s"'), 'column = "none"', TableError, "no column none"),
        ((".csv", "layers_hash"), "hash", TableError, "no column layers_hash"),
        ((".csv", "high_s"), "high", TableError, "no column high_s"),
    ],
)
def test_a_wrong_word_is_named(
    copy: LatencyTable, place: tuple[str, str], new: str, error: type[DonnaError], says: str
) -> None:
    suffix, old = place
    edited(copy, suffix, lambda text: text.replace(old, new, 1))
    with pytest.raises(error, match=says) as caught:
        LatencyTable.read(copy.path)
    assert str(copy.path.parent) in str(caught.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-1.0", "0.0"])
def test_a_sentinels_reference_that_is_no_time_is_refused(copy: LatencyTable, value: str) -> None:
    assert copy.info.sentinel_reference_s is not None
    edited(copy, ".toml", lambda text: text.replace(str(copy.info.sentinel_reference_s), value))
    with pytest.raises(ConfigError, match="sentinel_reference_s"):
        LatencyTable.read(copy.path)


def test_a_row_of_too_many_cells_never_shifts_the_columns(copy: LatencyTable) -> None:
    edited(
        copy,
        ".csv",
        lambda text: "".join(line + ("\n" if n == 0 else ",1\n") for n, line in enumerate(text.splitlines())),
    )
    with pytest.raises(FileFormatError, match="line 2: 17 cells, expected 16"):
        LatencyTable.read(copy.path)


def test_columns_of_one_name_are_refused(copy: LatencyTable) -> None:
    edited(copy, ".csv", lambda text: text.replace("min_s", "median_s", 1))
    with pytest.raises(FileFormatError, match="two columns of one name; got 'part, "):
        LatencyTable.read(copy.path)


def test_a_row_of_too_few_cells_is_refused(copy: LatencyTable) -> None:
    edited(copy, ".csv", lambda text: text.rsplit(",", 1)[0] + "\n")
    with pytest.raises(FileFormatError, match="line 11: 15 cells, expected 16"):
        LatencyTable.read(copy.path)


def test_a_table_torn_anywhere_is_refused_or_lacks_rows(copy: LatencyTable) -> None:
    data = copy.path.read_bytes()
    for end in range(0, len(data), 7):
        copy.path.write_bytes(data[:end])
        with pytest.raises(DonnaError):
            LatencyTable.read(copy.path).costs(SPACE)


def test_missing_halves_are_named(copy: LatencyTable) -> None:
    copy.path.unlink()
    with pytest.raises(FileFormatError, match=r"table\.csv: no such file"):
        LatencyTable.read(copy.path)
    copy.path.with_suffix(".toml").unlink()
    with pytest.raises(FileFormatError, match=r"table\.toml: no such file"):
        LatencyTable.read(copy.path)


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00\x01\x02\n", b"\xff\xfe\n", b'"\n', b"part\n"])
def test_garbage_is_refused(copy: LatencyTable, content: bytes) -> None:
    copy.path.write_bytes(content)
    with pytest.raises((FileFormatError, TableError)):
        LatencyTable.read(copy.path)


def test_a_table_lies_by_device_space_and_variant() -> None:
    assert table_path(Path("r"), "d", "s", "v-b1").as_posix() == "r/d/s/v-b1.csv"


def test_a_blocks_key_is_its_stage_and_values() -> None:
    assert block_key(SPACE.stages[0], 3) == ("first", "3", "swish")


# A mutation: at a place (a share of the length), cut out some bytes and put in others.
PIECES = st.one_of(
    st.binary(max_size=6), st.sampled_from([b"\n", b",", b'"', b"nan", b"-", b"0", b"[", b"=", b"1e999"])
)
MUTATIONS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES), min_size=1, max_size=4)


@pytest.mark.parametrize("suffix", [".csv", ".toml"])
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
def test_any_damage_gives_a_table_or_a_one_line_error(
    good: LatencyTable, tmp_path: Path, suffix: str, mutations: list[tuple[float, int, bytes]]
) -> None:
    path = tmp_path / "t.csv"
    for part in (".csv", ".toml"):
        data = good.path.with_suffix(part).read_bytes()
        for place, cut, piece in mutations if part == suffix else []:
            at = int(place * len(data))
            data = data[:at] + piece + data[at + cut :]
        path.with_suffix(part).write_bytes(data)
    blocks, message = costs_or_message(path)
    assert len(message.splitlines()) <= 1
    assert bool(message) != bool(blocks)
    assert all(np.isfinite(block).all() and (block > 0).all() for block in blocks)


def costs_or_message(path: Path) -> tuple[tuple[np.ndarray, ...], str]:
    try:
        return LatencyTable.read(path).costs(SPACE).blocks, ""
    except DonnaError as error:
        return (), str(error)


def test_all_graphs_of_the_test_space_have_rows(good: LatencyTable) -> None:
    assert set(good.frame["layers_hash"]) == {layers_hash(graph) for graph in all_graphs(SPACE)}
