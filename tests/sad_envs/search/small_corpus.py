"""A corpus made by rule, of few words, so that titles and scores coincide often."""

from __future__ import annotations

import random

from sad_envs.search import Passage

_LIST = (
    "river city film actor band album north south museum club war king school bridge island "
    "singer novel church battle garden station market forest castle harbour university"
)
WORDS = _LIST.split()


def make_passages(n: int, seed: int = 0) -> list[Passage]:
    """`n` passages of few words."""
    rng = random.Random(seed)
    made = []
    for number in range(n):
        title = " ".join(rng.choices(WORDS, k=rng.randint(1, 3))).title()
        text = " ".join(rng.choices(WORDS, k=rng.randint(0, 60)))
        made.append(Passage(f"d{number}", title, text))
    return made
