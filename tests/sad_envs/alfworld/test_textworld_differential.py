"""The native engine against TextWorld: random walks, every answer compared, no difference."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby, islice
from pathlib import Path

import pytest
from small_game import small_game
from textworld_reference import compare, compare_file

from sad_envs.alfworld.dialect import to_dialect
from sad_envs.alfworld.env import ALFWorldEnv
from sad_envs.alfworld.game import read_game, task_type_of
from sad_envs.alfworld.generate import game_bytes, generate_game, generated_task_ids

pytestmark = pytest.mark.textworld

STEPS = 200


def some_of_each_type(splits: Path, split: str, number: int) -> list[str]:
    """Files of `number` games of each task type, from different tasks."""
    task_ids = ALFWorldEnv(split=split, data_dir=splits).task_ids
    one_per_task = [next(trials) for _, trials in groupby(task_ids, lambda i: i.split("/")[0])]
    files = []
    for _, of_type in groupby(one_per_task, task_type_of):
        some = list(of_type)
        chosen = some[:: max(1, len(some) // number)]
        files += [str(splits / split / i / "game.tw-pddl") for i in islice(chosen, number)]
    return files


def generated(folder: Path, number: int) -> list[str]:
    """Files of the first generated games, as they are exported."""
    files = []
    for index, task_id in enumerate(generated_task_ids(0, number)):
        file = folder / f"{index}.tw-pddl"
        file.write_bytes(game_bytes(generate_game(task_id)))
        files.append(str(file))
    return files


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("dialect", ["data", "put"])
def test_a_small_game_plays_the_same(seed: int, dialect: str) -> None:
    """A domain and grammar of our own, with every construct, on TextWorld as it comes."""
    game = to_dialect(small_game(), dialect)
    assert compare(game, 100, seed, fast=False) == (100, [])


@pytest.mark.parametrize(
    "text",
    [
        "[{x.name + '-' + y.name | in(x:object, r:receptacle) & in(y:object, r:receptacle)}]",
        "{x.definite + ' ' + x.id | in(x:object, r:receptacle)}!",
        "[{x.name | seen(x:object)}] [{x.name | not_opened(x:receptacle)}]",
        "[{#thing(o)# | in(o:object, b:receptacle) & openable(b:receptacle)}]",
        "\\n   {o}  {a.name}",
    ],
)
def test_other_texts_are_the_same(text: str) -> None:
    game = small_game(grammar=("{o.name} to the {r.name}.", "{o.name}: " + text))
    assert compare(game, 60, seed=3, fast=False) == (60, [])


@pytest.mark.realdata
@pytest.mark.slow
def test_the_faster_textworld_answers_as_it_comes(splits: Path) -> None:
    """The long comparison below rests on this one."""
    for file in some_of_each_type(splits, "valid_unseen", 1)[::2]:
        assert compare(read_game(Path(file)), 30, seed=7, fast=False) == (30, [])


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_thousand_steps_are_the_same(splits: Path, tmp_path: Path) -> None:
    files = [
        *generated(tmp_path, 12),
        *some_of_each_type(splits, "valid_unseen", 5),
        *some_of_each_type(splits, "valid_seen", 5),
        *some_of_each_type(splits, "train", 7),
    ]
    dialects = ["put" if number % 8 == 0 else "data" for number in range(len(files))]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as workers:
        results = list(workers.map(compare_file, files, [STEPS] * len(files), dialects))
    assert [difference for _, differences in results for difference in differences] == []
    assert sum(compared for compared, _ in results) >= 20_000
