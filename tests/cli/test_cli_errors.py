"""What goes wrong is one line: what is wrong, what was expected, and a hint; the exit code is 2."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import RECIPE, Main, TinyRun, donna

from donna_hw.errors import FileFormatError

TABLE = "latency_tables/onnxruntime_cpu/small_8px/isolated-b1-float32-t1.csv"


def one_line(code: int, error: str, *parts: str) -> None:
    """Assert that a command ended as a user's mistake ends: one line, no traceback, exit code 2."""
    assert code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    for part in parts:
        assert part in error


def edit(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    after = change(before)
    assert after != before
    path.write_text(after)


def search(run: TinyRun, *more: str) -> list[str]:
    return ["search", "small_8px", "--accuracy-from", str(run.folder), "--cost", "onnxruntime_cpu", *more]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["profile", "small_8px", "--device", "onxruntime_cpu"],
            ["'onxruntime_cpu'", "did you mean 'onnxruntime_cpu'"],
        ),
        (["profile", "smal_8px", "--device", "onnxruntime_cpu"], ["'smal_8px'", "did you mean 'small_8px'"]),
        (["count", "smal_8px"], ["expected ", "small_28px, small_32px, small_8px", "did you mean 'small_8px'"]),
        (["run", "digit"], ["'digit'", "did you mean 'digits'"]),
        (["run", "none.toml"], ["'none.toml'", "expected ", " digits, "]),
        (["distill", "../../etc/x"], ["unknown recipe '../../etc/x'"]),
        (["search", "small", "--accuracy-from", "r", "--cost", "macs"], ["'small'"]),
        (
            ["search", "small_8px", "--accuracy-from", "r", "--cost", "abacus"],
            [
                "no table of small_8px",
                "got 'abacus'",
                "expected macs, onnxruntime_cpu",
                "donna-hw profile small_8px --device abacus",
            ],
        ),
    ],
)
def test_an_unknown_name_is_one_line_with_the_known_ones(main: Main, arguments: list[str], says: list[str]) -> None:
    code, _, error = main(*arguments)
    one_line(code, error, *says)


def test_each_kind_of_error_is_one_line_in_a_process_of_its_own(broken: TinyRun, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(RECIPE + "sampels = 3\n")
    done = donna("run", "odd.toml", cwd=tmp_path)
    one_line(done.returncode, done.stderr, "unknown key 'sampels'", "odd.toml, [verify]")
    (broken.folder / TABLE).write_text("part\n")
    done = donna(*search(broken), cwd=tmp_path)
    one_line(done.returncode, done.stderr, TABLE)
    assert done.stdout == ""


def test_debug_shows_the_traceback_before_the_line(main: Main) -> None:
    code, _, error = main("--debug", "count", "smal_8px")
    assert code == 2
    assert "Traceback" in error
    assert "donna_hw.errors.UnknownNameError" in error
    assert error.splitlines()[-1].startswith("error: unknown search space 'smal_8px'; expected ")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (
            '[search]\ncosts = ["macs", "v100"]',
            ["search.costs", "'v100'", "expected onnxruntime_cpu, macs or params"],
        ),
        ('[search]\nconstraints = { onnxruntime_cpu = "20" }', ["a limit in s", "'20'", "expected s, ms or us"]),
        (
            '[search]\nconstraints = { macs = "20MMAC" }',
            ["unknown cost in search.constraints 'macs'", "expected onnxruntime_cpu"],
        ),
        ('[latency]\ndevice = "no_such_phone"', ["unknown device 'no_such_phone'"]),
    ],
)
def test_what_only_the_last_steps_use_is_refused_before_any_training(
    main: Main, tmp_path: Path, key: str, says: list[str]
) -> None:
    section = key.split("\n", maxsplit=1)[0]
    recipe = tmp_path / "late.toml"
    recipe.write_text(RECIPE.replace(section, key) if section in RECIPE else RECIPE + key)
    code, _, error = main("run", recipe)
    one_line(code, error, *says)
    assert not (tmp_path / "runs" / "late" / "reference").exists()


@pytest.mark.parametrize(
    "code",
    [
        ["search"],
        ["profile", "small_8px"],
        ["rnu"],
        ["search", "small_8px", "--samples", "x"],
        ["profile", "small_8px", "--device", "macs", "--mode", "in_chain"],
        ["profile", "small_8px", "--device", "macs", "--protocol", "slow"],
        ["completion", "tcsh"],
        ["table", "fit", "x.networks.csv", "--prior", "nothing"],
        ["spaces", "a", "b"],
    ],
)
def test_a_wrong_usage_exits_with_two(main: Main, code: list[str]) -> None:
    found, _, error = main(*code)
    assert found == 2
    assert "Error: " in error
    assert "Traceback" not in error


def test_a_run_with_another_setting_is_refused_with_its_key(broken: TinyRun, main: Main) -> None:
    edit(broken.recipe, lambda text: text.replace("images = 128", "images = 129"))
    code, _, error = main("run", broken.recipe, "--out", broken.folder)
    one_line(code, error, "finetune.images = 128", "got 129", "--out")


