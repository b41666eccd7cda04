"""Pages that are run: the fenced blocks of a Markdown file, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from paths import ROOT

NOT_RUN = "<!-- not run"  # a line before a block's fence, with the reason
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fenced:
    """One block: a file to write where it has a title, else something to run where its language is sh or python."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Fenced]:
    """Return the blocks of a page, without those that it marks as not run."""
    text = page.read_text(encoding="utf-8")
    return [
        Fenced(match[1], match[2] or "", match[3])
        for match in FENCE.finditer(text)
        if not text[: match.start()].rstrip("\n").rpartition("\n")[2].startswith(NOT_RUN)
    ]


def run(block: Fenced, folder: Path, **environment: str) -> str:
    """Write or run a block in a folder with this checkout's `donna-hw` on the PATH; return what it printed, fail if it failed."""
    if block.title:
        path = folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return ""
    words = {"sh": ["/bin/sh", "-euc", block.text], "python": [sys.executable, "-c", block.text]}.get(block.language)
    if words is None:
        return ""
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    known = os.environ | {"PYTHONPATH": str(ROOT), "PATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=folder, env=known | environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
