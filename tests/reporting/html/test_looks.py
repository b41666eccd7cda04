"""How the report looks: on every width, in the light, in the dark, and without the plot's library."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import find, open_page, pinned, set_window, wait_until
from example_page import FRONT
from selenium.webdriver import Chrome

# the colors of every element with its own text, and what is behind it: [element, color, background]
CONTRASTS = """
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const color = getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$|transparent/.test(color)) return color;
  }
};
return [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() && !node.closest("svg, option")
  && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
  .map((node) => [node.tagName + " " + node.textContent.trim().slice(0, 20), getComputedStyle(node).color, behind(node)]);
"""


def parse_color(text: str) -> list[float]:
    return [float(word) for word in text[text.index("(") + 1 : -1].replace(",", " ").split()[:3]]


def luminance(text: str) -> float:
    """Relative luminance as WCAG 2 has it."""
    shares = [value / 255 for value in parse_color(text)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_is_never_wider_than_the_screen(browser: Chrome, pages: Path, width: int) -> None:
    set_window(browser, width, "light")
    open_page(browser, pages / "report.html")
    wait_until(browser, lambda: find(browser, "#plot .scatterlayer .points path"))
    for details in find(browser, "summary"):
        browser.execute_script("arguments[0].click()", details)
    for button in find(browser, "button.pin"):
        browser.execute_script("arguments[0].click()", button)
    wait_until(browser, lambda: len(pinned(browser)) == len(FRONT))
    wide, seen = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= seen <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_are_legible_and_the_dark_is_dark(browser: Chrome, pages: Path, scheme: str) -> None:
    set_window(browser, 1280, scheme)
    open_page(browser, pages / "report.html")
    wait_until(browser, lambda: find(browser, "#plot .scatterlayer .points path"))
    page_color = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(page_color) < 0.05) == (scheme == "dark")
    words = browser.execute_script(CONTRASTS)
    assert len(words) > 50
    assert [(what, color, ground) for what, color, ground in words if contrast(color, ground) < 4.5] == []
    tick = browser.execute_script("return getComputedStyle(document.querySelector('#plot .xtick text')).fill")
    assert contrast(tick, page_color) >= 4.5
    for fill in browser.execute_script(
        "return [...document.querySelectorAll('#panel .body')].map((box) => getComputedStyle(box).fill)"
    ):
        assert contrast(fill, "rgb(255, 255, 255)") >= 4.5


def test_the_plot_follows_the_dark_while_it_is_open(page: Chrome) -> None:
    script = "return getComputedStyle(document.querySelector('#plot .xtick text')).fill"
    before = page.execute_script(script)
    set_window(page, 1280, "dark")
    wait_until(page, lambda: luminance(page.execute_script(script)) > 0.5 > luminance(before))


def test_without_the_library_the_static_picture_says_how_to_fix_it_and_the_rest_works(
    browser: Chrome, pages: Path
) -> None:
    set_window(browser, 1280, "light")
    open_page(browser, pages / "static.html")
    assert find(browser, "#picture")[0].is_displayed()
    assert not find(browser, "#cost")[0].is_displayed()
    assert "pip install 'donna-hw[report]'" in find(browser, "#front .hint")[0].text
    find(browser, "button.pin")[1].click()
    wait_until(browser, lambda: pinned(browser) == [1])
    assert browser.get_log("browser") == []
