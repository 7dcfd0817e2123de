"""Count where household objects lie at the start of ALFWorld's training games.

    python benchmarks/alfworld_prior.py [--data FOLDER] > sad_envs/alfworld/prior.json

FOLDER holds `train/`; without it the fetched data is used. For an object type and a receptacle
type the table gives the chance, in thousandths, that a receptacle of the type holds at least one
such object, counted over the games in which the object is somewhere; pairs below one thousandth
are left out. `door` gives the share of receptacles of a type that are closed at the start. The
expert ranks the places it has not seen yet by these numbers. No evaluation game is read.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from functools import lru_cache

from sad_envs.alfworld.facts import make_world
from sad_envs.alfworld.game import Game
from sad_envs.alfworld.pddl import parse_domain, parse_problem
from sad_envs.alfworld.splits import find_split

LAMP = "desklamp"
"""The one object that cannot be carried and is looked for all the same."""


def main() -> None:
    """Print the table as JSON, an object type a line."""
    parser = argparse.ArgumentParser(description="Count where objects lie in the training games.")
    parser.add_argument("--data", help="the folder that holds train/")
    split = find_split("train", (), parser.parse_args().data)

    receptacles: Counter[str] = Counter()
    doors: Counter[str] = Counter()
    held: Counter[tuple[str, str]] = Counter()
    asked: Counter[tuple[str, str]] = Counter()
    for task_id in split.task_ids:
        contents, closed = start_of(split.game(task_id))
        kinds = set().union(*contents.values())
        for receptacle, objects in contents.items():
            kind = kind_of(receptacle)
            receptacles[kind] += 1
            doors[kind] += receptacle in closed
            held.update((found, kind) for found in objects)
            asked.update((wanted, kind) for wanted in kinds)

    share = {kind: round(1000 * n / receptacles[kind]) for kind, n in doors.items()}
    table: dict[str, dict[str, int]] = defaultdict(dict)
    for wanted, kind in sorted(held):
        chance = round(1000 * held[wanted, kind] / asked[wanted, kind])
        if chance:
            table[wanted][kind] = chance
    lines = [f'"door": {json.dumps({kind: n for kind, n in sorted(share.items()) if n})}']
    lines += [f"{json.dumps(wanted)}: {json.dumps(row)}" for wanted, row in table.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


def start_of(game: Game) -> tuple[dict[str, set[str]], set[str]]:
    """The object types in each receptacle at the start, and which receptacles are closed."""
    domain = read_domain(game.pddl_domain)
    world = make_world(domain, parse_problem(game.pddl_problem, domain))
    facts, names = world.facts, world.names
    carried = {row[0] for row in facts["pickupable"].rows}
    contents: dict[str, set[str]] = {names[row[0]]: set() for row in facts["receptacletype"].rows}
    for thing, receptacle in facts["inreceptacle"].rows:
        kind = kind_of(names[thing])
        if names[receptacle] in contents and (thing in carried or kind == LAMP):
            contents[names[receptacle]].add(kind)
    opened = {row[0] for row in facts["opened"].rows}
    closed = {names[row[0]] for row in facts["openable"].rows if row[0] not in opened}
    return contents, closed


def kind_of(name: str) -> str:
    """The type in a numbered name: `mug` of `mug 2`."""
    return name.rpartition(" ")[0]


read_domain = lru_cache(maxsize=4)(parse_domain)


if __name__ == "__main__":
    main()
