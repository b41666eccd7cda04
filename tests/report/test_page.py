"""The report in a browser: what a pointer, a keyboard, a phone and the dark do to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_page import FRONT, made_content
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CONTENT = made_content()
# colours of every element with words of its own, with what lies behind it: [what, colour, background]
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

COLUMN = """
return [...arguments[0].tBodies[0].rows].map((row) => row.cells[arguments[1]])
  .map((cell) => cell.dataset.value ?? cell.textContent);
"""


@pytest.fixture
def page(browser: Chrome, pages: Path) -> Chrome:
    """The made report, fresh, in a wide and light window."""
    window(browser, 1280, "light")
    opened(browser, pages / "report.html")
    until(browser, lambda: found(browser, "#plot .scatterlayer .points path"))
    return browser


def window(browser: Chrome, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def opened(browser: Chrome, path: Path) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())


def found(browser: Chrome, selector: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def until(browser: Chrome, holds: Any) -> None:
    WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda _: holds())


def point(browser: Chrome, number: int) -> WebElement:
    """Return the mark of the front's network of this number; the front is the second line of the plot."""
    script = "return [...document.querySelectorAll('#plot .scatterlayer .trace')][1].querySelectorAll('.points path')[arguments[0]]"
    mark = browser.execute_script(script, number)
    browser.execute_script("document.getElementById('plot').scrollIntoView({block: 'center'})")
    assert isinstance(mark, WebElement)
    return mark


def depths(number: int) -> int:
    """Return how many layers a network has, by its labels, such as k3-e4-d2-relu."""
    return sum(int(label.split("-")[2][1:]) for label in CONTENT.networks[number].labels)


def pinned(browser: Chrome) -> list[int]:
    return [int(card.get_attribute("data-network") or -1) for card in found(browser, "#pinned article")]


def colours(text: str) -> list[float]:
    return [float(word) for word in text[text.index("(") + 1 : -1].replace(",", " ").split()[:3]]


