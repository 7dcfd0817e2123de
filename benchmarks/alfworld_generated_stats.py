"""Generated ALFWorld games beside the released ones: lengths, sizes, and how hidden targets are.

    python benchmarks/alfworld_generated_stats.py DATA [--games N] [--seed S]

DATA is the folder that holds `train`, `valid_seen` and `valid_unseen`. Everything is read from the
game files, with the same code for both sides, and printed as tables in Markdown: mean, standard
deviation, and the 10th, 50th and 90th percentile.

What is counted, by task type:

- walkthrough: commands of the stored solution (the released ones are a planner's);
- targets: objects of the kind that is asked for, lying in or on a receptacle;
- search: receptacles opened or looked at until a target is seen, on average over all orders, which
  is (receptacles + 1) / (receptacles with a target + 1);
- behind doors: share of games with a target, and with all targets, in a closed receptacle;
- in place: share of games with a target in a receptacle of the goal's kind at the start.

By kind of room: receptacles, those with a door, empty ones, objects in or on them, and kinds.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sad_envs.alfworld.game import Game, read_game, task_type_of
from sad_envs.alfworld.generate import generate_game, generated_task_ids
from sad_envs.alfworld.pddl import parse_domain, parse_problem
from sad_envs.alfworld.splits import REAL_SPLITS

TYPES = ("put", "examine", "clean", "heat", "cool", "puttwo")
ROOMS = {"kitchen": "fridge", "bathroom": "toilet", "bedroom": "bed", "living": ""}
"""Kinds of room, and the receptacle that tells one from those after it."""
NUMBERS = {
    "type": ("walkthrough", "targets", "search"),
    "room": ("receptacles", "doors", "empty", "objects", "object_kinds"),
}
SHARES = ("some_closed", "all_closed", "in_place")


@dataclass(frozen=True)
class Measures:
    """What is counted in one game."""

    type: str
    room: str
    walkthrough: int
    targets: int
    search: float
    some_closed: bool
    all_closed: bool
    in_place: bool
    receptacles: int
    doors: int
    empty: int
    objects: int
    object_kinds: int


def measure(task_id: str, game: Game) -> Measures:
    """Count in one game; the goal's kinds are in the task id."""
    problem = parse_problem(game.pddl_problem, parse_domain(game.pddl_domain))
    receptacles = {name for name, kind in problem.objects.items() if kind == "receptacle"}
    kinds = {name: _kind(name) for name in problem.objects}
    inside: dict[str, set[str]] = {}
    for item, receptacle in problem.init["inreceptacle"]:
        inside.setdefault(item, set()).add(receptacle)
    closed = {name for (name,) in problem.init["openable"]}
    _, target, _, end, _ = task_id.lower().partition("/")[0].split("-")
    targets = [item for item in inside if kinds[item] == target]
    holding = {receptacle for item in targets for receptacle in inside[item]}
    hidden = [inside[item] <= closed for item in targets]
    standing = {kinds[name] for name in receptacles}
    return Measures(
        type=task_type_of(task_id),
        room=next(room for room, mark in ROOMS.items() if mark in standing or not mark),
        walkthrough=len(game.walkthrough or ()),
        targets=len(targets),
        search=(len(receptacles) + 1) / (len(holding) + 1),
        some_closed=any(hidden),
        all_closed=bool(hidden) and all(hidden),
        in_place=any(kinds[receptacle] == end for receptacle in holding),
        receptacles=len(receptacles),
        doors=len(closed),
        empty=len(receptacles - {r for rs in inside.values() for r in rs}),
        objects=len(inside),
        object_kinds=len({kinds[item] for item in inside}),
    )


def real_games(data: Path) -> Iterator[tuple[str, Game]]:
    """Task ids and games of all splits."""
    for split in REAL_SPLITS:
        for path in sorted((data / split).glob("*/*/game.tw-pddl")):
            yield str(path.parent.relative_to(data / split)), read_game(path)


def report(real: list[Measures], generated: list[Measures]) -> Iterator[str]:
    """The lines of all tables."""
    yield f"Released: {len(real)} games. Generated: {len(generated)} games."
    for by, groups in (("type", TYPES), ("room", tuple(ROOMS))):
        yield from ("", f"| {by} | | released | 10/50/90 % | generated | 10/50/90 % |")
        yield "|---|---|---|---|---|---|"
        for group in groups:
            sides = [[m for m in side if getattr(m, by) == group] for side in (real, generated)]
            for name in NUMBERS[by]:
                cells = (_numbers([getattr(m, name) for m in side]) for side in sides)
                yield f"| {group} | {name.replace('_', ' ')} | " + " | ".join(cells) + " |"
    yield from ("", "| type | | released | generated |", "|---|---|---|---|")
    for group in TYPES:
        sides = [[m for m in side if m.type == group] for side in (real, generated)]
        for name in SHARES:
            cells = (_share(getattr(m, name) for m in side) for side in sides)
            yield f"| {group} | {name.replace('_', ' ')} | " + " | ".join(cells) + " |"


def _kind(name: str) -> str:
    found = re.match(r"([a-z]+)_bar_.*?(basin)?$", name)
    return found[1] + (found[2] or "") if found else name


def _numbers(values: list[float]) -> str:
    if len(values) < 2:
        return "– | –"
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    quantiles = " / ".join(f"{tenths[at]:.3g}" for at in (0, 4, 8))
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} | {quantiles}"


def _share(values: Iterable[bool]) -> str:
    known = list(values)
    return f"{100 * sum(known) / len(known):.0f} %" if known else "–"


def main() -> None:
    """Measure both sides and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with train, valid_seen, valid_unseen")
    parser.add_argument("--games", type=int, default=3000, help="generated games (default 3000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the generated games")
    args = parser.parse_args()
    real = [measure(task_id, game) for task_id, game in real_games(args.data)]
    if not real:
        parser.error(f"no games in {args.data}; expected folders {', '.join(REAL_SPLITS)} there")
    ids = generated_task_ids(args.seed, args.games)
    generated = [measure(task_id, generate_game(task_id)) for task_id in ids]
    print("\n".join(report(real, generated)))


if __name__ == "__main__":
    main()
