"""WebShop in a browser as a Gymnasium environment: the tasks of `WebShopEnv`, on a real site.

Actions, observations, rewards and `info` are those of `sad_envs.webshop.env`, letter by letter; but
mode `html` shows what the site sent, whose last page tells more. Every action is carried out in
headless Chromium, and what is observed is read off the page (`sad_envs.webshop.browser`).

The environment starts its site and its browser with the first task, and ends them when it is closed
or its process is gone. One browser serves all episodes, each in a new tab. When the browser fails,
the action raises `BrowserFailure`, and the next `reset` starts another one.

With `screenshots`, `info["screenshot"]` is the visible part of the page as PNG.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from sad_envs.base import Beginning, Consequence, EnvError, did_you_mean
from sad_envs.webshop.browser import BrowserTab, BrowserVisit
from sad_envs.webshop.chromium import check_selenium, find_binaries
from sad_envs.webshop.env import WebShopEnv
from sad_envs.webshop.goals import Goal
from sad_envs.webshop.render import TextView
from sad_envs.webshop.session import Session

if TYPE_CHECKING:
    from sad_envs.webshop.site.server import Server

SCREENSHOT = "screenshot"
"""Where `info` has the picture."""


class WebShopBrowserEnv(WebShopEnv):
    """Shopping by instruction, in Chromium.

    Args:
        screenshots: take a picture of every page.
        arguments: those of `WebShopEnv`.
    """

    dynamics: ClassVar[str] = "webshop-browser-1"

    def __init__(self, *, screenshots: bool = False, **arguments: Any) -> None:
        if not isinstance(screenshots, bool):
            raise EnvError(f"screenshots is {screenshots!r}; expected true or false")
        known = inspect.signature(WebShopEnv).parameters
        for name in arguments:
            if name not in known:
                hint = did_you_mean(name, [*known, "screenshots"])
                raise EnvError(f"WebShop in a browser has no argument {name!r}{hint}")
        check_selenium()
        find_binaries()
        super().__init__(**arguments)
        if self.behaviour["mode"] == "html":
            self.view = _SourceView()
        self._screenshots = screenshots
        self._tab = BrowserTab()
        self._site: Server | None = None

    @property
    def browser_pid(self) -> int | None:
        """The process that the browser descends from, while there is one."""
        return self._tab.pid

    def close(self) -> None:
        """End browser and site; a later reset starts them again."""
        self._tab.close()
        if self._site is not None:
            self._site.stop()
            self._site = None
        super().close()

    def _visit(self, goal: Goal, sid: str) -> Session:
        shop = self.tasks.catalogue
        if self._site is None:
            from sad_envs.webshop.site.app import create_app
            from sad_envs.webshop.site.server import Server

            app = create_app(shop, self.tasks.goals)
            self._site = Server(app, port=0, threads=2).start()
        return BrowserVisit(
            self._tab, self._site.address, shop, goal, sid=sid, show_attributes=False
        )

    def _begin(self, task_id: str) -> Beginning:
        beginning = super()._begin(task_id)
        return replace(beginning, extra={**beginning.extra, **self._picture()})

    def _act(self, action: str) -> Consequence:
        consequence = super()._act(action)
        return replace(consequence, extra={**consequence.extra, **self._picture()})

    def _picture(self) -> dict[str, bytes]:
        return {SCREENSHOT: self._tab.screenshot()} if self._screenshots else {}


class _SourceView(TextView):
    """Mode `html`: the page as the site sent it."""

    def __init__(self) -> None:
        super().__init__("html")

    def render(self, session: Session) -> str:
        assert isinstance(session, BrowserVisit)
        return session.source()
