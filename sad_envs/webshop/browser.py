"""A visit to the shop through a browser: the moves are clicks, the page is read off the screen.

`BrowserVisit` has the moves of `sad_envs.webshop.session.Session`, so every view, prompt and expert
works on it. What it knows of a page is what the document says: the page's value is built from its
elements, and its visible texts are then compared with those that the value promises. A page that
does not agree is an error, never a silent difference.

`BrowserTab` is the one tab in use. Whatever Selenium or the browser does wrong becomes one
`BrowserFailure`; the browser is then ended, and a new one starts with the next visit.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sad_envs.webshop import links
from sad_envs.webshop.chromium import ANSWER_SECONDS, Chromium
from sad_envs.webshop.goals import Goal
from sad_envs.webshop.pages import (
    BACK_TO_SEARCH,
    BUY_NOW,
    NEXT,
    PREVIOUS,
    DonePage,
    ItemPage,
    ResultsPage,
    SearchPage,
    SubPageName,
    nodes,
    option_name,
)
from sad_envs.webshop.reading import READ_PAGE, BrowserFailure, read_page
from sad_envs.webshop.reward import Reward
from sad_envs.webshop.session import Session, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKS = ("<r>", "<a>", "<c>", "<q>")
"""First words with which the site does not search for the rest."""

_MARK = "window.webshopLeft = true;"
"""Tells the page that is left from the one that comes."""

_FIND = {
    "button": "const found = [...document.querySelectorAll('.btn')]"
    ".find(e => e.textContent === arguments[0]);",
    "link": "const found = [...document.querySelectorAll('a.product-link')]"
    ".find(e => e.textContent === arguments[0]);",
    "option": "const found = [...document.querySelectorAll('.radio-toolbar input[type=radio]')]"
    ".find(e => e.name === arguments[0] && e.value === arguments[1]);",
    "search": "const box = document.getElementById('search_input');"
    "if (box) box.value = arguments[0]; const found = box?.form.querySelector('.btn');",
}
_LEAVE = f"if (!found) return null; {_MARK} return found;"
_POLL_SECONDS = 0.005


class BrowserTab:
    """A browser with one tab in use, started when it is needed and again after a failure."""

    def __init__(self) -> None:
        self._chromium: Chromium | None = None

    @property
    def pid(self) -> int | None:
        """The process that the running browser descends from."""
        return self._chromium.pid if self._chromium else None

    def fresh(self, address: str) -> None:
        """Open `address` in a new tab without history, cookies or storage."""
        if self._chromium is None:
            self._chromium = Chromium()
        with self._mended():
            driver = self._chromium.driver
            old = driver.window_handles
            driver.switch_to.new_window("tab")
            new = driver.current_window_handle
            for handle in old:
                driver.switch_to.window(handle)
                driver.close()
            driver.switch_to.window(new)
            self._cdp("Network.clearBrowserCookies")
            origin = "/".join(address.split("/")[:3])
            self._cdp("Storage.clearDataForOrigin", origin=origin, storageTypes="all")
        self.go(address)

    def go(self, address: str) -> None:
        """Open an address in the tab."""
        with self._mended():
            self._driver.get(address)

    def click(self, kind: str, *what: str) -> bool:
        """Click an element, as a user does; False when there is none."""
        from selenium.common.exceptions import (
            ElementClickInterceptedException,
            ElementNotInteractableException,
        )

        with self._mended():
            element = self._driver.execute_script(f"{_FIND[kind]}{_LEAVE}", *what)
            if element is None:
                return False
            try:
                element.click()
            except (ElementClickInterceptedException, ElementNotInteractableException):
                self._driver.execute_script("arguments[0].click()", element)
            return True

    def submit(self, query: str) -> bool:
        """Put `query` in the search box and press the button; False when there is no box.

        The text is set at once: the driver cannot type characters beyond the first Unicode plane.
        """
        return self.click("search", query)

    def read(self) -> dict[str, Any]:
        """What the page says, once it is there; see `sad_envs.webshop.reading`."""
        from selenium.common.exceptions import JavascriptException

        give_up = time.monotonic() + ANSWER_SECONDS / 2
        with self._mended():
            while True:
                try:
                    found = self._driver.execute_script(READ_PAGE)
                except JavascriptException:
                    # The document went away while it was read.
                    found = None
                if found is not None:
                    page: dict[str, Any] = found
                    return page
                if time.monotonic() > give_up:
                    raise BrowserFailure("the page did not load in time")
                time.sleep(_POLL_SECONDS)

    def source(self) -> str:
        """The HTML at the tab's address, as the site sends it: a browser gives out only its own."""
        with self._mended():
            address = self._driver.current_url
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(address, timeout=ANSWER_SECONDS / 2) as answer:
                return str(answer.read().decode())

    def screenshot(self) -> bytes:
        """The visible part of the page, as PNG."""
        with self._mended():
            png: bytes = self._driver.get_screenshot_as_png()
            return png

    def close(self) -> None:
        """End the browser; the next visit starts another."""
        chromium, self._chromium = self._chromium, None
        if chromium is not None:
            chromium.close()

    @property
    def _driver(self) -> Any:
        if self._chromium is None:
            raise BrowserFailure("the browser has ended; reset starts another")
        return self._chromium.driver

    def _cdp(self, command: str, **parameters: Any) -> Any:
        sent = {"cmd": command, "params": parameters}
        return self._driver.execute("executeCdpCommand", sent)["value"]

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Turn what goes wrong into one `BrowserFailure`, and end the browser."""
        from selenium.common.exceptions import WebDriverException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (WebDriverException, HTTPError, OSError) as error:
            self.close()
            said = str(getattr(error, "msg", None) or error).strip().partition("\n")[0]
            raise BrowserFailure(f"the browser failed: {said or type(error).__name__}") from error
        except BrowserFailure:
            self.close()
            raise


class BrowserVisit(Session):
    """A visit whose moves are made in a browser.

    Args:
        site: the address of the site, without a slash at the end.
        goal: of the session `sid` there; only the page's own texts are shown.
    """

    def __init__(
        self, tab: BrowserTab, site: str, shop: Shop, goal: Goal, *, sid: str, show_attributes: bool
    ) -> None:
        super().__init__(shop, goal, sid=sid, show_attributes=show_attributes)
        self._tab, self._site = tab, site
        tab.fresh(site + links.search_link(sid))
        self._arrive()

    # -- moves ------------------------------------------------------------------------------

    def search(self, keywords: Sequence[str]) -> None:
        query = " ".join(keywords)
        if not _can_be_typed(query, keywords):
            words = tuple(map(links.whole_text, keywords))
            self._tab.go(self._site + links.results_link(self.sid, words, 1))
        elif not self._tab.submit(query):
            if not self._tab.click("button", BACK_TO_SEARCH):
                self._tab.go(self._site + links.search_link(self.sid))
            self._tab.read()
            self._tab.submit(query)
        self._arrive()

    def turn_to(self, number: int) -> None:
        page = self._on(ResultsPage)
        if number == page.number + 1:
            self._click("button", NEXT)
        elif number == page.number - 1:
            self._click("button", PREVIOUS)
        else:
            self._tab.go(self._site + links.results_link(self.sid, page.keywords, number))
        self._arrive()

    def open_item(self, asin: str) -> None:
        page = self._on(ResultsPage)
        if asin not in [product.asin for product in page.products]:
            raise KeyError(asin)
        self._visited |= {asin}
        self._click("link", asin)
        self._arrive()

    def select(self, value: str, name: str | None = None) -> None:
        page = self._on(ItemPage)
        name = option_name(page.product, value) if name is None else name
        if name is None or value not in page.product.options.get(name, ()):
            raise ValueError(f"{page.product.asin} has no option {value!r}")
        if page.options.get(name) == value:
            return  # Clicking what is selected leads nowhere.
        self._click("option", name, value)
        self._arrive()

    def show(self, name: SubPageName) -> None:
        page = self._on(ItemPage)
        if not self._tab.click("button", name):
            # A page that is there although its button is not shown.
            product, words = page.product.asin, page.keywords
            path = links.sub_page_link(self.sid, product, words, page.number, name, page.options)
            self._tab.go(self._site + path)
        self._arrive()

    def back(self) -> None:
        page = self.page
        if isinstance(page, SearchPage | DonePage) or (
            isinstance(page, ResultsPage) and page.number <= 1
        ):
            raise ValueError(f"there is no way back from {type(page).__name__}")
        self._click("button", PREVIOUS)
        self._arrive()

    def back_to_search(self) -> None:
        self._visited = frozenset()
        if not self._tab.click("button", BACK_TO_SEARCH):
            self._tab.go(self._site + links.search_link(self.sid))
        self._arrive()

    def buy(self) -> Reward:
        self._on(ItemPage)
        self._click("button", BUY_NOW)
        self._arrive()
        assert self.bought is not None
        return self.bought

    def source(self) -> str:
        """The HTML of the page as the site sent it."""
        return self._tab.source()

    # -- reading ----------------------------------------------------------------------------

    def _click(self, kind: str, *what: str) -> None:
        if not self._tab.click(kind, *what):
            raise BrowserFailure(f"the page has no {kind} {what[-1]!r}")

    def _arrive(self) -> None:
        """Read the page that the browser shows now."""
        read = self._tab.read()
        self.page = read_page(read, self._visited)
        if isinstance(self.page, DonePage):
            details: dict[str, Any] = json.loads(read["rewardInfo"])
            self.bought = Reward(total=self.page.reward, **details)
            return
        promised = [node.text.strip() for node in nodes(self.page)]
        shown = [text for text in map(str.strip, read["texts"]) if text]
        if promised != shown:
            differing = next((p for p in zip(promised, shown, strict=False) if p[0] != p[1]), "")
            raise BrowserFailure(f"the page's texts are not those of its parts: {differing!r}")


def _can_be_typed(query: str, keywords: Sequence[str]) -> bool:
    """Whether typing `query` searches for `keywords`; else the search goes by the address.

    The box drops line breaks, and the site lower-cases and splits what it gets. For the search
    engine a single keyword is its words, unless the first of them is a mark for the site.
    """
    if set("\r\n") & set(query) or links.whole_text(query) != query:
        return False
    words = query.lower().split(" ")
    if words == list(keywords):
        return True
    return len(keywords) == 1 and words[0] not in _MARKS and (query.isascii() or query.islower())
