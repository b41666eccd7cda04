"""Completion: click's own answers, what a real bash makes of the script, and that no tab key waits for torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from paths import ROOT
from requirements import needs

from donna_hw._core.resources import resource_names
from donna_hw.cli import cli
from donna_hw.spaces import list_spaces


def completed(*words: str) -> list[str]:
    """Return the values that click offers for the last word."""
    shell = ShellComplete(cli, {}, "donna-hw", "_DONNA_HW_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1]) if item.type == "plain"]


def test_commands_recipes_devices_and_spaces_are_completed() -> None:
    assert completed("pr") == ["profile"]
    assert {"simulate", "search", "stress", "study", "spaces"} == set(completed("s"))
    assert completed("study", "f") == ["front"]
    for command in (("run",), ("distill",), ("study", "predictor"), ("study", "transfer"), ("plot", "paper")):
        assert completed(*command, "") == resource_names("recipes")
    assert completed("study", "predictor", "digits", "study_dig") == ["study_digits", "study_digits_cells"]
    assert completed("profile", "small_8") == [name for name in list_spaces() if name.startswith("small_8")]
    assert completed("spaces", "small_vit") == ["small_vit_28px", "small_vit_8px"]
    assert completed("baselines", "--relative-to", "vit_b") == ["vit_b16", "vit_b16_81"]
    for words in (
        ("profile", "donna"),
        ("baselines",),
        ("stress", "donna"),
        ("simulate", "m.onnx"),
        ("phone", "operators"),
    ):
        assert completed(*words, "--device", "") == resource_names("devices")
    assert completed("export", "front.csv", "--space", "vit") == ["vit_b16", "vit_b16_81"]


def test_other_words_are_completed_as_files() -> None:
    shell = ShellComplete(cli, {}, "donna-hw", "_DONNA_HW_COMPLETE")
    assert [item.type for item in shell.get_completions(["run"], "my_rec")] == ["file"]


def test_every_space_device_and_recipe_of_the_command_line_is_completed() -> None:
    def walk(command: click.Command) -> list[click.Parameter]:
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        return [*command.params, *(parameter for part in inner for parameter in walk(part))]

    known = {"space": "spaces", "recipe": "recipes", "recipes": "recipes", "relative_to": "spaces"}
    for parameter in walk(cli):
        if parameter.name in known:
            assert getattr(parameter._custom_shell_complete, "__name__", "") == f"complete_{known[parameter.name]}", (
                parameter
            )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_the_program(shell: str, main: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = main("completion", shell)
    assert code == 0
    assert "donna-hw" in out
    assert f"_DONNA_HW_COMPLETE={shell}_complete" in out


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    needs(bash is not None, "bash")
    assert bash is not None
    program = tmp_path / "donna-hw"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'donna-hw'\nfrom donna_hw.cli import main\nmain()\n"
    )
    program.chmod(0o755)
    script = """
eval "$(donna-hw completion bash)"
complete -p donna-hw
COMP_WORDS=(donna-hw run study_d) COMP_CWORD=2
_donna_hw_completion donna-hw
printf '%s\\n' "${COMPREPLY[@]}"
COMP_WORDS=(donna-hw profile small_8px --device tensor) COMP_CWORD=4 COMPREPLY=()
_donna_hw_completion donna-hw
printf '%s\\n' "${COMPREPLY[@]}"
"""
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [bash, "--norc", "-euc", script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    registered, *words = done.stdout.split("\n")
    assert registered.endswith("-F _donna_hw_completion donna-hw")
    assert words == ["study_digits", "study_digits_cells", "tensor_unit", ""]


@pytest.mark.parametrize(
    "words", ["donna-hw run ", "donna-hw profile ", "donna-hw profile donna --device ", "donna-hw study front "]
)
def test_the_answer_needs_no_heavy_package(words: str) -> None:
    script = f"""
import os, sys
os.environ.update(_DONNA_HW_COMPLETE="bash_complete", COMP_WORDS={words!r}, COMP_CWORD="{words.count(" ")}")
sys.argv = ["donna-hw"]
from donna_hw.cli import main
try:
    main()
except SystemExit:
    print("heavy:", *sorted({{"torch", "onnx", "onnxruntime", "pandas", "pydantic", "scipy", "rich"}} & set(sys.modules)))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    offered = done.stdout.splitlines()
    assert len(offered) > 5
    assert offered[-1] == "heavy:"
