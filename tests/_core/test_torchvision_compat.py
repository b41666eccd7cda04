"""torchvision beside a CPU torch: it and what imports it can be used, but for one of its missing operators, none of them."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from donna_hw._core import torchvision_compat
assert torchvision_compat.patch_torchvision() and torchvision_compat.patch_torchvision()
import ptflops, timm, torch, torchvision
from torchvision.transforms import v2
assert v2.CenterCrop(2)(torch.zeros(3, 8, 8)).shape == (3, 2, 2)
try:
    kept = torchvision.ops.nms(torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3], [5, 5, 9, 9]]), torch.tensor([0.5, 0.9, 0.1]), 0.5)
    assert kept.tolist() == [1, 2]
    torch.ops.torchvision.qnms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except (AttributeError, NotImplementedError):
    print("no operator")
else:
    print("operator")
"""


def test_what_imports_torchvision_can_be_imported_in_a_fresh_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # where torchvision fits its torch, it may have the other operator too
    assert done.stdout in ("no operator\n", "operator\n")
