"""Importing donna_hw, its spaces, devices and tables loads no heavy package; tests/test_public_names.py has the names."""

from __future__ import annotations

import subprocess
import sys


def test_importing_donna_hw_imports_no_heavy_package() -> None:
    code = "import sys, donna_hw; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime", "onnx", "pandas", "scipy", "sklearn"} & set(done.stdout.split())


def test_spaces_devices_and_tables_need_neither_torch_nor_onnxruntime() -> None:
    code = (
        "import sys, donna_hw; donna_hw.load_space('small_28px').hash; donna_hw.Device.load('v100');"
        "donna_hw.LatencyTable; donna_hw.profile_space; donna_hw.load_cost;"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime"} & set(done.stdout.split())
