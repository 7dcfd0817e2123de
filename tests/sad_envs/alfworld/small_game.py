"""A home small enough to read: a shelf and a box at one place, a chest at another, two cups."""

# ruff: noqa: E501  (the strings of the grammar cannot be broken)

from __future__ import annotations

import json
from pathlib import Path

from sad_envs.alfworld.game import Game, parse_game

DOMAIN = """
; A comment with (parentheses and a ?variable.
(define (domain small)
  (:requirements :adl :typing)
  (:types agent location receptacle object)
  (:predicates
    (at ?a - agent ?l - location)
    (stands ?r - receptacle ?l - location)
    (in ?o - object ?r - receptacle)
    (here ?o - object ?l - location)
    (openable ?r - receptacle)
    (opened ?r - receptacle)
    (holds ?a - agent ?o - object)
    (busy ?a - agent)
    (lit ?o - object)
    (used ?o - object)
    (seen ?o - object))
  (:functions (total-cost) - number)
  (:action Look :parameters (?a - agent ?l - location)
    :precondition (at ?a ?l) :effect (seen ?l))
  (:action Inventory :parameters (?a - agent) :precondition () :effect (seen ?a))
  (:action Go :parameters (?a - agent ?lStart - location ?lEnd - location ?r - receptacle)
    :precondition (and (at ?a ?lStart) (stands ?r ?lEnd))
    :effect (and (not (at ?a ?lStart)) (at ?a ?lEnd) (increase (total-cost) 1)))
  (:action Open :parameters (?a - agent ?l - location ?r - receptacle)
    :precondition (and (openable ?r) (at ?a ?l) (stands ?r ?l) (not (opened ?r)))
    :effect (opened ?r))
  (:action Take :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
    :precondition (and (at ?a ?l) (stands ?r ?l) (in ?o ?r) (not (busy ?a))
                       (or (not (openable ?r)) (opened ?r)))
    :effect (and (not (in ?o ?r)) (not (here ?o ?l)) (holds ?a ?o) (busy ?a)))
  (:action PutObject :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
    :precondition (and (holds ?a ?o) (at ?a ?l) (stands ?r ?l)
                       (or (not (openable ?r)) (opened ?r)))
    :effect (and (in ?o ?r) (here ?o ?l) (not (holds ?a ?o)) (not (busy ?a))))
  (:action Examine :parameters (?a - agent ?o - object)
    :precondition (or (holds ?a ?o)
                      (exists (?l - location, ?r - receptacle)
                        (and (at ?a ?l) (stands ?r ?l) (in ?o ?r))))
    :effect (seen ?o))
  (:action Use :parameters (?a - agent ?o - object)
    :precondition (exists (?r - receptacle)
                    (and (in ?o ?r) (exists (?l - location) (and (at ?a ?l) (stands ?r ?l)))))
    :effect (and (used ?o) (when (lit ?o) (not (lit ?o))) (when (not (lit ?o)) (lit ?o)))))
"""

