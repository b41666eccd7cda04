"""TVM's MetaSchedule tuner in a separate process, since it may crash or hang, which must not end the measurement of a table.

In the wheel apache-tvm 0.27.0.post1 (Linux, x86-64) it does crash: after half a minute `tune_relax` ends in a segmentation fault while it
initializes its `TuneContext`. Every default schedule rule alone initializes; each default postprocessor alone hangs for more than a
minute, and so does the search with the rules and no postprocessor. Tuning is therefore for other builds, has not succeeded with this one,
and is off by default (`tuning_trials = 0`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import onnx

from donna_hw.devices.backends.tvm.build import TargetConfig, build_library, to_relax
from donna_hw.errors import UnavailableError

MODEL, TARGET, LIBRARY, RECORDS = "block.onnx", "target.json", "block.so", "records"
_HINT = "set tuning_trials = 0, or install another build of apache-tvm"


def tune_and_build(
    model: onnx.ModelProto,
    target: TargetConfig,
    folder: Path,
    *,
    trials: int,
    timeout_s: float,
    command: tuple[str, ...] = (sys.executable, "-m", "donna_hw.devices.backends.tvm.tuning"),
) -> Path:
    """Tune a block in a child process and link it.

    Args:
        model: The block.
        target: What to generate code for.
        folder: Where the model, the target and the tuning records (`records/database_*.json`) are saved.
        trials: Number of schedules to try.
        timeout_s: When to give up, in seconds.
        command: What starts the child.

    Returns:
        The library, `folder/block.so`.

    Raises:
        UnavailableError: The child failed, with its signal or exit code and its last output, or timed out. All its processes are
            then ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / MODEL))
    target.write(folder / TARGET)
    (folder / LIBRARY).unlink(missing_ok=True)
    with (folder / "tuner.log").open("w+", encoding="utf-8", errors="replace") as log:
        child = subprocess.Popen(
            [*command, str(folder), str(trials)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"the TVM tuner did not end within {timeout_s:g} s", hint=_HINT) from None
        finally:
            _end_group(child)
        log.seek(0)
        output = log.read()
    if code or not (folder / LIBRARY).is_file():
        raise UnavailableError(
            "the TVM tuner failed to build a library", got=f"{_format_exit(code)}: {_format_tail(output)}", hint=_HINT
        )
    return folder / LIBRARY


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and the builders and runners that it started, which are one process group."""
    with suppress(ProcessLookupError):  # all of them have already ended
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _format_exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _format_tail(output: str) -> str:
    """Return the most informative lines of a failed child: a crash's headline and innermost frames, else the last lines."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("Extension modules")]
    fatal = next((n for n, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    return " | ".join(lines[-4:] if fatal is None else lines[fatal : fatal + 4])[-600:] or "no output"


def _run_child(folder: Path, trials: int) -> None:
    """Tune, apply the best records and write the library."""
    import faulthandler
    from importlib.util import find_spec

    import tvm
    from tvm import relax
    from tvm.s_tir import meta_schedule

    faulthandler.enable()  # a crash then prints the Python frame in which it happened
    config = TargetConfig.read(folder / TARGET)
    target = config.tvm_target()
    with target:
        module = relax.get_pipeline("zero")(to_relax(onnx.load(str(folder / MODEL))))
    records = folder / RECORDS
    records.mkdir(exist_ok=True)
    database = meta_schedule.relax_integration.tune_relax(
        module,
        {},
        target,
        str(records),
        max_trials_global=trials,
        num_trials_per_iter=min(trials, 64),
        cost_model="xgb" if find_spec("xgboost") else "random",
        seed=0,
    )
    with target, database, tvm.transform.PassContext(opt_level=3):
        module = relax.transform.MetaScheduleApplyDatabase()(module)
    build_library(module, config, folder / LIBRARY)


if __name__ == "__main__":
    _run_child(Path(sys.argv[1]), int(sys.argv[2]))
