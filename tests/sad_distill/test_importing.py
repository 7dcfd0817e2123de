"""Logs of other agents: what is cut into turns, and what is reported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.rendering import Format, render
from harness.store import read_episodes
from harness.trajectory import Outcome
from sad_distill.data import Selection, load_dataset
from sad_distill.importing import import_logs, write_imported
from sad_distill.segment import segment

MARKED = """Thought 1: I need to find a pen.
It may be on the desk.
Action 1: go to desk 1
Observation 1: You see a pen 2.
**Thought:** There it is.
**Action:** take pen 2 from desk 1
Observation: You pick up the pen 2.
Final Answer: done"""
COMMANDS = """You are in the middle of a room. You see a desk 1.
Your task is to: find a pen.
> think: To find a pen, I look at the desk.
OK.
> go to desk 1
On the desk 1, you see a pen 2.
> take pen 2 from desk 1
You pick up the pen 2."""


def spans_of(text: str) -> list[list[tuple[str, str]]]:
    return [[(span.kind, span.text) for span in turn.spans] for turn in segment(text).turns]


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_marked_text_is_cut_at_its_markers_whatever_their_dress() -> None:
    assert spans_of(MARKED) == [
        [
            ("reason", "Thought: I need to find a pen.\nIt may be on the desk.\n"),
            ("act", "Action: go to desk 1"),
            ("observation", "You see a pen 2."),
        ],
        [
            ("reason", "Thought: There it is.\n"),
            ("act", "Action: take pen 2 from desk 1"),
            ("observation", "You pick up the pen 2."),
        ],
        [("act", "Answer: done")],
    ]


def test_command_lines_are_cut_as_react_wrote_them() -> None:
    found = segment(COMMANDS)
    assert found.style == "react-alfworld"
    assert found.task.endswith("Your task is to: find a pen.")
    assert spans_of(COMMANDS) == [
        [("reason", "think: To find a pen, I look at the desk."), ("observation", "OK.")],
        [("act", "go to desk 1"), ("observation", "On the desk 1, you see a pen 2.")],
        [("act", "take pen 2 from desk 1"), ("observation", "You pick up the pen 2.")],
    ]


def test_action_input_belongs_to_the_action() -> None:
    text = "Thought: look it up\nAction: search\nAction Input: Ada Byron\nObservation: none"
    assert spans_of(text)[0][1] == ("act", "Action: search\nAction Input: Ada Byron")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Thought: a\nAction: b\nThought: cut off", "a thought without an action"),
        ("Observation: early\nAction: b", "an observation without an action"),
        ("Action: b\nObservation: c\nObservation: d", "a second observation"),
        ("Thought: a\nAction:\nAction: b", "an empty action"),
        ("Action Input: x\nAction: b", "an action input without an action"),
        ("> \n> look\nfine", "an empty command"),
    ],
)
def test_what_fits_in_no_turn_is_a_gap(text: str, reason: str) -> None:
    found = segment(text)
    assert [gap.reason for gap in found.gaps] == [reason]
    assert all(turn.action for turn in found.turns)


sections = st.sampled_from(["Thought: ", "Action: ", "Observation: ", "Answer: ", "> ", "", "\n"])
words = st.text(alphabet="ab .", max_size=6)


@given(st.lists(st.tuples(sections, words), max_size=12))
def test_no_word_is_lost_or_invented(parts: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{mark}{word.strip()}µ{i};" for i, (mark, word) in enumerate(parts))
    found = segment(text)
    told = [found.task, *(gap.text for gap in found.gaps)]
    told += [span.text for turn in found.turns for span in turn.spans]
    assert sorted(re.findall("µ[0-9]+;", " ".join(told))) == sorted(
        f"µ{i};" for i in range(len(parts))
    )


def test_alpaca_records_become_episodes(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Act.", "input": "Find a pen.", "output": MARKED},
        {"instruction": "Find a mug.", "input": "", "output": MARKED, "success": False},
        {"instruction": "Act.", "input": "Find a pen.", "output": "Sure!\n" + MARKED, "score": 1},
        {"instruction": "Act.", "input": "Find a cup.", "output": "I cannot do that."},
    ]
    episodes, report = import_logs([write(tmp_path, "log.json", rows)], name="log", env_id="e")
    assert [(one.prompt.instruction, one.prompt.task) for one in episodes] == [
        ("Act.", "Find a pen."), ("", "Find a mug."), ("Act.", "Find a pen."),
    ]  # fmt: skip
    assert [one.outcome for one in episodes] == [
        Outcome.SUCCESS, Outcome.FAILURE, Outcome.SUCCESS,
    ]  # fmt: skip
    # The same task twice is one task with two repeats.
    assert episodes[0].task_id == episodes[2].task_id
    assert [one.repeat for one in episodes] == [0, 0, 1]
    assert (report.records, report.episodes, report.turns) == (4, 3, 9)
    assert report.outcomes_assumed == 1
    assert report.by_reason() == {"text before the first turn": 1, "no turn": 1}
    assert report.problems[0].where == "log.json record 3"
    assert report.characters_unsegmented == len("Sure!") + len("I cannot do that.")


def test_json_lines_are_read_too(tmp_path: Path) -> None:
    line = json.dumps({"instruction": "a", "input": "b", "output": MARKED})
    file = write(tmp_path, "log.jsonl", f"{line}\n{line}\n")
    assert len(import_logs([file], name="log", env_id="e")[0]) == 2


def test_a_file_of_several_transcripts_is_parted(tmp_path: Path) -> None:
    file = write(tmp_path, "log.txt", f"{COMMANDS}\n{COMMANDS}\n-----\nTask.\n{MARKED}\n")
    episodes, report = import_logs([file], name="log", env_id="e")
    assert [len(one.turns) for one in episodes] == [3, 3, 3]
    assert [one.prompt.style for one in episodes] == [
        "react-alfworld", "react-alfworld", "thought-action",
    ]  # fmt: skip
    assert report.problems == []


def test_an_imported_command_transcript_renders_as_it_was(tmp_path: Path) -> None:
    file = write(tmp_path, "log.txt", COMMANDS)
    (episode,) = import_logs([file], name="log", env_id="e")[0]
    assert render(episode.prompt, episode.turns, None, Format()).text == COMMANDS + "\n"


def test_written_run_is_trained_on_and_keeps_its_split(tmp_path: Path) -> None:
    file = write(tmp_path, "log.txt", COMMANDS)
    episodes, _ = import_logs([file], name="log", env_id="e")
    write_imported(tmp_path / "run", episodes, split="train", files=[file])
    assert list(read_episodes(tmp_path / "run")) == episodes
    assert len(load_dataset([tmp_path / "run"], Selection()).episodes) == 1
    write_imported(tmp_path / "dev", episodes, split="dev", files=[file])
    with pytest.raises(HarnessError, match="an evaluation split"):
        load_dataset([tmp_path / "dev"], Selection())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "not valid JSON"),
        ("a.json", [{"prompt": "x"}], "expected text in instruction, input, output"),
        ("a.json", ["x"], "is str; expected"),
    ],
)
def test_files_of_another_form_are_refused(
    tmp_path: Path, name: str, content: Any, said: str
) -> None:
    with pytest.raises(HarnessError, match=said):
        import_logs([write(tmp_path, name, content)], name="log", env_id="e")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    mark = "\ufeff"
    files = [
        write(tmp_path, "log.txt", f"{mark}> think: Where is it?\nOK.\n> go to desk 1\nA desk.\n"),
        write(tmp_path, "log.json", mark + json.dumps([{"instruction": "", "output": MARKED}])),
    ]
    episodes, report = import_logs(files, name="logs", env_id="e")
    assert [len(episode.turns) for episode in episodes] == [2, 3]
    assert report.problems == []


def test_lines_of_json_end_at_newlines_alone(tmp_path: Path) -> None:
    output = "Thought: one\u2028two\x85three\nAction: go"
    line = json.dumps({"instruction": "task", "output": output}, ensure_ascii=False)
    (episode,), _ = import_logs([write(tmp_path, "a.jsonl", line + "\n")], name="a", env_id="e")
    assert episode.turns[0].text("reason") == "Thought: one\u2028two\x85three\n"


def test_a_record_that_is_no_unicode_text_is_reported(tmp_path: Path) -> None:
    torn = {"instruction": "task", "output": "Thought: \ud83d\nAction: go"}
    whole = {"instruction": "task", "output": "Action: look"}
    path = write(tmp_path, "a.json", [torn, whole])
    episodes, report = import_logs([path], name="a", env_id="e")
    assert [turn.action for episode in episodes for turn in episode.turns] == ["look"]
    assert report.by_reason() == {"half a surrogate pair": 1}
    assert report.problems[0].excerpt.isascii()
    write_imported(tmp_path / "run", episodes, split=None, files=[path])


def test_json_nested_too_deep_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="not valid JSON"):
        import_logs([write(tmp_path, "a.json", "[" * 100_000)], name="a", env_id="e")


def test_a_thought_among_commands_may_begin_with_a_capital() -> None:
    assert spans_of("> Think: Where is it?\nOK.\n> go to desk 1") == [
        [("reason", "Think: Where is it?"), ("observation", "OK.")],
        [("act", "go to desk 1")],
    ]