GRAMMAR = '''
# The opening.
grammar :: """
{
    "intro": [{"rhs": "Welcome.\\n\\n#look.text#\\n\\nYour task is to: put a cup in chest."}],
    "look.text": [
        {"condition": "at(a:agent, l:location) & stands(r:receptacle, l:location)",
         "rhs": "You face [{r.name | at(a:agent, l:location) & stands(r:receptacle, l:location)}]. Nearby: #floor#."},
        {"rhs": "You see [{r.indefinite + ' ' + r.name | stands(r:receptacle, l:location)}]."}
    ],
    "floor": [
        {"condition": "at(a:agent, l:location) & here(o:object, l:location) & stands(r:receptacle, l:location) & not_in(o:object, r:receptacle)",
         "rhs": "[{#thing(o)# | at(a:agent, l:location) & here(o:object, l:location) & stands(r:receptacle, l:location) & not_in(o:object, r:receptacle)}]"},
        {"rhs": "nothing"}
    ],
    "thing(o)": [{"rhs": "{o.indefinite} {o.name or o.id}"}],
    "unreachable": [{"rhs": "stray }", "condition": "__import__('os')"}],
    "list_empty": [{"rhs": "nothing"}],
    "list_separator": [{"rhs": ", "}],
    "list_last_separator": [{"rhs": ", and "}]
}
""";
action Look { template :: "look"; feedback :: "#look.text#"; }
action Inventory {
    template :: "inventory";
    feedback :: "#inventory.text#";
    grammar :: """
        {
            "inventory.text": [
                {"condition": "busy(a:agent)", "rhs": "You hold [{#thing(o)# | holds(a:agent, o:object)}]."},
                {"rhs": "You hold nothing."}
            ]
        }
    """;
}
action Go {
    template :: "go to [{r.name | stands(r:receptacle, lend:location)}]";
    feedback :: "You arrive at {r.name}. #in.text#";
    grammar :: """
        {
            "in.text": [
                {"condition": "openable(r:receptacle) & opened(r:receptacle)",
                 "rhs": "In it: [{o.name | in(o:object, r:receptacle)}]."},
                {"condition": "openable(r:receptacle)", "rhs": "It is closed."},
                {"rhs": "  On it: [{o.name | in(o:object, r:receptacle)}]."}
            ]
        }
    """;
}
action Open { template :: "open {r}"; feedback :: "You open {r.name}. #in.text#"; }
action Take { template :: "take {o} from {r}"; feedback :: "Taken: {o}."; }
action PutObject { template :: "move {o} to {r}"; feedback :: "You move the {o.name} to the {r.name}."; }
action Examine { template :: "examine {o}"; feedback :: "A plain {o.name}."; }
action Use { template :: "use {o}"; feedback :: "You use {o.name}."; }
'''

PROBLEM = """
(define (problem home) (:domain small)
  (:objects
    me - agent
    shelf_bar_1 box_bar_1 chest_bar_1 - receptacle
    cup_bar_1 cup_bar_2 spoon_bar_1 - object
    loc_bar_0 loc_bar_1 loc_bar_2 - location)
  (:init
    (= (total-cost) 0)
    (at me loc_bar_0)
    (stands shelf_bar_1 loc_bar_1) (stands box_bar_1 loc_bar_1) (stands chest_bar_1 loc_bar_2)
    (openable chest_bar_1)
    (in cup_bar_1 shelf_bar_1) (in cup_bar_2 shelf_bar_1) (in spoon_bar_1 chest_bar_1)
    (here cup_bar_1 loc_bar_1) (here cup_bar_2 loc_bar_1) (here spoon_bar_1 loc_bar_2))
  (:goal (exists (?o - object) (and (in ?o chest_bar_1) (not (= ?o spoon_bar_1))))))
"""

WALKTHROUGH = (
    "go to shelf 1",
    "take cup 2 from shelf 1",
    "go to chest 1",
    "open chest 1",
    "move cup 2 to chest 1",
)


def small_game(**changes: tuple[str, str]) -> Game:
    """The game, with `domain`, `grammar` or `problem` changed by replacing one text by another."""
    return parse_game(small_game_bytes(**changes))


def small_game_bytes(**changes: tuple[str, str]) -> bytes:
    """The same as the bytes of a game file."""
    texts = {"domain": DOMAIN, "grammar": GRAMMAR, "problem": PROBLEM}
    for part, (old, new) in changes.items():
        assert old in texts[part]
        texts[part] = texts[part].replace(old, new)
    return json.dumps(
        {
            "pddl_domain": texts["domain"],
            "grammar": texts["grammar"],
            "pddl_problem": texts["problem"],
            "solvable": True,
            "walkthrough": list(WALKTHROUGH),
        }
    ).encode()


def write_split(root: Path, split: str, task_ids: tuple[str, ...]) -> None:
    """A data folder whose every task is the small game."""
    for task_id in task_ids:
        folder = root / split / task_id
        folder.mkdir(parents=True)
        (folder / "game.tw-pddl").write_bytes(small_game_bytes())
