"""Figures of a report: success against size and against tokens, bars, and training curves.

`figures_for` takes what the tables are made of, so that a figure and its table cannot disagree.
Every figure says its units and how many episodes each mark rests on. Whiskers are the table's 95 %
intervals; of a row with few training seeds the one over seeds, which is about what the method gives
when it is trained again. What was not measured is not drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.store import EPISODES
from leaderboards.board_table import env_name
from leaderboards.curves import Curve, curves_of, draw_curves, read_curve
from leaderboards.drawing import GREY, LIGHT, SOFT, Drawing, clean, inline, mark, style
from leaderboards.load import frame_of
from leaderboards.players import ColumnKey, Player, players_of, teaches
from leaderboards.plotting import Entries, number_ticks, panels, parameter_ticks, rests_on
from leaderboards.results import Rate, Result, Results, results_of
from leaderboards.runs import read_runs
from leaderboards.table import Figure as InlineFigure
from leaderboards.table import size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ONE_POINT = "n is the number of scored episodes of a point, seeds those of training."
_INTERVALS = (
    "Whiskers are 95 % intervals: about tasks, or over training seeds where a row has 2 to 9 that "
    "differ."
)


def figures_for(
    players: Sequence[Player],
    results: Results,
    columns: Sequence[ColumnKey],
    curves: Iterable[Curve] = (),
) -> tuple[InlineFigure, ...]:
    """The figures that the results allow, as inline SVG; the same bytes for the same results.

    Raises:
        HarnessError: matplotlib is not installed.
    """
    return tuple(map(inline, drawings(players, results, columns, curves)))


def draw(folders: Iterable[Path]) -> list[Drawing]:
    """The figures of some run directories and training folders.

    Raises:
        HarnessError: a folder is neither, versions of an environment are mixed, or a package of
            the extra `report` is not installed.
    """
    runs, curves = [], []
    for folder in folders:
        curve = read_curve(folder) if not (folder / EPISODES).exists() else None
        if curve is not None:
            curves.append(curve)
        else:
            runs.append(folder)
    described = sorted(read_runs(runs), key=lambda run: (run.name, run.digest)) if runs else []
    players = players_of(described)
    results = results_of(players, frame_of(described)) if described else {}
    columns = sorted({column for _, column in results}, key=lambda c: (env_name(c), c))
    known = [*curves, *curves_of(described)]
    return drawings(players, results, columns, list(dict.fromkeys(known)))


def drawings(
    players: Sequence[Player],
    results: Results,
    columns: Sequence[ColumnKey],
    curves: Iterable[Curve] = (),
) -> list[Drawing]:
    """The figures that the results allow, in the order of a report."""
    with style():
        board = _Board(players, results, columns)
        drawn = [board.by_parameters(), board.by_tokens(), board.bars(), draw_curves(list(curves))]
    return [drawing for drawing in drawn if drawing is not None]


Point = tuple[Player, Result, Rate]


class _Board:
    """Draws players; a method and its settings have the same mark in every figure."""

    def __init__(
        self, players: Sequence[Player], results: Results, columns: Sequence[ColumnKey]
    ) -> None:
        self._columns = columns
        self._points: dict[ColumnKey, list[Point]] = {column: [] for column in columns}
        for (place, column), result in sorted(results.items()):
            rate = result.rate("success")
            if rate is not None:
                self._points[column].append((players[place], result, rate))
        names = [_series(player) for player in players if player.kind != "reference"]
        self._marks = {name: mark(place) for place, name in enumerate(dict.fromkeys(names))}
        students = [player for player in players if player.kind == "student"]
        self._teachers = {
            id(one) for one in players if any(teaches(one, student) for student in students)
        }
        references = [player for player in players if player.kind == "reference"]
        sized = [id(player) for player in references if player.model_name]
        self._markers = {key: _REFERENCE_MARKERS[i % 4] for i, key in enumerate(sized)}
        self._lines = _reference_lines(references, self._teachers)

    def by_parameters(self) -> Drawing | None:
        """Success against parameters: a line per method, the teacher's level across."""
        parts = {c: [p for p in self._points[c] if _sized(p)] for c in self._columns}
        shown = [column for column in self._columns if parts[column]]
        if not shown:
            return None
        figure, axes = panels(len(shown))
        entries = Entries()
        for ax, column in zip(axes, shown, strict=True):
            ax.set_xscale("log")
            parameter_ticks(ax, [p.parameters or 1 for p, _, _ in parts[column]])
            for name, points in _grouped(parts[column]).items():
                self._line(ax, entries, name, points)
            for player, result, rate in self._points[column]:
                if player.kind == "reference":
                    self._level(ax, entries, player, result, rate)
            _label(ax, column, "parameters")
        entries.legend(figure)
        caption = (
            f"Success rate (% of scored episodes) against parameters of the model, log scale. "
            f"{_INTERVALS} {_ONE_POINT} Horizontal lines: the "
            "teacher with its interval shaded, and other references."
        )
        return Drawing("success-parameters", "Success against parameters", caption, figure)

    def by_tokens(self) -> Drawing | None:
        """Success against tokens per episode, with the best trade-offs joined."""
        parts = {c: [p for p in self._points[c] if p[1].tokens is not None] for c in self._columns}
        shown = [column for column in self._columns if parts[column]]
        if not shown:
            return None
        figure, axes = panels(len(shown))
        entries = Entries()
        for ax, column in zip(axes, shown, strict=True):
            ax.set_xscale("log")
            points = parts[column]
            number_ticks(ax, [result.tokens or 1.0 for _, result, _ in points])
            best = _front(ax, entries, points)
            for place, (player, result, rate) in enumerate(points):
                self._dot(ax, entries, player, result, rate, labelled=place in best)
            _label(ax, column, "tokens per episode, in and out")
        entries.legend(figure)
        caption = (
            "Success rate (% of scored episodes) against tokens per episode, read and generated, "
            f"log scale. {_INTERVALS} {_ONE_POINT} The grey line "
            "joins the rows that none beats with as few tokens, named by their size; higher and "
            "further left is better."
        )
        return Drawing("success-tokens", "Success against tokens per episode", caption, figure)

    def bars(self) -> Drawing | None:
        """A bar per row: methods and their ablations at every scale."""
        rows = list(
            dict.fromkeys(
                id(player) for c in self._columns for player, _, _ in self._points[c]
            )
        )  # fmt: skip
        if not rows:
            return None
        players = {id(p): p for c in self._columns for p, _, _ in self._points[c]}
        order = [players[key] for key in rows]
        order.sort(key=lambda p: (_KINDS.index(p.kind), -(p.parameters or 0), p.model_name))
        height = 1.1 + 0.3 * len(order)
        shown = [column for column in self._columns if self._points[column]]
        figure, axes = panels(len(shown), height=height)
        for ax, column in zip(axes, shown, strict=True):
            known = {id(player): (result, rate) for player, result, rate in self._points[column]}
            for place, player in enumerate(order):
                if id(player) in known:
                    self._bar(ax, place, player, *known[id(player)])
            ax.set_xlim(0, 100)
            ax.set_ylim(len(order) - 0.4, -0.6)
            ax.grid(visible=False, axis="y")
            ax.set_title(clean(env_name(column)))
            ax.set_xlabel("success, % of scored episodes")
        names = [self._row_name(player) for player in order]
        axes[0].set_yticks(range(len(order)), names)
        # Long names take room of their own, not that of the bars.
        longest = max(map(len, names))
        figure.set_figwidth(figure.get_figwidth() + 0.07 * max(0, longest - 20))
        caption = (
            f"Success rate (% of scored episodes) of every row, by scale. {_INTERVALS} n is the "
            "number of scored episodes, seeds those of training."
        )
        return Drawing("success-methods", "Success by method", caption, figure)

    def _line(self, ax: Axes, entries: Entries, name: str, points: list[Point]) -> None:
        how = self._marks[name]
        points = sorted(points, key=lambda p: p[0].parameters or 0)
        # Methods of one size stand beside each other, not on each other.
        shift = 1.0 + 0.035 * (list(self._marks).index(name) - (len(self._marks) - 1) / 2)
        x = [(player.parameters or 1) * shift for player, _, _ in points]
        ax.errorbar(
            x,
            [100 * rate.value for _, _, rate in points],
            yerr=_whiskers([rate for _, _, rate in points]),
            color=how.colour,
            marker=how.marker,
            linestyle=how.line,
            capsize=3,
            elinewidth=1.0,
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
        entries.add(clean(name), how, [result for _, result, _ in points])

    def _level(
        self, ax: Axes, entries: Entries, player: Player, result: Result, rate: Rate
    ) -> None:
        teacher, line = id(player) in self._teachers, self._lines[id(player)]
        low_high = rate.over_seeds or rate.interval
        if teacher and low_high:
            ax.axhspan(100 * low_high[0], 100 * low_high[1], color=LIGHT, alpha=0.6, lw=0, zorder=0)
        ax.axhline(100 * rate.value, color=GREY, linestyle=line, linewidth=1.2, zorder=1)
        entries.add_line(clean(self._name(player)), line, result)

    def _dot(
        self,
        ax: Axes,
        entries: Entries,
        player: Player,
        result: Result,
        rate: Rate,
        *,
        labelled: bool,
    ) -> None:
        how = self._marks.get(_series(player))
        x = result.tokens or 0.0
        star = self._markers.get(id(player), "*")
        reference = how is None
        ax.errorbar(
            [x],
            [100 * rate.value],
            yerr=_whiskers([rate]),
            color=GREY if how is None else how.colour,
            marker=star if how is None else how.marker,
            markersize=10 if star == "*" and reference else 6.5,
            linestyle="",
            capsize=3,
            elinewidth=1.0,
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
        if player.parameters and labelled:
            ax.annotate(
                size(player.parameters).text,
                (x, 100 * rate.value),
                xytext=(6, 5),
                textcoords="offset points",
                fontsize=7.5,
                color=GREY,
            )
        if how is None:
            entries.add_reference(clean(self._name(player)), star, result)
        else:
            entries.add(clean(_series(player)), how, [result], joined=False)

    def _bar(self, ax: Axes, place: int, player: Player, result: Result, rate: Rate) -> None:
        how = self._marks.get(_series(player))
        ax.barh(
            place,
            100 * rate.value,
            height=0.66,
            color="#c9c9c9" if how is None else how.colour,
            alpha=1.0 if how is None else 0.75,
            edgecolor="white" if how is not None and how.hatch else GREY,
            hatch="" if how is None else how.hatch,
            linewidth=0.0,
        )
        low_high = rate.over_seeds or rate.interval
        if low_high:
            ax.errorbar(
                [100 * rate.value],
                [place],
                xerr=_whiskers([rate]),
                color="black",
                capsize=3,
                lw=1.0,
            )
        ax.annotate(
            f"{100 * rate.value:.1f} ({rests_on([(result.n, player.seeds)])})",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )

    def _name(self, player: Player) -> str:
        return f"teacher: {player.name}" if id(player) in self._teachers else player.name

    def _row_name(self, player: Player) -> str:
        parameters = size(player.parameters).text if player.parameters else ""
        return ", ".join(filter(None, (clean(self._name(player), 52), parameters)))


_KINDS = ("reference", "agent", "student")

_REFERENCE_MARKERS = ("*", "h", "d", "8")
_REFERENCE_LINES: dict[str, Any] = {"expert": (0, (6, 2)), "random": (0, (1, 1.5))}
_TEACHER_LINES: tuple[Any, ...] = ("-", (0, (12, 1.5, 2, 1.5)), (0, (12, 1.5, 2, 1.5, 2, 1.5)))
_OTHER_LINES: tuple[Any, ...] = ((0, (3, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (3, 3)))


def _reference_lines(references: Sequence[Player], teachers: set[int]) -> dict[int, Any]:
    """A line for every reference; those of several teachers differ."""
    lines: dict[int, Any] = {}
    taught, others = itertools.cycle(_TEACHER_LINES), itertools.cycle(_OTHER_LINES)
    for player in references:
        if id(player) in teachers:
            lines[id(player)] = next(taught)
        elif player.method in _REFERENCE_LINES and not player.variant:
            lines[id(player)] = _REFERENCE_LINES[player.method]
        else:
            lines[id(player)] = next(others)
    return lines


def _series(player: Player) -> str:
    """What a line is about: a student's method, else the model as it is."""
    variant = f" ({player.variant})" if player.variant else ""
    if player.kind == "student":
        return f"{player.method}{variant}"
    return player.name


def _sized(point: Point) -> bool:
    player = point[0]
    return player.parameters is not None and player.kind != "reference"


def _grouped(points: Iterable[Point]) -> dict[str, list[Point]]:
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(_series(point[0]), []).append(point)
    return groups


def _whiskers(rates: list[Rate]) -> list[list[float]]:
    """Lengths below and above, in percent, as matplotlib wants them; none where not known."""
    below, above = [], []
    for rate in rates:
        low, high = rate.over_seeds or rate.interval or (rate.value, rate.value)
        below.append(100 * max(0.0, rate.value - max(0.0, low)))
        above.append(100 * max(0.0, min(1.0, high) - rate.value))
    return [below, above]


def _front(ax: Axes, entries: Entries, points: list[Point]) -> set[int]:
    """Join the points that no other beats, as a step since nothing lies between; their places."""
    order = sorted(
        range(len(points)), key=lambda place: (points[place][1].tokens, -points[place][2].value)
    )
    best: list[int] = []
    for place in order:
        if not best or points[place][2].value > points[best[-1]][2].value:
            best.append(place)
    if len(best) > 1:
        x = [points[place][1].tokens or 0.0 for place in best]
        y = [100 * points[place][2].value for place in best]
        ax.step(x, y, where="post", color=SOFT, linewidth=1.0, zorder=1)
        entries.add_front()
    return set(best)


def _label(ax: Axes, column: ColumnKey, x: str) -> None:
    ax.set_title(clean(env_name(column)))
    ax.set_xlabel(x)
    ax.set_ylim(-3, 103)
    if ax.get_subplotspec() is None or ax.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        ax.set_ylabel("success, % of scored episodes")
