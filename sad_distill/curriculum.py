"""In which order a student meets the trajectories.

A trajectory's difficulty is `C = α · reason tokens + β · act tokens + γ · mean teacher entropy`,
the lengths over all its supervised turns, the entropy in nats over its supervised tokens. Windows
of one trajectory share its difficulty and stay together, in their order.

The published method says only that trajectories are sorted easiest first. What is added here is
named: `pacing = "sorted"` sorts every epoch; `"linear"` and `"root"` draw from the easiest share of
the data, which grows to all of it (competence-based curricula, arXiv 1903.09848).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError
from sad_distill.spans import Example

Order = Literal["easy-first", "hard-first", "none"]
Pacing = Literal["sorted", "linear", "root"]


@dataclass(frozen=True)
class Curriculum:
    """How trajectories are ordered.

    Attributes:
        order: `easy-first`, `hard-first` (the reverse), or `none` (shuffled every epoch).
        alpha, beta, gamma: weights of reason tokens, act tokens and teacher entropy.
        pacing: see the module.
        start: share of the trajectories that is there at the beginning, for linear and root.
        until: share of the training after which all are there, for linear and root.
    """

    order: Order = "none"
    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 0.0
    pacing: Pacing = "sorted"
    start: float = 0.2
    until: float = 0.5

    @property
    def needs_entropy(self) -> bool:
        """Whether the teacher's entropy has to be known before training begins."""
        return self.order != "none" and self.gamma != 0

    def available(self, progress: float) -> float:
        """Share of the trajectories to draw from, `progress` being the share of training done."""
        if self.pacing == "sorted" or self.order == "none" or progress >= self.until:
            return 1.0
        done = progress / self.until
        if self.pacing == "root":
            return math.sqrt(done * (1 - self.start**2) + self.start**2)
        return self.start + (1 - self.start) * done


def difficulty(
    examples: Sequence[Example], curriculum: Curriculum, entropy: Sequence[float] | None = None
) -> list[float]:
    """Difficulty of the trajectory of every example.

    Args:
        entropy: mean entropy of the teacher over an example's supervised tokens, in nats.

    Raises:
        HarnessError: γ is not 0 and there is no entropy.
    """
    if curriculum.needs_entropy and entropy is None:
        raise HarnessError(
            f"curriculum gamma is {curriculum.gamma}, which needs the teacher's entropy; give a "
            "teacher, or set curriculum.gamma to 0"
        )
    lengths: dict[int, float] = {}
    surprise: dict[int, tuple[float, int]] = {}
    for place, example in enumerate(examples):
        length = curriculum.alpha * example.reason_tokens + curriculum.beta * example.act_tokens
        lengths[example.trajectory] = lengths.get(example.trajectory, 0.0) + length
        if entropy is not None:
            rows = len(example.rows)
            total, count = surprise.get(example.trajectory, (0.0, 0))
            surprise[example.trajectory] = (total + entropy[place] * rows, count + rows)
    values = []
    for example in examples:
        total, count = surprise.get(example.trajectory, (0.0, 1))
        values.append(lengths[example.trajectory] + curriculum.gamma * total / max(count, 1))
    return values


def training_order(
    examples: Sequence[Example],
    curriculum: Curriculum,
    *,
    epochs: int,
    seed: int,
    entropy: Sequence[float] | None = None,
) -> list[list[int]]:
    """For every epoch, places in `examples` in the order they are met.

    Depends on nothing but its arguments, so a resumed training goes on where it stopped. Every
    epoch has as many trajectories as the data; with a growing share, easy ones occur more than
    once at first.
    """
    trajectories: dict[int, list[int]] = {}
    for place, example in enumerate(examples):
        trajectories.setdefault(example.trajectory, []).append(place)
    groups = list(trajectories.values())
    draw = random.Random(seed)
    if curriculum.order == "none":
        return [_flat(_shuffled(groups, draw)) for _ in range(epochs)]
    values = difficulty(examples, curriculum, entropy)
    sign = 1 if curriculum.order == "easy-first" else -1

    def ranked() -> list[list[int]]:
        return sorted(_shuffled(groups, draw), key=lambda group: sign * values[group[0]])

    if curriculum.pacing == "sorted":
        return [_flat(ranked()) for _ in range(epochs)]
    order = ranked()
    total = epochs * len(order)
    waiting: list[int] = []
    drawn: list[list[int]] = []
    open_until = 0
    for position in range(total):
        share = curriculum.available(position / total)
        now_open = max(1, math.ceil(share * len(order)))
        waiting += range(open_until, now_open)
        open_until = max(open_until, now_open)
        if not waiting:
            waiting = list(range(open_until))
        drawn.append(order[waiting.pop(int(draw.random() * len(waiting)))])
    size = len(order)
    return [_flat(drawn[at : at + size]) for at in range(0, total, size)]


def _shuffled(groups: list[list[int]], draw: random.Random) -> list[list[int]]:
    keys = [draw.random() for _ in groups]
    return [groups[index] for index in sorted(range(len(groups)), key=keys.__getitem__)]


def _flat(groups: list[list[int]]) -> list[int]:
    return [place for group in groups for place in group]
