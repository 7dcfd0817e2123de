"""Homes of generated games: every goal can be reached, none is given away, and sizes are right."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sad_envs.alfworld.homes import APPLIANCES, Goal, Home, furnish, tables
from sad_envs.alfworld.walkthrough import shortest_walkthrough
from sad_envs.dice import Dice

GOALS = [goal for task in tables().tasks.values() for goal in task.goals]

homes = st.tuples(st.sampled_from(GOALS), st.integers(0, 10**9)).map(
    lambda drawn: (furnish(Dice("test", drawn[1]), drawn[0]), drawn[0])
)


def hosts_of_targets(home: Home, goal: Goal) -> list[str]:
    """Kinds of the receptacles in which the objects begin that the goal is about."""
    kinds = {receptacle.id: receptacle.kind for receptacle in home.receptacles}
    return [kinds[item.receptacle] for item in home.objects if item.kind == goal.target]


# -- draws --------------------------------------------------------------------------------------


def test_dice_fall_as_they_always_did() -> None:
    dice = Dice("home", 0, 1)
    assert [dice.below(1000) for _ in range(5)] == [79, 807, 355, 434, 450]


def test_weights_are_kept() -> None:
    dice = Dice("weights")
    drawn = [dice.weighted({"a": 1, "b": 0, "c": 3}) for _ in range(4000)]
    assert drawn.count("b") == 0
    assert 2850 < drawn.count("c") < 3150


def test_a_draw_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to draw from"):
        Dice("nothing").weighted({"a": 0})


# -- tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_type", tables().tasks)
def test_the_tables_admit_every_goal(task_type: str) -> None:
    properties = tables().properties
    for goal in tables().tasks[task_type].goals:
        room = tables().rooms[goal.room]
        assert goal.target in properties["pickupable"], goal
        assert set(room.objects[goal.target].hosts) - {goal.shunned}, goal
        if task_type == "examine":
            assert goal.receptacle in properties["toggleable"], goal
        else:
            assert goal.target in tables().accepts[goal.receptacle], goal
            assert goal.receptacle in room.receptacles, goal
        if task_type in APPLIANCES:
            assert goal.target in properties[f"{task_type}able"], goal
            assert room.receptacles[APPLIANCES[task_type]].get(0, 0) == 0, goal


def test_objects_lie_where_the_room_has_receptacles() -> None:
    for room in tables().rooms.values():
        for table in room.objects.values():
            assert set(table.hosts) <= set(room.receptacles)


# -- homes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_type", tables().tasks)
def test_every_goal_has_a_home_and_a_solution(task_type: str) -> None:
    for goal in tables().tasks[task_type].goals:
        for seed in range(3):
            home = furnish(Dice("every goal", seed), goal)
            assert 3 <= len(shortest_walkthrough(home, goal)) <= 12, goal


@settings(max_examples=300, deadline=None)
@given(homes)
def test_no_goal_is_given_away(drawn: tuple[Home, Goal]) -> None:
    home, goal = drawn
    targets = [item for item in home.objects if item.kind == goal.target]
    assert len(targets) >= goal.n_needed
    assert {item.receptacle for item in targets} != {home.receptacles[0].id}
    assert goal.shunned not in hosts_of_targets(home, goal)


@settings(max_examples=300, deadline=None)
@given(homes)
def test_there_are_other_things_and_other_places(drawn: tuple[Home, Goal]) -> None:
    home, goal = drawn
    others = [item for item in home.objects if item.kind != goal.target]
    assert len(others) >= 5
    assert len({item.kind for item in others}) >= 3
    assert len(home.receptacles) >= tables().rooms[home.room].least["receptacles"]
    assert len({receptacle.kind for receptacle in home.receptacles}) >= 4


@settings(max_examples=200, deadline=None)
@given(homes)
def test_a_home_is_sound(drawn: tuple[Home, Goal]) -> None:
    home, _ = drawn
    identifiers = [thing.id.lower() for thing in (*home.receptacles, *home.objects)]
    assert len(set(identifiers)) == len(identifiers)
    assert [r.id.lower() for r in home.receptacles] == sorted(
        r.id.lower() for r in home.receptacles
    )
    assert home.start not in {receptacle.place for receptacle in home.receptacles}
    assert {item.receptacle for item in home.objects} <= {r.id for r in home.receptacles}
    for single in tables().single:
        held = [r.id for r in home.receptacles if r.kind == single]
        inside = [item.receptacle for item in home.objects if item.receptacle in held]
        assert len(inside) == len(set(inside))


@settings(max_examples=100, deadline=None)
@given(homes)
def test_an_examine_task_has_one_lamp_in_the_open(drawn: tuple[Home, Goal]) -> None:
    home, goal = drawn
    lamps = [item.receptacle for item in home.objects if item.kind == "DeskLamp"]
    if goal.task_type == "examine":
        assert len(lamps) == 1
        assert not next(r for r in home.receptacles if r.id == lamps[0]).openable


# -- like the released games --------------------------------------------------------------------

RELEASED_SIZES = {
    "kitchen": (33.1, 44.7),
    "bathroom": (14.4, 15.5),
    "bedroom": (14.6, 23.0),
    "living": (15.0, 20.6),
}
"""Mean numbers of receptacles, and of objects in or on them, in the released games."""

RELEASED_LENGTHS = {
    "put": 4.16,
    "examine": 3.63,
    "clean": 6.26,
    "heat": 6.24,
    "cool": 6.16,
    "puttwo": 8.27,
}
"""Mean number of commands in the walkthroughs of the released games."""


def drawn_as_tasks(task_type: str, n: int) -> list[tuple[Home, Goal]]:
    dice = Dice("like the released", task_type)
    weights = tables().tasks[task_type].goals
    goals = [dice.weighted(weights) for _ in range(n)]
    return [(furnish(dice, goal), goal) for goal in goals]


@pytest.mark.parametrize("task_type", RELEASED_LENGTHS)
def test_walkthroughs_are_about_as_long_as_released_ones(task_type: str) -> None:
    drawn = drawn_as_tasks(task_type, 200)
    lengths = [len(shortest_walkthrough(home, goal)) for home, goal in drawn]
    assert statistics.mean(lengths) == pytest.approx(RELEASED_LENGTHS[task_type], abs=0.3)


def test_rooms_are_about_as_large_as_released_ones() -> None:
    drawn = [home for task_type in RELEASED_LENGTHS for home, _ in drawn_as_tasks(task_type, 150)]
    for room, (n_receptacles, n_objects) in RELEASED_SIZES.items():
        some = [home for home in drawn if home.room == room]
        assert statistics.mean(len(h.receptacles) for h in some) == pytest.approx(
            n_receptacles, rel=0.12
        )
        assert statistics.mean(len(h.objects) for h in some) == pytest.approx(n_objects, rel=0.12)


def test_some_targets_are_behind_closed_doors() -> None:
    for task_type in RELEASED_LENGTHS:
        hidden = 0
        for home, goal in drawn_as_tasks(task_type, 200):
            closed = {receptacle.id for receptacle in home.receptacles if receptacle.openable}
            hidden += any(i.receptacle in closed for i in home.objects if i.kind == goal.target)
        assert 10 <= hidden <= 140