def luminance(text: str) -> float:
    """Relative luminance as WCAG 2 has it."""
    shares = [value / 255 for value in colours(text)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("number", range(len(FRONT)))
def test_pointing_at_a_network_shows_its_own_drawing(page: Chrome, number: int) -> None:
    ActionChains(page).move_to_element(point(page, number)).perform()
    until(page, lambda: found(page, f"#panel[data-network='{number}']"))
    assert len(found(page, "#panel g.box")) == depths(number) == len(CONTENT.networks[number].boxes)
    assert found(page, "#panel svg")[0].get_attribute("aria-label") == ", ".join(CONTENT.networks[number].labels)
    kernels = [one.text for one in found(page, "#panel text.kernel")]
    assert kernels == [str(box.kernel) for box in CONTENT.networks[number].boxes]
    assert f"{FRONT[number][1]:.2f} % ± 1.50" in found(page, "#panel dl")[0].text


def test_a_click_pins_a_second_compares_and_a_third_unpins(page: Chrome) -> None:
    for clicks, expected in ((0, [0]), (1, [0, 1]), (0, [1])):
        ActionChains(page).move_to_element(point(page, clicks)).click().perform()
        until(page, lambda expected=expected: pinned(page) == expected)
        if len(expected) == 2:
            cards = found(page, "#pinned article")
            for card, number in zip(cards, expected, strict=True):
                own, other = CONTENT.networks[number].labels, CONTENT.networks[1 - number].labels
                marked = [mark.text for mark in card.find_elements(By.TAG_NAME, "mark")]
                pairs = zip("-".join(own).split("-"), "-".join(other).split("-"), strict=True)
                assert marked == [part for part, its in pairs if part != its] != []
                differing = sum(label != its for label, its in zip(own, other, strict=True))
                assert len(card.find_elements(By.CSS_SELECTOR, "g.differs")) == differing
    assert not found(page, "#pinned mark")
    found(page, "#pinned button.remove")[0].click()
    until(page, lambda: not pinned(page))
    assert not found(page, "#compare")[0].is_displayed()


def test_a_row_is_pinned_by_the_keyboard_and_says_so(page: Chrome) -> None:
    button = found(page, "button.pin")[2]
    page.execute_script("arguments[0].focus()", button)
    until(page, lambda: found(page, "#panel[data-network='2']"))
    button.send_keys(Keys.ENTER)
    until(page, lambda: pinned(page) == [2])
    assert button.get_attribute("aria-pressed") == "true"
    facts = found(page, "#pinned dl")[0].text
    for words in ("95.00 %", "32 ± 1.6 us", "36 us"):  # tested, predicted, measured
        assert words in facts


def test_every_column_sorts_by_its_values_both_ways(page: Chrome) -> None:
    for table in found(page, "table.sortable"):
        for place, header in enumerate(table.find_elements(By.TAG_NAME, "th")):
            buttons = header.find_elements(By.TAG_NAME, "button")
            if not buttons:
                continue
            for order in ("ascending", "descending"):
                page.execute_script("arguments[0].click()", buttons[0])
                assert header.get_attribute("aria-sort") == order
                values = page.execute_script(COLUMN, table, place)
                known: list[Any] = [value for value in values if value != ""]
                assert values == known + [""] * (len(values) - len(known)), "what is not known stays below"
                if header.get_attribute("data-numeric") is not None:
                    known = [float(value) for value in known]
                assert known == sorted(known, reverse=order == "descending")
            marked = table.find_elements(By.CSS_SELECTOR, "th[aria-sort]")
            assert marked == [header]


def test_another_cost_is_drawn_when_it_is_chosen(page: Chrome) -> None:
    page.execute_script("cost.selectedIndex = 1; cost.dispatchEvent(new Event('change'))")
    until(page, lambda: "macs [kMAC]" in found(page, "#plot .xtitle")[0].text)
    assert page.execute_script("return plot.data[1].x") == sorted(10 + sum(row) for row, _, _ in FRONT)  # thousands


def test_it_asks_for_nothing_and_its_console_is_clean(page: Chrome) -> None:
    ActionChains(page).move_to_element(point(page, 1)).click().perform()
    until(page, lambda: pinned(page) == [1])
    assert page.get_log("browser") == []
    events = [json.loads(line["message"])["message"] for line in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if url.startswith("file:")] == [page.current_url]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_is_never_wider_than_the_screen(browser: Chrome, pages: Path, width: int) -> None:
    window(browser, width, "light")
    opened(browser, pages / "report.html")
    until(browser, lambda: found(browser, "#plot .scatterlayer .points path"))
    for details in found(browser, "summary"):
        browser.execute_script("arguments[0].click()", details)
    for button in found(browser, "button.pin"):
        browser.execute_script("arguments[0].click()", button)
    until(browser, lambda: len(pinned(browser)) == len(FRONT))
    wide, seen = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= seen <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_are_legible_and_the_dark_is_dark(browser: Chrome, pages: Path, scheme: str) -> None:
    window(browser, 1280, scheme)
    opened(browser, pages / "report.html")
    until(browser, lambda: found(browser, "#plot .scatterlayer .points path"))
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
    window(page, 1280, "dark")
    until(page, lambda: luminance(page.execute_script(script)) > 0.5 > luminance(before))


def test_without_the_library_the_still_picture_says_the_cure_and_the_rest_works(browser: Chrome, pages: Path) -> None:
    window(browser, 1280, "light")
    opened(browser, pages / "still.html")
    assert found(browser, "#picture")[0].is_displayed()
    assert not found(browser, "#cost")[0].is_displayed()
    assert "pip install 'donna-hw[report]'" in found(browser, "#front .hint")[0].text
    found(browser, "button.pin")[1].click()
    until(browser, lambda: pinned(browser) == [1])
    assert browser.get_log("browser") == []


def test_a_title_is_words_and_no_markup(page: Chrome) -> None:
    assert found(page, "h1")[0].text == page.title == "Made & </script><b>small</b>"
    assert not found(page, "h1 b")
