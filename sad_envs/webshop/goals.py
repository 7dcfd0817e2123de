"""Goals: what the shopper is asked for, as upstream derives them from the release's instructions.

Human goals come from crowd-sourced instructions, one each, in the order of products and then of the
file; those without attributes to ask for are left out. Their options are values. Synthetic goals
come from the attribute file: for a product with an instruction, one goal for every combination of
its option values. Their options are (name, value) pairs.

Every instruction ends with a ceiling on the price, drawn at random among the next four tens above
it, unless the product is too expensive. Upstream leaves these draws, and those of the price of a
product with a price range, unseeded; here one stream of `random.Random(price_seed)` makes both, in
upstream's order, so that `price_seed=s` is what upstream gives after `random.seed(s)`. The order of
goals does not depend on it: they are shuffled with seed 233, as upstream does.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

PRICE_GRID = range(10, 1000, 10)
"""The ceilings, in dollars."""

NO_CEILING = 1_000_000.0
ORDER_SEED = 233
"""What upstream shuffles goals with."""

GoalOptions: TypeAlias = tuple[str, ...] | tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Goal:
    """A task: the instruction, and what the purchase is compared with.

    Attributes:
        asin: the product the instruction was written for.
        name: that product's title.
        instruction: the task's text, price clause included.
        attributes: what is asked for; never empty.
        price_upper: ceiling on the price in dollars, inclusive.
        options: values (human goals) or (name, value) pairs (synthetic goals).
        weight: of a random choice of goals.
        index: its place among all goals of the catalogue, which sessions `fixed_<index>` name.
    """

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    instruction: str
    attributes: tuple[str, ...]
    price_upper: float
    options: GoalOptions
    weight: float = 1.0
    index: int = 0

    @property
    def task_id(self) -> str:
        """`<asin>-<index>`."""
        return f"{self.asin}-{self.index}"

    @property
    def option_values(self) -> tuple[str, ...]:
        """The values alone, of either kind of goal."""
        return tuple(one if isinstance(one, str) else one[1] for one in self.options)

    def record(self) -> dict[str, Any]:
        """The goal in upstream's field names, as JSON."""
        pairs = [one for one in self.options if not isinstance(one, str)]
        return {
            "asin": self.asin,
            "category": self.category,
            "query": self.query,
            "name": self.name,
            "product_category": self.product_category,
            "instruction_text": self.instruction,
            "attributes": list(self.attributes),
            "price_upper": self.price_upper,
            "goal_options": dict(pairs) if pairs else list(self.options),
            "weight": self.weight,
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """What a goal takes from its product. `price` is the one drawn, `options` those offered."""

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    price: float
    options: Mapping[str, tuple[str, ...]]


def ceilings(price: float) -> list[int]:
    """The candidates for the ceiling: the first four of the grid above the price."""
    return [step for step in PRICE_GRID if step > price][:4]


def draw_ceiling(price: float, draw: random.Random) -> tuple[float, str]:
    """A ceiling and the clause that states it: the larger of two candidates.

    With fewer than two candidates (from 980 dollars) there is neither draw nor clause.
    """
    candidates = ceilings(price)
    if len(candidates) < 2:
        return NO_CEILING, ""
    ceiling = float(max(draw.sample(candidates, 2)))
    return ceiling, f", and price lower than {ceiling:.2f} dollars"


def human_goals(
    records: Iterable[tuple[Origin, Mapping[str, Any]]], draw: random.Random
) -> Iterator[Goal]:
    """Goals of crowd-sourced instructions; one without `instruction_attributes` is left out."""
    for origin, record in records:
        if not record["instruction_attributes"]:
            continue
        ceiling, clause = draw_ceiling(origin.price, draw)
        yield _goal(
            origin,
            record["instruction"].strip(".") + clause,
            record["instruction_attributes"],
            ceiling,
            tuple(record["instruction_options"]),
        )


def synthetic_goals(
    records: Iterable[tuple[Origin, Mapping[str, Any]]], draw: random.Random
) -> Iterator[tuple[Goal, ...]]:
    """For each product with a synthetic instruction its goals, one for every combination.

    Option names are taken in alphabetical order, values in the order of the page, the last name
    varying fastest. One ceiling is drawn per product. Weights are still 1; see `weighted`.
    """
    for origin, record in records:
        ceiling, clause = draw_ceiling(origin.price, draw)
        names = sorted(origin.options)
        goals = []
        for values in itertools.product(*(origin.options[name] for name in names)):
            pairs = tuple(zip(names, values, strict=True))
            asked = ", and ".join(f"{name}: {value}" for name, value in pairs)
            text = record["instruction"] + (f" with {asked}" if asked else "") + clause
            attributes = record["instruction_attributes"]
            goals.append(_goal(origin, text, attributes, ceiling, pairs))
        yield tuple(goals)


def weighted(goals: Sequence[Goal]) -> list[Goal]:
    """The goals with weights that favour rare attributes.

    A weight is the mean, over the goal's attributes, of one over the number of goals that have it.
    """
    counts = Counter(attribute for goal in goals for attribute in goal.attributes)
    return [
        replace(goal, weight=sum(1 / counts[one] for one in goal.attributes) / len(goal.attributes))
        for goal in goals
    ]


def in_order(goals: Iterable[Goal], *, shuffle: bool = True) -> tuple[Goal, ...]:
    """The goals numbered, after upstream's shuffle unless `shuffle` is off."""
    ordered = list(goals)
    if shuffle:
        random.Random(ORDER_SEED).shuffle(ordered)
    return tuple(replace(goal, index=i) for i, goal in enumerate(ordered))


def _goal(
    origin: Origin,
    instruction: str,
    attributes: Sequence[str],
    ceiling: float,
    options: GoalOptions,
) -> Goal:
    return Goal(
        asin=origin.asin,
        category=origin.category,
        query=origin.query,
        name=origin.name,
        product_category=origin.product_category,
        instruction=instruction,
        attributes=tuple(attributes),
        price_upper=ceiling,
        options=options,
    )
