"""What is known of the cells: records in the output folder, a file for each.

- `done/NAME.json`: the cell ended well. Its `template` is the command as the plan has it; a record
  of another template than the plan's is refused, for it says what another board did.
- `begun/NAME.json`: the seconds it has taken so far, on the clock and of the processors.
- `failed/NAME.json`: how often the command failed unchanged, and why. After `TRIES` it is failed
  for good and not begun again, until somebody who mended the cause asks for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plan import Cell, without_hope

TRIES = 2

Record = dict[str, Any]
Records = Mapping[str, Mapping[str, Any]]


class State:
    """The records of an output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def done(self, cells: Sequence[Cell]) -> dict[str, Record]:
        """Records of the cells that are done, by name, in the order of the plan."""
        return self._all("done", cells)

    def failures(self, cells: Sequence[Cell]) -> dict[str, Record]:
        """Records of the cells that have failed and are not done."""
        done = self.done(cells)
        return {k: v for k, v in self._all("failed", cells).items() if k not in done}

    def failed_for_good(self, cells: Sequence[Cell]) -> dict[str, Record]:
        """Those that failed as often as they may, by the command that the plan has now."""
        commands = {cell.name: list(cell.command) for cell in cells}
        return {
            name: record
            for name, record in self.failures(cells).items()
            if record["times"] >= TRIES and record["template"] == commands[name]
        }

    def lost(self, cells: Sequence[Cell]) -> set[str]:
        """Names of cells that are failed for good or wait for one that is."""
        return without_hope(cells, self.failed_for_good(cells))

    def stale(self, cells: Sequence[Cell]) -> list[str]:
        """Names of cells that were done by another command than the plan's."""
        done = self.done(cells)
        return [
            c.name for c in cells if c.name in done and done[c.name].get("template") != [*c.command]
        ]

    def fail(self, cell: Cell, code: int, reason: str, log: Path) -> Record:
        """Count a failure; the new record."""
        known = self.read("failed", cell.name) or {}
        template = list(cell.command)
        times = known["times"] + 1 if known.get("template") == template else 1
        record = {
            "name": cell.name,
            "times": times,
            "code": code,
            "reason": reason,
            "log": str(log),
            "template": template,
            "mended": known.get("mended", []),
        }
        self.write("failed", cell.name, record)
        return record

    def retry(self, cell: Cell) -> bool:
        """Let a failed cell be tried again; what it failed of is kept. Whether it had failed."""
        known = self.read("failed", cell.name)
        if known is None or not known["times"]:
            return False
        known |= {"times": 0, "mended": [*known["mended"], known["reason"]]}
        self.write("failed", cell.name, known)
        return True

    def read(self, kind: str, name: str) -> Record | None:
        """A record, or None."""
        path = self._path(kind, name)
        if not path.exists():
            return None
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        return record

    def write(self, kind: str, name: str, record: Mapping[str, Any]) -> None:
        """Write a record whole or not at all."""
        path = self._path(kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        os.replace(draft, path)

    def _all(self, kind: str, cells: Sequence[Cell]) -> dict[str, Record]:
        found = ((cell.name, self.read(kind, cell.name)) for cell in cells)
        return {name: record for name, record in found if record is not None}

    def _path(self, kind: str, name: str) -> Path:
        return self.out / kind / f"{name}.json"
