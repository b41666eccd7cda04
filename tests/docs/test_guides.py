"""The guides run as printed; the package of the backends' guide is built, installed and found by its entry points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, Fenced, blocks, run

from donna_hw import LatencyTable

GUIDES = ROOT / "docs" / "guides"


def run_page(name: str, folder: Path, **environment: str) -> str:
    known = {"DONNA_HW_DATA": str(folder / "data"), "ADB": str(folder / "no-adb")} | environment
    return "".join(run(block, folder, **known) for block in blocks(GUIDES / name))


def table_in(folder: Path) -> LatencyTable:
    [path] = [path for path in folder.glob("*.csv") if not path.name.endswith(".samples.csv")]
    return LatencyTable.read(path)


@pytest.mark.long
def test_a_custom_space_is_counted_simulated_and_covered(tmp_path: Path) -> None:
    printed = run_page("space.md", tmp_path)
    assert "(8, 16, 16)" in printed
    assert (
        len(table_in(tmp_path / "latency_tables" / "tensor_unit" / "narrow").frame) == 3 * 12 + 3
    )  # three stages of twelve blocks, and three fixed parts


@pytest.mark.long
def test_a_custom_device_fills_a_table_and_is_listed(tmp_path: Path) -> None:
    printed = run_page("device.md", tmp_path)
    assert len(list((tmp_path / "latency_tables" / "two_threads" / "small_8px").glob("*-t2.csv"))) == 1
    [line] = [line.split() for line in printed.splitlines() if line.startswith("two_threads")]
    assert line[-1] == "yes"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install the package of the guide, without a network, into a separate folder."""
    folder = tmp_path_factory.mktemp("package")
    for block in blocks(GUIDES / "backend.md"):
        if block.title:
            run(block, folder)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(folder)], check=True, capture_output=True, timeout=300)
    return folder / "site"


def test_a_package_is_found_by_its_entry_points(installed: Path, tmp_path: Path) -> None:
    script = """
from donna_hw.devices.backends import list_backends, load_backend
from donna_hw import list_spaces, load_space
from donna_hw.testing import check_backend
assert "roofline" in list_backends() and "tiny" in list_spaces()
check_backend(load_backend("roofline"))
print(load_backend("roofline").__module__, load_space("tiny").size)
"""
    printed = run(Fenced("python", "", script), tmp_path, PYTHONPATH=f"{ROOT}:{installed}")
    assert printed.split() == ["my_chip.backend", "16"]


@pytest.mark.long
def test_the_commands_list_a_packages_device_and_space_and_fill_a_table(installed: Path, tmp_path: Path) -> None:
    printed = run_page("backend.md", tmp_path, PYTHONPATH=f"{ROOT}:{installed}")
    lines = [line.split() for line in printed.splitlines()]
    [device] = [line for line in lines if line[:1] == ["my_chip"]]
    assert device[-3:] == ["roofline", "paper_simulator", "yes"]
    [space] = [line for line in lines if line[:1] == ["tiny"]]
    assert space[1:4] == ["2", "x", "4"]
    table = table_in(tmp_path / "latency_tables" / "my_chip" / "tiny")
    assert table.info.origin == "simulated"
    assert (table.frame["latency_s"] > 0).all()
