"""Run the cells of the board that are not done; `run.sh` sets the scale and calls this.

A cell is done when its command ended well and its product is there; its record says which command
made it, how long it took and the SHA-256 of the product. A cell that takes longer than its minutes
is interrupted as by Ctrl-C, which every command answers by keeping what it has, and gone on with
afterwards. `BOARD_JOBS` cells run at the same time and share out the cores; one that nothing can be
run beside has all of them. A cell that fails is told and tried again at the next call, unchanged;
failing a second time it is left as failed, with those that need it (`--retry NAME`, once its cause
is mended). What the tuning decides is decided as soon as it can be, and the order of the cells
follows.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from decide import decide, known_primary  # noqa: E402
from jobs import Ended, Jobs  # noqa: E402
from plan import METHODS, Cell, Scale, cells, excused  # noqa: E402
from state import TRIES, Record, State  # noqa: E402
from steps import counted_steps, known_steps  # noqa: E402

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all cells asked for are done, 1 when one failed, 3 when some are left."""
    parser = argparse.ArgumentParser(prog="run.sh", description="The first board, cell by cell.")
    parser.add_argument("--list", action="store_true", help="say what is done and what is planned")
    parser.add_argument("--only", metavar="PATTERN", help="only cells whose name matches")
    parser.add_argument("--minutes", type=float, help="begin no cell after so many minutes")
    parser.add_argument("--retry", metavar="NAME", action="append", default=[],
                        help="try a failed cell again, its cause being mended; a pattern, and can "
                        "be given again")  # fmt: skip
    parser.add_argument("--smoke", action="store_true", help="the whole way, small (see run.sh)")
    parser.add_argument("--write-up", action="store_true", help="only tables, board and README.md")
    asked = parser.parse_args(arguments)
    # Asked to end, it ends the commands it waits for first, as with Ctrl-C. Shells start what runs
    # in the background deaf to that, and its children with it, unless it is listened for here.
    for asks_to_end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asks_to_end, signal.default_int_handler)
    board = Board(Scale.from_environment(), asked.only, smoke=asked.smoke)
    if not board.chosen():
        parser.error(f"no cell is called {asked.only!r}; see --list")
    for pattern in asked.retry:
        if not board.retry(pattern):
            parser.error(f"no cell that failed is called {pattern!r}; see --list")
    if asked.list:
        board.show()
        return 0
    stale = board.state.stale(board.cells)
    if stale:
        parser.error(
            f"{board.scale.out} holds {len(stale)} cells that were done by other commands than "
            f"the plan has now, {stale[0]} the first: give SAD_BOARD_DIR another folder, or remove "
            "their files and all that was made from them"
        )
    code = 0
    if not asked.write_up:
        until = None if asked.minutes is None else time.monotonic() + 60 * asked.minutes
        code = board.run(until)
    board.write_up(board.scale.out / "write-up" if asked.smoke else HERE)
    return code


