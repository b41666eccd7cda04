"""The site: it builds strictly, and every link of it leads somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from paths import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site. Strict: what mkdocs or a plugin of it warns of is an error.

    Such are a page that the navigation lacks, a link to no page, an anchor that is not there, a name of the reference that does not exist.
    """
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(ROOT / "mkdocs.yml")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*command, "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Addresses(HTMLParser):
    """What a page loads and links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if value and (name == "src" or (name == "href" and tag == "link")):
                self.loaded.append(value)
            elif value and name == "href":
                self.links.append(value)


def pages(site: Path) -> Iterator[tuple[Path, _Addresses]]:
    for path in site.rglob("*.html"):
        if path.name != "404.html":  # it is shown at any address, so its links are absolute
            yield path, _Addresses(path.read_text(encoding="utf-8"))


def test_every_link_of_every_page_leads_to_a_file_and_an_anchor_of_the_site(site: Path) -> None:
    all_pages = dict(pages(site))
    assert len(all_pages) > 40
    for path, page in all_pages.items():
        for address in page.links + page.loaded:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(site)}: {address}"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in all_pages[target].anchors, f"{path.relative_to(site)}: {address}"


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for path, page in pages(site):
        assert not [address for address in page.loaded if urlsplit(address).netloc], path


def test_every_readme_is_a_page_and_stays_where_it_is(site: Path) -> None:
    assert "Which network is the most accurate" in (site / "index.html").read_text(encoding="utf-8")
    for folder in ("devices", "recipes", "latency_tables", "runners"):
        assert (site / folder / "index.html").is_file()
        assert not (ROOT / "docs" / folder).exists()


def test_a_broken_link_breaks_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[nowhere](../recipes/none.md)\n")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    validation = text[text.index("validation:") : text.index("nav:\n")]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: t\ntheme: material\n{validation}")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)
    assert done.returncode != 0
    assert "recipes/none.md" in done.stderr
