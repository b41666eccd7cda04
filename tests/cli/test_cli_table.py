"""donna-hw table: what a table is of, what in it is not trusted, and whether two differ."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from table_examples import drawn_rounds, made_table
from tiny_run import Main

from donna_hw._core.resources import data_roots
from donna_hw.cli import cli
from donna_hw.cli.table import table as group
from donna_hw.measurement.measurement import Samples, Trial
from donna_hw.profiling.sample_journal import COLUMNS, SampleJournal
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.table_info import table_path

SHIPPED_PATH = min((data_roots()[-1] / "latency_tables" / "onnxruntime_cpu" / "small_28px").glob("*-t1.csv"))
SHIPPED = f"onnxruntime_cpu/small_28px/{SHIPPED_PATH.stem}"


def written(folder: Path, table: LatencyTable, variant: str = "v") -> LatencyTable:
    """Write a made table where `--tables` finds it."""
    placed = replace(table, path=table_path(folder, table.info.device, table.info.space, variant))
    placed.write()
    return placed


def made(folder: Path, seed: int = 0, variant: str = "v", factor: float = 1.0, **info: object) -> LatencyTable:
    """Write a made table of 30 blocks, slower by `factor` in all, its sentinel too."""
    rounds = [factor * found for found in drawn_rounds(30, 6, 0.01, seed)]
    return written(folder, made_table(rounds, reference_s=factor * 1e-5, **info), variant)


def run(*arguments: object) -> str:
    found = CliRunner().invoke(cli, ["table", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def row(text: str, start: str) -> list[str]:
    """Return the cells of the one printed row that starts so."""
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.mark.parametrize("name", group.commands)
def test_every_command_of_the_group_explains_itself(name: str) -> None:
    text = run(name, "--help")
    for parameter in group.commands[name].params:
        assert (parameter.opts[-1] if parameter.opts[-1].startswith("--") else str(parameter.metavar)) in text


def test_the_median_half_width_of_the_intervals_is_told(tmp_path: Path) -> None:
    table = made(tmp_path)
    frame = table.frame.assign(low_s=table.frame["median_s"] * 0.98, high_s=table.frame["median_s"] * 1.02)
    frame.loc[0, "high_s"] = 9.0  # one wide row does not move the median
    placed = written(tmp_path, replace(table, frame=frame), "wide")
    assert "95 % intervals: 2.0 % each way (median)" in run("show", placed.path)


def test_a_table_is_named_by_its_file_or_by_device_and_space(tmp_path: Path) -> None:
    table = made(tmp_path)
    by_file = run("show", table.path)
    assert by_file == run("show", "made/made_space", "--tables", tmp_path)
    assert by_file == run("show", "made/made_space/v", "--tables", tmp_path)
    assert by_file.startswith(f"{table.path}: 30 rows of made_space on made\n")


def test_shipped_tables_are_found_and_ones_own_folder_comes_first(tmp_path: Path) -> None:
    assert run("show", SHIPPED, "--tables", tmp_path).startswith(f"{SHIPPED_PATH}: ")
    made(tmp_path, variant=SHIPPED_PATH.stem, device="onnxruntime_cpu", space="small_28px")
    assert "30 rows of small_28px" in run("show", SHIPPED, "--tables", tmp_path)


def test_a_shown_table_says_what_it_is_of(tmp_path: Path) -> None:
    identity = {"device_model": "none", "runtime": "made 1", "threads": 3, "protocol": "made_protocol", "warmup": 2}
    text = run("show", made(tmp_path, identity=identity, conditions={"cores": 7}).path)
    assert "latency in s, measured; created 2026-01-01T00:00:00+00:00 by donna_hw 0.1.0" in text
    assert "identity: device_model none, runtime made 1, threads 3\n" in text
    assert "protocol: made_protocol, warmup 2\n" in text
    assert f"sentinel: {'5e' * 8}, 10 us\n" in text
    assert "conditions: cores 7\n" in text


def test_the_range_of_a_part_is_that_of_its_rows(tmp_path: Path) -> None:
    table = made_table([np.full(3, seconds) for seconds in (1e-5, 2e-5, 4e-5)])
    text = run("show", written(tmp_path, table).path)
    assert row(text, "stage1 ") == ["stage1", "3", "10 us", "20 us", "40 us"]
    assert "all 3 rows are trusted" in text
    assert "--remeasure" not in text


def test_what_is_not_trusted_is_listed_with_its_evidence_and_the_hint(tmp_path: Path) -> None:
    table = made_table([np.full(3, 1e-5)] * 4)
    frame = table.frame.assign(
        low_s=[1e-5, 0.8e-5, 1e-5, 1e-5],
        high_s=[1e-5, 1.3e-5, 1e-5, 1e-5],
        verdict=["trusted", "noisy", "trusted", "drifting"],
        evidence=["", "interval of 25 %", "", "it rose by 9 %"],
        stop_rule=["precise", "settled", "precise", "timeout"],
        method=["measured", "measured", "composed", "measured"],
    )
    path = written(tmp_path, replace(table, frame=frame)).path
    text = run("show", path)
    assert "verdicts: 2 trusted, 1 noisy, 1 drifting" in text
    assert "methods: 3 measured, 1 composed" in text
    assert "stopped by: 2 precise, 1 settled, 1 timeout" in text
    assert "not trusted, 2 of 4 rows:" in text
    assert row(text, "stage1 1 ") == [
        "stage1 1 relu",
        "10 us",
        "25.0",
        "noisy",
        "settled",
        "measured",
        "interval of 25 %",
    ]
    assert row(text, "stage1 3 ") == [
        "stage1 3 relu",
        "10 us",
        "0.0",
        "drifting",
        "timeout",
        "measured",
        "it rose by 9 %",
    ]
    assert "stage1 0 relu" not in text
    assert "donna-hw profile made_space --device made --mode isolated --remeasure measures them again" in text
    everything = run("show", path, "--all")
    assert all(row(everything, f"stage1 {number} ") for number in range(4))


def test_failed_blocks_are_listed_with_their_last_reason(tmp_path: Path) -> None:
    table = made(tmp_path)
    journal = SampleJournal(table.path.with_suffix(".samples.csv"))
    visit = Trial(0, Samples(np.array([0.1, 0.2])), np.array([0.1, 0.1]))
    journal.add_failure("a" * 16, "block a", 0, "crashes")
    journal.add_failure("a" * 16, "block a", 1, "hangs, twice")
    journal.add_failure("b" * 16, "block b", 0, "mended since")
    journal.add("b" * 16, "block b", 1, visit)
    text = run("show", table.path)
    assert "failed, 1 blocks without a row:" in text
    assert row(text, "block a") == ["block a", "1", "hangs, twice"]
    assert "mended since" not in text
    assert "--remeasure" in text


def test_a_counted_table_has_nothing_to_trust(tmp_path: Path) -> None:
    text = run("show", "macs/small_28px", "--tables", tmp_path)
    assert "macs in MAC, computed" in text
    assert "verdict" not in text
    assert "trusted" not in text
    assert "stage4 5 6 3 swish_se grouped" in run("show", "macs/small_28px", "--tables", tmp_path, "--all")


def test_equal_tables_have_no_significant_difference(tmp_path: Path) -> None:
    text = run("compare", SHIPPED, SHIPPED, "--tables", tmp_path)
    assert "identity: the same" in text
    assert "291 blocks compared\n0 only in A\n0 only in B\n" in text
    assert row(text, "agree") == ["agree: difference within its 95 % interval", "100.0 %", "100.0 %"]
    assert "seconds: no significant difference" in text
    assert "of the sentinel: no significant difference" in text


def test_a_slow_spell_is_told_from_blocks_that_differ(tmp_path: Path) -> None:
    made(tmp_path, variant="fast")
    made(tmp_path, variant="slow", factor=2)
    text = run("compare", "made/made_space/fast", "made/made_space/slow", "--tables", tmp_path, "--top", 3)
    assert row(text, "common factor")[1:] == ["2.0000", "1.0000"]
    assert row(text, "agree")[1:] == ["0.0 %", "100.0 %"]
    assert row(text, "B slower, at most")[1:] == ["30", "0"]
    assert row(text, "B faster, at most")[1:] == ["0", "0"]
    assert "seconds: 30 significant differences, the largest first:" in text
    assert len([line for line in text.splitlines() if line.startswith("stage1 ")]) == 3
    assert "of the sentinel: no significant difference" in text


def test_the_block_that_differs_is_listed_with_its_ratio(tmp_path: Path) -> None:
    rounds = [1e-4 * (1 + 1e-3 * np.arange(5))] * 6
    made_a, made_b = made_table(rounds), made_table([*rounds[:4], 1.5 * rounds[4], 0.9 * rounds[5]])
    a, b = (written(tmp_path, table, name) for table, name in ((made_a, "a"), (made_b, "b")))
    text = run("compare", a.path, b.path)
    listed = [line.split("  ")[0] for line in text.splitlines() if line.startswith("stage1 ")]
    assert listed == ["stage1 4 relu", "stage1 5 relu"] * 2  # in seconds and of the sentinel, the larger first
    assert "100.2 us  150.3 us  1.500" in text
    assert row(text, "B slower, at most")[1:] == ["1", "1"]
    assert row(text, "B faster, at most")[1:] == ["1", "1"]


def test_chains_are_compared_by_their_differences(tmp_path: Path) -> None:
    rounds = [1e-5 * (1 + 0.01 * np.arange(5)), 1e-5 * (2 + 0.01 * np.arange(5))]
    a, b = (
        written(tmp_path, made_table(found, in_context=True), name)
        for found, name in ((rounds, "a"), ([rounds[0], rounds[1] + 1e-5], "b"))
    )
    text = run("compare", a.path, b.path)
    assert "B - A" in text
    assert "20.2 us  30.2 us  10 us" in text


def test_other_identities_are_named_first(tmp_path: Path) -> None:
    a, b = made(tmp_path), made(tmp_path, device="other", identity={"device_model": "abacus", "runtime": "made 1"})
    head = run("compare", a.path, b.path).split("\n\n")[0]
    assert "device differs: 'made' in A, 'other' in B" in head
    assert "device_model differs: 'none' in A, 'abacus' in B" in head
    assert "mode differs: 'isolated' in A, None in B" in head
    assert "runtime" not in head


def test_without_a_common_sentinel_only_seconds_are_compared(tmp_path: Path) -> None:
    a, b = made(tmp_path, variant="a"), made(tmp_path, variant="b", sentinel="0" * 16)
    text = run("compare", a.path, b.path)
    assert "no comparison relative to the sentinel" in text
    assert len(row(text, "common factor")) == 2


def test_every_block_is_written_to_the_csv(tmp_path: Path) -> None:
    a, b = made(tmp_path, variant="a"), made(tmp_path, seed=1, variant="b")
    run("compare", a.path, b.path, "--csv", tmp_path / "new" / "out.csv")
    frame = pd.read_csv(StringIO((tmp_path / "new" / "out.csv").read_text()))
    assert len(frame) == 30
    assert frame["absolute_ratio"].tolist() == pytest.approx(frame["relative_ratio"].tolist())
    assert frame["b_median_s"].tolist() == b.frame["median_s"].tolist()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nothing.csv"], ["no such file", "nothing.toml"]),
        (["show", "word"], ["DEVICE/SPACE[/VARIANT]", "'word'"]),
        (["show", "/made_space"], ["DEVICE/SPACE[/VARIANT]"]),
        (["show", "a/b/c/d"], ["DEVICE/SPACE[/VARIANT]"]),
        (["show", "abacus/small_28px"], ["no table of small_28px", "got 'abacus'", "expected ", "onnxruntime_cpu"]),
        (["show", "made/made_space"], ["several tables", "expected made/a or made/b"]),
        (
            ["compare", "made/made_space/a", "macs/small_28px"],
            ["computed macs cannot be compared", "measured latencies"],
        ),
        (
            ["compare", "made/made_space/a", SHIPPED],
            ["tables of different spaces", "is of made_space", "of small_28px", "the same space"],
        ),
    ],
)
def test_what_cannot_be_shown_or_compared_is_one_line(
    main: Main, tmp_path: Path, arguments: list[str], says: list[str]
) -> None:
    made(tmp_path / "latency_tables", variant="a")
    made(tmp_path / "latency_tables", variant="b")
    code, out, error = main("table", *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("error: ")
    for part in says:
        assert part in error


def test_a_torn_list_of_failures_is_one_line(main: Main, tmp_path: Path) -> None:
    table = made(tmp_path)
    header = ",".join(COLUMNS)
    table.path.with_suffix(".samples.csv").write_text(f"{header}\na,b\n")
    code, _, error = main("table", "show", table.path)
    assert code == 2
    assert f"line 2: 2 fields instead of {len(COLUMNS)}" in error
    assert error.count("\n") == 1


def test_a_wrong_option_exits_with_two(main: Main) -> None:
    code, _, error = main("table", "compare", "a", "b", "--top", "-1")
    assert code == 2
    assert "Error: " in error
    assert main("table", "shwo")[0] == 2