class Board:
    """The cells, and what of them is done.

    Args:
        only: a pattern of names; None for all.
        smoke: a few cells that together go the whole way.
    """

    def __init__(self, scale: Scale, only: str | None = None, *, smoke: bool = False) -> None:
        self.scale, self.only, self.smoke = scale, only, smoke
        self.state = State(scale.out)
        self.jobs = Jobs(float(os.environ.get("BOARD_CELL_MINUTES", "20")))
        self.at_once = int(os.environ.get("BOARD_JOBS", "1"))
        self._words: dict[str, list[str]] = {}  # of the commands that were begun
        beside = Path(sys.executable).with_name("harness")
        self.harness = str(beside) if beside.exists() else "harness"

    @property
    def cells(self) -> list[Cell]:
        """All cells, in the order that follows from what is decided by now."""
        return cells(self.scale, known_primary(self.scale, self.state).size)

    def chosen(self) -> list[Cell]:
        """The cells that were asked for, with what they need."""
        plan = self.cells
        if self.only is not None:
            names = [cell.name for cell in plan if fnmatch.fnmatch(cell.name, self.only)]
        elif self.smoke:
            names = smoke_cells(self.scale, plan, known_primary(self.scale, self.state).size)
        else:
            return plan
        wanted = _with_needs(plan, names)
        return [cell for cell in plan if cell.name in wanted]

    def retry(self, pattern: str) -> bool:
        """Let failed cells of this name be tried again; whether there was one."""
        named = [cell for cell in self.cells if fnmatch.fnmatch(cell.name, pattern)]
        return sum(self.state.retry(cell) for cell in named) > 0

    def show(self) -> None:
        """One line per cell."""
        chosen = self.chosen()
        done, failed = self.state.done(chosen), self.state.failures(chosen)
        lost, stage = self.state.lost(self.cells), ""
        primary = known_primary(self.scale, self.state)
        if primary.rule:
            print(f"by the rule of the {primary.rule}, the primary scale is {primary.size}")
        for cell in chosen:
            if cell.stage != stage:
                stage = cell.stage
                print(f"\n{stage}")
            if cell.name in done:
                state = f"done in {done[cell.name]['seconds'] / 60:5.1f} min"
            elif cell.name in lost:
                record = failed.get(cell.name)
                state = f"failed: {record['reason']}" if record else "waits for one that failed"
            elif cell.name in failed and failed[cell.name]["times"]:
                state = "failed once, to be tried again"
            else:
                state = "begun" if cell.out.exists() else "planned"
            print(f"  {cell.name:<56} {state}")
        print(f"\n{len(done)} of {len(chosen)} cells are done; output in {self.scale.out}")

    def run(self, until: float | None) -> int:
        """Run what is not done, in order, some at the same time; the exit code.

        Whatever ends it, no command is left running, and what they had is kept.
        """
        try:
            return self._run(until)
        except BaseException:
            for ended in self.jobs.interrupt():
                self._keep(ended)
            raise

    def _run(self, until: float | None) -> int:
        passed: set[str] = set()  # cells that cannot go on in this call
        while True:
            plan = self.cells
            decide(self.scale, plan, self.state)
            done, lost = self.state.done(plan), self.state.lost(plan)
            left = [
                cell
                for cell in self.chosen()
                if cell.name not in {*done, *lost, *passed} and cell.name not in self.jobs
            ]
            in_time = until is None or time.monotonic() < until
            ready = [cell for cell in left if not _lacking(cell, done, lost)]
            # Another environment is begun when there is nothing left to begin of the one before.
            ready = [cell for cell in ready if _env(cell) == _env(left[0])]
            if ready and in_time and len(self.jobs) < self.at_once:
                self._begin(ready[0], alone=len(ready) == 1 and not self.jobs)
            elif self.jobs:
                ended = self.jobs.wait()
                if self._keep(ended) not in (0, INTERRUPTED):
                    passed.add(ended.name)
            elif not left:
                break
            elif not in_time:
                print("the time is up; call again to go on")
                return 3
            else:
                for cell in left:
                    if waits := _lacking(cell, done, lost):
                        print(f"{cell.name}: waits for {', '.join(waits)}")
                        passed.add(cell.name)
        failed = self.state.failed_for_good(plan)
        if failed:
            print(
                f"failed {TRIES} times and left: {', '.join(failed)}; their reasons are in "
                f"{self.scale.out / 'failed'}; --retry NAME once a cause is mended"
            )
        wanted = {cell.name for cell in self.chosen()}
        return 1 if passed or wanted & lost else 0

    def write_up(self, folder: Path) -> None:
        """Make the page from what is done."""
        from played import Standing
        from write_up import write_up

        plan = self.cells
        failures = {c.name: self.state.read("failed", c.name) for c in plan}
        standing = Standing(
            self.scale,
            plan,
            self.state.done(plan),
            self.state.failed_for_good(plan),
            known_primary(self.scale, self.state),
            known_steps(self.scale),
            {name: f["mended"] for name, f in failures.items() if f and f["mended"]},
        )
        choices = {m: one for m in METHODS if (one := self.state.read("choice", m)) is not None}
        write_up(standing, choices, folder, self.harness)

    def _begin(self, cell: Cell, *, alone: bool) -> None:
        begun = _begun(cell)
        if cell.out.exists() and not begun:
            shutil.rmtree(cell.out)  # killed before there was anything to go on from
        words = [self.harness, *self._filled(cell), "--out", str(cell.out)]
        words += ["--resume"] if begun else []
        threads = max(1, _cores() // (1 if alone else self.at_once))
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        self._words[cell.name] = words[1:]
        self.jobs.start(cell.name, words, self._log(cell.name), environment)
        print(f"{time.strftime('%H:%M:%S')} {cell.name}: {'goes on' if begun else 'begun'}")
        sys.stdout.flush()

    def _keep(self, ended: Ended) -> int:
        """Write the record of a cell that ended; its exit code."""
        cell = next(cell for cell in self.cells if cell.name == ended.name)
        earlier = self.state.read("begun", cell.name) or {"seconds": 0.0, "cpu_seconds": 0.0}
        taken = {
            "seconds": round(earlier["seconds"] + ended.seconds, 1),
            "cpu_seconds": round(earlier["cpu_seconds"] + ended.cpu_seconds, 1),
        }
        log, code = self._log(cell.name), ended.code
        reason = log.read_text(encoding="utf-8").strip().splitlines()[-1] if code else ""
        if code == 0:
            code, reason = _check(cell)
        told = f"{time.strftime('%H:%M:%S')} {cell.name}"
        if code == 0:
            self._finish(cell, self._words[cell.name], taken)
            print(f"{told}: done in {taken['seconds'] / 60:.1f} min", flush=True)
            return 0
        self.state.write("begun", cell.name, taken)
        if code == INTERRUPTED:
            print(f"{told}: {ended.seconds / 60:.1f} min, to be gone on with", flush=True)
            return code
        times = self.state.fail(cell, code, reason, log)["times"]
        again = "the next call tries it again" if times < TRIES else "it is left"
        print(f"{told}: FAILED with {code}, {again}; see {log}: {reason}", flush=True)
        return code

    def _log(self, name: str) -> Path:
        return self.scale.out / "logs" / f"{name}.log"

    def _filled(self, cell: Cell) -> list[str]:
        """The command with what the tuning chose, and the steps that were counted."""
        words = list(cell.command)
        if not any("{" in word for word in words):
            return words
        values: dict[str, Any] = {}
        for method in METHODS:
            choice = self.state.read("choice", method)
            if choice is not None:
                values[f"rate:{method}"] = choice["chosen"]["rate"]
                values[f"act:{method}"] = choice["chosen"]["act"]
        if any("steps}" in word for word in words):
            values["steps"], values["tuning_steps"] = counted_steps(self.scale)
        for name, value in values.items():
            words = [word.replace(f"{{{name}}}", str(value)) for word in words]
        return words

    def _finish(self, cell: Cell, words: Sequence[str], taken: Record) -> None:
        product = cell.out / cell.product
        record: dict[str, Any] = {
            "name": cell.name,
            "stage": cell.stage,
            "about": dict(cell.about),
            "template": list(cell.command),
            "command": ["harness", *words],
            **taken,
            "product": cell.product,
            "sha256": hashlib.sha256(product.read_bytes()).hexdigest(),
        }
        if cell.trains:
            made = json.loads((cell.out / "distillation.json").read_text(encoding="utf-8"))
            record |= {key: made[key] for key in ("steps", "tokens", "parameters")}
        else:
            config = json.loads((cell.out / "config.json").read_text(encoding="utf-8"))
            record["digest"] = config["digest"]
            rows = product.read_text(encoding="utf-8").splitlines()
            scored = [json.loads(row)["success"] for row in rows]
            record |= {"episodes": len(scored), "success": sum(scored) / len(scored)}
        self.state.write("done", cell.name, record)


def _lacking(cell: Cell, done: Container[str], lost: Container[str]) -> list[str]:
    """Names of the cells that this one still waits for."""
    return [n for n in cell.needs if n not in done and n not in excused(cell, lost)]


def _env(cell: Cell) -> str:
    return cell.about.get("env", "alfworld")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _begun(cell: Cell) -> bool:
    """Whether there is something to go on from."""
    if cell.trains:
        return any((cell.out / "checkpoints").glob("*")) if cell.out.exists() else False
    return (cell.out / "config.json").exists()


def _check(cell: Cell) -> tuple[int, str]:
    """0 when the product is there, made by as many optimiser steps as were asked for."""
    if not (cell.out / cell.product).exists():
        return 2, f"it ended well without {cell.product}"
    if cell.trains:
        record = json.loads((cell.out / "distillation.json").read_text(encoding="utf-8"))
        if record["ended"] != "done":
            return INTERRUPTED, ""
        wanted = record["settings"]["training"].get("max_steps")
        if wanted is not None and record["steps"] != wanted:
            return 2, f"trained {record['steps']} steps, expected {wanted}: raise epochs"
    return 0, ""


def _with_needs(plan: Sequence[Cell], names: Sequence[str]) -> set[str]:
    by_name = {cell.name: cell for cell in plan}
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += by_name[name].needs
    return found


def smoke_cells(scale: Scale, everything: Sequence[Cell], primary: str) -> list[str]:
    """Names of a few cells that together go the whole way.

    The tuning of two methods; both of the primary comparison with all seeds; the other sizes, an
    ablation and the other environments once.
    """
    both = [f"main-{primary}-{m}-s{s}" for m in METHODS[:2] for s in scale.seeds]
    others = [f"main-{n}-sad-s{scale.seeds[0]}" for n in scale.students if n != primary]
    more = [f"{e}-{scale.middle}-sad-s{scale.seeds[0]}" for e in scale.splits if e != "alfworld"]
    ablation = [f"ablation-{scale.middle}-sad-random-spans-s{scale.seeds[0]}"]
    trained = {*both, *others, *more, *ablation, "teacher-alfworld"}
    return [
        cell.name
        for cell in everything
        if cell.name in trained or (not cell.trains and trained & set(cell.needs))
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
