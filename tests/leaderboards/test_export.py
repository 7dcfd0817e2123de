"""Exported runs: facts and text, chat examples, ATIF documents, and the command around them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.store import RunStore, read_episodes
from harness.trajectory import (
    Episode,
    ExampleTurn,
    Outcome,
    Prompt,
    PromptExample,
    Span,
    Turn,
    Usage,
)
from leaderboards.export import jsonl_rows, sft_rows

HARNESS = (sys.executable, "-c", "from harness.cli import main; main()")


def turn(reason: str, act: str, observation: str, **more: Any) -> Turn:
    spans = [("reason", reason), ("act", act), ("observation", observation)]
    return Turn(
        spans=tuple(Span(kind=kind, text=text) for kind, text in spans if text),  # type: ignore[arg-type]
        raw_completion=reason + act,
        action=act.removeprefix("Action: ") or None,
        **more,
    )


EPISODE = Episode(
    env_id="sad/Kettle-v1",
    env_version="kettle-1",
    task_id="tea/1",
    task_type="tea",
    goal="make tea",
    seed=5,
    agent="react",
    model="smollm2",
    outcome=Outcome.SUCCESS,
    success=True,
    score=1.0,
    n_steps=2,
    n_invalid=1,
    usage=Usage(model_calls=2, prompt_tokens=50, cached_tokens=20, completion_tokens=12),
    wall_seconds=1.5,
    prompt=Prompt(
        instruction="You make tea.",
        examples=(
            PromptExample(
                task="Make coffee.",
                turns=(ExampleTurn(thought="Beans.", action="grind", observation="Done."),),
            ),
        ),
        task="A kettle is here. Make tea.",
    ),
    turns=(
        turn(
            "Thought: Water first.\n", "Action: boil", "It boils.", valid=True,
            usage=Usage(model_calls=1, prompt_tokens=20, completion_tokens=7),
            completion_ids=(4, 9), finish_reason="stop",
        ),
        turn(
            "Thought: I wonder.", "", "No action found.", valid=False, reward=1.0,
            usage=Usage(model_calls=1, prompt_tokens=30, cached_tokens=20, completion_tokens=5),
        ),
    ),
)  # fmt: skip

EXPERT = EPISODE.model_copy(
    update={
        "agent": "expert", "model": None, "usage": Usage(), "task_id": "tea/2",
        "prompt": EPISODE.prompt.model_copy(update={"examples": ()}),
        "turns": (turn("Thought: Water first.\n", "Action: boil", "It boils."),),
    }
)  # fmt: skip


def make_run(folder: Path, *episodes: Episode, split: str = "generated:0:9") -> Path:
    decides = {"agent": {"agent": "react"}, "env": {"split": split}, "env_id": "sad/Kettle-v1"}
    store = RunStore(folder, {"decides": decides, "request": {}}, resume=False)
    store.write_env({"packages": {"structured-agent-distillation": "9.8.7"}})
    for episode in episodes:
        store.append(episode)
    store.close()
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "tea", EPISODE, EXPERT)


def harness(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HARNESS, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_spans_of_a_jsonl_row_are_a_partition_of_its_text(run: Path) -> None:
    for row in jsonl_rows([run]):
        pieces = [row["text"][span["start"] : span["end"]] for span in row["spans"]]
        assert "".join(pieces) == row["text"]
        assert ("act", "Action: boil\n") in [
            (span["kind"], piece) for span, piece in zip(row["spans"], pieces, strict=True)
        ]


def test_a_jsonl_row_has_the_facts_of_its_episode(run: Path) -> None:
    first = next(jsonl_rows([run]))
    assert first["run"] == "tea"
    assert (first["task_id"], first["outcome"], first["score"]) == ("tea/1", "success", 1.0)
    assert first["usage"]["cached_tokens"] == 20
    assert first["actions"] == ["boil", None]
    assert first["valid"] == [True, False]


def test_chat_messages_are_what_a_model_is_sent() -> None:
    (row,) = sft_rows([("tea", EXPERT)])
    assert row["messages"] == [
        {"role": "system", "content": "You make tea."},
        {"role": "user", "content": "A kettle is here. Make tea."},
        {"role": "assistant", "content": "Thought: Water first.\nAction: boil"},
        {"role": "user", "content": "Observation: It boils."},
    ]


def test_examples_are_in_the_prompt_of_a_turn_and_not_in_its_completion() -> None:
    (row,) = sft_rows([("tea", EPISODE)], per_turn=True)
    assert row["completion"] == [
        {"role": "assistant", "content": "Thought: Water first.\nAction: boil"}
    ]
    assert {"role": "assistant", "content": "Thought: Beans.\nAction: grind"} in row["prompt"]


def test_an_evaluation_split_is_not_exported_for_training(tmp_path: Path) -> None:
    judged = make_run(tmp_path / "judged", EXPERT, split="valid_unseen")
    done = harness("export", judged, "--format", "sft")
    assert done.returncode == 2
    assert "valid_unseen" in done.stderr
    assert not (judged / "export").exists()


def test_failures_are_exported_for_training_only_when_asked_for(tmp_path: Path) -> None:
    failed = {"outcome": Outcome.FAILURE, "success": False, "score": 0.0}
    mixed = make_run(tmp_path / "mixed", EXPERT, EPISODE.model_copy(update=failed))
    for more, expected in (((), 1), (("--all-outcomes",), 2)):
        done = harness("export", mixed, "--format", "sft", "--out", "-", *more)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == expected


def test_exported_twice_is_the_same_bytes_in_the_run_folder(run: Path) -> None:
    for name, kind in (("episodes.jsonl", "jsonl"), ("episodes.csv", "csv")):
        written = []
        for _ in range(2):
            done = harness("export", run, "--format", kind)
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == str(run / "export" / name)
            written.append((run / "export" / name).read_bytes())
        assert written[0] == written[1]
        assert b"tea/1" in written[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "xml"), "expected jsonl, csv, atif, sft"),
        (("--format", "csv", "--per-turn"), "are for --format sft"),
        (("--format", "atif", "--out", "-"), "give --out a folder"),
    ],
)
def test_a_wrong_option_is_one_line(run: Path, arguments: tuple[str, ...], words: str) -> None:
    done = harness("export", run, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="expected a folder that 'harness run' wrote"):
        next(jsonl_rows([tmp_path]))


def test_episodes_of_several_runs_go_where_out_says(run: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", EPISODE)
    assert "--out" in harness("export", run, other).stderr
    done = harness("export", run, other, "--out", tmp_path / "both.jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "both.jsonl").read_text().splitlines()]
    assert [row["run"] for row in rows] == ["tea", "tea", "other"]
    assert len(list(read_episodes(run))) == 2


def test_a_task_too_long_for_a_file_name_is_exported_under_a_digest(tmp_path: Path) -> None:
    names = ["\u65e5" * 90 + end for end in "ab"]
    episodes = [EPISODE.model_copy(update={"task_id": name}) for name in names]
    folder = make_run(tmp_path / "long", *episodes)
    done = harness("export", folder, "--format", "atif", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 2
