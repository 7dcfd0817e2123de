"""A visit through Chromium is the visit of the text environment."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from small_shop import SmallShop

from sad_envs.webshop.browser import BrowserTab, BrowserVisit
from sad_envs.webshop.html import render_page
from sad_envs.webshop.pages import ItemPage, ResultsPage, SearchPage, clickables, url
from sad_envs.webshop.reading import BrowserFailure
from sad_envs.webshop.render import text, text_rich
from sad_envs.webshop.session import Session

pytestmark = pytest.mark.browser

SHOP = SmallShop()
SID = "fixed_23"
GOAL = SHOP.goals[23]


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    from sad_envs.webshop.site.app import create_app
    from sad_envs.webshop.site.server import Server

    with Server(create_app(SHOP, SHOP.goals, show_attributes=True), port=0) as server:
        yield server.address


@pytest.fixture(scope="module")
def tab() -> Iterator[BrowserTab]:
    tab = BrowserTab()
    yield tab
    tab.close()


def _visit(tab: BrowserTab, site: str) -> BrowserVisit:
    return BrowserVisit(tab, site, SHOP, GOAL, sid=SID, show_attributes=True)


def _same(visit: Session, there: Session) -> None:
    assert text(there.page) == text(visit.page)
    address = url(visit.page, SID)
    assert url(there.page, SID) == address
    assert text_rich(there.page, address) == text_rich(visit.page, address)
    assert clickables(there.page) == clickables(visit.page)
    assert there.bought == visit.bought


def test_random_visits_see_the_same_pages(tab: BrowserTab, site: str) -> None:
    queries = ("Mug", "poster", "🙂 it's 1/2 #1? 50%", " ", "<c> x", "nothing here")
    for seed in range(6):
        draw = random.Random(seed)
        visit = Session(SHOP, GOAL, sid=SID, show_attributes=True)
        there = _visit(tab, site)
        for _ in range(10):
            labels = clickables(visit.page)
            if isinstance(visit.page, SearchPage) or draw.random() < 0.1:
                action = f"search[{draw.choice(queries)}]"
            else:
                action = f"click[{draw.choice(labels)}]"
            assert there.act(action) == visit.act(action), action
            _same(visit, there)
            if visit.bought:
                break


def test_every_hostile_option_can_be_clicked_and_bought(tab: BrowserTab, site: str) -> None:
    visit = Session(SHOP, GOAL, sid=SID, show_attributes=True)
    there = _visit(tab, site)
    for one in (visit, there):
        one.search(["poster"])
        one.open_item("B0HOSTILE1")
    assert isinstance(visit.page, ItemPage)
    for name, values in visit.page.product.options.items():
        for value in values:
            for one in (visit, there):
                one.select(value, name)
            _same(visit, there)
    assert there.source() == render_page(visit.page, SID)
    for one in (visit, there):
        one.buy()
    _same(visit, there)


@pytest.mark.parametrize(
    "words",
    [["red", "mug"], ["a\nb"], ["\r"], ["<r> mug"], ["['x']"], [""], ["<r>", "x"], ["x" * 5000]],
)
def test_keywords_arrive_as_they_are(tab: BrowserTab, site: str, words: list[str]) -> None:
    visit = Session(SHOP, GOAL, sid=SID, show_attributes=True)
    there = _visit(tab, site)
    for one in (visit, there):
        one.search(words)
    _same(visit, there)


def test_a_query_is_typed_where_that_finds_the_same(tab: BrowserTab, site: str) -> None:
    there = _visit(tab, site)
    there.search(["Red MUG"])
    assert isinstance(there.page, ResultsPage)
    assert there.page.keywords == ("red", "mug")
    assert there.page.asins == SHOP.search(["Red MUG"])[:10] + ("",) * 13


def test_a_search_is_possible_from_every_page(tab: BrowserTab, site: str) -> None:
    there = _visit(tab, site)
    there.search(["mug"])
    there.open_item("B000000003")
    there.search(["poster"])
    there.open_item("B0HOSTILE1")
    there.buy()
    there.search(["mug"])
    assert "Page 1 (Total results: 23)" in text(there.page)


def test_a_crashed_tab_fails_once_and_the_next_visit_works(tab: BrowserTab, site: str) -> None:
    there = _visit(tab, site)
    with pytest.raises(BrowserFailure, match="browser failed"):
        tab.go("chrome://crash")
    with pytest.raises(BrowserFailure, match="ended"):
        there.search(["mug"])
    there = _visit(tab, site)
    there.search(["mug"])
    assert "Mug number 3" in text(there.page)


def test_an_error_page_is_no_page_of_the_shop(tab: BrowserTab, site: str) -> None:
    with pytest.raises(BrowserFailure, match="no goal for a session 'fixed_99'"):
        BrowserVisit(tab, site, SHOP, GOAL, sid="fixed_99", show_attributes=True)


def test_a_visit_begins_without_what_another_left(tab: BrowserTab, site: str) -> None:
    _visit(tab, site)
    tab._driver.execute_script(
        "document.cookie = 'left=1'; localStorage.left = 1; sessionStorage.left = 1"
    )
    _visit(tab, site)
    left = "return [document.cookie, localStorage.length, sessionStorage.length]"
    assert tab._driver.execute_script(left) == ["", 0, 0]


def test_pages_are_usable_on_a_small_screen(tab: BrowserTab, site: str) -> None:
    there = _visit(tab, site)
    tab._cdp(
        "Emulation.setDeviceMetricsOverride",
        width=390, height=844, deviceScaleFactor=1, mobile=True,
    )  # fmt: skip
    width = "return document.documentElement.scrollWidth"
    there.search(["poster"])
    assert tab._driver.execute_script(width) == 390
    there.open_item("B0HOSTILE1")
    assert tab._driver.execute_script(width) == 390
    there.buy()
    assert tab._driver.execute_script(width) == 390


def test_the_keyboard_reaches_everything_and_stays_with_a_chosen_option(
    tab: BrowserTab, site: str
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    there = _visit(tab, site)
    there.search(["mug"])
    there.open_item("B000000003")
    press = ActionChains(tab._driver).send_keys
    focused = "const e = document.activeElement; return e.value || e.textContent || e.className"
    reached = []
    for _ in range(10):
        press(Keys.TAB).perform()
        reached.append(tab._driver.execute_script(focused))
    # A group of options is one stop; within it, arrow keys move.
    assert reached == [
        "skip", "Back to Search", "< Prev", "red", "s",
        "Description", "Features", "Reviews", "Attributes", "Buy Now",
    ]  # fmt: skip
    tab._driver.execute_script(
        "document.querySelector('[value=red]').focus(); " + "window.webshopLeft = true"
    )
    press(Keys.SPACE).perform()
    there._arrive()
    assert isinstance(there.page, ItemPage)
    assert there.page.options == {"color": "red"}
    assert tab._driver.execute_script(focused) == "red"
