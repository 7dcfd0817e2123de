"""ALFWorld games made from a seed: no download, the same bytes everywhere.

A task id carries its seed and index, and a game is a function of its id alone, so tasks need not
be made before they are played and any number of them takes no space. An id that was not handed
out by `generated_task_ids` is refused. The six task types take turns, so every six consecutive
tasks have one of each.

A game is winnable and comes with a shortest walkthrough. Its texts and rules are those of the
released games in the `move` dialect; `homes` says what a home is like, `generated_domain.pddl`
and `generated_grammar.twl2` are the rules. The bytes of `game_bytes` are a complete
`game.tw-pddl`, which the reference implementation plays as the native engine does.
"""

from __future__ import annotations

import itertools
import json
import re
from bisect import bisect_right
from functools import lru_cache
from importlib import resources
from pathlib import Path

from sad_envs.alfworld.game import Game, parse_game
from sad_envs.alfworld.homes import APPLIANCES, Goal, Home, furnish, tables
from sad_envs.alfworld.walkthrough import shortest_walkthrough
from sad_envs.base import EnvError
from sad_envs.dice import Dice

FOLDERS = {
    "put": "pick_and_place_simple",
    "examine": "look_at_obj_in_light",
    "clean": "pick_clean_then_place_in_recep",
    "heat": "pick_heat_then_place_in_recep",
    "cool": "pick_cool_then_place_in_recep",
    "puttwo": "pick_two_obj_and_place",
}
"""Task type to the first part of a task folder's name, in the order in which types take turns."""

SENTENCES = {
    "put": ("put a {target} in {end}.", "put some {target} on {end}."),
    "examine": ("look at {target} under the {end}.", "examine the {target} with the {end}."),
    "clean": ("put a clean {target} in {end}.", "clean some {target} and put it in {end}."),
    "heat": ("put a hot {target} in {end}.", "heat some {target} and put it in {end}."),
    "cool": ("put a cool {target} in {end}.", "cool some {target} and put it in {end}."),
    "puttwo": ("put two {target} in {end}.", "find two {target} and put them in {end}."),
}
"""The two ways to say a goal, by task type."""

_ID = re.compile(
    r"[a-z_]{1,40}-[A-Za-z]{1,20}-None-[A-Za-z]{1,20}-G[0-9]{1,9}/trial_S([0-9]{1,12})_([0-9]{6,9})"
)
_TREATED = {
    "clean": ("cleanable", "isClean"),
    "heat": ("heatable", "isHot"),
    "cool": ("coolable", "isCool"),
}
_KNIVES = ("Knife", "ButterKnife")
"""Kinds that the rules name beside the appliances; every game has to declare those."""


def generated_task_ids(seed: int, n: int) -> list[str]:
    """The first `n` task ids of `seed`. Raises `EnvError` for a seed of more than 12 digits."""
    if not 0 <= seed < 10**12:
        raise EnvError(f"seed {seed} of generated tasks; expected a number of at most 12 digits")
    return [_task_id(seed, index) for index in range(n)]


def generate_game(task_id: str) -> Game:
    """Make the game of a generated task. Raises `EnvError` when there is no such task."""
    match = _ID.fullmatch(task_id)
    seed, index = (int(match[1]), int(match[2])) if match else (0, 0)
    if match is None or _task_id(seed, index) != task_id:
        raise EnvError(
            f"no generated task {task_id[:120]!r}; expected an id of generated_task_ids, "
            f"such as {_task_id(0, 0)!r}"
        )
    goal = _goal(seed, index)
    dice = Dice("alfworld home", seed, index)
    sentence = dice.one_of(SENTENCES[goal.task_type]).format(
        target=goal.target.lower(), end=goal.receptacle.lower()
    )
    home = furnish(dice, goal)
    return parse_game(
        _dump(
            domain=_file("generated_domain.pddl"),
            grammar=_file("generated_grammar.twl2").replace("<goal>", sentence),
            problem=_problem(f"trial_S{seed}_{index:06}", home, goal),
            walkthrough=shortest_walkthrough(home, goal),
        )
    )


def game_bytes(game: Game) -> bytes:
    """The `game.tw-pddl` file of a generated game; its digest is `game.digest`."""
    return _dump(game.pddl_domain, game.grammar, game.pddl_problem, game.walkthrough or ())


def export_games(split: str, folder: Path) -> int:
    """Write the games of a generated split as files that stock ALFWorld finds and plays.

    Each is `<task folder>/<trial folder>/game.tw-pddl` under `folder`, with the `traj_data.json`
    beside it that upstream looks for. Returns the number of games. Raises `EnvError` when `split`
    is no generated split.
    """
    from sad_envs.alfworld.splits import find_split

    if split.partition(":")[0] != "generated":
        raise EnvError(f"split {split!r} is not generated; expected generated:SEED:NUMBER")
    task_ids = find_split(split, (), None).task_ids
    for task_id in task_ids:
        trial = folder / task_id
        trial.mkdir(parents=True, exist_ok=True)
        (trial / "game.tw-pddl").write_bytes(game_bytes(generate_game(task_id)))
        (trial / "traj_data.json").write_text(_trajectory(task_id), encoding="utf-8")
    return len(task_ids)


