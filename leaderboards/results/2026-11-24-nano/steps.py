"""How many optimiser steps every training of ALFWorld can take: counted, before one is trained.

Packing follows the order of the data, so methods with another order need a few more or fewer rows.
Steps of all are the largest multiple of `ROUND` that no order of any method and seed falls short of
(where that is nothing, the smallest number itself); those of the tuning likewise, on its share of
the tasks. It needs the expert's episodes and the teacher's tokenizer, and is kept in `steps.json`
of the output folder with the steps of every training. `BOARD_STEPS` and `BOARD_TUNING_STEPS` win
where they are set.

    python steps.py       count and write, in the environment that run.sh sets
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from plan import Cell, Scale, cells  # noqa: E402

ROUND = 10
FILE = "steps.json"


def known_steps(scale: Scale) -> tuple[int | None, int | None]:
    """Optimiser steps of a student and of a trial; None where they are not counted yet."""
    path = scale.out / FILE
    found: dict[str, Any] = {}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["packing"] != packing(scale):
            found = {}
    main, tuning = scale.steps, scale.tuning_steps
    return (
        main if main is not None else found.get("steps"),
        tuning if tuning is not None else found.get("tuning_steps"),
    )


def counted_steps(scale: Scale) -> tuple[int, int]:
    """The same, counted now where they are not known, in a process of its own.

    Raises:
        SystemExit: they cannot be counted.
    """
    if None in known_steps(scale):
        done = subprocess.run([sys.executable, str(HERE / "steps.py")], check=False)
        if done.returncode:
            raise SystemExit("the optimiser steps could not be counted, see above")
    main, tuning = known_steps(scale)
    assert main is not None
    assert tuning is not None
    return main, tuning


def packing(scale: Scale) -> dict[str, Any]:
    """What the steps depend on besides the trajectories."""
    return {
        "epochs": scale.epochs, "pack": scale.pack, "rows": scale.rows, "seeds": list(scale.seeds)
    }  # fmt: skip


def agreed(found: Sequence[int]) -> int:
    """The largest multiple of `ROUND` that none falls short of; below `ROUND` the least itself."""
    least = min(found)
    return least - least % ROUND or least


def summary(scale: Scale, found: Mapping[str, int]) -> dict[str, Any]:
    """What is kept of the steps of every training, by the cell's name."""
    trials = {name: steps for name, steps in found.items() if name.startswith("tune-")}
    others = {name: steps for name, steps in found.items() if name not in trials}
    steps = agreed(list(others.values()))
    return {
        "steps": steps,
        "tuning_steps": agreed(list(trials.values())),
        "cut": round(1 - steps / max(others.values()), 4),
        "packing": packing(scale),
        "trainings": dict(found),
    }


def count(scale: Scale) -> dict[str, int]:
    """Optimiser steps of every training of ALFWorld at the scale of the tuning, uncut."""
    counter = _Counter(scale.out / "students" / "teacher-alfworld")
    wanted = [
        cell
        for cell in cells(scale)
        if cell.trains
        and cell.stage in ("tuning", "main", "ablation")
        and cell.about.get("size", scale.middle) == scale.middle
    ]
    return {cell.name: counter.steps(cell) for cell in wanted}


class _Counter:
    """Packs as `harness distill` does; what trainings share is made once."""

    def __init__(self, teacher: Path) -> None:
        from harness.models.loading import load_tokenizer

        self._tokenizer = load_tokenizer(teacher)
        self._episodes: dict[str, Any] = {}
        self._examples: dict[str, Any] = {}
        self._steps: dict[str, int] = {}

    def steps(self, cell: Cell) -> int:
        """Optimiser steps of a cell's training, were it not cut."""
        from sad_distill.curriculum import Curriculum, training_order
        from sad_distill.recipes import load_recipe
        from sad_distill.sources import OfflineSource

        words = cell.command
        settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        # Placeholders are of rates, weights and steps: none of them changes the order.
        recipe = load_recipe(
            words[words.index("--recipe") + 1], [s for s in settings if "{" not in s]
        )
        curriculum = Curriculum(**recipe.curriculum.model_dump())
        training = recipe.training
        key = repr((
            recipe.data, recipe.format, recipe.spans.scheme, recipe.spans.seed, curriculum,
            training.epochs, training.seed, training.pack_length, training.rows,
            training.accumulation, training.pool,
        ))  # fmt: skip
        if key not in self._steps:
            examples = self._made(recipe, words)
            order = training_order(examples, curriculum, epochs=training.epochs, seed=training.seed)
            source = OfflineSource(
                examples,
                order,
                length=training.pack_length or max(len(one.ids) for one in examples),
                rows=training.rows,
                accumulation=training.accumulation,
                pool=training.pool,
            )
            self._steps[key] = source.steps
        return self._steps[key]

    def _made(self, recipe: Any, words: Sequence[str]) -> Any:
        from sad_distill.material import Request, select_episodes, student_format
        from sad_distill.sizing import model_config
        from sad_distill.spans import make_examples, make_scheme

        key = repr((recipe.data, recipe.format, recipe.spans.scheme, recipe.spans.seed))
        if key not in self._examples:
            student = words[words.index("--student") + 1]
            runs = (Path(words[words.index("--runs") + 1]),)
            share = repr(recipe.data)
            if share not in self._episodes:
                request = Request("", recipe, runs, None, student)
                self._episodes[share] = select_episodes(request)[1]
            trained = self._episodes[share]
            fmt = student_format(recipe, model_config(student, recipe), self._tokenizer)
            scheme = make_scheme(recipe.spans.scheme, random_seed=recipe.spans.seed)
            self._examples[key] = [
                example
                for number, one in enumerate(trained)
                for example in make_examples(
                    one.episode, self._tokenizer, fmt, scheme, trajectory=number
                )
            ]
        return self._examples[key]


def main() -> None:
    """Count, write and say it."""
    from harness.errors import HarnessError

    scale = Scale.from_environment()
    try:
        kept = summary(scale, count(scale))
    except HarnessError as error:
        sys.exit(str(error))
    (scale.out / FILE).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(
        f"{kept['steps']} optimiser steps, {kept['tuning_steps']} of a trial; of the longest order "
        f"{100 * kept['cut']:.1f} % is cut"
    )


if __name__ == "__main__":
    main()
