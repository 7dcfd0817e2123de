"""The WebShop expert: searches, compares what is shown, checks details, selects options, buys.

It knows which product the instruction was written for, and behaves as one who finds it: it reaches
the product by a search with words of the instruction, or of titles it was shown, and by clicks on
what the page shows. Which of these words it takes, and which detail pages are worth opening, it
knows. A product that is shown before and meets the whole request is as good. Others that look so
it opens on the way, and leaves them for what it reads there: an option that is not offered, an
attribute that no text names. Where no query shows the product, it buys the best match it has seen.

It works in every mode of the environment and in the browser, and plans so that the purchase comes
within the step limit, thoughts that cost a step included. Actions depend on the task and the pages,
thoughts also on the seed; both are the same in every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sad_envs.base import Info, Policy
from sad_envs.webshop.goals import NO_CEILING
from sad_envs.webshop.matching import (
    asked,
    choices,
    lacking_options,
    mentions,
    page_text,
    quoted,
    sentences,
)
from sad_envs.webshop.pages import PER_PAGE, ItemPage, ResultsPage, SearchPage, SubPage
from sad_envs.webshop.products import Product
from sad_envs.webshop.queries import find_query, first_query, request, simple_queries, telling_words
from sad_envs.webshop.react import ReactView
from sad_envs.webshop.reward import matched_attributes
from sad_envs.webshop.session import Session
from sad_envs.webshop.thoughts import Narrator, listed, short

if TYPE_CHECKING:
    from sad_envs.webshop.env import WebShopEnv

MOST_DETOURS = 2
"""Other products it opens in an episode at most."""

MOST_SEARCHES = 3

MOST_COMPARED = 60
"""Queries it compares for the best match, when none shows the product."""

_NO_LIMIT = 40
_PAGES = 3
"""Pages of results it turns, where there is no limit on them."""


def make_expert(env: WebShopEnv, seed: int) -> Policy:
    """A policy for the episodes of `env`; `seed` varies its thoughts."""
    return Expert(env, seed)


@dataclass
class _Progress:
    """What happened in one episode.

    Attributes:
        left: actions it may still take.
        target: the product it means to buy.
        certain: whether that is the one it was looking for.
        opened: products opened, `read` their detail pages.
        seen: products shown, in order.
    """

    session: Session
    narrator: Narrator
    left: int
    target: str
    certain: bool = True
    next_query: str | None = None
    settled: bool = False
    detours: int = 0
    queries: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    read: dict[str, list[str]] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    seen: dict[str, Product] = field(default_factory=dict)


class Expert:
    """See the module. A policy: observation and info to thought and action."""

    def __init__(self, env: WebShopEnv, seed: int) -> None:
        self._env, self._seed = env, seed
        view = env.view
        self._shown = view.shown_products if isinstance(view, ReactView) else PER_PAGE
        self._pages = (view.max_pages if isinstance(view, ReactView) else None) or _PAGES
        self._progress: _Progress | None = None

    def __call__(self, observation: str, info: Info) -> tuple[str, str]:
        session = self._env.session
        if self._progress is None or self._progress.session is not session:
            narrator = Narrator(self._seed, session.goal.task_id)
            self._progress = _Progress(session, narrator, self._actions(), session.goal.asin)
        reason, action, facts = self._next(self._progress)
        self._progress.left -= 1
        return self._progress.narrator.say(reason, facts), action

    def _actions(self) -> int:
        """Actions it plans with: of four turns one may go to a thought."""
        limit = self._env.max_steps
        return _NO_LIMIT if limit is None else limit - -(-limit // 4)

    def _next(self, progress: _Progress) -> tuple[str, str, Mapping[str, str]]:
        match progress.session.page:
            case SearchPage():
                return self._search(progress)
            case ResultsPage() as page:
                return self._choose(progress, page)
            case ItemPage() as page:
                return self._inspect(progress, page)
            case SubPage() as page:
                return self._read(progress, page)
        return "leave_results", "click[Back to Search]", {"request": ""}

    # -- searching --------------------------------------------------------------------------

    def _search(self, progress: _Progress) -> tuple[str, str, Mapping[str, str]]:
        goal = progress.session.goal
        query = progress.next_query or self._query(progress) or self._best_query(progress)
        progress.next_query = None
        reason = "search_again" if progress.queries else "search"
        progress.queries.append(query)
        return reason, f"search[{query}]", {"request": asked(goal), "query": query}

    def _query(self, progress: _Progress) -> str | None:
        """A query that shows the product, of words that are known by now."""
        session = progress.session
        search = self._env.tasks.catalogue.search

        def rank(query: str) -> int | None:
            hits = search((query,)) if query else ()
            return hits.index(progress.target) if progress.target in hits else None

        def good(place: int) -> bool:
            return place // PER_PAGE < self._pages and place % PER_PAGE < self._shown

        words = telling_words(request(session.goal.instruction))
        found = find_query(words, rank, good, avoid=progress.queries)
        if found is None and progress.seen:
            text = set(telling_words(self._product(progress.target).search_text()))
            known = (telling_words(product.title) for product in progress.seen.values())
            more = dict.fromkeys(word for title in known for word in title if word in text)
            found = find_query(words, rank, good, more=list(more), avoid=progress.queries)
        return found

    def _best_query(self, progress: _Progress) -> str:
        """Of queries that do not show the product, the one that shows the best other one."""
        instruction = progress.session.goal.instruction
        search = self._env.tasks.catalogue.search

        def worth(query: str) -> float:
            shown = search((query,))[: self._shown]
            return max((self._worth(progress, asin) for asin in shown), default=-1.0)

        tried = [first_query(instruction), *simple_queries(telling_words(request(instruction)))]
        return max(tried[:MOST_COMPARED], key=worth)

    # -- results ----------------------------------------------------------------------------

    def _choose(self, progress: _Progress, page: ResultsPage) -> tuple[str, str, Mapping[str, str]]:
        goal = progress.session.goal
        shown = page.products[: self._shown]
        progress.seen |= {product.asin: product for product in shown}
        if progress.settled and progress.target in {product.asin for product in shown}:
            return self._open(progress, progress.target, shown)
        if not progress.settled:
            for product in shown:
                if product.asin == progress.target or self._worth(progress, product.asin) == 1.0:
                    progress.target = product.asin
                    return self._open(progress, product.asin, shown)
                if self._worth_a_look(progress, product):
                    progress.detours += 1
                    return self._open(progress, product.asin, shown)
        hits, place = page.asins, None
        if progress.target in hits:
            place = hits.index(progress.target)
        reachable = place is not None and place % PER_PAGE < self._shown
        if reachable and place is not None and page.number - 1 < place // PER_PAGE < self._pages:
            return "next_page", "click[Next >]", {}
        if not progress.settled and len(progress.queries) < MOST_SEARCHES and progress.left > 7:
            progress.next_query = self._query(progress)
            if progress.next_query or not shown:
                return "leave_results", "click[Back to Search]", {"request": asked(goal)}
        return self._settle(progress, page)

    def _settle(self, progress: _Progress, page: ResultsPage) -> tuple[str, str, Mapping[str, str]]:
        """Nothing more to search for: the best match on this page."""
        shown = page.products[: self._shown]
        progress.settled, progress.certain = True, False
        if not shown:
            return (
                "leave_results",
                "click[Back to Search]",
                {"request": asked(progress.session.goal)},
            )
        best = max(shown, key=lambda product: self._worth(progress, product.asin))
        progress.target = best.asin
        return self._open(progress, best.asin, shown)

    def _worth(self, progress: _Progress, asin: str) -> float:
        """The reward for buying a product with what it has of the options asked for."""
        goal = progress.session.goal
        chosen = {name: value for name, value, _ in choices(self._product(asin), goal)}
        return self._env.tasks.catalogue.reward(goal, asin, chosen).total

    def _worth_a_look(self, progress: _Progress, product: Product) -> bool:
        """Whether a product looks as good as the one sought, and reading on tells it is not."""
        goal = progress.session.goal
        if product.asin in progress.rejected or progress.detours >= MOST_DETOURS:
            return False
        target, whole = self._product(progress.target), self._product(product.asin)
        wanted = set(telling_words(request(goal.instruction)))
        common = wanted & set(telling_words(product.title))
        if len(common) < len(wanted & set(telling_words(target.title))):
            return False
        if whole.query != goal.query or whole.prices[0] > goal.price_upper:
            return False
        missing = lacking_options(whole, goal)
        unmet = [one for one in goal.attributes if not matched_attributes(whole, (one,))]
        if missing:
            cost = 2
        elif unmet:
            cost = 2 + 2 * len(self._pages_to_read(whole, goal.attributes))
        else:
            return False
        return progress.left - cost >= 3 + len(goal.options) + 2

    def _open(
        self, progress: _Progress, asin: str, shown: Sequence[Product]
    ) -> tuple[str, str, Mapping[str, str]]:
        goal = progress.session.goal
        product = next(one for one in shown if one.asin == asin)
        dear = [one for one in shown if one.prices[0] > goal.price_upper]
        others = f"{dear[0].asin} costs {dear[0].price_text}, too much. " if dear else ""
        if asin not in progress.opened:
            progress.opened.append(asin)
        reason = "open" if progress.certain else "open_best"
        facts = {**self._facts(progress, product), "others": others}
        return reason, f"click[{asin}]", facts

    # -- a product --------------------------------------------------------------------------

    def _inspect(self, progress: _Progress, page: ItemPage) -> tuple[str, str, Mapping[str, str]]:
        goal, product = progress.session.goal, self._product(page.product.asin)
        facts = self._facts(progress, product)
        read = progress.read.setdefault(product.asin, [])
        sought = product.asin == progress.target
        missing = lacking_options(product, goal)
        if missing and not sought:
            progress.rejected.add(product.asin)
            return "lacks_option", "click[< Prev]", {**facts, "missing": listed(missing)}
        options = choices(product, goal)
        needed = 1 + len(options)
        for name in self._pages_to_read(product, goal.attributes):
            if name not in read and progress.left >= needed + 2:
                read.append(name)
                unseen = self._unseen(progress, product, goal.attributes)
                facts["wanted"] = listed(unseen or list(goal.attributes))
                facts["page"] = name.lower()
                return "details" if read == [name] else "description", f"click[{name}]", facts
        if not sought:
            progress.rejected.add(product.asin)
            unmet = [one for one in goal.attributes if not matched_attributes(product, (one,))]
            return "reject", "click[< Prev]", {**facts, "wanted": listed(unmet)}
        admissible = self._env.view.admissible(progress.session)
        for name, value, wanted in options:
            if page.options.get(name) != value and f"click[{value}]" in admissible:
                if any(page.options.get(other) == value for other in product.options):
                    continue  # the page has two options with this value and sets the other one
                reason = "select" if value == wanted else "select_near"
                facts |= {"value": f"“{value}”", "asked": f"“{wanted}”"}
                return reason, f"click[{value}]", facts
        unseen = self._unseen(progress, product, goal.attributes)
        met = [one for one in goal.attributes if one not in unseen] + list(page.options.values())
        facts["met"] = f"It has {listed(met)}." if met else ""
        best = not progress.certain or not met
        return "buy_best" if best else "buy", "click[Buy Now]", facts

    def _read(self, progress: _Progress, page: SubPage) -> tuple[str, str, Mapping[str, str]]:
        """Reading done, back to the product."""
        goal, product = progress.session.goal, self._product(page.product.asin)
        facts = self._facts(progress, product)
        text = page_text(product, page.name)
        found = [one for one in goal.attributes if mentions(text, one)]
        if found:
            pieces = product.bullets if page.name == "Features" else sentences(text)
            facts |= {"quote": f"“{quoted(pieces, found[0])}”", "wanted": listed(found)}
            return "confirmed", "click[< Prev]", facts
        unseen = self._unseen(progress, product, goal.attributes)
        facts["wanted"] = listed(unseen or list(goal.attributes))
        return "unconfirmed", "click[< Prev]", facts

    def _pages_to_read(self, product: Product, attributes: Sequence[str]) -> list[str]:
        """Pages that name an attribute which neither the title nor the pages before name.

        When no text names one of them, all pages that there are.
        """
        left = [one for one in attributes if not mentions(product.title, one)]
        pages = []
        for name in ("Features", "Description"):
            text = page_text(product, name)
            named = [one for one in left if mentions(text, one)]
            if named or (text.strip() and not any(self._anywhere(product, one) for one in left)):
                pages += [name] if left else []
            left = [one for one in left if one not in named]
        return pages

    @staticmethod
    def _anywhere(product: Product, attribute: str) -> bool:
        return mentions(f"{page_text(product, 'Features')} {product.description}", attribute)

    @staticmethod
    def _unseen(progress: _Progress, product: Product, attributes: Sequence[str]) -> list[str]:
        """Attributes that nothing read so far of the product names."""
        texts = [page_text(product, name) for name in progress.read.get(product.asin, ())]
        return [
            one for one in attributes if not any(mentions(t, one) for t in (product.title, *texts))
        ]

    def _product(self, asin: str) -> Product:
        return self._env.tasks.catalogue.product(asin)

    @staticmethod
    def _facts(progress: _Progress, product: Product) -> dict[str, str]:
        ceiling = progress.session.goal.price_upper
        within = ""
        if ceiling < NO_CEILING and product.prices[0] <= ceiling:
            within = f", below {ceiling:.2f}"
        return {
            "asin": product.asin,
            "title": short(product.title),
            "price": product.price_text,
            "within": within,
        }
