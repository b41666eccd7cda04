"""The report in a browser: what a pointer and a keyboard do to it, and that it needs nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browsing import find, pinned, point, wait_until
from example_page import FRONT, example_content
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

CONTENT = example_content()
COLUMN = """
return [...arguments[0].tBodies[0].rows].map((row) => row.cells[arguments[1]])
  .map((cell) => cell.dataset.value ?? cell.textContent);
"""


def depths(number: int) -> int:
    """Return how many layers a network has, by its labels, such as k3-e4-d2-relu."""
    return sum(int(label.split("-")[2][1:]) for label in CONTENT.networks[number].labels)


@pytest.mark.parametrize("number", range(len(FRONT)))
def test_pointing_at_a_network_shows_its_own_drawing(page: Chrome, number: int) -> None:
    ActionChains(page).move_to_element(point(page, number)).perform()
    wait_until(page, lambda: find(page, f"#panel[data-network='{number}']"))
    assert len(find(page, "#panel g.box")) == depths(number) == len(CONTENT.networks[number].boxes)
    assert find(page, "#panel svg")[0].get_attribute("aria-label") == ", ".join(CONTENT.networks[number].labels)
    kernels = [one.text for one in find(page, "#panel text.kernel")]
    assert kernels == [str(box.kernel) for box in CONTENT.networks[number].boxes]
    assert f"{FRONT[number][1]:.2f} % ± 1.50" in find(page, "#panel dl")[0].text


def test_a_click_pins_a_second_compares_and_a_third_unpins(page: Chrome) -> None:
    for clicks, expected in ((0, [0]), (1, [0, 1]), (0, [1])):
        ActionChains(page).move_to_element(point(page, clicks)).click().perform()
        wait_until(page, lambda expected=expected: pinned(page) == expected)
        if len(expected) == 2:
            cards = find(page, "#pinned article")
            for card, number in zip(cards, expected, strict=True):
                own, other = CONTENT.networks[number].labels, CONTENT.networks[1 - number].labels
                marked = [mark.text for mark in card.find_elements(By.TAG_NAME, "mark")]
                pairs = zip("-".join(own).split("-"), "-".join(other).split("-"), strict=True)
                assert marked == [part for part, its in pairs if part != its] != []
                differing = sum(label != its for label, its in zip(own, other, strict=True))
                assert len(card.find_elements(By.CSS_SELECTOR, "g.differs")) == differing
    assert not find(page, "#pinned mark")
    find(page, "#pinned button.remove")[0].click()
    wait_until(page, lambda: not pinned(page))
    assert not find(page, "#compare")[0].is_displayed()


def test_a_row_is_pinned_by_the_keyboard_and_says_so(page: Chrome) -> None:
    button = find(page, "button.pin")[2]
    page.execute_script("arguments[0].focus()", button)
    wait_until(page, lambda: find(page, "#panel[data-network='2']"))
    button.send_keys(Keys.ENTER)
    wait_until(page, lambda: pinned(page) == [2])
    assert button.get_attribute("aria-pressed") == "true"
    facts = find(page, "#pinned dl")[0].text
    for words in ("95.00 %", "32 ± 1.6 us", "36 us"):  # tested, predicted, measured
        assert words in facts


def test_every_column_sorts_by_its_values_both_ways(page: Chrome) -> None:
    for table in find(page, "table.sortable"):
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
    wait_until(page, lambda: "macs [kMAC]" in find(page, "#plot .xtitle")[0].text)
    assert page.execute_script("return plot.data[1].x") == sorted(10 + sum(row) for row, _, _ in FRONT)  # thousands


def test_it_asks_for_nothing_and_its_console_is_clean(page: Chrome) -> None:
    ActionChains(page).move_to_element(point(page, 1)).click().perform()
    wait_until(page, lambda: pinned(page) == [1])
    assert page.get_log("browser") == []
    events = [json.loads(line["message"])["message"] for line in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if url.startswith("file:")] == [page.current_url]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


def test_a_title_is_words_and_no_markup(page: Chrome) -> None:
    assert find(page, "h1")[0].text == page.title == "Made & </script><b>small</b>"
    assert not find(page, "h1 b")
