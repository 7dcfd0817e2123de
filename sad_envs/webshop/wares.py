"""Products of a generated shop, in the raw records of WebShop's release.

Products come in families: a first one, and near-duplicates of it that differ in one thing, an
attribute, the values of an option, or the price, apart from how title and texts are put. Each
attribute of a product stands in its title, bullets or description; those of its siblings that it
lacks stand nowhere in it. A seed gives the same products in every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from sad_envs.dice import Dice
from sad_envs.webshop.vocabulary import Kind, OptionGroup, kinds

PRODUCTS = 1000
"""Products of a generated shop."""

Twist = Literal["attribute", "option", "price"]

_T = TypeVar("_T")
_SIBLINGS = {0: 35, 1: 30, 2: 20, 3: 15}
_BRAND = (
    *("Al", "Bren", "Cor", "Dal", "El", "Fenn", "Gal", "Hav", "Ist", "Jun", "Kel", "Lum", "Mar"),
    *("Nor", "Ot", "Pell", "Quin", "Riv", "Sol", "Tam", "Ul", "Vay", "Wex", "Yor", "Zan"),
)
_BRAND_END = (
    *("adora", "bury", "cove", "dane", "ette", "fold", "gate", "house", "ia", "ivo", "kin", "lane"),
    *(
        "mont",
        "nova",
        "oma",
        "park",
        "quist",
        "ridge",
        "sen",
        "tique",
        "usa",
        "via",
        "wood",
        "yard",
    ),
)
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OPENINGS = (
    "The {brand} {noun} is made for {use}.",
    "Meet the new {noun} from {brand}, at home with {use}.",
    "{brand} has made things like this {noun} for years.",
    "This {noun} was designed with {use} in mind.",
)
_ENDINGS = (
    "What you see in the first picture is what arrives, without the things around it.",
    "Among things of its kind it is one that people come back for, as {brand} likes to say.",
    "Please measure before ordering.",
    "Write to {brand} at any time; we answer.",
    "Pictures may differ a little from what arrives.",
    "Every order from {brand} is checked by hand.",
    "Returns are accepted within thirty days.",
)
_SAID = ("{Attribute}: {tail}.", "{ATTRIBUTE} - {tail}.", "{Attribute}, {tail}")


@dataclass(frozen=True)
class Ware:
    """A product before it is written down.

    Attributes:
        family: number of its family.
        options: its groups with the values it offers.
        cents: its price; `up_to` the upper end of a range, None without one.
        priced: whether its page has a price.
        telling: attributes and (option name, value) pairs that not all of its family have.
    """

    asin: str
    family: int
    brand: str
    kind: Kind
    attributes: tuple[str, ...]
    options: tuple[tuple[OptionGroup, tuple[str, ...]], ...]
    cents: int
    up_to: int | None
    priced: bool
    title: str = ""
    bullets: tuple[str, ...] = ()
    description: str = ""
    telling: frozenset[str | tuple[str, str]] = field(default_factory=frozenset)

    @property
    def pricing(self) -> str:
        """The price as the release writes it."""
        if not self.priced:
            return ""
        low = f"${self.cents / 100:,.2f}"
        return low if self.up_to is None else f"{low} - ${self.up_to / 100:,.2f}"

    def record(self) -> dict[str, Any]:
        """The raw record of the product file."""
        image = f"https://m.media-amazon.com/images/I/{self.asin}"
        options: Mapping[str, Any] = {
            group.name: [
                {"is_selected": False, "is_available": True, "value": value,
                 "image": f"{image}-{number}.jpg" if group.name == "Color" else None}
                for number, value in enumerate(values)
            ]
            for group, values in self.options
        }  # fmt: skip
        return {
            "name": self.title,
            "full_description": self.description,
            "pricing": self.pricing,
            "images": [f"{image}.jpg"],
            "product_category": self.kind.crumbs,
            "average_rating": "",
            "small_description": list(self.bullets),
            "customization_options": options or "",
            "asin": self.asin,
            "category": self.kind.category.name,
            "query": self.kind.query,
            "page": self.family + 1,
        }


def wares(seed: int, n: int = PRODUCTS) -> tuple[Ware, ...]:
    """The products of a seed, in the order of the shop; families are spread over it."""
    made: list[Ware] = []
    family = 0
    while len(made) < n:
        made += _family(seed, family)
        family += 1
    return tuple(shuffled(Dice("webshop order", seed), made[:n]))


def shuffled(dice: Dice, items: Sequence[_T]) -> list[_T]:
    """The items in random order."""
    left = list(items)
    return [left.pop(dice.below(len(left))) for _ in items]


def _family(seed: int, family: int) -> list[Ware]:
    dice = Dice("webshop family", seed, family)
    weights = {category: category.share for category in dict.fromkeys(k.category for k in kinds())}
    category = dice.weighted(weights)
    kind = dice.one_of([one for one in kinds() if one.category == category])
    low, high = (100 * dollars for dollars in kind.price)
    cents = low + (high - low) * dice.below(1000) * dice.below(1000) // 1_000_000
    cents = cents // 100 * 100 + dice.weighted({99: 60, 95: 15, 0: 15, 49: 10})
    first = Ware(
        asin="",
        family=family,
        brand=dice.one_of(_BRAND) + dice.one_of(_BRAND_END),
        kind=kind,
        attributes=_attributes(dice, kind),
        options=_options(dice, kind),
        cents=cents,
        up_to=cents + cents * (10 + dice.below(60)) // 100
        if dice.chance(category.ranges)
        else None,
        priced=not dice.chance(category.unpriced),
    )
    members = [first]
    for _ in range(dice.weighted(_SIBLINGS)):
        members.append(_sibling(dice, first))
    return [
        _written(
            dice, replace(one, asin=_asin(seed, family, number), telling=_telling(one, members))
        )
        for number, one in enumerate(members)
    ]


def _attributes(dice: Dice, kind: Kind) -> tuple[str, ...]:
    number = dice.weighted({3: 30, 4: 30, 5: 20, 6: 15, 7: 5})
    return tuple(shuffled(dice, list(dict.fromkeys(kind.attributes)))[:number])


def _options(dice: Dice, kind: Kind) -> tuple[tuple[OptionGroup, tuple[str, ...]], ...]:
    number = dice.weighted(dict(enumerate(kind.category.groups)))
    return tuple((group, _values(dice, group)) for group in kind.options[:number])


def _values(dice: Dice, group: OptionGroup) -> tuple[str, ...]:
    number = min(group.most, 2 + dice.below(max(1, group.most - 1)))
    if group.run:
        start = dice.below(len(group.values) - number + 1)
        return group.values[start : start + number]
    return tuple(shuffled(dice, group.values)[:number])


def _sibling(dice: Dice, first: Ware) -> Ware:
    """A near-duplicate of `first`."""
    twist: Twist = dice.weighted({"attribute": 40, "option": 30 * bool(first.options), "price": 30})
    if twist == "attribute":
        lost = dice.below(len(first.attributes))
        others = [
            one for one in dict.fromkeys(first.kind.attributes) if one not in first.attributes
        ]
        attributes = list(first.attributes)
        attributes[lost] = dice.one_of(others)
        return replace(first, attributes=tuple(attributes))
    if twist == "option":
        at = dice.below(len(first.options))
        group, values = first.options[at]
        kept = list(values)
        lost = dice.below(len(kept))
        others = [one for one in group.values if one not in kept]
        kept[lost : lost + 1] = [dice.one_of(others)] if others else []
        options = list(first.options)
        options[at] = (group, tuple(sorted(kept, key=group.values.index) if group.run else kept))
        return replace(first, options=tuple(options))
    dearer = first.cents * 3 // 2 + 100 * (22 + dice.below(24))
    return replace(first, cents=dearer, up_to=None, priced=True)


def _telling(ware: Ware, members: Sequence[Ware]) -> frozenset[str | tuple[str, str]]:
    def all_of(one: Ware) -> set[str | tuple[str, str]]:
        pairs = {(group.name, value) for group, values in one.options for value in values}
        return {*one.attributes, *pairs}

    shared = set.intersection(*map(all_of, members))
    return frozenset(all_of(ware) - shared)


def _asin(seed: int, family: int, number: int) -> str:
    dice = Dice("webshop asin", seed, family, number)
    return "B0" + "".join(dice.one_of(_LETTERS) for _ in range(8))


# -- texts ------------------------------------------------------------------------------------


def _written(dice: Dice, ware: Ware) -> Ware:
    """The product with title, bullets and description."""
    attributes = shuffled(dice, ware.attributes)
    noun = dice.one_of(ware.kind.nouns)
    title, n_told = _title(dice, ware, noun, attributes)
    told, rest = attributes[:n_told], attributes[n_told:]
    cut = dice.below(len(rest) + 1) if dice.chance(50) else len(rest)
    said = shuffled(dice, rest[:cut] + [one for one in told if dice.chance(40)])
    others = [f"{extra} for {dice.one_of(ware.kind.uses)}" for extra in ware.kind.extras]
    bullets = [_sentence(dice, ware, one) for one in said]
    bullets += shuffled(dice, others)[: 1 + dice.below(4)]
    return replace(
        ware,
        title=title,
        bullets=tuple(f"{one} " for one in shuffled(dice, bullets)),
        description=_description(dice, ware, noun, rest[cut:]),
    )


def _title(dice: Dice, ware: Ware, noun: str, attributes: Sequence[str]) -> tuple[str, int]:
    """A title of about as many words as the category's, and how many attributes it names."""
    kind = ware.kind
    length = dice.one_of(kind.category.words) + dice.below(3) - 1
    n_told = min(len(attributes), max(0, (length - 4) // 5) + dice.below(2))
    before = [one.title() for one in attributes[:n_told] if one in kind.is_]
    after = [_named(kind, one) for one in attributes[:n_told] if one not in kind.is_]
    front = " ".join((ware.brand, *before[:1], noun))
    parts = [*before[1:], *after]
    spare = shuffled(dice, [*kind.extras, f"for {dice.one_of(kind.uses)}"])
    others = [one for one in kind.nouns if one != noun]
    while _n_words(front, *parts) < length and spare:
        parts.insert(dice.below(len(parts) + 1), spare.pop())
    if _n_words(front, *parts) < length:
        parts.append(dice.one_of(others))
    mark = dice.one_of((", ", ", ", " - ", " | "))
    return mark.join((front, *parts)), n_told


def _n_words(*parts: str) -> int:
    return len(" ".join(parts).split())


def _named(kind: Kind, attribute: str) -> str:
    """An attribute as a title has it, with `for` or `with`."""
    return f"{'for' if attribute in kind.for_ else 'with'} {attribute.title()}"


def _sentence(dice: Dice, ware: Ware, attribute: str) -> str:
    return dice.one_of(_SAID).format(
        Attribute=attribute.capitalize(),
        ATTRIBUTE=attribute.upper(),
        tail=dice.one_of(ware.kind.category.tails),
    )


def _description(dice: Dice, ware: Ware, noun: str, attributes: Sequence[str]) -> str:
    """Some sentences that name `attributes`; often empty when there are none."""
    if not attributes and dice.chance(45):
        return ""
    said = [f"{_sentence(dice, ware, one).rstrip('.')}." for one in attributes]
    extras = [f"Comes with {extra.lower()}." for extra in ware.kind.extras if dice.chance(60)]
    openings = shuffled(dice, _OPENINGS)[: 1 + dice.below(len(_OPENINGS))]
    texts = [*openings, *shuffled(dice, said + extras)]
    texts += [one for one in _ENDINGS if dice.chance(60)]
    filled = (
        text.format(brand=ware.brand, noun=noun.lower(), use=dice.one_of(ware.kind.uses).lower())
        for text in texts
    )
    return " ".join(filled)
