"""Training curves from `metrics.jsonl`, which `harness distill` writes a line at a time.

A curve is read as the training left it: a torn last line is passed over, a key that a line lacks is
not drawn. Trainings of one method and student that differ in their seed are lines of one series.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from leaderboards.drawing import Drawing, clean, mark
from leaderboards.plotting import legend_below, panels
from leaderboards.runs import DISTILLATION, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRICS = "metrics.jsonl"
"""What a training writes beside its student."""

MOST_POINTS = 400
"""Longer curves are drawn by the means of as many equal stretches."""


@dataclass(frozen=True)
class Curve:
    """One training.

    Attributes:
        name: the method and the student's specification.
        seed: of weights and order; None where it was not recorded.
        lines: as they stand in the file, in the order of their steps.
        folder: where it was read.
    """

    name: str
    seed: int | None
    lines: tuple[dict[str, Any], ...] = field(compare=False)
    folder: Path | None = None


def read_curve(folder: Path) -> Curve | None:
    """The curve of a training's folder; None where there are no metrics.

    Raises:
        HarnessError: a line cannot be read.
    """
    path = folder / METRICS
    if not path.is_file():
        return None
    lines = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith("\n"):
            break
        try:
            data = json.loads(line)
            if not isinstance(data.get("step"), int):
                raise ValueError("no step")
        except (ValueError, AttributeError) as error:
            raise HarnessError(
                f"{path} line {number} is no line of metrics; mend or remove it"
            ) from error
        lines.append(data)
    made = _record(folder / DISTILLATION)
    name = " ".join(str(made[key]) for key in ("method", "student") if made.get(key))
    seed = made.get("seed")
    if not isinstance(seed, int):
        seed = None
    return Curve(name or folder.name, seed, tuple(lines), folder.resolve())


def curves_of(runs: Iterable[Run]) -> list[Curve]:
    """The trainings of the students in some runs, as far as their folders are here."""
    folders: dict[Path, None] = {}
    for run in runs:
        kind, _, path = (run.model or "").partition(":")
        if run.distilled and kind in ("hf", "vllm") and path:
            folders[Path(path).resolve()] = None
    curves = map(read_curve, sorted(folders))
    return [curve for curve in curves if curve is not None and curve.lines]


def draw_curves(curves: Sequence[Curve]) -> Drawing | None:
    """Loss, divergence per span and agreement against optimiser steps; None without a curve."""
    drawn = [curve for curve in curves if curve.lines]
    shown = _shown(drawn)
    if not shown:
        return None
    groups: dict[str, list[Curve]] = {}
    for curve in drawn:
        groups.setdefault(curve.name, []).append(curve)
    figure, axes = panels(len(shown), height=2.9, same_y=False)
    for ax, (key, title, unit) in zip(axes, shown, strict=True):
        _panel(ax, groups, key)
        ax.set_title(title)
        ax.set_xlabel("optimiser steps")
        ax.set_ylabel(unit)
    _legend(figure, groups)
    number = f"{len(drawn)} training" + ("" if len(drawn) == 1 else "s")
    caption = (
        f"{number} from metrics.jsonl, a thin line per seed (n is their number). Each point is the "
        "mean of the steps since the one before; a divergence is the mean over the rows of its "
        "span, unweighted, and accuracy the share of rows whose target is the student's likeliest "
        "token."
    )
    return Drawing("training-curves", "Training curves", caption, figure)


def _shown(curves: Sequence[Curve]) -> list[tuple[str, str, str]]:
    """Key, title and unit of every panel that some curve has two points for."""
    keys = {
        key
        for curve in curves
        for key in {key for line in curve.lines for key in line}
        if len(_points(curve, key)) > 1
    }
    found = [("loss", "Loss", "as the recipe weighs it, nats")] if "loss" in keys else []
    for prefix, title, unit in (
        ("divergence/", "Divergence", "nats per row"),
        ("accuracy/", "Accuracy", "share of rows"),
    ):
        spans = sorted(key.removeprefix(prefix) for key in keys if key.startswith(prefix))
        found += [(prefix + span, f"{title}, {span}", unit) for span in spans]
    return found


def _points(curve: Curve, key: str) -> list[tuple[float, float]]:
    points = [
        (float(line["step"]), float(line[key]))
        for line in curve.lines
        if isinstance(line.get(key), int | float)
    ]
    if len(points) <= MOST_POINTS:
        return points
    stretch = -(-len(points) // MOST_POINTS)
    parts = [points[at : at + stretch] for at in range(0, len(points), stretch)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _panel(ax: Axes, groups: dict[str, list[Curve]], key: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for place, members in enumerate(groups.values()):
        how = mark(place)
        for curve in members:
            points = _points(curve, key)
            if not points:
                continue
            x, y = zip(*points, strict=True)
            ax.plot(
                x,
                y,
                color=how.colour,
                linestyle=how.line,
                linewidth=1.2,
                marker=how.marker,
                markersize=4,
                markevery=(place % 3, max(1, len(points) // 8)),
                markeredgecolor="white",
                markeredgewidth=0.4,
            )
    low, high = ax.get_ylim()
    low = min(0.0, low)
    ax.set_ylim(low, high + 0.05 * (high - low))
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _legend(figure: Any, groups: dict[str, list[Curve]]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for place, (name, members) in enumerate(groups.items()):
        how = mark(place)
        steps = max(int(curve.lines[-1]["step"]) for curve in members)
        label = f"{clean(name)} (n = {len(members)}, {steps:,} steps)"
        handles.append(
            Line2D([], [], color=how.colour, linestyle=how.line, marker=how.marker, label=label)
        )
    legend_below(figure, handles)


def _record(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
