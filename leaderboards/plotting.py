"""Panels, ticks and legends that figures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderboards.drawing import GREY, SOFT, Mark
from leaderboards.results import Result
from leaderboards.table import size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTHS = {1: 6.4, 2: 8.6, 3: 11.4}
"""Width of a figure in inches by the panels in a row."""


class Entries:
    """The legend: every series once, with the number of episodes its marks rest on."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[tuple[int, int]]] = {}
        self._looks: dict[str, dict[str, Any]] = {}

    def add(self, name: str, how: Mark, results: list[Result], *, joined: bool = True) -> None:
        line = how.line if joined else ""
        look = {"color": how.colour, "marker": how.marker, "linestyle": line}
        self._add(name, look, results)

    def add_line(self, name: str, line: Any, result: Result) -> None:
        self._add(name, {"color": GREY, "linestyle": line, "linewidth": 1.2}, [result])

    def add_reference(self, name: str, marker: str, result: Result) -> None:
        look: dict[str, Any] = {
            "color": GREY,
            "marker": marker,
            "linestyle": "",
            "markersize": 9 if marker == "*" else 6.5,
        }
        self._add(name, look, [result])

    def add_front(self) -> None:
        self._looks.setdefault("best trade-offs", {"color": SOFT, "linestyle": "-", "lw": 1.0})

    def _add(self, name: str, look: dict[str, Any], results: list[Result]) -> None:
        self._looks.setdefault(name, look)
        numbers = [(result.n, result.player.seeds) for result in results]
        self._numbers.setdefault(name, []).extend(numbers)

    def legend(self, figure: Figure) -> None:
        from matplotlib.lines import Line2D

        handles = []
        for name, look in self._looks.items():
            known = self._numbers.get(name)
            label = f"{name} ({rests_on(known)})" if known else name
            handles.append(Line2D([], [], label=label, **look))
        legend_below(figure, handles)


def rests_on(numbers: list[tuple[int, int]]) -> str:
    """Scored episodes and training seeds of some marks: `n = 134–402, 3 seeds`."""
    episodes, seeds = zip(*numbers, strict=True)
    said = f"n = {_range(episodes)}"
    if not max(seeds):
        return said
    return f"{said}, {_range(seeds)} {'seed' if max(seeds) == 1 else 'seeds'}"


def legend_below(figure: Figure, handles: list[Any]) -> None:
    """A legend under the panels, in as many columns as its longest name leaves room for."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = int(figure.get_figwidth() // (0.7 + 0.07 * longest))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=max(1, min(len(handles), columns)),
        fontsize=8,
        handlelength=3.2,
    )


def _range(numbers: tuple[int, ...]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def panels(number: int, *, height: float = 3.4, same_y: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, two or three in a row, each `height` inches high."""
    from matplotlib.figure import Figure

    across = 2 if number == 4 else min(number, 3)
    down = -(-number // across)
    figure = Figure(figsize=(WIDTHS[across], height * down + 0.5), layout="constrained")
    grid = figure.subplots(down, across, sharey=same_y, squeeze=False)
    axes = [ax for line in grid for ax in line]
    for ax in axes[number:]:
        ax.set_visible(False)
    return figure, axes[:number]


def parameter_ticks(ax: Axes, values: list[int]) -> None:
    """A tick for every model size, named as people say it."""
    from matplotlib.ticker import NullFormatter, NullLocator

    _spread(ax, [float(value) for value in values])
    ticks = sorted(set(values))
    kept = [t for i, t in enumerate(ticks) if not i or t > 1.25 * ticks[i - 1]]
    ax.set_xticks(kept, [size(tick).text for tick in kept])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


def number_ticks(ax: Axes, values: list[float]) -> None:
    """Round numbers, few enough to be read and enough to read between them."""
    from matplotlib.ticker import NullFormatter, NullLocator

    _spread(ax, values)
    low, high = ax.get_xlim()
    ticks: list[float] = []
    for steps in _STEPS:
        ticks = [s * 10.0**k for k in range(-3, 12) for s in steps if low <= s * 10.0**k <= high]
        if len(ticks) >= 3:
            break
    ax.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


_STEPS: tuple[tuple[float, ...], ...] = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
)
"""Ticks within a power of ten, coarse to fine."""


def _spread(ax: Axes, values: list[float]) -> None:
    """Room at both sides, also of a single value."""
    low, high = min(values), max(values)
    room = max((high / low) ** 0.12, 1.6)
    ax.set_xlim(low / room, high * room)
