"""Reading the JSON files of runs, checkpoints and entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import HarnessError


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        HarnessError: the file is missing, cannot be read, or holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HarnessError(
            f"{path.parent} is no run: it has no {path.name}; expected a folder that 'harness run' "
            "wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise HarnessError(f"cannot read {path}: {type(error).__name__}: {error}") from error
    if not isinstance(data, dict):
        raise HarnessError(f"{path} holds a {type(data).__name__}; expected a JSON object")
    return data
