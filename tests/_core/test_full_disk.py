"""A really full disk under the command line: one line, exit code 2, and the work that is done is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DONNA = [sys.executable, "-c", "from donna_hw.cli import main; main()"]


def test_a_profile_on_a_full_disk_is_an_error_and_resumes_when_there_is_space(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(100 * 1024))
    command = [
        *DONNA,
        "profile",
        "small_8px",
        "--device",
        "onnxruntime_cpu",
        "--rounds",
        "1",
        "--tables",
        str(small_disk),
    ]
    full = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in full.stderr.splitlines() if "error" in line]
    assert full.returncode == 2
    assert len(errors) == 1
    assert "No space left on device" in errors[0]
    assert "Traceback" not in full.stderr
    [journal] = small_disk.rglob("*.samples.csv")
    kept = journal.read_bytes()
    assert kept.endswith(b"\n"), "no record is torn"
    assert kept.count(b"\n") > 2, "some blocks were done"
    filler.unlink()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert journal.read_bytes().startswith(kept), "nothing that was done is done again"
