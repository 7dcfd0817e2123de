"""The HotPotQA expert: finds the supporting articles, reads the supporting sentences, answers.

It knows which articles and sentences support the answer, and the answer; it behaves as one who
finds them. What it searches for stands in the question, in a sentence it has read, or in a list it
was shown; when no article is named there it asks the engine with the question's own words, and of
the many ways to choose these it takes one that works. A
supporting sentence that a page's opening does not show is looked up with words that are known from
the question or from reading. It answers when all supporting sentences were read, or the answer was
and nothing leads on; the last turn is always an answer. What it has not read it does not say: where
the answer was not found, it is empty.

Actions depend on the task and the observations; thoughts also on the seed. Both are the same in
every process. It refuses tasks without supporting facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sad_envs.base import EnvError, Info, Policy
from sad_envs.hotpotqa.reading import (
    bare,
    bracket,
    content_words,
    listed_titles,
    mention,
    names,
    partial_mention,
    related_words,
    same_title,
    was_read,
)
from sad_envs.hotpotqa.scoring import normalise
from sad_envs.hotpotqa.splits import Split
from sad_envs.hotpotqa.tasks import Fact, Question
from sad_envs.hotpotqa.thoughts import Narrator, Step

TURNS = 7
"""Turns it plans with."""

LOOKUPS = 3
"""Look-ups on one page before it goes on."""


def make_expert(split: Split, seed: int, similar: Callable[[str], list[str]]) -> Policy:
    """A policy for the tasks of `split`; `seed` varies its thoughts.

    `similar` gives the titles that a search would offer for a query.
    """
    return Expert(split, seed, similar)


@dataclass
class _Progress:
    """What happened in one episode."""

    question: Question
    narrator: Narrator
    similar: Callable[[str], list[str]]
    observed: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    all_listed: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    n_lookups: int = 0
    given_up: set[str] = field(default_factory=set)
    last: Step = field(default_factory=lambda: Step("", "start"))

    @property
    def texts(self) -> list[str]:
        """Everything that was read, the question first."""
        return [self.question.question, *self.observed]

    def titles(self) -> list[str]:
        """The supporting articles, those named first in the question first."""
        question = self.question.question

        def place(title: str) -> tuple[int, int]:
            for rank, find in enumerate((mention, partial_mention)):
                found = find(title, question)
                if found:
                    return rank, question.find(found)
            return 2, 0

        return sorted(dict.fromkeys(fact.title for fact in self.question.facts), key=place)

    def missing(self, title: str) -> list[Fact]:
        """Facts of an article that were not read yet."""
        read = self.read()
        return [fact for fact in self.question.facts if fact.title == title and fact not in read]

    def was_opened(self, title: str) -> bool:
        """Whether the article was opened, by its title."""
        return any(same_title(title, opened) for opened in self.opened)

    def read(self) -> list[Fact]:
        """Facts that were read."""
        facts = self.question.facts
        return [
            fact
            for fact in facts
            if was_read(fact.sentence, self.observed)
            # Two articles may say the same; then it counts where it was read.
            and (
                self.was_opened(fact.title)
                or all(o.title == fact.title for o in facts if o.sentence == fact.sentence)
            )
        ]

    def note(self, observation: str) -> None:
        """Take in the answer to the last action."""
        verb, _, argument = self.last.action[:-1].partition("[")
        titles = listed_titles(observation) if verb == "search" else None
        if titles is not None:
            self.listed = titles
            self.all_listed += titles
            if observation.startswith(f"Could not find [{argument}]"):
                self.ambiguous.append(argument)
        elif verb == "search":
            self.n_lookups = 0
            self.opened.append(argument)
            self.observed.append(observation)
        elif verb == "lookup":
            self.n_lookups += 1
            if observation.startswith("(Result"):
                self.observed.append(observation.partition(") ")[2])
            else:
                self.given_up.add(argument.lower())


@dataclass
class Expert:
    """The policy of `make_expert`."""

    split: Split
    seed: int
    similar: Callable[[str], list[str]]
    _progress: _Progress | None = None

    def __call__(self, observation: str, info: Info) -> tuple[str, str]:
        """The thought and action of one turn, given the latest observation."""
        progress = self._progress
        if info["steps"] == 0 or progress is None or progress.question.task_id != info["task_id"]:
            question = self.split.question(info["task_id"])
            if not question.facts:
                raise EnvError(
                    f"split {self.split.name!r} has no supporting facts for the expert to find; "
                    "run: harness data fetch hotpotqa-dev, or choose another agent"
                )
            narrator = Narrator(self.seed, question.task_id)
            progress = self._progress = _Progress(question, narrator, self.similar)
        else:
            progress.note(observation)
        step = decide(progress, last_turn=info["steps"] >= TURNS - 1)
        progress.last = step
        return progress.narrator.say(step), step.action


def decide(progress: _Progress, *, last_turn: bool) -> Step:
    """The next action and its reason."""
    needed = [title for title in progress.titles() if progress.missing(title)]
    if not needed or last_turn:
        return _finish(progress)
    for attempt in (_from_list, _look_up, _by_name, _by_part_of_name, _if_told, _by_words):
        step = attempt(progress, needed)
        if step is not None:
            progress.tried.append(step.action)
            return step
    return _finish(progress)


def _if_told(progress: _Progress, needed: list[str]) -> Step | None:
    """Answer when the answer was read and nothing that was read leads on."""
    return _finish(progress) if _told(progress) else None


def _told(progress: _Progress) -> list[Fact]:
    """The facts that were read and hold the answer."""
    answer = normalise(progress.question.answer)
    return [fact for fact in progress.read() if answer in normalise(fact.sentence)]


def _finish(progress: _Progress) -> Step:
    """Answer what was read; nothing, when the answer was neither read nor follows."""
    question = progress.question
    complete = not any(progress.missing(fact.title) for fact in question.facts)
    seen = normalise(" ".join((*progress.observed, *progress.all_listed)))
    if question.type == "comparison" and complete:
        reason, facts = "finish_comparison", _one_each(progress.read())
    elif question.type == "bridge" and _told(progress):
        reason, facts = "finish", _told(progress)[-1:]
    elif complete or normalise(question.answer) in seen:
        reason, facts = "finish_together", []
    else:
        return Step("finish[]", "give_up")
    return Step(f"finish[{question.answer}]", reason, question.answer, tuple(facts))


def _one_each(facts: list[Fact]) -> list[Fact]:
    """The first fact of every article."""
    return list({fact.title: fact for fact in reversed(facts)}.values())[::-1]


def _from_list(progress: _Progress, needed: list[str]) -> Step | None:
    """Open an article that a list just offered."""
    if not progress.last.action.startswith("search["):
        return None
    for title in needed:
        if title in progress.listed and _new(progress, f"search[{title}]"):
            return Step(f"search[{title}]", "listed", title)
    return None


def _look_up(progress: _Progress, needed: list[str]) -> Step | None:
    """Look for a sentence of the open page that its opening does not show."""
    if not progress.opened or progress.n_lookups == LOOKUPS:
        return None
    page = next((title for title in needed if same_title(title, progress.opened[-1])), None)
    if page is None:
        return None
    for fact in progress.missing(page):
        for keyword in _keywords(progress, fact):
            if keyword.lower() not in progress.given_up:
                again = progress.last.action == f"lookup[{keyword}]"
                reason = "lookup_again" if again else "lookup"
                return Step(f"lookup[{keyword}]", reason, keyword)
    return None


def _keywords(progress: _Progress, fact: Fact) -> Iterator[str]:
    """Names and words that are known, and stand in the fact; the most telling first.

    Words of the article's own title, which many of its sentences hold, come last.
    """
    sentence = fact.sentence.lower()
    own = set(content_words(fact.title.lower()))
    question, *read = progress.texts
    for name in names(question):
        if name.lower() in sentence and not own & set(content_words(name.lower())):
            yield name
    yield from related_words(question, sentence, own)
    for text in reversed(read):
        yield from (word for word in content_words(text) if word.lower() in sentence and
                    len(word) > 3 and word.lower() not in own)  # fmt: skip
    yield from (word for word in content_words(fact.title) if word.lower() in sentence)


def _by_name(progress: _Progress, needed: list[str]) -> Step | None:
    """Search for an article that the question or a sentence names."""
    return _by_mention(progress, needed, mention)


def _by_part_of_name(progress: _Progress, needed: list[str]) -> Step | None:
    return _by_mention(progress, needed, partial_mention)


def _by_mention(
    progress: _Progress, needed: list[str], find: Callable[[str, str], str | None]
) -> Step | None:
    for title in needed:
        if progress.was_opened(title):
            continue
        for text in progress.texts:
            named = find(title, text)
            if named is None:
                continue
            for entity in (named, *_with_bracket(progress, title, named)):
                if _new(progress, f"search[{entity}]"):
                    return _search(progress, entity, named)
    return None


def _with_bracket(progress: _Progress, title: str, named: str) -> Iterator[str]:
    """The name with the word that tells it from others, as titles have it.

    That word was read, or is guessed once the name has turned out to have several meanings.
    """
    kind = bracket(title)
    if kind and same_title(bare(title), named):
        known = " ".join(progress.texts).lower()
        if named in progress.ambiguous or all(
            word in known for word in content_words(kind.lower())
        ):
            yield title


def _search(progress: _Progress, entity: str, named: str) -> Step:
    read = progress.read()
    leading = [fact for fact in read if named in fact.sentence]
    comparison = progress.question.type == "comparison"
    if not progress.tried:
        return Step(f"search[{entity}]", "start_comparison" if comparison else "start", entity)
    if progress.last.name == named:
        return Step(f"search[{entity}]", "which", entity)
    if leading and not comparison:
        return Step(f"search[{entity}]", "follow", entity, tuple(leading[-1:]))
    news = [fact for fact in read if was_read(fact.sentence, progress.observed[-1:])]
    reason = "next_read" if comparison and news else "next"
    return Step(f"search[{entity}]", reason, entity, tuple(news[:1]))


def _by_words(progress: _Progress, needed: list[str]) -> Step | None:
    """Ask the engine with words of the question, of all such queries one that helps.

    Without one, only the first attempt is made; what else would be searched for leads nowhere.
    """
    unread = [title for title in needed if not progress.was_opened(title)]
    queries = [query for query in _queries(progress.question.question) if query]
    for query in queries:
        if _new(progress, f"search[{query}]") and set(unread) & set(progress.similar(query)):
            return _worded(progress, query)
    if not progress.tried and queries:
        return _worded(progress, queries[0])
    return None


def _worded(progress: _Progress, query: str) -> Step:
    reason = "words"
    if query in names(progress.question.question):
        reason = "next" if progress.tried else "start"
    return Step(f"search[{query}]", reason, query)


def _queries(question: str) -> Iterator[str]:
    """Names in the question, then runs of its telling words, the longer ones first."""
    yield from (name for name in names(question) if " " in name)
    telling = content_words(question)
    for size in (8, 6, 4, 3, 2):
        for start in range(max(1, len(telling) - size + 1)):
            yield " ".join(telling[start : start + size])


def _new(progress: _Progress, action: str) -> bool:
    return action.lower() not in (tried.lower() for tried in progress.tried)
