"""The HotPotQA expert's thoughts: why it takes an action, in one to three short sentences.

A thought quotes the sentence that leads on or that answers, as it was read, and says what comes
next. The wording is chosen by seed, task and turn, and differs from that of the turn before.
"""

from __future__ import annotations

from dataclasses import dataclass

from sad_envs.dice import Dice
from sad_envs.hotpotqa.tasks import Fact

_QUOTED = 160
"""A longer sentence is quoted in part."""

_WORDINGS = {
    "start": (
        "I need to find out about {name} first.",
        "The question is about {name}, so I begin there.",
        "First I search for {name}.",
        "{name} is named in the question; its article should help.",
        "I start with {name}.",
    ),
    "start_comparison": (
        "Two things are compared. I begin with {name}.",
        "I have to look at both; first {name}.",
        "To compare them I need both articles. I start with {name}.",
        "Both have to be checked, {name} first.",
    ),
    "words": (
        "The question describes something without naming it, so I search with its words.",
        "I do not know what this is called. A search for the description may tell.",
        "There is no single name to go by; I search with what the question says.",
    ),
    "listed": (
        "{name} in the list fits the question.",
        "Of these titles, {name} is the one I need.",
        "No article has exactly that title, but {name} looks right.",
        "The list offers {name}, which should be it.",
    ),
    "which": (
        "That name has several meanings. What I need should be {name}.",
        "Several things are called that; I try {name}.",
        "It is ambiguous, so I ask for {name}.",
    ),
    "follow": (
        "It says: “{quote}” So I need {name} next.",
        "I read that “{quote}” Now I search for {name}.",
        "“{quote}” That leads to {name}.",
        "The article says “{quote}” The next thing to find is {name}.",
    ),
    "next": (
        "Next I need {name}.",
        "Now I look at {name}.",
        "What is still missing is {name}.",
    ),
    "next_read": (
        "I note: “{quote}” Next I need {name}.",
        "So “{quote}” Now for {name}.",
        "“{quote}” That is one part; the other is {name}.",
    ),
    "lookup": (
        "What is shown does not tell. I look for “{name}” on this page.",
        "The opening leaves it out, so I look up “{name}”.",
        "It may stand further down; I look for “{name}”.",
        "Not in the first sentences. A look-up of “{name}” should find it.",
    ),
    "lookup_again": (
        "That is not the sentence I need; there may be another with “{name}”.",
        "Not this one. I look for “{name}” again.",
        "I go on to the next sentence with “{name}”.",
    ),
    "finish": (
        "It says: “{quote}” So the answer is {name}.",
        "I read: “{quote}” That answers the question: {name}.",
        "“{quote}” Therefore the answer is {name}.",
        "The article says “{quote}” The answer is {name}.",
    ),
    "finish_comparison": (
        "{quotes} So the answer is {name}.",
        "{quotes} Comparing the two, the answer is {name}.",
        "I have both. {quotes} The answer is {name}.",
    ),
    "finish_together": (
        "From what I have read, the answer is {name}.",
        "Putting together what I read, I answer {name}.",
        "What I found points to {name}.",
    ),
    "give_up": (
        "I did not find what is asked for, so I leave the answer empty.",
        "Nothing that I read tells the answer. I will not guess.",
    ),
}


@dataclass(frozen=True)
class Step:
    """An action and its reason, a key of the wordings.

    Attributes:
        name: what is searched for, looked up or answered.
        facts: what was read that leads to it.
    """

    action: str
    reason: str
    name: str = ""
    facts: tuple[Fact, ...] = ()


class Narrator:
    """Says the thoughts of one episode."""

    def __init__(self, seed: int, task_id: str) -> None:
        self._dice = Dice("thoughts", seed, task_id)
        self._last = ""

    def say(self, step: Step) -> str:
        """The thought for `step`."""
        wordings = [one for one in _WORDINGS[step.reason] if one != self._last]
        self._last = self._dice.one_of(wordings)
        quote = quoted(step.facts[-1].sentence, step.name) if step.facts else ""
        quotes = " ".join(
            f"On {fact.title}: “{quoted(fact.sentence, step.name)}”" for fact in step.facts
        )
        thought = self._last.format(name=step.name.rstrip("."), quote=quote, quotes=quotes)
        return " ".join(thought.split())


def quoted(sentence: str, name: str) -> str:
    """The sentence, or as much of a long one around `name` as is worth repeating."""
    if len(sentence) <= _QUOTED:
        return sentence
    at = max(0, sentence.lower().find(name.lower()))
    start = sentence.rfind(" ", 0, max(0, at - _QUOTED // 2)) + 1 if at > _QUOTED // 2 else 0
    end = start + _QUOTED
    if end >= len(sentence):
        return "… " * (start > 0) + sentence[start:]
    return "… " * (start > 0) + sentence[start : sentence.rfind(" ", start, end)] + " …"
