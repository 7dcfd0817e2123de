"""One episode: an agent and an environment until one of them ends it.

A bad rollout is data, not a crash: whatever goes wrong is classified once, by the boundary it
crossed (environment, agent, provider), and becomes the episode's outcome.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.agents.base import Agent, Context, Reply
from harness.errors import ContextOverflow, HarnessError, ProviderError
from harness.styles import DEFAULT_STYLE, Parsed, get_style, resolve_action
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
from harness.worker import EnvFailure, EnvWorker, clean_text


@dataclass(frozen=True)
class Job:
    """One episode that a run owes."""

    env_id: str
    env_version: str
    task_id: str
    repeat: int
    run_seed: int
    task_type: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.env_id, self.task_id, self.repeat

    @property
    def seed(self) -> int:
        """The episode's seed, from run seed, task and repeat alone."""
        text = f"{self.run_seed}\n{self.task_id}\n{self.repeat}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


class Stopped(Exception):
    """The run was interrupted; the episode is dropped and owed again."""


def rollout(
    worker: EnvWorker,
    agent: Agent,
    job: Job,
    *,
    style: str,
    shots: int | None,
    model: str | None,
    stopped: Callable[[], bool] = lambda: False,
) -> Episode:
    """Play one episode. Raises `HarnessError` only for what would spoil every episode."""
    started = time.monotonic()
    recorder = _Recorder(job, agent.name, model)
    try:
        observation, info = worker.reset(job.task_id, job.seed)
        recorder.begin(observation, info, _prompt(worker, agent, style, shots, observation))
        context = Context(
            prompt=recorder.prompt,
            style=get_style(recorder.prompt.style),
            observation=observation,
            info=info,
            seed=job.seed,
            session="/".join(map(str, job.key)),
            expert=worker.expert,
            turns=recorder.turns,
        )
        while recorder.outcome is None:
            if stopped():
                raise Stopped
            _turn(worker, agent, context, recorder)
    except EnvFailure as error:
        recorder.fail(Outcome.ENV_ERROR, str(error))
    except ContextOverflow as error:
        recorder.truncate_context(str(error))
    except ProviderError as error:
        recorder.fail(Outcome.PROVIDER_ERROR, str(error))
    except (HarnessError, Stopped):
        raise
    except Exception as error:  # noqa: BLE001  the boundary: an agent's bug is an outcome
        recorder.fail(Outcome.AGENT_ERROR, f"{type(error).__name__}: {error}")
    return recorder.episode(time.monotonic() - started)


def _prompt(
    worker: EnvWorker, agent: Agent, style: str, shots: int | None, observation: str
) -> Prompt:
    """The environment's prompt.

    Agents that need none get it too, without examples unless asked for, so that their episodes
    show a student what it will be shown; an environment without prompts then gives a bare one.
    """
    try:
        parts = worker.prompt(style, shots if agent.wants_prompt else shots or 0)
    except HarnessError:
        if agent.wants_prompt or style != DEFAULT_STYLE:
            raise
        return Prompt(style=style, task=observation)
    return Prompt(
        style=parts["style"],
        instruction=parts["instruction"],
        examples=tuple(
            PromptExample(
                task=example["task"],
                turns=tuple(
                    ExampleTurn(thought=thought, action=action, observation=seen)
                    for thought, action, seen in example["turns"]
                ),
            )
            for example in parts["examples"]
        ),
        task=observation if parts["task"] is None else parts["task"],
    )


def _turn(worker: EnvWorker, agent: Agent, context: Context, recorder: _Recorder) -> None:
    style = context.style = context.style.at(len(context.turns))
    reply = agent.reply(context)
    reply = replace(reply, text=clean_text(reply.text))
    parsed = style.parse(reply.text)
    action = parsed.action
    if action is not None and not parsed.thinking_turn and not style.one_line:
        action = resolve_action(action, context.info.get("admissible_actions"))
    # A turn without an action still costs a step, so that an episode always ends.
    observation, reward, terminated, truncated, info = worker.step(action or "")
    valid = bool(info["valid_action"])
    if parsed.thinking_turn:
        observation, valid = "OK.", True
    elif action is None:
        observation, valid = style.reminder, False
    recorder.turn(reply, parsed, action, observation, valid, reward, info)
    context.observation, context.info = observation, info
    if terminated or truncated:
        recorder.end(truncated and not terminated, info)


class _Recorder:
    """Collects an episode while it happens, so that a failure keeps what came before it."""

    def __init__(self, job: Job, agent: str, model: str | None) -> None:
        self.prompt = Prompt()
        self.turns: list[Turn] = []
        self.outcome: Outcome | None = None
        self._row: dict[str, Any] = {
            "env_id": job.env_id,
            "env_version": job.env_version,
            "task_id": job.task_id,
            "repeat": job.repeat,
            "seed": job.seed,
            "agent": agent,
            "model": model,
            "task_type": job.task_type,
        }
        self._score = 0.0

    def begin(self, observation: str, info: dict[str, Any], prompt: Prompt) -> None:
        self.prompt = prompt
        self._row.update(task_type=info["task_type"], goal=clean_text(info["goal"]))

    def turn(
        self,
        reply: Reply,
        parsed: Parsed,
        action: str | None,
        observation: str,
        valid: bool,
        reward: float,
        info: dict[str, Any],
    ) -> None:
        spans = [Span(kind="reason", text=parsed.reason)] if parsed.reason else []
        if parsed.act:
            spans.append(Span(kind="act", text=parsed.act))
        spans.append(Span(kind="observation", text=observation))
        self.turns.append(
            Turn(
                spans=tuple(spans),
                raw_completion=reply.text,
                action=action,
                valid=valid,
                reward=float(reward),
                finish_reason=reply.finish_reason,
                usage=reply.usage,
                completion_ids=reply.ids,
            )
        )
        self._score = float(info["score"])
        self._row["format"] = reply.format
        self._row["exact_text"] = reply.exact_text

    def end(self, truncated: bool, info: dict[str, Any]) -> None:
        if info["success"]:
            self._finish(Outcome.SUCCESS, True)
        else:
            self._finish(Outcome.TRUNCATED_STEPS if truncated else Outcome.FAILURE, False)

    def truncate_context(self, error: str) -> None:
        self._row["error"] = error
        self._finish(Outcome.TRUNCATED_CONTEXT, False)

    def fail(self, outcome: Outcome, error: str) -> None:
        self.outcome = outcome
        self._row.update(error=clean_text(error), success=None, score=None)

    def _finish(self, outcome: Outcome, success: bool) -> None:
        self.outcome = outcome
        self._row.update(success=success, score=self._score)

    def episode(self, seconds: float) -> Episode:
        assert self.outcome is not None
        return Episode(
            **self._row,
            outcome=self.outcome,
            prompt=self.prompt,
            turns=tuple(self.turns),
            n_steps=len(self.turns),
            n_invalid=sum(not turn.valid for turn in self.turns),
            usage=sum((turn.usage for turn in self.turns), Usage()),
            wall_seconds=round(seconds, 4),
        )
