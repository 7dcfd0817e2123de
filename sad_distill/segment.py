"""Text of ReAct agents cut into turns.

Two forms are read. In *marked* text a line begins with `Thought:`, `Action:`, `Observation:` or
`Answer:` (numbered or bold, in any case; `Reasoning:` is a thought, `Final Answer:` an answer), and
what follows belongs to it up to the next marker. In *command* text a line `> think: …` (in any
case) is a thought and any other line `> …` an action; what follows is the observation.

Nothing is invented and nothing is lost: whatever is in no span is given back as a `Gap`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.styles import get_style
from harness.trajectory import Span, Turn

_WORDS = {
    "thought": "thought", "reasoning": "thought", "think": "thought", "action": "action",
    "action input": "input", "observation": "observation", "answer": "answer",
    "final answer": "answer",
}  # fmt: skip
_BOLD = r"(?:\*\*|__)?"
_MARK = re.compile(
    r"(?im)^[ \t]*(?:#+[ \t]*)?" + _BOLD + r"(?P<word>thought|reasoning|think|action input|action|"
    r"observation|final answer|answer)[ \t]*\d*[ \t]*" + _BOLD + r"[ \t]*:" + _BOLD + r"[ \t]*"
)
_COMMAND = re.compile(r"(?m)^>[ \t]*(?P<line>.*)$")


@dataclass(frozen=True)
class Gap:
    """Text that is in no span, and why."""

    reason: str
    text: str


@dataclass
class Segmented:
    """What a text was cut into: the text before the first turn, the turns, and the gaps."""

    style: str
    task: str = ""
    turns: list[Turn] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def is_command_text(text: str) -> bool:
    """Whether `> …` lines, and no marked lines, make up the turns of a text."""
    return _COMMAND.search(text) is not None and _MARK.search(text) is None


def segment(text: str) -> Segmented:
    """Cut a text of either form; without any turn when it has none."""
    return segment_commands(text) if is_command_text(text) else segment_marked(text)


def segment_commands(text: str) -> Segmented:
    """Cut a text of `> …` lines. Empty commands are gaps."""
    found = Segmented("react-alfworld")
    marks = list(_COMMAND.finditer(text))
    found.task = text[: marks[0].start() if marks else len(text)].strip()
    for index, mark in enumerate(marks):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(text)
        observed = text[mark.end() : end].strip()
        line = mark["line"].strip()
        if not line:
            found.gaps.append(Gap("an empty command", text[mark.start() : end].strip()))
            continue
        kind = "reason" if line.casefold().startswith("think:") else "act"
        found.turns.append(_turn([(kind, line)], observed or None, line))
    return found


def segment_marked(text: str) -> Segmented:
    """Cut a text of marked lines. A thought that no action follows is a gap."""
    found = Segmented("thought-action")
    marks = list(_MARK.finditer(text))
    found.task = text[: marks[0].start() if marks else len(text)].strip()
    open_turn = _Open()
    for index, mark in enumerate(marks):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(text)
        word = _WORDS[mark["word"].lower()]
        open_turn = _take(found, open_turn, word, text[mark.end() : end].strip())
    _close(found, open_turn)
    return found


@dataclass
class _Open:
    """A turn that is being read."""

    thought: str = ""
    act: str = ""
    action: str = ""
    observation: str | None = None


def _take(found: Segmented, turn: _Open, word: str, content: str) -> _Open:
    """Add one marked section; gives the turn that goes on."""
    if word == "observation":
        if not turn.act:
            found.gaps.append(Gap("an observation without an action", content))
        elif turn.observation is not None:
            found.gaps.append(Gap("a second observation", content))
        else:
            turn.observation = content
        return turn
    if not content:
        found.gaps.append(Gap(f"an empty {word}", ""))
        return turn
    if word == "input":
        if not turn.act or turn.observation is not None:
            found.gaps.append(Gap("an action input without an action", content))
            return turn
        turn.act += f"\nAction Input: {content}"
        turn.action += f"\nAction Input: {content}"
        return turn
    if word == "thought":
        if turn.thought and not turn.act:
            turn.thought += f"\n{content}"
            return turn
        _close(found, turn)
        return _Open(thought=content)
    if turn.act:
        _close(found, turn)
        turn = _Open()
    mark = "Answer: " if word == "answer" else get_style("thought-action").action_mark
    turn.act, turn.action = mark + content, content
    return turn


def _close(found: Segmented, turn: _Open) -> None:
    """Put a finished turn away."""
    if not turn.act:
        if turn.thought:
            found.gaps.append(Gap("a thought without an action", turn.thought))
        return
    pieces = [("reason", f"Thought: {turn.thought}\n")] if turn.thought else []
    found.turns.append(_turn([*pieces, ("act", turn.act)], turn.observation, turn.action))


def _turn(pieces: list[tuple[str, str]], observation: str | None, action: str) -> Turn:
    spans = [Span(kind=kind, text=text) for kind, text in pieces]  # type: ignore[arg-type]
    if observation is not None:
        spans.append(Span(kind="observation", text=observation))
    return Turn(
        spans=tuple(spans), raw_completion="".join(text for _, text in pieces), action=action
    )
