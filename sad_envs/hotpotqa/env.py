"""HotPotQA in ReAct style as a Gymnasium environment: search, look up, answer.

Actions are `search[ENTITY]`, `lookup[KEYWORD]`, `finish[ANSWER]` and `think[ANYTHING]`: the action
is trimmed and must then begin with one of these, in lower case, and end with a bracket. Any other
is answered `Invalid action: …`, changes nothing, and counts as an action. Observations are those
of the ReAct code, their final newlines included; see `sad_envs.hotpotqa.wiki` for a search and
`sad_envs.hotpotqa.pages` for sentences.

A search that opens a page resets the look-up; one that does not leaves both as they are. After
seven actions without an answer the empty answer is given, as upstream's agent does: the episode is
truncated, `info["steps"]` counts that answer too, and the observation is that of the last action.

The reward is exact match; `info` has `steps` and `answer`, at the end also `gt_answer`, `em`, `f1`,
`reward` and `question_idx`, the question's place in the file or set it is from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from sad_envs.base import (
    Beginning,
    Consequence,
    EnvError,
    Policy,
    PromptParts,
    TextTaskEnv,
    did_you_mean,
)
from sad_envs.hotpotqa.pages import Lookup, Page
from sad_envs.hotpotqa.scoring import exact_match, f1
from sad_envs.hotpotqa.splits import find_split
from sad_envs.hotpotqa.tasks import Question
from sad_envs.hotpotqa.wiki import Wiki
from sad_envs.search import ENGINES, EngineName


class HotPotQAEnv(TextTaskEnv):
    """Questions that take two articles, answered with a Wikipedia tool.

    Args:
        split: see `sad_envs.hotpotqa.splits`.
        faithful: end sentences as upstream does, a paragraph's last one with two periods.
        engine: `bm25`, embedded, or `lucene` on a JVM (extra `lucene`); they rank alike.
        index: an index folder to search in place of the split's own articles.
        max_steps: actions per episode.
    """

    dynamics: ClassVar[str] = "hotpotqa-1"

    def __init__(
        self,
        *,
        split: str = "generated:0",
        faithful: bool = False,
        engine: EngineName = "bm25",
        index: Path | str | None = None,
        max_steps: int | None = 7,
        render_mode: str | None = None,
    ) -> None:
        if engine not in ENGINES:
            raise EnvError(f"HotPotQA has no engine {engine!r}" + did_you_mean(engine, ENGINES))
        self._split = find_split(split, index)
        super().__init__(
            split=split,
            max_steps=max_steps,
            arguments={"split": self._split.name, "faithful": faithful, "engine": engine},
            render_mode=render_mode,
        )
        self._faithful = faithful
        self._engine: EngineName = engine
        self._wiki: Wiki | None = None
        self._question = Question("", 0, "", "", "")
        self._page: Page | None = None
        self._lookup = Lookup()
        self._answer: str | None = None

    @property
    def task_ids(self) -> Sequence[str]:
        return self._split.task_ids

    def task_type(self, task_id: str) -> str:
        return self._split.question(task_id).type

    def data_digest(self) -> str:
        return f"{self._split.digest()} {self._split.corpus.digest(self._engine)}"

    def make_expert(self, seed: int) -> Policy:
        from sad_envs.hotpotqa.expert import make_expert

        return make_expert(self._split, seed, self._tool().similar)

    def prompt(self, style: str = "thought-action", shots: int | None = None) -> PromptParts:
        from sad_envs.hotpotqa.prompts import prompt_parts

        return prompt_parts(style, shots, faithful=self._faithful)

    def close(self) -> None:
        # A generated split's engine belongs to the process.
        if self._wiki is not None and self._split.corpus.seed is None:
            self._wiki.engine.close()
        self._wiki = None

    def _begin(self, task_id: str) -> Beginning:
        self._question = self._split.question(task_id)
        self._page, self._lookup, self._answer = None, Lookup(), None
        observation = f"Question: {self._question.question}"
        return Beginning(
            observation=observation,
            goal=self._question.question,
            task_type=self._question.type,
            extra={**self._told(0), "level": self._question.level},
        )

    def _act(self, action: str) -> Consequence:
        action = action.strip()
        name, bracket, rest = action.partition("[")
        if not bracket or not rest.endswith("]"):
            return self._going_on(f"Invalid action: {action}", valid=False)
        argument = rest[:-1]
        if name == "search":
            return self._going_on(self._search(argument))
        if name == "lookup":
            return self._going_on(self._lookup.next(argument, self._page))
        if name == "think":
            return self._going_on("Nice thought.")
        if name == "finish":
            return self._finished(argument, steps=self._n_steps + 1)
        return self._going_on(f"Invalid action: {action}", valid=False)

    def _search(self, entity: str) -> str:
        found = self._tool().search(entity)
        if found.page is not None:
            self._page, self._lookup = found.page, Lookup()
        return found.observation

    def _tool(self) -> Wiki:
        if self._wiki is None:
            self._wiki = Wiki(self._split.corpus.open(self._engine), self._faithful)
        return self._wiki

    def _going_on(self, observation: str, *, valid: bool = True) -> Consequence:
        return Consequence(observation, valid_action=valid, extra=self._told(self._n_steps + 1))

    def _finished(self, answer: str, *, steps: int) -> Consequence:
        self._answer = answer
        gold = self._question.answer
        em = exact_match(answer, gold)
        return Consequence(
            observation=f"Episode finished, reward = {int(em)}\n",
            reward=float(em),
            terminated=True,
            success=em,
            score=float(em),
            extra={
                **self._told(steps),
                "gt_answer": gold,
                "question_idx": self._question.index,
                "reward": float(em),
                "em": em,
                "f1": f1(answer, gold),
            },
        )

    def _out_of_steps(self, consequence: Consequence) -> Consequence:
        ended = self._finished("", steps=self._n_steps + 1)
        return replace(
            ended,
            observation=consequence.observation,
            terminated=False,
            valid_action=consequence.valid_action,
        )

    def _told(self, steps: int) -> dict[str, Any]:
        """What `info` says of the episode at every step."""
        return {"steps": steps, "answer": self._answer, "level": self._question.level}
