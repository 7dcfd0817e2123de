"""Five renderers of one report: the same bytes again, and nothing lost or let through."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from board_runs import play, student
from typer.testing import CliRunner

from harness.cli.report import report as report_command
from harness.errors import HarnessError
from leaderboards.render import FORMATS, render
from leaderboards.render.latex import escape
from leaderboards.report import make_report
from leaderboards.table import Cell, Column, Report, Row, Table

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    solved = [i % 3 == 0 for i in range(30)]
    more = {"env_id": "sad/WebShop-v1", "env_version": "webshop-1+a", "split": "test"}
    return [
        play(tmp_path / "expert", [True] * 30, agent="expert"),
        play(tmp_path / "random", [False] * 30, agent="random"),
        play(tmp_path / "shop", solved, agent="random", scores=[0.5 + s / 2 for s in solved],
             **more),
        *(student(tmp_path / f"sad{s}", solved[s:] + solved[:s], seed=s) for s in range(3)),
    ]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_same_runs_give_the_same_bytes(form: str, runs: list[Path]) -> None:
    one, two = (
        render(make_report(order, baseline=runs[1], by_type=True, figures=form == "html"), form)
        for order in (runs, runs[::-1])
    )
    assert one == two
    assert one.endswith("\n")


@pytest.mark.parametrize("form", FORMATS)
def test_every_number_is_there(form: str, runs: list[Path]) -> None:
    made = make_report(runs, baseline=runs[1])
    text = render(made, form)
    for table in made.tables:
        for row in table.rows:
            for cell in row.cells:
                shown = escape(cell.text) if form == "latex" else cell.text
                shown = shown.replace("<", "&lt;") if form == "html" else shown
                assert shown in text or cell.text == "–", cell


def test_unknown_format_is_refused(runs: list[Path]) -> None:
    with pytest.raises(HarnessError, match="expected one of md, csv, latex, html, json"):
        render(make_report(runs), "xls")


def evil_report() -> Report:
    columns = (Column("a", EVIL), Column("b", "b | c", unit="%"))
    rows = (Row((Cell(EVIL), Cell("50 % & 1_2", 50.0, 40.0, 60.0))),)
    return Report(EVIL, (Table("t", EVIL, columns, rows, notes=(EVIL,)),), (EVIL,), (EVIL,))


def test_html_shows_a_script_and_does_not_run_it() -> None:
    text = render(evil_report(), "html")
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_html_needs_nothing_from_outside(runs: list[Path]) -> None:
    class Addresses(HTMLParser):
        found: list[str]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "img", "iframe")
            for name, value in attrs:
                if name in ("src", "href", "xlink:href"):
                    assert value is not None
                    assert value.startswith("#"), value

    text = render(make_report(runs, figures=True), "html")
    Addresses().feed(text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#|.?#)", text)


def test_markdown_marks_are_escaped() -> None:
    text = render(evil_report(), "md")
    assert "\\<script>" in text
    assert "b \\| c" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3


def test_markdown_leaves_names_and_p_values_readable() -> None:
    table = Table("t", "t", (Column("a", "a"),), (Row((Cell("valid_unseen <0.001"),)),))
    assert "valid_unseen <0.001" in render(Report("r", (table,)), "md")


def test_csv_is_one_tidy_table(runs: list[Path]) -> None:
    text = render(make_report(runs, baseline=runs[1]), "csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    (found,) = (
        line
        for line in lines
        if line["table"] == "board" and line["method"] == "expert" and line["column"] == "success"
    )
    assert (found["value"], found["unit"], found["n"]) == ("100", "%", "30")
    assert float(found["low"]) == pytest.approx(88.65, abs=0.01)
    (pupil,) = (r for r in lines if r["method"] == "sad" and r["column"] == "scored"
                and r["table"] == "board")  # fmt: skip
    assert pupil["parameters"] == "1000000"


def test_json_has_numbers_and_words(runs: list[Path]) -> None:
    data = json.loads(render(make_report(runs), "json"))
    assert data["tables"][0]["key"] == "board"
    assert data["warnings"]
    assert data["tables"][0]["rows"][0]["cells"][0]["text"] == "expert"


def test_latex_is_booktabs_and_ascii(runs: list[Path]) -> None:
    text = render(make_report(runs, baseline=runs[1]), "latex")
    assert text.isascii()
    assert "\\toprule" in text
    assert "\\hline" not in text
    assert text.count("\\begin{") == text.count("\\end{")
    for spec, body in re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}(.*?)\\end", text, re.S):
        for line in body.splitlines():
            if line.endswith(r"\\") and "multicolumn" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == len(spec) - 1, line


def test_latex_signs_are_escaped() -> None:
    assert escape("50 % & 1_2 #3 ~x^2 {a} \\b") == (
        r"50 \% \& 1\_2 \#3 \textasciitilde{}x\textasciicircum{}2 \{a\} \textbackslash{}b"
    )


def test_figures_are_in_the_page(runs: list[Path]) -> None:
    text = render(make_report(runs, figures=True), "html")
    assert text.count("<figure>") >= 1
    assert text.count("<svg") > text.count('class="interval"')


def test_command_writes_the_file_it_is_given(runs: list[Path], tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(report_command)
    out = tmp_path / "new" / "board.csv"
    done = CliRunner().invoke(app, [*map(str, runs), "--format", "csv", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text() == render(make_report(runs), "csv")


def test_figures_keep_their_size_on_a_phone(runs: list[Path]) -> None:
    text = render(make_report(runs, figures=True), "html")
    assert text.count('<div class="drawing" tabindex="0"') == text.count("<figure>")
    assert ".drawing svg { max-width: none; }" in text.partition("(max-width: 600px)")[2]


def test_the_first_column_leaves_room_for_others_on_a_phone(runs: list[Path]) -> None:
    text = render(make_report(runs), "html")
    assert '<th scope="row"><span class="title">' in text
    assert ".title { max-width: 45vw; }" in text.partition("(max-width: 600px)")[2]
