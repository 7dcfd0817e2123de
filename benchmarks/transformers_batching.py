"""The transformers backend against `generate`, episode by episode, on the same model and prompts.

Transcripts are those of the ALFWorld expert on embedded tasks, replayed: before every turn the
transcript so far is rendered and the model completes it, whatever it says; the next turn is the
expert's again. So both sides are asked for exactly the same completions, of a fixed length:

- harness: all episodes at once, through `TransformersModel.generate` from a thread each;
- naive: one episode after another, `model.generate` on the whole prompt at every turn.

The naive side plays the first episodes only (--naive), as it takes the same time for each. Equal
completions are counted too. CPU seconds are given beside the clock's, for a machine that is not
idle. Run it as `python benchmarks/transformers_batching.py`; it takes some minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import gymnasium

import sad_envs  # noqa: F401  registers the environments
from harness.models import Request, Sampling, load_model
from harness.models.transformers import TransformersModel
from harness.rendering import Format, make_format, render_next
from harness.styles import get_style
from harness.trajectory import ExampleTurn, Prompt, PromptExample, Span, Turn

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Transcript:
    """What an agent would be shown, turn after turn."""

    prompt: Prompt
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Measured:
    """What one side did."""

    name: str
    episodes: int
    seconds: float
    cpu_seconds: float
    completions: dict[tuple[int, int], Ids]

    @property
    def per_minute(self) -> float:
        return 60 * self.episodes / self.seconds


def play_expert(n_episodes: int, n_turns: int) -> list[Transcript]:
    """The first `n_turns` turns of the expert's first episodes that have as many."""
    env = gymnasium.make("sad/ALFWorld-v1")
    task_env: Any = env.unwrapped
    transcripts: list[Transcript] = []
    for task_id in task_env.task_ids:
        observation, info = env.reset(seed=0, options={"task_id": task_id})
        parts = task_env.prompt("thought-action", 1)
        style = get_style(parts.style)
        prompt = Prompt(
            style=parts.style,
            instruction=parts.instruction,
            examples=tuple(
                PromptExample(
                    task=example.task,
                    turns=tuple(
                        ExampleTurn(thought=thought, action=action, observation=seen)
                        for thought, action, seen in example.turns
                    ),
                )
                for example in parts.examples
            ),
            task=observation,
        )
        expert = task_env.make_expert(0)
        turns: list[Turn] = []
        ended = False
        while len(turns) < n_turns and not ended:
            thought, action = expert(observation, info)
            said = style.parse(style.compose(thought, action))
            observation, _, terminated, truncated, info = env.step(action)
            spans = [Span(kind="reason", text=said.reason)] if said.reason else []
            spans += [Span(kind="act", text=said.act), Span(kind="observation", text=observation)]
            turns.append(Turn(spans=tuple(spans)))
            ended = terminated or truncated
        if len(turns) == n_turns:
            transcripts.append(Transcript(prompt, tuple(turns)))
        if len(transcripts) == n_episodes:
            return transcripts
    raise SystemExit(f"only {len(transcripts)} episodes have {n_turns} turns; ask for fewer")


def prompt_ids(episode: Transcript, turn: int, tokenizer: Any, fmt: Format) -> Ids:
    return render_next(episode.prompt, episode.turns[:turn], tokenizer, fmt).ids


def timed(name: str, n_episodes: int, play: Callable[[], dict[tuple[int, int], Ids]]) -> Measured:
    clock, cpu = time.perf_counter(), time.process_time()
    completions = play()
    return Measured(
        name,
        n_episodes,
        time.perf_counter() - clock,
        time.process_time() - cpu,
        completions,
    )


def through_harness(
    model: TransformersModel, episodes: list[Transcript], n_turns: int, n_tokens: int, fmt: Format
) -> dict[tuple[int, int], Ids]:
    def one(index: int) -> list[Ids]:
        said = []
        for turn in range(n_turns):
            request = Request(
                "",
                ids=prompt_ids(episodes[index], turn, model.tokenizer, fmt),
                sampling=Sampling(max_tokens=n_tokens),
                session=str(index),
            )
            said.append(model.generate([request])[0].ids or ())
        model.release(str(index))
        return said

    with ThreadPoolExecutor(len(episodes)) as pool:
        played = list(pool.map(one, range(len(episodes))))
    return {(i, turn): ids for i, said in enumerate(played) for turn, ids in enumerate(said)}


def one_by_one(
    model: Any, tokenizer: Any, episodes: list[Transcript], n_turns: int, n_tokens: int, fmt: Format
) -> dict[tuple[int, int], Ids]:
    import torch

    said = {}
    for index, episode in enumerate(episodes):
        for turn in range(n_turns):
            given = torch.tensor([prompt_ids(episode, turn, tokenizer, fmt)], device=model.device)
            output = model.generate(
                given,
                attention_mask=torch.ones_like(given),
                do_sample=False,
                max_new_tokens=n_tokens,
            )
            said[index, turn] = tuple(output[0, given.shape[1] :].tolist())
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2", help="smollm2 or hf:PATH_OR_ID")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--naive", type=int, default=4, help="episodes of the naive side")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=24, help="tokens per completion")
    options = parser.parse_args()

    episodes = play_expert(options.episodes, options.turns)
    model = load_model(options.model, dtype=options.dtype)
    assert isinstance(model, TransformersModel)
    fmt = make_format(model.tokenizer, max_length=model.max_context, reserve=options.tokens)
    lengths = [
        len(prompt_ids(episode, turn, model.tokenizer, fmt))
        for episode in episodes
        for turn in range(options.turns)
    ]
    print(
        f"{options.model} ({model.describe()['dtype']}): {options.episodes} episodes of "
        f"{options.turns} turns, {options.tokens} tokens each; prompts of {min(lengths)} to "
        f"{max(lengths)} tokens"
    )
    size = (options.turns, options.tokens, fmt)
    harness = timed("harness", len(episodes), lambda: through_harness(model, episodes, *size))
    few = episodes[: options.naive]
    naive = timed("naive", len(few), lambda: one_by_one(model._model, model.tokenizer, few, *size))
    for side in (naive, harness):
        print(
            f"{side.name:8} {side.per_minute:7.2f} episodes/min   "
            f"{side.seconds / side.episodes:7.2f} s and {side.cpu_seconds / side.episodes:7.2f} "
            "CPU s an episode"
        )
    cpu = (naive.cpu_seconds / naive.episodes) / (harness.cpu_seconds / harness.episodes)
    equal = sum(ids == harness.completions[key] for key, ids in naive.completions.items())
    print(f"ratio    {harness.per_minute / naive.per_minute:7.2f} by the clock, {cpu:.2f} by CPU")
    print(f"equal    {equal} of {len(naive.completions)} completions")
    model.close()


if __name__ == "__main__":
    main()