def _task_id(seed: int, index: int) -> str:
    goal = _goal(seed, index)
    folder = f"{FOLDERS[goal.task_type]}-{goal.target}-None-{goal.receptacle}-G{index}"
    return f"{folder}/trial_S{seed}_{index:06}"


def _goal(seed: int, index: int) -> Goal:
    task_type = list(FOLDERS)[index % len(FOLDERS)]
    goals, bounds = _goals(task_type)
    return goals[bisect_right(bounds, Dice("alfworld goal", seed, index).below(bounds[-1]))]


@lru_cache(maxsize=len(FOLDERS))
def _goals(task_type: str) -> tuple[list[Goal], list[int]]:
    """The goals of a type and the running sum of their weights."""
    weights = tables().tasks[task_type].goals
    return list(weights), list(itertools.accumulate(weights.values()))


def _problem(name: str, home: Home, goal: Goal) -> str:
    """The PDDL problem: what there is, how it stands at the start, and the goal."""
    stands = sorted({receptacle.kind for receptacle in home.receptacles})
    rtypes = sorted({*stands, *APPLIANCES.values()})
    otypes = sorted({*(item.kind for item in home.objects), *_KNIVES})
    places = dict.fromkeys([home.start, *(r.place for r in home.receptacles)])
    place_of = {receptacle.id: receptacle.place for receptacle in home.receptacles}
    declared = [
        ("agent", ["agent1"]),
        ("location", list(places)),
        ("receptacle", [receptacle.id for receptacle in home.receptacles]),
        ("object", [item.id for item in home.objects]),
        ("rtype", [f"{kind}Type" for kind in rtypes]),
        ("otype", [f"{kind}Type" for kind in otypes]),
    ]
    facts = [f"atLocation agent1 {home.start}"]
    for receptacle in home.receptacles:
        facts.append(f"receptacleType {receptacle.id} {receptacle.kind}Type")
        facts.append(f"receptacleAtLocation {receptacle.id} {receptacle.place}")
        if receptacle.openable:
            facts.append(f"openable {receptacle.id}")
    for item in home.objects:
        facts.append(f"objectType {item.id} {item.kind}Type")
        facts.append(f"inReceptacle {item.id} {item.receptacle}")
        facts.append(f"objectAtLocation {item.id} {place_of[item.receptacle]}")
        for predicate, having in tables().properties.items():
            if item.kind in having:
                facts.append(f"{predicate} {item.id}")
    for stand in stands:
        accepted = tables().accepts.get(stand, frozenset())
        facts += [f"canContain {stand}Type {kind}Type" for kind in otypes if kind in accepted]
    lines = [f"(define (problem {name})", "  (:domain household)", "  (:objects"]
    lines += [f"    {' '.join(names)} - {kind}" for kind, names in declared]
    lines += ["  )", "  (:init"]
    lines += [f"    ({fact})" for fact in facts]
    lines += ["  )", "  (:goal", f"    {_condition(goal)}", "  )", ")", ""]
    return "\n".join(lines)


def _condition(goal: Goal) -> str:
    """The PDDL goal."""
    target, end = f"{goal.target}Type", f"{goal.receptacle}Type"
    if goal.task_type == "examine":
        return (
            "(exists (?a - agent ?l - location ?r - receptacle ?lamp - object ?o - object) (and "
            f"(objectType ?lamp {end}) (toggleable ?lamp) (isToggled ?lamp) "
            "(inReceptacle ?lamp ?r) (receptacleAtLocation ?r ?l) (atLocation ?a ?l) "
            f"(objectType ?o {target}) (holds ?a ?o)))"
        )
    if goal.task_type == "puttwo":
        return (
            f"(exists (?r - receptacle ?o1 - object ?o2 - object) (and (receptacleType ?r {end}) "
            f"(objectType ?o1 {target}) (inReceptacle ?o1 ?r) (not (= ?o1 ?o2)) "
            f"(objectType ?o2 {target}) (inReceptacle ?o2 ?r)))"
        )
    able, done = _TREATED.get(goal.task_type, ("", ""))
    treated = f"({able} ?o) ({done} ?o) " if able else ""
    return (
        f"(exists (?o - object ?r - receptacle) (and (objectType ?o {target}) {treated}"
        f"(receptacleType ?r {end}) (inReceptacle ?o ?r)))"
    )


def _dump(domain: str, grammar: str, problem: str, walkthrough: tuple[str, ...]) -> bytes:
    parts = {
        "pddl_domain": domain,
        "grammar": grammar,
        "pddl_problem": problem,
        "solvable": True,
        "walkthrough": list(walkthrough),
    }
    return json.dumps(parts).encode()


def _trajectory(task_id: str) -> str:
    """What upstream reads of a recorded demonstration: the task's type and its parameters."""
    folder, target, _, end, _ = task_id.partition("/")[0].split("-")
    examine = folder == FOLDERS["examine"]
    parameters = {
        "object_target": target,
        "object_sliced": False,
        "mrecep_target": "",
        "parent_target": "" if examine else end,
        "toggle_target": end if examine else "",
    }
    return json.dumps({"task_type": folder, "pddl_params": parameters})


@lru_cache(maxsize=2)
def _file(name: str) -> str:
    return resources.files("sad_envs.alfworld").joinpath(name).read_text(encoding="utf-8")
