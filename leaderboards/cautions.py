"""What a reader of the board would otherwise get wrong, a sentence each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from leaderboards import statistics
from leaderboards.board_table import env_name
from leaderboards.players import CHOICE, ColumnKey, Player, choice_of, teacher_of
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
                    f"are not scored ({', '.join(parts)}); "
                    + ("its rate is over the others." if result.n else "it has no rate.")
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
    yield from _choices(players, results, columns)
    yield from _short_intervals(results, columns)


def _choices(
    players: Sequence[Player], results: Results, columns: Sequence[ColumnKey]
) -> Iterator[str]:
    """Rows side by side, or a student and its teacher, that chose actions in different ways."""
    for column in columns:
        ways: dict[str, list[Player]] = defaultdict(list)
        for (i, where), _ in sorted(results.items()):
            if where == column and (way := choice_of(players[i])):
                ways[way].append(players[i])
        told = all(CHOICE[0] in p.variant for members in ways.values() for p in members)
        if len(ways) > 1 and not told:
            groups = [f"{way} ({join(p.name for p in members)})" for way, members in ways.items()]
            yield f"{env_name(column)}: rows chose actions in different ways, {join(groups)}."
    for player in players:
        place = teacher_of(player, players)
        if place is None or not any((place, column) in results for column in columns):
            continue
        own, taught = choice_of(player), choice_of(players[place])
        if own and taught and own != taught:
            yield (
                f"Retention of {player.name} mixes two ways of choosing actions: it was played "
                f"with {own}, its teacher with {taught}."
            )


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
