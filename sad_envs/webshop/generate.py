"""Generated tasks: a shop made from a seed, and goals of both of the release's manners.

The shop is given as the three files of the release would have it, so that the same loader cleans
it. Its texts come from a vocabulary of its own; see `sad_envs.webshop.wares` for what a product is
like. A seed gives the same bytes in every process, and a longer set of goals begins with the
shorter one.

Every goal can be won: buying its product with the options asked for has all attributes and options
matched, and costs no more than the ceiling, which lies above the upper end of a price range. About
half of the goals are worded as a shopper would, with values for options as human goals have, the
others like the release's synthetic ones, with pairs. A goal of a product that has near-duplicates
asks, more often than not, for what tells it from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sad_envs.dice import Dice
from sad_envs.webshop.goals import NO_CEILING, Goal, ceilings
from sad_envs.webshop.products import Product, clean
from sad_envs.webshop.reward import matched_attributes, matched_options
from sad_envs.webshop.vocabulary import OptionGroup
from sad_envs.webshop.wares import Ware, shuffled, wares

GENERATED_TASKS = 1000
"""Goals of a generated split whose name gives no number."""

MOST_TASKS = 10_000
"""Goals of one shop at most."""

_PASSED_OVER = 45
"""Percent of turns of a product without options that make no goal, so that many ask for one."""

_LEADS = (
    *("i am looking for", "i'm looking for", "i need", "i want", "find me", "show me", "get me"),
    *("i would like to buy", "can you find", "please help me find", "looking for", "i want to buy"),
)
_IS = ("that is {}", "which is {}", "it should be {}", "that's {}")
_FOR = ("for {}", "suitable for {}", "good for {}")
_WITH = ("with {}", "that comes with {}", "that has {}")


@dataclass(frozen=True)
class GeneratedShop:
    """A shop as the release's files have it.

    Attributes:
        items: the raw products, as in `items_shuffle.json`.
        attributes: asin to attribute record, as in `items_ins_v2.json`.
    """

    items: tuple[dict[str, Any], ...]
    attributes: Mapping[str, dict[str, Any]]


def generated_shop(seed: int) -> GeneratedShop:
    """The shop of a seed."""
    made = _wares(seed)
    return GeneratedShop(
        items=tuple(ware.record() for ware in made),
        attributes={ware.asin: {"attributes": list(ware.attributes)} for ware in made},
    )


def generated_goals(seed: int, n: int) -> tuple[Goal, ...]:
    """The first `n` goals of a seed, numbered in order; no two have the same instruction."""
    made = _wares(seed)
    order = shuffled(Dice("webshop goals", seed), made)
    goals: list[Goal] = []
    said: set[str] = set()
    for turn in range(20 * MOST_TASKS):
        if len(goals) == n:
            break
        dice, ware = Dice("webshop goal", seed, turn), order[turn % len(order)]
        if not ware.options and dice.chance(_PASSED_OVER):
            continue
        goal = _goal(dice, ware)
        if goal is not None and goal.instruction not in said:
            said.add(goal.instruction)
            goals.append(replace(goal, index=len(goals)))
    return tuple(goals)


@lru_cache(maxsize=2)
def _wares(seed: int) -> tuple[Ware, ...]:
    return wares(seed)


def _goal(dice: Dice, ware: Ware) -> Goal | None:
    """A goal for a product, or None where the draw gave one that the reward cannot satisfy."""
    human = dice.chance(50)
    number = dice.weighted({1: 55, 2: 35, 3: 10} if human else {2: 50, 3: 30, 4: 20})
    attributes = _asked_attributes(dice, ware, number)
    chosen = [(group, _asked_value(dice, ware, group, values)) for group, values in ware.options]
    if human:
        chosen = [one for one in chosen if _tells(ware, one) or dice.chance(80)]
        text = _human(dice, ware, attributes, chosen)
        options: Any = tuple(_cleaned(value) for _, value in chosen)
    else:
        chosen.sort(key=lambda one: one[0].name.lower())
        options = tuple((group.name.lower(), _cleaned(value)) for group, value in chosen)
        text = _synthetic(ware, attributes, options)
    product = clean(ware.record(), {"attributes": list(ware.attributes)})
    assert product is not None
    if not _winnable(product, attributes, options, [_cleaned(value) for _, value in chosen]):
        return None
    candidates = ceilings(max(product.prices))
    ceiling, clause = NO_CEILING, ""
    if len(candidates) > 1:
        ceiling = float(max(shuffled(dice, candidates)[:2]))
        clause = f", and price lower than {ceiling:.2f} dollars"
    return Goal(
        asin=product.asin,
        category=product.category,
        query=product.query,
        name=product.title,
        product_category=product.product_category,
        instruction=text + clause,
        attributes=attributes,
        price_upper=ceiling,
        options=options,
    )


def _winnable(
    product: Product, attributes: tuple[str, ...], options: Any, chosen: list[str]
) -> bool:
    return matched_attributes(product, attributes) == len(attributes) and matched_options(
        chosen, options
    ) == len(options)


def _asked_attributes(dice: Dice, ware: Ware, number: int) -> tuple[str, ...]:
    """Attributes to ask for, in random order; one that tells the product from others is likely."""
    drawn = shuffled(dice, ware.attributes)
    if dice.chance(75):
        drawn.sort(key=lambda one: one not in ware.telling)
    return tuple(shuffled(dice, drawn[:number]))


def _asked_value(dice: Dice, ware: Ware, group: OptionGroup, values: tuple[str, ...]) -> str:
    telling = [value for value in values if (group.name, value) in ware.telling]
    return dice.one_of(telling) if telling and dice.chance(75) else dice.one_of(values)


def _tells(ware: Ware, chosen: tuple[OptionGroup, str]) -> bool:
    return (chosen[0].name, chosen[1]) in ware.telling


def _cleaned(value: str) -> str:
    return value.replace("/", " | ").lower()


def _synthetic(ware: Ware, attributes: tuple[str, ...], options: Any) -> str:
    kind = ware.kind
    qualities = [one for one in attributes if one in kind.is_]
    text = " ".join(filter(None, ("Find me", ", ".join(qualities), kind.query)))
    for word, known in (("for", kind.for_), ("with", kind.with_)):
        named = [one for one in attributes if one in known]
        text += f" {word} {', '.join(named)}" if named else ""
    asked = ", and ".join(f"{name}: {value}" for name, value in options)
    return text + (f" with {asked}" if asked else "")


def _human(
    dice: Dice, ware: Ware, attributes: tuple[str, ...], chosen: list[tuple[OptionGroup, str]]
) -> str:
    kind = ware.kind
    loose = list(attributes)
    front = next((one for one in attributes if one in kind.is_), None)
    asked = kind.ask
    if front is not None and dice.chance(45):
        loose.remove(front)
        first, _, rest = kind.ask.partition(" ")
        article = "an" if first == "a" and front[0] in "aeiou" and front[:2] != "us" else first
        article = "a" if first == "an" and front[0] not in "aeiou" else article
        asked = f"{article} {front} {rest}"
    clauses = list(_clauses(dice, kind.is_, kind.for_, loose))
    clauses += [dice.one_of(group.says).format(_cleaned(value)) for group, value in chosen]
    text = " ".join((dice.one_of(_LEADS), asked, *_joined(dice, shuffled(dice, clauses))))
    return text.replace(" ,", ",")


def _clauses(
    dice: Dice, is_: tuple[str, ...], for_: tuple[str, ...], attributes: list[str]
) -> Iterator[str]:
    for attribute in attributes:
        forms = _IS if attribute in is_ else _FOR if attribute in for_ else _WITH
        yield dice.one_of(forms).format(attribute)


def _joined(dice: Dice, clauses: list[str]) -> Iterator[str]:
    for number, clause in enumerate(clauses):
        if clause.startswith(("and ", "the ", "it ", "i ", "my ", "size", "fit ")):
            yield f", {clause}"
        elif number:
            yield f"and {clause}" if dice.chance(50) else f", {clause}"
        else:
            yield clause
