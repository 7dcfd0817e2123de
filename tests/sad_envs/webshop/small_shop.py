"""A shop of a few products with texts that break careless sites, for tests of site and browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html.parser import HTMLParser

from sad_envs.webshop.goals import Goal
from sad_envs.webshop.pages import Kind
from sad_envs.webshop.products import Product, clean
from sad_envs.webshop.reward import Reward, reward

HOSTILE = "<script>alert('&amp;')</script> \"1/2\" #1? 100%25 [ü🙂\u200b] \\n {{ 7*7 }}"


class SmallShop:
    """Products by hand, found by the words of their titles."""

    def __init__(self, n_mugs: int = 23) -> None:
        raw = [
            {
                "asin": f"B00000{number:04}",
                "name": f"Mug number {number}",
                "full_description": f"A mug. It is number {number}.",
                "small_description": ["holds coffee", "  ", "dishwasher safe"],
                "pricing": f"${number}.50",
                "images": [f"https://example.org/{number}.jpg"],
                "customization_options": {"Color": _values("Red", "Blue"), "Size": _values("S")},
                "category": "garden",
                "query": "mugs",
                "product_category": "Home › Kitchen › Mugs",
            }
            for number in range(n_mugs)
        ]
        raw.append(
            {
                "asin": "B0HOSTILE1",
                "name": f"Poster {HOSTILE}",
                "full_description": f" {HOSTILE}\r\nline two\ttab\x85 ",
                "small_description": [HOSTILE, "", " two  spaces "],
                "pricing": "$1,299.50 - $5",
                "images": ["javascript:alert(1)"],
                "customization_options": {
                    HOSTILE: _values(HOSTILE, "plain", "a|b", "'single'", 'double "quoted"'),
                    "Second": _values("plain", "12\" x 5'", "50%", "a\\b", "x[y]"),
                    "trailing ": _values("é", "日本", "?&#;=+"),
                },
                "category": "books & more",
                "query": "posters",
                "product_category": f"Art › {HOSTILE}",
            }
        )
        products = [clean(one, {"attributes": ["easy clean", HOSTILE]}) for one in raw]
        self.products = {one.asin: one for one in products if one is not None}
        self.goals = [
            Goal(
                asin=one.asin,
                category=one.category,
                query=one.query,
                name=one.title,
                product_category=one.product_category,
                instruction=f"i want {one.title}, and price lower than 30.00 dollars",
                attributes=("easy clean", "secret wish"),
                price_upper=30.0,
                options=tuple((name, values[0]) for name, values in one.options.items()),
                weight=1.0 + number % 3,
                index=number,
            )
            for number, one in enumerate(self.products.values())
        ]

    def product(self, asin: str) -> Product:
        return self.products[asin]

    def price(self, asin: str) -> float:
        return self.products[asin].prices[0]

    def search(self, words: Sequence[str], draw: str = "") -> tuple[str, ...]:
        wanted = set(" ".join(words).lower().split())
        return tuple(
            asin
            for asin, product in self.products.items()
            if wanted & set(product.title.lower().split())
        )

    def reward(self, goal: Goal, asin: str, options: Mapping[str, str]) -> Reward:
        return reward(
            self.products[asin],
            goal,
            tuple(options.values()),
            price=self.price(asin),
            nouns=self.products[asin].title.lower().split(),
            goal_nouns=goal.name.lower().split(),
        )


def _values(*values: str) -> list[dict[str, str | None]]:
    return [{"value": value, "image": None} for value in values]


class Texts(HTMLParser):
    """Visible texts of a page and what they are, as a client of upstream's site sees them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[Kind, str]] = []
        self._open: list[tuple[str, str]] = []
        self._text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._end_text()
        if tag not in ("meta", "link", "br", "input", "img"):
            self._open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        self._end_text()
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_entityref(self, name: str) -> None:
        self._text += {"amp": "&", "lt": "<", "gt": ">"}[name]

    def handle_charref(self, name: str) -> None:
        self._text += chr(int(name))

    def _end_text(self) -> None:
        text, self._text = self._text, ""
        tags = {tag for tag, _ in self._open}
        if not text.strip() or tags & {"head", "title", "script", "style"}:
            return
        tag, classes = self._open[-1]
        kind = Kind.TEXT
        if "btn" in classes.split():
            kind = Kind.BUTTON
        elif "product-link" in classes.split():
            kind = Kind.LINK
        elif tag == "label":
            kind = Kind.LABEL
        self.found.append((kind, text))
