"""Pages as text, and what a view is.

A view shows the page a visit is on and says what an action does. Here is the one of upstream's text
environment, in its four modes; the ReAct view is in `sad_envs.webshop.react`.

- `text`: visible texts, stripped, with ` [SEP] ` between them. It does not tell which options are
  selected.
- `text_rich`: a line per text, buttons and options in marks. An option counts as selected when its
  value, in double quotes, is somewhere in the address, as upstream has it: values with a double
  quote or a letter beyond ASCII never do, and a quoted search word may.
- `html`: the page's source. `url`: its address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, assert_never, get_args

from sad_envs.webshop.pages import (
    ADDRESS,
    Kind,
    Page,
    ResultsPage,
    SearchPage,
    clickables,
    nodes,
    url,
)
from sad_envs.webshop.session import Session

TextMode = Literal["text", "text_rich", "html", "url"]
TEXT_MODES: tuple[TextMode, ...] = get_args(TextMode)

_FREQUENT = (
    "a an and am are as at be below buy by can color dollars find for from get have i i'd i'm im "
    "in is it its less like looking lower me my need of on or please price show size some than "
    "that the to under want which with would you"
)
_FREQUENT_WORDS = frozenset(_FREQUENT.split())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an action: whether it was allowed, and a text to show in place of the page."""

    valid: bool
    text: str | None = None


class View(Protocol):
    """How an environment shows a visit and what its actions are."""

    def render(self, session: Session) -> str:
        """The page that the visit is on."""

    def act(self, session: Session, action: str) -> Answer:
        """Apply an action; any string, none raises."""

    def admissible(self, session: Session) -> list[str]:
        """Actions to choose from; empty only when nothing is left to do."""


class TextView:
    """The text environment's rules, in one of its modes."""

    def __init__(self, mode: TextMode = "text") -> None:
        self.mode = mode

    def render(self, session: Session) -> str:
        """The page in this view's mode."""
        page, sid = session.page, session.sid
        match self.mode:
            case "text":
                return text(page)
            case "text_rich":
                return text_rich(page, url(page, sid))
            case "url":
                return ADDRESS + url(page, sid)
            case "html":
                from sad_envs.webshop.html import render_page

                return render_page(page, sid)
        assert_never(self.mode)

    def act(self, session: Session, action: str) -> Answer:
        """Searches and clicks; anything else changes nothing and shows the page again."""
        return Answer(session.act(action))

    def admissible(self, session: Session) -> list[str]:
        """Clicks, in the order of `clickables`; on the start page searches."""
        if isinstance(session.page, SearchPage):
            return [f"search[{query}]" for query in suggested_queries(session.goal.instruction)]
        return [f"click[{label}]" for label in clickables(session.page) if "[" not in label]


def text(page: Page) -> str:
    """Mode `text`."""
    return " [SEP] ".join(node.text.strip() for node in nodes(page))


def text_rich(page: Page, address: str) -> str:
    """Mode `text_rich`; `address` is the page's, where selected options are looked for."""
    visited = page.visited if isinstance(page, ResultsPage) else frozenset()
    lines, clicked = [], []
    for node in nodes(page):
        said = node.text
        match node.kind:
            case Kind.BUTTON:
                lines.append(f"[button] {said} [button_]\n")
            case Kind.LABEL if f'"{said}"' in address:
                lines.append(f"  [clicked button] {said} [clicked button_]\n")
                clicked.append(f"You have clicked {said}.\n")
            case Kind.LABEL:
                lines.append(f"  [button] {said} [button_]\n")
            case Kind.LINK:
                mark = "clicked button" if said in visited else "button"
                lines.append(f"\n[{mark}] {said} [{mark}_]\n")
            case Kind.TEXT:
                lines.append(f"{said}\n")
    return "".join((*reversed(clicked), *lines))


def suggested_queries(instruction: str) -> list[str]:
    """One to three queries made of the instruction's words, for agents that choose from a list.

    The instruction without its price; its words without frequent ones; the first four of those.
    """
    whole = instruction.lower().rpartition(", and price lower than ")
    asked = " ".join((whole[0] or whole[2]).replace("[", " ").replace("]", " ").split())
    plain = [word.strip(".,;:!?()\"'") for word in asked.split()]
    words = [word for word in plain if word and word not in _FREQUENT_WORDS]
    queries = (asked, " ".join(words), " ".join(words[:4]))
    return [query for query in dict.fromkeys(queries) if query] or ["product"]
