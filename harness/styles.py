"""Turn styles: how a thought and an action are written, and how a completion is read back.

A style fixes the markers the harness inserts, the stop strings, how a known (thought, action) pair
is written as a turn, and how a real completion is cut into a reason span, an act span and a
discarded tail. Parsing never raises and never invents: every character it keeps stands in the
completion in the same order, only blanks at the ends of the two spans are trimmed.

Known styles: `thought-action` (the default everywhere) and the protocols of the original ReAct
code, `react-alfworld` (`> command` lines, `> think: …` answered by `OK.`), `react-hotpotqa`
(`Thought 1:`, `Action 1:`, `Observation 1:`, numbered by turn) and `react-webshop` (one `Action:`
line per turn, `think[…]` answered by `OK.`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.errors import HarnessError

DEFAULT_STYLE = "thought-action"


@dataclass(frozen=True)
class Parsed:
    """A completion, read. `reason + act` is what the transcript keeps; `action` None if absent."""

    reason: str
    act: str
    action: str | None
    thinking_turn: bool = False


@dataclass(frozen=True)
class Style:
    """One turn protocol.

    Its markers may be numbered: `{i}` in them stands for the number of the turn, which `at` fills
    in. Everything that reads or writes a turn does so with the style at that turn.

    Attributes:
        lead: what the harness writes before every turn in plain text; joins the preceding span.
        gap: canonical blank between `lead` and the generated text; part of the generated span.
        observation_mark: what the harness writes before an observation.
        task_mark: what the harness writes between the examples and the task.
        stop, stop_line: where a completion ends (see `harness.models.base.Request`).
        action_mark: what stands before an action where the harness may have to write it.
        thinking: how a thought that is a turn of its own is written; None where it shares a turn.
    """

    name: str
    lead: str
    gap: str
    observation_mark: str
    task_mark: str
    stop: tuple[str, ...]
    stop_line: str | None
    reminder: str
    action_mark: str = "Action: "
    thinking: str | None = None

    def at(self, turn: int) -> Style:
        """The style for turn `turn`, the first being 0; itself when markers have no number."""
        template = get_style(self.name)
        if "{i}" not in template.lead:
            return template
        number = str(turn + 1)
        return replace(
            template,
            lead=template.lead.replace("{i}", number),
            observation_mark=template.observation_mark.replace("{i}", number),
            action_mark=template.action_mark.replace("{i}", number),
            stop=tuple(stop.replace("{i}", number) for stop in template.stop),
        )

    def compose(self, thought: str, action: str) -> str:
        """The completion that states `thought`, then `action`; either may be empty."""
        if self.thinking is not None:
            return self.thinking.format(thought) if thought else action
        if self.name == "react-hotpotqa":
            if not action:
                return thought
            return f"{thought}\n{self.action_mark}{action[:1].upper()}{action[1:]}"
        lines = [
            f"Thought: {thought}" if thought else "",
            f"{self.action_mark}{action}" if action else "",
        ]
        return "\n".join(line for line in lines if line)

    def parse(self, completion: str) -> Parsed:
        """Cut a completion into spans; the first action counts, the rest is the tail."""
        if self.thinking is not None:
            return _parse_command_line(completion, self.lead.strip(), self.thinking)
        if self.name == "react-hotpotqa":
            return _parse_marked_once(completion, "\n" + self.action_mark)
        return _parse_thought_action(completion)

    def continuation(self, completion: str) -> tuple[str, tuple[str, ...]] | None:
        """How to ask once more for the action that `completion` lacks; None to leave it.

        In `react-hotpotqa` a completion without exactly one action marker keeps its first line as
        the thought, and the model completes the action after it. Gives the text the turn then
        begins with, without its last blank, and the stop strings of the second completion.
        """
        if self.name != "react-hotpotqa" or self.parse(completion).action is not None:
            return None
        thought = completion.strip().split("\n")[0]
        return f"{thought}\n{self.action_mark.rstrip()}", ("\n",)

    @property
    def one_line(self) -> bool:
        """Whether a thought is a turn of its own, answered by `OK.` and costing a step."""
        return self.thinking is not None


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        Style(
            name=DEFAULT_STYLE,
            lead="",
            gap="",
            observation_mark="Observation: ",
            task_mark="",
            stop=("\nObservation:",),
            stop_line="Action:",
            reminder="No action found. Reply with one line that begins with 'Action:'.",
        ),
        Style(
            name="react-alfworld",
            lead=">",
            gap=" ",
            observation_mark="",
            task_mark="Here is the task.\n",
            stop=("\n",),
            stop_line=None,
            reminder="Nothing happens.",
            thinking="think: {}",
        ),
        Style(
            name="react-hotpotqa",
            lead="Thought {i}:",
            gap=" ",
            action_mark="Action {i}: ",
            observation_mark="Observation {i}: ",
            task_mark="",
            stop=("\nObservation {i}:",),
            stop_line=None,
            reminder="Invalid action: ",
        ),
        Style(
            name="react-webshop",
            lead="\nAction:",
            gap=" ",
            observation_mark="Observation: ",
            task_mark="",
            stop=("\n",),
            stop_line=None,
            reminder="Invalid action!",
            thinking="think[{}]",
        ),
    )
}


def get_style(name: str) -> Style:
    """Look a style up by the name an environment or an episode gives."""
    if name not in STYLES:
        raise HarnessError(f"unknown turn style {name!r}; expected one of {', '.join(STYLES)}")
    return STYLES[name]


# A marker may be bold, numbered, of any case: "Action:", "ACTION 3:", "**Action:**", "### Action:".
_BOLD = r"(?:\*\*|__)?"
_MARK = (
    r"[ \t]*(?:[#>*_]+[ \t]*)?{word}[ \t]*\d*[ \t]*"
    + _BOLD
    + r"[ \t]*[:\uff1a]"
    + _BOLD
    + r"[ \t]*"
)
_ACTION_LINE = re.compile(r"(?im)^" + _MARK.format(word="action"))
_ACTION_INLINE = re.compile(r"(?i)(?<![\w-])action[ \t]*\d*[ \t]*[:\uff1a]")
_OBSERVATION_LINE = re.compile(r"(?im)^" + _MARK.format(word="observation"))
_OBSERVATION_INLINE = re.compile(r"(?i)[ \t]observation[ \t]*\d*[ \t]*[:\uff1a]")
_THOUGHT_LINE = re.compile(r"(?im)^" + _MARK.format(word="thought"))
_THINK_BLOCK = re.compile(r"(?is)<think>.*?(?:</think>|\Z)|\A.*?</think>")


def _parse_thought_action(completion: str) -> Parsed:
    # Markers inside a <think> block are thoughts about acting, not actions.
    block = _THINK_BLOCK.match(completion.lstrip())
    start = len(completion) - len(completion.lstrip()) + (block.end() if block else 0)
    observation = _OBSERVATION_LINE.search(completion, start)
    end = observation.start() if observation else len(completion)
    for pattern in (_ACTION_LINE, _ACTION_INLINE):
        for mark in pattern.finditer(completion, start, end):
            line_end = _action_end(completion, mark.end(), end)
            if line_end is None:
                continue
            invented = _OBSERVATION_INLINE.search(completion, mark.end(), line_end)
            line_end = invented.start() if invented else line_end
            act = completion[mark.start() : line_end].strip()
            action = _clean(completion[mark.end() : line_end])
            if action:
                before = completion[: mark.start()].lstrip()
                reason = before.rstrip()
                gap = before[len(reason) :]
                joint = "\n" if "\n" in gap else gap[:1]
                return Parsed(reason + joint, act, action)
    return Parsed(completion[:end].strip(), "", None)


def _action_end(text: str, start: int, end: int) -> int | None:
    """Where the action that starts after its marker ends: its line, or the next one if empty."""
    line_end = text.find("\n", start, end)
    line_end = end if line_end < 0 else line_end
    if text[start:line_end].strip():
        return line_end
    rest = text[line_end:end]
    following = line_end + len(rest) - len(rest.lstrip())
    if (
        following >= end
        or _THOUGHT_LINE.match(text, following)
        or _ACTION_LINE.match(text, following)
    ):
        return None
    line_end = text.find("\n", following, end)
    return end if line_end < 0 else line_end


def _clean(action: str) -> str:
    """The action without the quotes, backticks or bold marks that models put around it."""
    action = action.strip()
    for mark in ("**", "`", '"', "'"):
        if len(action) > 2 * len(mark) and action.startswith(mark) and action.endswith(mark):
            action = action[len(mark) : -len(mark)].strip()
    return action


def _parse_command_line(completion: str, lead: str, thinking: str) -> Parsed:
    line = next((line.strip() for line in completion.split("\n") if line.strip()), "")
    line = line.removeprefix(lead).strip()
    if line.startswith(thinking.partition("{}")[0].strip()):
        return Parsed(line, "", line, thinking_turn=True)
    return Parsed("", line, line or None)


def _parse_marked_once(completion: str, mark: str) -> Parsed:
    """Thought and action around `mark`, which must stand there exactly once.

    The first character of the action is put in lower case, as upstream does; a blank there stays.
    """
    thought, *actions = completion.rstrip().split(mark)
    if len(actions) != 1 or not actions[0]:
        return Parsed(completion.strip(), "", None)
    (action,) = actions
    reason = thought.strip()
    return Parsed(
        reason + "\n" if reason else "", mark[1:] + action, action[:1].lower() + action[1:]
    )


def resolve_action(action: str, admissible: Sequence[str] | None) -> str:
    """The admissible action that `action` plainly means, or `action` itself.

    In this order: itself; equal up to case and spacing; with a final period or comma dropped; the
    longest admissible action it begins with at a word's end ("go to desk 1 to look for a pen").
    """
    if not admissible or action in admissible:
        return action
    wanted = " ".join(action.casefold().split())
    by_key = {" ".join(known.casefold().split()): known for known in admissible}
    for candidate in (wanted, wanted.rstrip(" .,;!")):
        if candidate in by_key:
            return by_key[candidate]
    prefixes = [
        key
        for key in by_key
        if key and wanted.startswith(key) and not wanted[len(key) : len(key) + 1].isalnum()
    ]
    return by_key[max(prefixes, key=len)] if prefixes else action
