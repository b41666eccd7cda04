"""What tests do with a browser: open a page in a window of a size and a color scheme, wait, point, and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait


def set_window(browser: Chrome, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def open_page(browser: Chrome, path: Path) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())


def find(browser: Chrome, selector: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def wait_until(browser: Chrome, holds: Callable[[], object]) -> None:
    WebDriverWait(browser, 120, poll_frequency=0.05).until(lambda _: holds())


def point(browser: Chrome, number: int) -> WebElement:
    """Return the mark of the front's network of this number; the front is the second line of the plot."""
    script = "return [...document.querySelectorAll('#plot .scatterlayer .trace')][1].querySelectorAll('.points path')[arguments[0]]"
    mark = browser.execute_script(script, number)
    browser.execute_script("document.getElementById('plot').scrollIntoView({block: 'center'})")
    assert isinstance(mark, WebElement)
    return mark


def pinned(browser: Chrome) -> list[int]:
    return [int(card.get_attribute("data-network") or -1) for card in find(browser, "#pinned article")]
