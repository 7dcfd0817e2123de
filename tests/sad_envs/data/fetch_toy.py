"""Run as a program: fetch the toy data set of another process's test, slowly if asked.

Arguments: the mirror folder, and the seconds to rest after each unpacked chunk.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from toy_data import toy_dataset

import sad_envs.data.entries as entries_module
from sad_envs.data.store import fetch


def main(mirror: str, rest: float) -> None:
    entries = {"toy": toy_dataset(Path(mirror, "toy/toy.zip").read_bytes())}
    entries_module.catalogue = lambda: entries  # type: ignore[assignment]

    def progress(stage: str, n_bytes: int, total: int) -> None:
        sys.stdout.write(f"{stage}\n")
        sys.stdout.flush()
        if n_bytes and "unpacking" in stage:
            time.sleep(rest)

    sys.stdout.write(f"done {fetch('toy', mirror=mirror, progress=progress)}\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
