"""README.md of the board, two pages, from the cells that are done and no others.

Numbers are those of the package's tables, made from the runs' files; a note is said once, at the
end. `cells.json` keeps the record of every cell, and what was decided. The one part written by
people is `failures.md`, the failure analysis; the page says when it is not there. What is long, the
task by task comparisons and the site of trajectories, stays with the output.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tables
from decide import trials_of
from family import PRIMARY_CHOICE, Declared, declared
from plan import CHOICES, METHODS, PRIMARY, Cell
from played import Played, Standing

from leaderboards import statistics
from leaderboards.compare import compare
from leaderboards.drawing import save
from leaderboards.figures import draw
from leaderboards.render import render
from leaderboards.render.markdown import grid
from leaderboards.report import about_intervals
from leaderboards.table import join, points, probability, span

FAILURES = "failures.md"
HEADLINE = "success-parameters"
LEVEL = 0.05
"""Of the two-sided tests."""


def write_up(standing: Standing, choices: Mapping[str, Any], folder: Path, harness: str) -> None:
    """Write everything into `folder`; what is long stays in the output folder.

    Args:
        choices: what the tuning chose, by method, as `decide.choose` gives it.
        harness: the command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "cells": list(standing.done.values()),
        "failed": list(standing.failed.values()),
        "mended": standing.mended,
        "primary": asdict(standing.primary),
        "steps": standing.steps,
        "choices": choices,
    }
    (folder / "cells.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    page = Page(standing, choices, folder)
    (folder / "README.md").write_text("\n\n".join(page.parts()) + "\n", encoding="utf-8")
    runs = page.reported()
    if runs:
        _publish(runs, standing, folder, harness)
    n, total = len(standing.done), len(standing.plan)
    print(f"written: {folder / 'README.md'}, {n} of {total} cells")


class Page:
    """The sections, each a list of paragraphs; short where no cell of it is done."""

    def __init__(self, standing: Standing, choices: Mapping[str, Any], folder: Path) -> None:
        self.standing, self.choices, self.folder = standing, choices, folder
        self.scale = standing.scale
        self.played = Played(standing)
        self.found = declared(self.played)
        self.notes: list[str] = []

    def parts(self) -> list[str]:
        """The whole page."""
        return [
            *self.head(), *self.design(), *self.main(), *self.primary(), *self.secondary(),
            *self.figure(), *self.descriptive(), *self.ablations(), *self.tuning(),
            *self.others(), *self.analysis(), *self.cost(), *self.said_once(),
        ]  # fmt: skip

    def reported(self) -> list[Cell]:
        """The plays that the board is made of: the main part and its teacher."""
        mine = self.played.cells(stage="main")
        return [*mine, *self.played.cells(stage="teacher, alfworld", method="teacher")]

    def head(self) -> list[str]:
        """What was asked, how much of it is answered, and whether a rule moved the comparison."""
        done, total = len(self.standing.done), len(self.standing.plan)
        parts = ["# The first board: does structure help, at a scale two cores can train?"]
        if self.standing.primary.rule:
            parts.append(self._moved())
        return [
            *parts,
            "On the same teacher trajectories, do span losses give better students than imitation "
            "and token-level distillation, and which ingredient is responsible? The design was "
            f"written before the numbers: [design.md](design.md). **{done} of {total} cells are "
            "done.** This page is made by `run.sh --write-up` from them alone; `cells.json` has "
            "the command, the digests and the duration of each.",
        ]

    def _moved(self) -> str:
        primary = self.standing.primary
        best = join(f"{100 * primary.best[m]:.1f} % of {m}" for m in PRIMARY)
        middle, split = self.scale.middle, self.scale.splits["alfworld"].choose
        why = "under the floor of 5 %" if primary.rule == "floor" else "over the ceiling of 95 %"
        where = (
            f"the primary comparison is at scale {primary.size}, by the rule of the design"
            if primary.size != middle
            else "there is no larger scale to move the primary comparison to"
        )
        return (
            f"> **The primary scale.** On {split} the best trials at scale {middle} are {why} "
            f"({best}): {where}."
        )

    def design(self) -> list[str]:
        """The design in a paragraph, with the settings that were run."""
        scale, splits = self.scale, self.scale.splits["alfworld"]
        steps, trial_steps = self.standing.steps
        counted = "as many optimiser steps" if steps is None else f"{steps:,} optimiser steps"
        tried = "" if trial_steps is None else f" of {trial_steps:,} steps"
        trials = len(trials_of(METHODS[0], self.standing.plan))
        return [
            "## Design",
            f"A teacher (`{scale.teacher}`) imitates the expert of ALFWorld on `{splits.learn}`. "
            f"Students of {len(scale.students)} scales ({', '.join(scale.students)}) learn from "
            f"scratch on the same trajectories, by {join(METHODS)}, with the same tokenizer and "
            f"{counted}, training seeds {join(map(str, scale.seeds))}. Each method has {trials} "
            f"trials{tried} at scale {scale.middle}, chosen from by success on "
            f"`{splits.choose}`. Every student plays `{splits.report}` once by likelihood of the "
            "admissible actions and once generating freely. Primary: "
            f"**{PRIMARY[0]} minus {PRIMARY[1]} at scale {self.standing.primary.size}, success by "
            "likelihood**; all else is secondary, or descriptive.",
        ]

    def main(self) -> list[str]:
        """The main table."""
        table = tables.main_table(self.played)
        if not table.rows:
            return ["## Main table", "Planned; no student of the main part has been played."]
        self.notes.append(about_intervals())
        reasons = {
            reason
            for result in self._main_results()
            if (
                reason := statistics.known_short(
                    "wilson" if result.single else "bootstrap", result.n_tasks, result.player.seeds
                )
            )
        }
        if reasons:
            said = "; ".join(sorted(reasons))
            self.notes.append(f"Intervals about tasks are known to be short: {said}.")
        short = [c for c in self._awaited() if c.name not in self.standing.done]
        if short:
            self.notes.append(
                f"{len(short)} plays of the main part are not done; a training seed that "
                "lacks one of two methods is shown in the main table and not in their test."
            )
        return [
            "## Main table",
            f"Success on `{self.scale.splits['alfworld'].report}`, percent; actions by likelihood "
            "of the admissible ones, or generated freely.",
            grid(table),
        ]

    def _main_results(self) -> list[Any]:
        return [
            result
            for choice in CHOICES
            for size in self.scale.students
            for method in METHODS
            if (result := self.played.result(stage="main", method=method, size=size, choice=choice))
        ]

    def _awaited(self) -> list[Cell]:
        return self.standing.plays(stage="main")

    def figure(self) -> list[str]:
        """The headline figure; the others are drawn beside it."""
        cells = self.played.cells(stage="main", choice=PRIMARY_CHOICE)
        teacher = self.played.cells(stage="teacher, alfworld", method="teacher")
        where = self.folder / "figures"
        parts: list[str] = []
        if not cells:
            return parts
        where.mkdir(exist_ok=True)
        for drawing in draw([cell.out for cell in (*cells, *teacher)]):
            save(drawing, where / f"{drawing.name}.svg")
            if drawing.name == HEADLINE:
                parts = [
                    f"![{drawing.title}](figures/{drawing.name}.svg)",
                    f"*Actions by likelihood. {drawing.caption}*",
                ]
        return parts

    def primary(self) -> list[str]:
        """The primary comparison, alone and unadjusted."""
        one = next(one for one in self.found if one.primary)
        name = f"{PRIMARY[0]} minus {PRIMARY[1]}, scale {one.size}, actions by likelihood"
        if one.found is None:
            ready = sum(cell.name in self.standing.done for cell in self._of_primary(one))
            return [
                "## Primary comparison",
                f"{name}: not tested. Of its {len(self._of_primary(one))} runs {ready} are done, "
                "and no training seed has both methods, so there is no answer to the question yet.",
            ]
        c = one.found
        seeds = f"{len(one.seeds)} of {len(self.scale.seeds)} training seeds"
        welch = (
            f"Welch's test over the training seeds: {span(c.over_seeds, signed=True).text}, "
            f"p = {probability(c.p_seeds).text}."
            if c.p_seeds is not None
            else "Over training seeds there is nothing to test by."
        )
        seen = "" if c.detectable is None else (
            f" A true difference is found in 80 of 100 cases from {100 * c.detectable:.1f} points."
        )  # fmt: skip
        return [
            "## Primary comparison",
            f"**{name}: {points(c.difference, c.interval).text} points**, {c.test} over "
            f"{c.n_tasks} games, {seeds}, p = {probability(c.p_tasks).text}. {welch}{seen}",
            _meaning(one),
        ]

    def _of_primary(self, one: Declared) -> list[Cell]:
        about = {"stage": "main", "size": one.size, "choice": one.choice}
        return [cell for m in PRIMARY for cell in self.standing.plays(method=m, **about)]

    def secondary(self) -> list[str]:
        """The other declared comparisons, adjusted as one family."""
        table = tables.family_table(self.found, self.scale, self.standing.primary.size)
        if not table.rows:
            return []
        tested = sum(one.found is not None for one in self.found if not one.primary)
        declared_ones = sum(not one.primary for one in self.found)
        self.notes.append(
            "Differences are in percentage points with 95 % intervals about games, outcomes "
            "averaged over the training seeds that both methods have and paired by game. "
            "p games: sign flips (McNemar's exact test where there is one seed); p seeds: Welch's "
            f"test over seed means. Of the {declared_ones} secondary comparisons {tested} are "
            "tested, and each of the two p-values is adjusted over them by Holm. A claim about "
            "methods needs both; p games alone is about these students."
        )
        return [f"## {table.title}", grid(table)]

    def descriptive(self) -> list[str]:
        """What the students of the primary scale do."""
        parts = []
        for table in (tables.descriptive_table(self.played), tables.types_table(self.played)):
            if table.rows:
                parts += [grid(table)]
        if not parts:
            return []
        return [f"## Behaviour at scale {self.standing.primary.size}, without tests", *parts]

    def ablations(self) -> list[str]:
        """The ablations beside `sad` of the same seed."""
        if not self.played.cells(stage="ablation"):
            return ["## Ablations", "Planned."]
        about = (
            f"Scale {self.scale.middle}, training seed {self.scale.seeds[0]} alone: intervals are "
            "about games, and a difference is about these students."
        )
        return ["## Ablations", about, grid(tables.ablation_table(self.played))]

    def others(self) -> list[str]:
        """The other environments."""
        table = tables.others_table(self.played)
        where = [f"{env} {s.report}" for env, s in self.scale.splits.items() if env != "alfworld"]
        if not where:
            return []
        if not table.rows:
            return ["## Other environments", "Planned."]
        about = f"{join(where)}; scale {self.scale.middle}, one training seed, generated tasks."
        return ["## Other environments", about, grid(table)]

    def tuning(self) -> list[str]:
        """Every trial, and which was taken."""
        if not self.choices:
            return ["## Tuning", "Planned."]
        split = self.scale.splits["alfworld"].choose
        about = (
            "Learning rate (and λ of the act span): success in percent on "
            f"`{split}`, by likelihood."
        )
        return ["## Tuning", about, grid(tables.tuning_table(self.choices))]

    def analysis(self) -> list[str]:
        """The failure analysis, if somebody has written it."""
        path = self.folder / FAILURES
        if path.exists():
            return ["## Failure analysis", path.read_text(encoding="utf-8").strip()]
        return [
            "## Failure analysis",
            f"Not written. It is `{FAILURES}`: twenty trajectories read and sorted by whether the "
            "reasoning is wrong, the action malformed, the agent loops or forgets.",
        ]

    def cost(self) -> list[str]:
        """What it took, what failed, what is planned and was not run."""
        done = self.standing.done.values()
        spent, busy = (
            sum(float(record[key]) for record in done) / 3600 for key in ("seconds", "cpu_seconds")
        )
        parts = [
            "## Cost, failed and planned cells",
            f"{spent:.1f} hours of wall time, {busy:.1f} CPU-hours. `run.sh --list` names every "
            "cell.",
            grid(tables.cost_table(self.standing)),
        ]
        lines = [
            f"- `{name}` failed {record['times']} times unchanged and was left: {record['reason']}"
            for name, record in self.standing.failed.items()
        ]
        lines += [
            f"- `{name}` was run again after its cause was mended: {'; '.join(reasons)}"
            for name, reasons in self.standing.mended.items()
        ]
        return [*parts, "\n".join(lines)] if lines else parts

    def said_once(self) -> list[str]:
        """What belongs to several tables."""
        if not self.notes:
            return []
        return ["## Notes", "\n".join(f"- {note}" for note in self.notes)]


def _meaning(one: Declared) -> str:
    """What the primary comparison shows, in the words of the design."""
    assert one.found is not None
    games, seeds = one.found.p_tasks, one.found.p_seeds
    if games is None or games >= LEVEL:
        return (
            "No difference is shown. That is no evidence of equality: the interval is the answer."
        )
    if seeds is None or seeds >= LEVEL:
        return (
            "These students differ on games of this kind; that the methods differ when they are "
            "trained again is not shown."
        )
    return "The students differ, and so do the methods when they are trained again."


def _publish(runs: Sequence[Cell], standing: Standing, folder: Path, harness: str) -> None:
    """Entries with trajectories and digests and their board; with the output, a site to read."""
    paths = [str(cell.out) for cell in runs]
    entries, out = folder / "entries", standing.scale.out
    _call(harness, "board", "submit", *paths, "--results", str(entries), "--replace")
    _call(harness, "board", "build", "--results", str(entries), "--out", str(folder / "board"))
    _call(harness, "view", *paths, "--out", str(out / "site"))
    for seed in standing.scale.seeds:
        pair = [
            cell
            for method in PRIMARY
            for cell in runs
            if cell.about.get("method") == method
            and cell.about.get("size") == standing.primary.size
            and cell.about.get("seed") == str(seed)
            and cell.about["choice"] == PRIMARY_CHOICE
        ]
        if len(pair) == 2:
            beside = out / "compare"
            beside.mkdir(exist_ok=True)
            report = compare(pair[0].out, pair[1].out, site=out / "site", beside=beside)
            (beside / f"seed-{seed}.md").write_text(render(report, "md"), encoding="utf-8")


def _call(harness: str, *words: str) -> None:
    done = subprocess.run([harness, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"harness {' '.join(words)}\n{done.stderr.strip()}")
