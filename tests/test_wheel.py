"""The wheel: what it carries, and that it works away from the checkout."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True, timeout=300)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_the_package_and_its_facts_and_nothing_beside(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    facts = {top for top in tops if top.startswith("donna_hw-") and top.endswith(".dist-info")}
    assert len(facts) == 1
    assert tops == {"donna_hw"} | facts


def test_the_wheel_carries_types_the_report_and_all_that_is_shipped(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    templates = (ROOT / "donna_hw" / "reporting" / "html" / "templates").iterdir()
    assert {"donna_hw/py.typed", *(str(path.relative_to(ROOT)) for path in templates)} <= names
    for kind in ("devices", "latency_tables", "recipes"):
        files = [path for path in (ROOT / kind).rglob("*") if path.is_file() and not path.name.startswith(".")]
        assert files
        assert {f"donna_hw/_shipped/{path.relative_to(ROOT)}" for path in files} <= names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "donna_hw").rglob("*.py")}
    assert modules <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("donna_hw/tests")]


def test_the_wheel_offers_the_extras_and_the_citation_is_of_its_version(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [path] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = email.message_from_bytes(archive.read(path))
    wanted = {"android", "bench", "cluster", "cuda", "detection", "docs", "report", "timm", "tvm"}
    assert wanted <= set(metadata.get_all("Provides-Extra", []))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == metadata["Version"]
    assert citation["references"][0]["type"] == "conference-paper"


def test_the_wheel_works_from_another_folder_with_its_own_data(wheel: Path, tmp_path: Path) -> None:
    site, place = tmp_path / "site", tmp_path / "place"
    zipfile.ZipFile(wheel).extractall(site)
    place.mkdir()
    environment = os.environ | {"PYTHONPATH": str(site), "DONNA_HW_DATA": str(tmp_path / "own")}

    def python(script: str, *words: str) -> str:
        command = [sys.executable, "-P", "-c", script, *words]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert python("import donna_hw; print(donna_hw.__file__)").strip() == str(site / "donna_hw" / "__init__.py")
    listed = python("from donna_hw.cli import main; main()", "devices")
    for path in (ROOT / "devices").glob("*.toml"):
        assert path.stem in listed
    script = "from donna_hw._core.resources import find_resource as find; print(find('devices', 'macs')); print(find('recipes', 'digits'))"
    for line in python(script).splitlines():
        assert line.startswith(str(site / "donna_hw" / "_shipped"))
