"""The reward of a purchase, as upstream computes it.

It is the type's factor times the share of matched attributes, matched options and the price. The
quirks that change scores are kept:

- the title's score counts common nouns once but divides by all nouns of the goal's title, so that
  the very product asked for may score below 1, and no common noun makes the whole reward 0;
- texts match by `similar`: "large" is as good as "x-large", "6" as "6.5";
- a colour word within an option stands for the whole option, the first of `COLOURS` wins, not the
  first in the text; "standard" becomes "tan";
- an option asked for as a pair is compared as the text of a Python tuple, and its colour is only
  found when name or value is nothing but a colour. A pair with the value "titanium" is thus never
  matched, not even by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sad_envs.webshop.fuzzy import similar
from sad_envs.webshop.goals import Goal
from sad_envs.webshop.products import Product

_COLOURS = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown
burgundy camel camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac
copper coral cranberry cream crystal dark denim eggplant elephant espresso fuchsia gold granite
grape graphite grass gray green grey heather indigo ivory ivy khaki lavender lemon leopard light
lilac lime magenta maroon mauve merlot midnight mint mocha multicolor mushroom mustard natural navy
nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand sapphire seashell
silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
wheat white wine yellow
"""
COLOURS = tuple(_COLOURS.split())
"""In the order in which they are looked for."""

NO_NOUNS_SCORE = 0.2
"""The title's score when the goal's title has no nouns."""


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward and its parts.

    Attributes:
        total: in [0, 1].
        r_type: 1, 0.5, 0.1 or 0, a factor on everything else.
        title_score: common nouns over nouns of the goal's title.
        r_att, r_option, r_price: shares matched; `r_option` is None when no option is asked for.
        w_att, w_option, w_price: weights, which add up to 1.
    """

    total: float
    r_type: float
    r_att: float
    w_att: float
    query_match: bool
    category_match: bool
    title_score: float
    r_price: float
    w_price: float
    r_option: float | None = None
    w_option: float | None = None

    def record(self) -> dict[str, Any]:
        """The parts in upstream's field names; `r_option` and `w_option` only where they exist."""
        parts: dict[str, Any] = {
            "r_type": self.r_type,
            "r_att": self.r_att,
            "w_att": self.w_att,
            "query_match": self.query_match,
            "category_match": self.category_match,
            "title_score": self.title_score,
        }
        if self.r_option is not None:
            parts |= {"r_option": self.r_option, "w_option": self.w_option}
        return {**parts, "r_price": self.r_price, "w_price": self.w_price}


def reward(
    product: Product,
    goal: Goal,
    options: Collection[str],
    *,
    price: float,
    nouns: Sequence[str],
    goal_nouns: Sequence[str],
) -> Reward:
    """The reward for buying `product` with the option values `options`.

    Args:
        price: the product's, in dollars.
        nouns, goal_nouns: of the two titles, repetitions included; see `sad_envs.webshop.nouns`.
    """
    query_match = product.query == goal.query
    category_match = same_category(product.product_category, goal.product_category)
    score = title_score(nouns, goal_nouns)
    r_type = type_reward(score, query_match, category_match)
    attributes = matched_attributes(product, goal.attributes)
    chosen = matched_options(options, goal.options)
    r_price = 1.0 if price <= goal.price_upper else 0.0
    n_att, n_opt = len(goal.attributes), len(goal.options)
    total = n_att + n_opt + 1
    return Reward(
        total=(attributes + chosen + r_price) / total * r_type,
        r_type=r_type,
        r_att=attributes / n_att,
        w_att=n_att / total,
        query_match=query_match,
        category_match=category_match,
        title_score=score,
        r_price=r_price,
        w_price=1 / total,
        r_option=chosen / n_opt if n_opt else None,
        w_option=n_opt / total if n_opt else None,
    )


def title_score(nouns: Collection[str], goal_nouns: Sequence[str]) -> float:
    """Nouns in common, each once, over the goal's nouns, repetitions included."""
    if not goal_nouns:
        return NO_NOUNS_SCORE
    return len(set(nouns) & set(goal_nouns)) / len(goal_nouns)


def type_reward(score: float, query_match: bool, category_match: bool) -> float:
    """How far the purchase is the kind of thing asked for: 1, 0.5, 0.1 or 0."""
    if score == 0:
        return 0.0
    if score < 0.1:
        return 0.1
    return 1.0 if query_match or category_match or score > 0.2 else 0.5


def same_category(first: str, second: str) -> bool:
    """Whether two breadcrumbs share at least two elements, wherever they stand."""
    return len(_crumbs(first) & _crumbs(second)) >= 2


def matched_attributes(product: Product, wanted: Sequence[str]) -> int:
    """How many of `wanted` an attribute resembles, or title, bullets or description contain."""
    texts = (product.title, " ".join(product.bullets), product.description)
    lower = [text.lower() for text in texts]
    return sum(
        any(similar(have, want) for have in product.attributes)
        or any(want in text for text in lower)
        for want in wanted
    )


def matched_options(chosen: Collection[str], wanted: Sequence[str | tuple[str, str]]) -> int:
    """How many of `wanted` any chosen value resembles; one value may do for several."""
    values = [normalise(value) for value in chosen]
    return sum(any(similar(value, text) for value in values) for text in map(_wanted, wanted))


def normalise(text: str) -> str:
    """The first colour of the list that is part of `text`, else `text`."""
    return next((colour for colour in COLOURS if colour in text), text)


def _wanted(option: str | tuple[str, str]) -> str:
    """What a wanted option is compared as."""
    if isinstance(option, str):
        return normalise(option)
    return next((colour for colour in COLOURS if colour in option), str(option))


def _crumbs(category: str) -> set[str]:
    return {part.strip() for part in category.split("›")}
