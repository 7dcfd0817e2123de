"""What the expert knows of homes before it looks: where things tend to be, what each tool does.

The chances are facts counted in the training games by `benchmarks/alfworld_prior.py`, which says
what they mean; nothing here knows a particular game. An object type the table does not have is
looked for in open places first.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

TOOLS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
"""Treatment to the receptacle type that does it."""

STATES = {"clean": "clean", "heat": "hot", "cool": "cool"}
"""Treatment to the state it leaves an object in."""

INSIDE = frozenset(
    {"bathtubbasin", "cabinet", "cart", "coffeemachine", "drawer", "fridge", "garbagecan"}
    | {"laundryhamper", "microwave", "safe", "sinkbasin", "toaster"}
)
"""Receptacle types that things are in; they are on the others."""

_UNHEARD_OF = 0.001
_IRREGULAR = {
    "knife": "knives",
    "butterknife": "butterknives",
    "shelf": "shelves",
    "potato": "potatoes",
    "tomato": "tomatoes",
    "bread": "loaves of bread",
    "toiletpaper": "rolls of toiletpaper",
}
_UNCOUNTED = frozenset({"bread", "toiletpaper"})


def type_of(name: str) -> str:
    """The type in a numbered name: `mug` of `mug 2`."""
    return name.rpartition(" ")[0]


def chance(object_type: str, receptacle_type: str) -> float:
    """Chance that a receptacle of the type holds such an object, given that the home has one."""
    return _prior().get(object_type, {}).get(receptacle_type, 0) / 1000 or _UNHEARD_OF


def door_chance(receptacle_type: str) -> float:
    """Chance that a receptacle of the type is closed at the start."""
    return _prior()["door"].get(receptacle_type, 0) / 1000


def usual_places(object_type: str, receptacle_types: set[str]) -> list[str]:
    """Of the types given, those that often hold such an object, likeliest first; at most two."""
    often = [kind for kind in receptacle_types if chance(object_type, kind) >= 0.1]
    return sorted(often, key=lambda kind: (-chance(object_type, kind), kind))[:2]


def article(noun: str) -> str:
    """`an apple`, `a mug`, `some bread`."""
    if noun in _UNCOUNTED:
        return f"some {noun}"
    return f"{'an' if noun[:1] in tuple('aeiou') else 'a'} {noun}"


def plural(noun: str) -> str:
    """`mugs`, `knives`, `watches`."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def preposition(receptacle_type: str) -> str:
    """`in` for a drawer, `on` for a desk."""
    return "in" if receptacle_type in INSIDE else "on"


@lru_cache(maxsize=1)
def _prior() -> dict[str, dict[str, int]]:
    text = resources.files("sad_envs.alfworld").joinpath("prior.json").read_text("utf-8")
    table: dict[str, dict[str, int]] = json.loads(text)
    return table
