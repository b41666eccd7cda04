"""The command line: help at once, and errors of one line."""

from __future__ import annotations

import subprocess
import time

import click
import pytest
from click.testing import CliRunner
from tiny_run import COMMAND, environment

from donna_hw.cli import cli


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


def test_help_is_there_in_half_a_second() -> None:
    seconds = []
    for _ in range(8):  # the fastest of several: others may be using the machine
        started = time.perf_counter()
        subprocess.run([*COMMAND, "--help"], env=environment(), capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5


def test_nothing_heavy_is_imported_before_a_command_runs() -> None:
    heavy = {"torch", "onnx", "onnxruntime", "pandas", "matplotlib", "pymoo", "scipy", "numpy", "sklearn", "pydantic"}
    script = f"import sys, donna_hw.cli, donna_hw\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([COMMAND[0], "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert version("donna-hw") in CliRunner().invoke(cli, ["--version"]).output


def test_devices_and_spaces_are_listed() -> None:
    devices, spaces = (CliRunner().invoke(cli, [name]).output for name in ("devices", "spaces"))
    assert all(name in devices for name in ("onnxruntime_cpu", "torch_cpu", "macs", "params", "v100"))
    assert any(line.split()[:4] == ["small_8px", "3", "x", "24"] for line in spaces.splitlines())
    assert "1.38e+04" in spaces
