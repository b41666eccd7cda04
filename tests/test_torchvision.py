"""torchvision beside a CPU torch: it and what imports it can be used, its missing operators cannot."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from donna_hw import torchvision
assert torchvision.ready() and torchvision.ready()
import ptflops, timm, torch, torchvision
from torchvision.transforms import v2
assert v2.CenterCrop(2)(torch.zeros(3, 8, 8)).shape == (3, 2, 2)
try:
    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except NotImplementedError:
    print("no operator")
else:
    print("operator")
"""


def test_what_imports_torchvision_can_be_imported_in_a_fresh_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # where torchvision fits its torch, the operator works
    assert done.stdout in ("no operator\n", "operator\n")