def test_a_folder_that_cannot_be_written_is_one_line(broken: TinyRun, main: Main, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, error = main("run", broken.recipe, "--out", tmp_path / "file" / "run")
    one_line(code, error, str(tmp_path / "file"), "start again")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda text: "".join(text.splitlines(True)[:-2]),
            [
                "2 rows of small_8px are missing: ",
                "donna-hw profile small_8px --device onnxruntime_cpu",
                "donna-hw table validate",
            ],
        ),
        (lambda text: text.replace("median_s", "median_ms", 1), ["no column median_s", "seconds", "convert the unit"]),
        (lambda text: re.sub(r"(stage1,.*?[0-9a-f]{16},)[^,]+", r"\1nan", text, count=1), ["finite", "'nan'", "line "]),
        (lambda text: text[:-20], ["the last line is torn", "profile again"]),
        (lambda text: text + text.splitlines(True)[-1], ["two rows for stage", "delete one of them"]),
    ],
    ids=["missing rows", "another unit", "nan", "torn", "doubled"],
)
def test_a_doubtful_table_is_refused(
    broken: TinyRun, main: Main, change: Callable[[str], str], says: list[str]
) -> None:
    edit(broken.folder / TABLE, change)
    code, _, error = main(*search(broken))
    one_line(code, error, *says)


def test_a_table_in_another_unit_than_its_quantity_is_refused(broken: TinyRun, main: Main) -> None:
    edit((broken.folder / TABLE).with_suffix(".toml"), lambda text: text.replace('unit = "s"', 'unit = "ms"'))
    code, _, error = main(*search(broken))
    one_line(code, error, "wrong quantity or unit; got 'latency in ms'; expected latency in s")


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("onnxruntime_cpu<=0.2", ["'0.2'", "expected s, ms or us"]),
        ("onnxruntime_cpu<=3MAC", ["'3MAC'", "expected s, ms or us"]),
        ("macs<=3ms", ["'3ms'", "expected MAC, kMAC, MMAC or GMAC"]),
        ("moos<=3MMAC", ["no table of small_8px", "got 'moos'", "expected macs, onnxruntime_cpu, params"]),
        ("0.2ms", ["must be COST<=VALUE with a unit", "got '0.2ms'"]),
        ("macs=3MMAC", ["must be COST<=VALUE with a unit", "got 'macs=3MMAC'"]),
        ("<=3ms", ["must be COST<=VALUE with a unit"]),
        (
            "onnxruntime_cpu<=0.001us",
            [
                "no network satisfies onnxruntime_cpu <= 0.001 us",
                "the lowest of all networks is",
                "raise this constraint",
            ],
        ),
    ],
)
def test_a_constraint_that_cannot_be_met_or_read_is_refused(
    tiny_run: TinyRun, main: Main, limit: str, says: list[str]
) -> None:
    code, _, error = main(*search(tiny_run, "--constraint", limit, "--samples", "40", "--population", "20"))
    one_line(code, error, *says)


def test_too_few_samples_for_a_population_are_refused(tiny_run: TinyRun, main: Main) -> None:
    code, _, error = main(*search(tiny_run, "--samples", "10"))
    one_line(code, error, "samples must be at least the population of 50; got 10")


def test_an_empty_library_cannot_be_fitted(broken: TinyRun, main: Main) -> None:
    (broken.folder / "architecture_library" / "architectures.csv").unlink()
    code, _, error = main("fit", broken.recipe, "--out", broken.folder)
    one_line(code, error, "at least 5 finetuned networks", "got 0", "donna-hw finetune")


def test_a_torn_predictor_is_refused(broken: TinyRun, main: Main) -> None:
    path = broken.folder / "predictor.toml"
    path.write_text(path.read_text()[:120])
    code, _, error = main(*search(broken))
    one_line(code, error, "predictor.toml")
    path.unlink()
    code, _, error = main(*search(broken))
    one_line(code, error, "predictor.toml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda text: re.sub(r"trained,[^,]+", "trained,nan", text, count=1),
            ["must be a finite number", "'nan'"],
        ),
        (lambda text: text.replace("stage,block", "block,stage"), ["quality.csv: unexpected column"]),
        (lambda text: text.replace(",trained,", ",", 1), ["line 2: 9 fields instead of 10"]),
        (lambda text: "".join(text.splitlines(True)[:-1]), ["1 blocks of small_8px are missing: ", "donna-hw distill"]),
    ],
    ids=["nan", "columns", "fields", "missing"],
)
def test_a_corrupt_block_library_is_refused(
    broken: TinyRun, main: Main, change: Callable[[str], str], says: list[str]
) -> None:
    edit(broken.folder / "block_library" / "quality.csv", change)
    code, _, error = main(*search(broken))
    one_line(code, error, *says)


@pytest.mark.parametrize("bad", ["101", "-1", "nan", "many"])
def test_an_accuracy_that_is_none_is_refused_with_its_line(broken: TinyRun, main: Main, bad: str) -> None:
    path = broken.folder / "architecture_library" / "architectures.csv"
    edit(path, lambda text: re.sub(r"(library,[^,]+,[^,]+),[^,]+", rf"\1,{bad}", text, count=1))
    code, _, error = main("fit", broken.recipe, "--out", broken.folder)
    one_line(code, error, "architectures.csv, line 2", bad)


def test_a_network_of_another_space_is_refused(broken: TinyRun, main: Main) -> None:
    path = broken.folder / "architecture_library" / "architectures.csv"
    edit(path, lambda text: text.replace("library,k", "library,q", 1))
    code, _, error = main("fit", broken.recipe, "--out", broken.folder)
    one_line(code, error, "architectures.csv, line ", "k5-e1-d1-swish_se")


def test_errors_are_raised_as_themselves_in_python(tmp_path: Path) -> None:
    from donna_hw import Recipe

    with pytest.raises(FileFormatError, match="no such file"):
        Recipe.read(tmp_path / "none.toml")
