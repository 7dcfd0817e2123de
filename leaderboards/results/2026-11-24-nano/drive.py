"""Run the cells of the board that are not done; `run.sh` sets the scale and calls this.

A cell is done when its command ended well and its product is there; then `done/NAME.json` in the
output folder says which command made it, how long it took and the SHA-256 of the product. A cell
that takes longer than its minutes is interrupted as by Ctrl-C, which every command answers by
keeping what it has, and gone on with at the next turn. A cell that fails is told, kept in
`failed/`, and tried again at the next call; cells that need it wait, the others go on.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from plan import METHODS, Cell, Scale, cells, trials  # noqa: E402
from write_up import write_up  # noqa: E402

INTERRUPTED, UNSCORED = 130, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all cells asked for are done, 1 when one failed, 3 when some are left."""
    parser = argparse.ArgumentParser(prog="run.sh", description="The first board, cell by cell.")
    parser.add_argument("--list", action="store_true", help="say what is done and what is planned")
    parser.add_argument("--only", metavar="PATTERN", help="only cells whose name matches")
    parser.add_argument("--minutes", type=float, help="begin no cell after so many minutes")
    parser.add_argument("--smoke", action="store_true", help="the whole way, small (see run.sh)")
    parser.add_argument("--write-up", action="store_true", help="only tables, board and README.md")
    asked = parser.parse_args(arguments)
    # Asked to end, it ends the command it waits for first, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    board = Board(Scale.from_environment())
    chosen = [one for one in board.cells if board.wanted(one, asked.only, smoke=asked.smoke)]
    if asked.list:
        board.show(chosen)
        return 0
    if not chosen:
        parser.error(f"no cell is called {asked.only!r}; see --list")
    code = 0
    if not asked.write_up:
        until = None if asked.minutes is None else time.monotonic() + 60 * asked.minutes
        code = board.run(chosen, until)
    folder = board.scale.out / "write-up" if asked.smoke else HERE
    write_up(board.scale, board.cells, board.done(), folder, board.harness)
    return code


