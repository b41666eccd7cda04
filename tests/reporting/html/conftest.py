"""A browser without a window and without a network, and the made report in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import find, open_page, set_window, wait_until
from example_page import example_content
from requirements import needs
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from donna_hw.reporting.html.page import read_plotly_js, render_page

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 5" id="picture"><rect width="8" height="5"/></svg>'


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser that keeps what its console says and what it asks the network for."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    needs(program is not None and driver is not None, "chromium and chromedriver")
    options = ChromeOptions()
    options.binary_location = str(program)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = Chrome(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the made report, `report.html`, and the same without the plot's library, `static.html`."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "report.html").write_text(render_page(example_content(), PICTURE, read_plotly_js()))
    (folder / "static.html").write_text(render_page(example_content(), PICTURE, ""))
    return folder


@pytest.fixture
def page(browser: Chrome, pages: Path) -> Chrome:
    """The made report, fresh, in a wide and light window."""
    set_window(browser, 1280, "light")
    open_page(browser, pages / "report.html")
    wait_until(browser, lambda: find(browser, "#plot .scatterlayer .points path"))
    return browser
