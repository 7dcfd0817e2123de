"""What a reader of the board would otherwise get wrong, a sentence each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from leaderboards import statistics
from leaderboards.board_table import env_name
from leaderboards.players import ColumnKey, Player, other_choice, teacher_of
from leaderboards.results import Results, measures_of
from leaderboards.table import join


def cautions_of(
    players: Sequence[Player], results: Results, columns: Sequence[ColumnKey]
) -> Iterator[str]:
    """Cautions in the order of the board's columns."""
    for column in columns:
        mine = {players[i].name: r for (i, where), r in results.items() if where == column}
        where = env_name(column)
        for name, result in mine.items():
            if result.planned is None:
                yield f"{where}: how many episodes of {name} were planned is not known."
            elif result.n < result.planned:
                tried = [f"{n} {outcome}" for outcome, n in result.unscored.items()]
                left = result.planned - result.n - sum(result.unscored.values())
                parts = [*tried, *([f"{left} not tried"] if left > 0 else [])]
                yield (
                    f"{where}: {result.planned - result.n} of {result.planned} episodes of {name} "
                    f"are not scored ({', '.join(parts)}); its rate is over the others."
                )
        task_sets: dict[frozenset[str], list[str]] = defaultdict(list)
        for name, result in mine.items():
            if result.n:
                task_sets[frozenset(map(str, result.frame.task_id))].append(name)
        if len(task_sets) > 1:
            groups = [f"{join(names)} ({len(tasks)})" for tasks, names in task_sets.items()]
            yield (
                f"{where}: the rows were scored on different tasks, {join(groups)}; compare them "
                "with --baseline, which takes the tasks in common."
            )
    for player in players:
        place = teacher_of(player, players)
        differ = None if place is None else other_choice(player, players[place])
        if place is not None and differ and any((place, c) in results for c in columns):
            yield (
                f"Retention of {player.name} mixes two ways of choosing actions: it was played "
                f"with {differ[0]}, its teacher with {differ[1]}."
            )
    yield from _short_intervals(results, columns)


def _short_intervals(results: Results, columns: Sequence[ColumnKey]) -> Iterator[str]:
    """A sentence per reason and set of rows, whatever the number of columns."""
    names_of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for column in columns:
        for (_, where), result in results.items():
            if where != column:
                continue
            for measure in measures_of(results, column):
                rate = result.rate(measure)
                if rate is None or rate.interval is None:
                    continue
                reason = statistics.known_short(rate.kind, result.n_tasks, result.player.seeds)
                place = env_name(column) + ("" if measure == "success" else ", score")
                if reason:
                    names_of[reason, place].append(result.player.name)
    where_of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (reason, place), names in names_of.items():
        where_of[reason, join(names)].append(place)
    for (reason, who), places in where_of.items():
        yield f"{'; '.join(places)}: the interval of {who} is known to be short: {reason}."
