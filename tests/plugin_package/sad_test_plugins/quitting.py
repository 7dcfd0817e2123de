"""A module that would end the process when imported."""

raise SystemExit(3)
