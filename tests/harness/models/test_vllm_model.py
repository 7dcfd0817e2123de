"""What the vllm: backend does beyond the contract; run by the interpreter that has vLLM."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from harness.errors import ContextOverflow, ProviderError
from harness.models import load_model
from harness.models.base import Request, Sampling, ScoreRequest, ScoringModel

pytestmark = [pytest.mark.vllm_here, pytest.mark.smollm2, pytest.mark.slow]

TURN = "Observation: You are in a kitchen. On the desk 1 you see a pen 1.\nThought: I need the pen."


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    made = load_model("vllm:smollm2")
    yield made
    made.close()


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    made = load_model("smollm2", dtype="float32")
    yield made
    made.close()


def ask(model: Any, text: str, **rest: Any) -> Request:
    given = {"sampling": Sampling(max_tokens=16)} | rest
    return Request(text, ids=tuple(model.tokenizer(text)["input_ids"]), **given)


def test_scores_are_those_of_transformers(model: Any, local: Any) -> None:
    assert isinstance(model, ScoringModel)
    start = len(model.tokenizer(TURN)["input_ids"])
    sequences = tuple(
        tuple(model.tokenizer(f"{TURN}\nAction: {action}")["input_ids"])
        for action in ("take pen 1 from desk 1", "go to fridge 1", "look")
    )
    request = ScoreRequest(sequences, (start,) * 3)
    for _ in range(2):  # again, now that the prompt's cache is there
        (there,), (here,) = model.score([request]), local.score([request])
        for a, b in zip(there.logprobs, here.logprobs, strict=True):
            assert a == pytest.approx(b, abs=2e-3)


def test_the_cache_of_a_turn_serves_the_next(model: Any) -> None:
    before = TURN * 6
    model.generate([ask(model, before)])
    (done,) = model.generate([ask(model, before + "\nAction:")])
    assert 0 < done.usage.prompt_tokens // 2 < done.usage.cached_tokens < done.usage.prompt_tokens


def test_a_stop_line_ends_generation_at_once(model: Any, local: Any) -> None:
    text = "Action: look\nObservation: a desk\nAction: go\nObservation: a pen\n"
    limits: dict[str, Any] = {"stop": ("\nObservation:",), "stop_line": "Action:"}
    request = ask(model, text, sampling=Sampling(max_tokens=60), **limits)
    (there,), (here,) = model.generate([request]), local.generate([request])
    assert (there.text, there.ids, there.finish_reason) == (here.text, here.ids, "stop")
    assert there.usage.completion_tokens == here.usage.completion_tokens


def test_threads_share_the_running_batch(model: Any) -> None:
    requests = [ask(model, f"{number} apples and") for number in range(8)]
    alone = [done.text for done in model.generate(requests)]
    found: dict[int, str] = {}

    def work(index: int) -> None:
        found[index] = model.generate([requests[index]])[0].text

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [found[index] for index in range(8)] == alone


def test_what_does_not_fit_is_an_overflow(model: Any) -> None:
    with pytest.raises(ContextOverflow, match="positions and needs one"):
        model.generate([Request("", ids=(504,) * model.max_context)])


def test_a_closed_model_says_so(model: Any) -> None:
    """Last, as it closes the model that the others use."""
    model.close()
    with pytest.raises(ProviderError, match="is closed"):
        model.generate([ask(model, "a")])
