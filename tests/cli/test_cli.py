"""The command line: fast and grouped help, options with one meaning, lists of devices and spaces."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tiny_run import COMMAND, Main, environment

from donna_hw.cli import cli, options


@pytest.mark.parametrize("command", ["", *cli.commands])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_explains_itself(command: str, option: str) -> None:
    found = CliRunner().invoke(cli, [*command.split(), option])
    assert found.exit_code == 0
    assert found.output.startswith("Usage: ")
    for parameter in (cli.commands[command] if command else cli).params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in found.output
    if not command:
        assert all(name in found.output for name in cli.commands)


def test_help_takes_less_than_half_a_second() -> None:
    seconds = []
    for _ in range(8):  # the fastest of several: others may be using the machine
        started = time.perf_counter()
        subprocess.run([*COMMAND, "--help"], env=environment(), capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5


def test_nothing_heavy_is_imported_before_a_command_runs() -> None:
    heavy = {
        "torch",
        "onnx",
        "onnxruntime",
        "pandas",
        "matplotlib",
        "pymoo",
        "scipy",
        "numpy",
        "sklearn",
        "pydantic",
        "rich",
    }
    script = f"import sys, donna_hw.cli, donna_hw\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([COMMAND[0], "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert version("donna-hw") in CliRunner().invoke(cli, ["--version"]).output


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name."""
    for name, command in group.commands.items():
        yield " ".join([*path, name]), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_help_groups_all_commands_in_the_order_of_use() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Measure:", "Tables:", "Search:", "Run:", "Studies:", "Setup:"]
    assert text.index("profile") < text.index("search  ") < text.index("distill") < text.index("doctor")
    assert {name for names in cli.sections.values() for name in names} == set(cli.commands)


def test_the_first_sentence_of_every_command_fits_its_line_of_the_help() -> None:
    for name, command in commands(cli):
        assert not command.get_short_help_str(64).endswith("..."), name


def test_an_option_has_one_meaning() -> None:
    helps: dict[str, set[str]] = {}
    for _, command in commands(cli):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                helps.setdefault(parameter.opts[-1], set()).add(parameter.help or "")
    assert helps["--out"] == {"The run's folder; by default runs/<recipe>."}
    assert all("Folder of latency tables" in text for text in helps["--tables"])
    assert all("older" in text for text in helps["--output-dir"])
    assert "" not in set().union(*helps.values()), "every option explains itself"
    assert not {"--to", "--from", "--max", "--each", "--compose", "--retry", "--quantity", "--beside"} & helps.keys()


def test_closed_sets_are_those_of_the_library() -> None:
    from donna_hw.devices.backends.android.build_runner import ANDROID_ABIS
    from donna_hw.devices.backends.tensor_unit import QUANTITIES
    from donna_hw.pipeline.export import FORMATS
    from donna_hw.profiling.in_context import MODES
    from donna_hw.search.api import METHODS
    from donna_hw.tables.importers.lookup_yaml import UNITS

    assert options.MODES == MODES
    assert options.METRICS == QUANTITIES
    assert options.SEARCH_METHODS == METHODS
    assert options.EXPORT_FORMATS == FORMATS
    assert tuple(UNITS) == options.TIME_UNITS
    assert ("host", "aarch64-linux", *ANDROID_ABIS) == options.RUNNER_ABIS


def test_devices_and_spaces_are_listed() -> None:
    devices, spaces = (CliRunner().invoke(cli, [name]).output for name in ("devices", "spaces"))
    assert all(name in devices for name in ("onnxruntime_cpu", "torch_cpu", "macs", "params", "v100"))
    assert any(line.split()[:4] == ["small_8px", "3", "x", "24"] for line in spaces.splitlines())
    assert "1.38e+04" in spaces


def test_one_space_is_shown_in_detail(tmp_path: Path) -> None:
    text = CliRunner().invoke(cli, ["spaces", "small_8px@10px"]).output
    assert text.startswith("small_8px@10px: ")
    assert "3 stages, 13,824 networks, 1x10x10 images\n" in text
    stage = next(line for line in text.splitlines() if line.startswith("stage1 "))
    assert stage.split()[1] == "24"
    assert "kernel 3/5*" in stage or "kernel 3*/5" in stage
    for part in ("fixed parts:", "classifier", "smallest", "reference", "largest"):
        assert part in text
    (tmp_path / "mine.py").write_text(
        "from donna_hw.spaces import load_space\n\ndef narrow():\n    return load_space('small_8px')\n"
    )
    assert "stage3" in CliRunner().invoke(cli, ["spaces", f"{tmp_path / 'mine.py'}:narrow"]).output


def test_the_axes_of_the_whole_network_are_shown() -> None:
    text = CliRunner().invoke(cli, ["spaces", "ofa_mobilenetv3"]).output
    (row,) = (line.split() for line in text.splitlines() if line.startswith("resolution "))
    assert row[1] == "25"
    assert row[2].startswith("128/132/")
    assert row[2].endswith("/224*")


def test_an_unknown_space_is_one_line(main: Main) -> None:
    code, out, error = main("spaces", "smal_8px")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "did you mean 'small_8px'" in error
