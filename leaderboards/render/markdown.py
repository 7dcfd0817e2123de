"""Markdown: tables that also read well on a terminal."""

from __future__ import annotations

import re

from leaderboards.render.panels import heading, panels
from leaderboards.table import Report, Table

# What would be read as a mark: an underscore within a word and `<` before a digit are not.
_MARKS = re.compile(r"[\\`*]|<(?=[A-Za-z/!?])|(?<![^\W_])_|_(?![^\W_])")


def to_markdown(report: Report) -> str:
    """The report in GitHub's Markdown."""
    blocks = [f"# {plain(report.title)}"]
    if report.warnings:
        blocks.append("\n".join(f"> **Caution.** {plain(w)}\n>" for w in report.warnings)[:-2])
    for table in report.tables:
        blocks.append(f"## {plain(table.title)}")
        blocks += [plain(note) for note in table.notes]
        for group, panel in panels(table):
            if group:
                blocks.append(f"### {plain(group)}")
            blocks.append(grid(panel, with_groups=not group))
    if report.notes:
        blocks.append("## Notes")
        blocks.append("\n".join(f"- {plain(note)}" for note in report.notes))
    return "\n\n".join(blocks) + "\n"


def grid(table: Table, *, with_groups: bool = True) -> str:
    """One table without its title and notes; `with_groups` puts a column's group in its heading."""
    titles = [
        f"{column.group}: {heading(column)}" if with_groups and column.group else heading(column)
        for column in table.columns
    ]
    lines = [[_cell(title) for title in titles]]
    lines += [[_cell(cell.text, cell.link) for cell in row.cells] for row in table.rows]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(titles))]
    named = table.n_names
    drawn = [_line(line, widths, named) for line in lines]
    rule = [("-" * w) if i < named else ("-" * (w - 1) + ":") for i, w in enumerate(widths)]
    return "\n".join([drawn[0], _line(rule, widths, named), *drawn[1:]])


def _line(cells: list[str], widths: list[int], named: int) -> str:
    parts = [
        cell.ljust(width) if i < named else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(parts)} |"


def _cell(text: str, link: str | None = None) -> str:
    text = plain(text).replace("|", "\\|")
    return f"[{text}]({link})" if link else text


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = " ".join(text.split())
    return _MARKS.sub(r"\\\g<0>", text)