class Board:
    """The cells, and what of them is done."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.cells = cells(scale)
        self.minutes = float(os.environ.get("BOARD_CELL_MINUTES", "20"))
        beside = Path(sys.executable).with_name("harness")
        self.harness = str(beside) if beside.exists() else "harness"

    def done(self) -> dict[str, dict[str, Any]]:
        """Records of the cells that are done, by name, in the order of the plan."""
        found = {}
        for cell in self.cells:
            path = self._record("done", cell)
            if path.exists():
                found[cell.name] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def wanted(self, cell: Cell, pattern: str | None, *, smoke: bool) -> bool:
        """Whether a cell was asked for; a smoke run takes one of every kind."""
        if pattern is not None:
            return cell.name in self._with_needs(pattern)
        return not smoke or cell.name in self._with_needs_of(smoke_cells(self.scale, self.cells))

    def show(self, chosen: Sequence[Cell]) -> None:
        """One line per cell."""
        done, stage = self.done(), ""
        for cell in chosen:
            if cell.stage != stage:
                stage = cell.stage
                print(f"\n{stage}")
            record = done.get(cell.name)
            state = f"done in {record['seconds'] / 60:5.1f} min" if record else "planned"
            if not record and self._record("failed", cell).exists():
                state = "failed, to be tried again"
            elif not record and cell.out.exists():
                state = "begun"
            print(f"  {cell.name:<56} {state}")
        n = sum(cell.name in done for cell in chosen)
        print(f"\n{n} of {len(chosen)} cells are done; output in {self.scale.out}")

    def run(self, chosen: Sequence[Cell], until: float | None) -> int:
        """Run what is not done, in order; the exit code."""
        failed = False
        for cell in chosen:
            while cell.name not in self.done():
                if until is not None and time.monotonic() >= until:
                    print("the time is up; call again to go on")
                    return 3
                lacking = [name for name in cell.needs if name not in self.done()]
                if lacking:
                    print(f"{cell.name}: waits for {', '.join(lacking)}")
                    break
                code = self._run(cell)
                if code == INTERRUPTED:
                    continue
                if code:
                    failed = True
                    break
        return 1 if failed else 0

    def _run(self, cell: Cell) -> int:
        begun = self._begun(cell)
        if cell.out.exists() and not begun:
            shutil.rmtree(cell.out)  # killed before there was anything to go on from
        words = [self.harness, *self._filled(cell), "--out", str(cell.out)]
        words += ["--resume"] if begun else []
        log = self.scale.out / "logs" / f"{cell.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"{time.strftime('%H:%M:%S')} {cell.name}", end="", flush=True)
        started = time.monotonic()
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(words)}\n")
            file.flush()
            code = self._wait(words, file)
        spent = time.monotonic() - started
        before = self._spent(cell) + spent
        if code == 0 and not (cell.out / cell.product).exists():
            code = 2
        if code == 0:
            code = self._check_steps(cell)
        if code == 0:
            self._finish(cell, words[1:], before)
            print(f": done in {before / 60:.1f} min", flush=True)
            return 0
        self._write("begun", cell, {"seconds": before})
        if code == INTERRUPTED:
            print(f": {spent / 60:.1f} min, goes on", flush=True)
            return code
        self._write("failed", cell, {"code": code, "log": str(log)})
        tail = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        print(f": FAILED with {code}, see {log}: {' '.join(tail)}", flush=True)
        return code

    def _wait(self, words: Sequence[str], log: Any) -> int:
        """The exit code of a command that is interrupted when its minutes are over."""
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            return process.wait(60 * self.minutes)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        try:
            return process.wait(300)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            return process.wait()

    def _begun(self, cell: Cell) -> bool:
        if cell.trains:
            return any((cell.out / "checkpoints").glob("*")) if cell.out.exists() else False
        return (cell.out / "config.json").exists()

    def _check_steps(self, cell: Cell) -> int:
        """The methods are compared after the same number of optimiser steps."""
        if not cell.trains:
            return 0
        record = json.loads((cell.out / "distillation.json").read_text(encoding="utf-8"))
        if record["ended"] != "done":
            return INTERRUPTED
        wanted = record["settings"]["training"].get("max_steps")
        if wanted is not None and record["steps"] != wanted:
            print(f" trained {record['steps']} steps, expected {wanted}: raise epochs", end="")
            return 2
        return 0

    def _filled(self, cell: Cell) -> list[str]:
        """The command with what the tuning chose."""
        words = list(cell.command)
        if not any("{" in word for word in words):
            return words
        for method in METHODS:
            if any(f":{method}}}" in word for word in words):
                rate, act = self.choice(method)
                for name, value in (("rate", rate), ("act", act)):
                    words = [word.replace(f"{{{name}:{method}}}", value) for word in words]
        return words

    def choice(self, method: str) -> tuple[str, str]:
        """(rate, weight of the act span) of the method's best trial on the split to choose on.

        Most successes; where several have as many, the first tried. The numbers are kept in
        `choice/METHOD.json`.
        """
        done = self.done()
        tried = []
        for number in range(len(trials(method, self.scale.rates))):
            prefix = f"tune-{method}-{number}-"
            record = next(r for name, r in done.items() if name.startswith(prefix))
            tried.append({**record["about"], "success": record["success"]})
        best = max(tried, key=lambda one: float(one["success"]))
        path = self.scale.out / "choice" / f"{method}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"chosen": best, "tried": tried}, indent=2) + "\n")
        return str(best["rate"]), str(best["act"])

    def _finish(self, cell: Cell, words: Sequence[str], seconds: float) -> None:
        product = cell.out / cell.product
        record: dict[str, Any] = {
            "name": cell.name,
            "stage": cell.stage,
            "about": dict(cell.about),
            "command": ["harness", *words],
            "seconds": round(seconds, 1),
            "product": cell.product,
            "sha256": hashlib.sha256(product.read_bytes()).hexdigest(),
        }
        if cell.trains:
            made = json.loads((cell.out / "distillation.json").read_text(encoding="utf-8"))
            record |= {key: made[key] for key in ("steps", "tokens", "parameters")}
        else:
            config = json.loads((cell.out / "config.json").read_text(encoding="utf-8"))
            record["digest"] = config["digest"]
            scored = [json.loads(line)["success"] for line in product.open(encoding="utf-8")]
            record |= {"episodes": len(scored), "success": sum(scored) / len(scored)}
        self._write("done", cell, record)
        self._record("failed", cell).unlink(missing_ok=True)

    def _spent(self, cell: Cell) -> float:
        path = self._record("begun", cell)
        if not path.exists():
            return 0.0
        return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])

    def _record(self, kind: str, cell: Cell) -> Path:
        return self.scale.out / kind / f"{cell.name}.json"

    def _write(self, kind: str, cell: Cell, record: Mapping[str, Any]) -> None:
        path = self._record(kind, cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        os.replace(draft, path)

    def _with_needs(self, pattern: str) -> set[str]:
        return self._with_needs_of([c.name for c in self.cells if fnmatch.fnmatch(c.name, pattern)])

    def _with_needs_of(self, names: Sequence[str]) -> set[str]:
        by_name = {cell.name: cell for cell in self.cells}
        found, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += by_name[name].needs
        return found


def smoke_cells(scale: Scale, everything: Sequence[Cell]) -> list[str]:
    """Names of a few cells that together go the whole way.

    The tuning of two methods; both of the primary comparison with all seeds; the other sizes, an
    ablation and the other environments once.
    """
    primary = [f"main-{scale.middle}-{m}-s{s}" for m in METHODS[:2] for s in scale.seeds]
    others = [f"main-{n}-sad-s{scale.seeds[0]}" for n in scale.students if n != scale.middle]
    more = [f"{e}-{scale.middle}-sad-s{scale.seeds[0]}" for e in scale.splits if e != "alfworld"]
    ablation = [f"ablation-{scale.middle}-sad-random-spans-s{scale.seeds[0]}"]
    trained = {*primary, *others, *more, *ablation, "teacher-alfworld"}
    return [c.name for c in everything if c.name in trained or trained & set(c.needs)]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
