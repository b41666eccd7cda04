"""donna_hw imports fast and offers what it names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import donna_hw


def test_importing_donna_hw_imports_no_heavy_package() -> None:
    code = "import sys, donna_hw; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime", "onnx", "pandas", "scipy", "sklearn"} & set(done.stdout.split())


def test_spaces_devices_and_tables_need_neither_torch_nor_onnxruntime() -> None:
    code = (
        "import sys, donna_hw; donna_hw.load_space('small_28px').hash; donna_hw.Device.load('v100');"
        "donna_hw.LatencyTable; donna_hw.profile_space; donna_hw.TableCost;"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime"} & set(done.stdout.split())


@pytest.mark.parametrize("name", donna_hw.__all__)
def test_every_public_name_resolves(name: str) -> None:
    found = getattr(donna_hw, name)
    assert found.__name__ == name
    assert getattr(donna_hw, name) is found, "a module of the same name must not take its place"
    assert name in dir(donna_hw)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'profile_spcae'; it has .*profile_space"):
        _ = donna_hw.profile_spcae
