"""What was trained on is what inference feeds: an overfitted student plays the teacher's episode.

The teacher is the expert in the real generated ALFWorld; the student's greedy rollout through the
harness must reproduce its turns character for character.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from harness.rendering import make_format
from harness.rollout import Attempt, Job
from harness.trajectory import Episode
from harness.worker import EnvSpec, EnvWorker

pytestmark = pytest.mark.models

ENV = "sad/ALFWorld-v1"
FORMATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "chat": {"template": "chat"},
    "plain-window": {"history": "last-k-turns", "last_k": 2},
    "chat-window": {"template": "chat", "history": "last-k-turns", "last_k": 2},
}


@pytest.fixture(scope="module")
def worker() -> Iterator[EnvWorker]:
    one = EnvWorker(EnvSpec(ENV, ENV, {"split": "generated:0:3"}), deadline=120)
    yield one
    one.close()


def play(worker: EnvWorker, agent: Any) -> Episode:
    described = worker.describe()
    job = Job(ENV, described.env_version, described.task_ids[0], repeat=0, run_seed=0)
    return Attempt(worker, agent, job, style="thought-action", shots=0, model=None).play()


@pytest.fixture(scope="module")
def taught(worker: EnvWorker) -> Episode:
    from harness.agents.expert import ExpertAgent

    episode = play(worker, ExpertAgent())
    assert episode.success
    return episode


def overfit(model: Any, examples: list[Any], length: int) -> None:
    """Train until every supervised token is the likeliest one."""
    import torch

    from sad_distill.kinds import Divergence
    from sad_distill.pack import collate, pack_lengths
    from sad_distill.step import Objective, SpanDistillation, distil_step

    rows = pack_lengths([len(one.ids) for one in examples], length)
    batch = collate(examples, rows, length)
    objective = Objective(Divergence("ce"), (1.0, 1.0))
    module = SpanDistillation(model, objective)
    optimiser = torch.optim.AdamW(module.parameters(), lr=8e-3, weight_decay=0.0)
    for _ in range(250):
        optimiser.zero_grad()
        report = distil_step(module, objective, None, [batch])
        if torch.equal(report.correct, report.rows) and float(report.loss) < 0.3:
            return
        optimiser.step()
    pytest.fail(f"not overfitted: {report}")


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_greedy_rollout_of_an_overfitted_student_is_the_episode(
    name: str, worker: EnvWorker, taught: Episode
) -> None:
    import torch
    from small_tokenizers import CHATML
    from transformers import LlamaConfig

    from harness.agents.react import ReactAgent
    from harness.models.base import Sampling
    from harness.models.transformers import TransformersModel
    from sad_distill import make_examples, make_scheme, train_tokenizer
    from sad_distill.students import build

    tokenizer = copy.deepcopy(train_tokenizer([taught], vocabulary=1000))
    if name.startswith("chat"):
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        tokenizer.chat_template = CHATML
    fmt = make_format(tokenizer, **FORMATS[name])
    examples = make_examples(taught, tokenizer, fmt, make_scheme("reason-act"))
    assert (len(examples) > 1) == name.endswith("window")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=2048, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    model = build(config, seed=0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        overfit(model, examples, max(len(one.ids) for one in examples))
        model.eval()
        student = TransformersModel(model, tokenizer, name="hf:student")
        agent = ReactAgent(student, fmt, Sampling(max_tokens=160), 0)
        played = play(worker, agent)
    finally:
        torch.set_num_threads(before)
    assert [turn.generated for turn in played.turns] == [turn.generated for turn in taught.turns]
    assert [turn.spans for turn in played.turns] == [turn.spans for turn in taught.turns]
    assert played.success
    # The model ended every turn itself; it was not cut off.
    assert {turn.finish_reason for turn in played.turns} <= {"stop", "eos"}
    # It sampled the very ids it was trained on.
    for turn in played.turns:
        assert turn.completion_ids is not None
        assert any(_contains(one.ids.tolist(), list(turn.completion_ids)) for one in examples)


def _contains(whole: list[int], part: list[int]) -> bool:
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))
