"""Scores of given continuations against brute force: whole sequences through the model, float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.errors import ContextOverflow, HarnessError, ProviderError
from harness.models import Request, Sampling, ScoreRequest, Scores, ScoringModel

pytestmark = pytest.mark.models

FAMILIES = ["gpt2", "opt", "llama", "qwen2", "mistral", "bloom"]

PROMPT = "Observation: The fridge 1 is closed.\nAction:"
ENDINGS = [
    " go to fridge 1",
    " go to fridge 10",
    " look",
    " go",
    "",
    " open the fridge 1 now please",
]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, make_tiny: Callable[..., Any]) -> Any:
    made = make_tiny(request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def llama(make_tiny: Callable[..., Any]) -> Any:
    return make_tiny("llama")


def request_for(model: Any, session: str = "", skipped: int = 0) -> ScoreRequest:
    n_prompt = len(model.encode(PROMPT))
    sequences = tuple((*model.encode(PROMPT + ending), 5) for ending in ENDINGS)
    starts = tuple(min(n_prompt + skipped, len(ids) - 1) for ids in sequences)
    return ScoreRequest(sequences, starts, session)


def brute_force(model: Any, request: ScoreRequest) -> list[list[float]]:
    import torch

    found = []
    for ids, start in zip(request.sequences, request.starts, strict=True):
        with torch.inference_mode():
            logits = model._model(input_ids=torch.tensor([ids])).logits[0]
        shares = logits.log_softmax(-1)
        found.append([float(shares[at - 1, ids[at]]) for at in range(start, len(ids))])
    return found


def check(scores: Scores, expected: list[list[float]]) -> None:
    assert [len(found) for found in scores.logprobs] == [len(found) for found in expected]
    for found, right in zip(scores.logprobs, expected, strict=True):
        assert found == pytest.approx(right, abs=1e-9)


def test_scores_equal_whole_sequences(family: Any) -> None:
    assert isinstance(family, ScoringModel)
    request = request_for(family)
    (scores,) = family.score([request])
    check(scores, brute_force(family, request))


def test_scores_from_within_the_branches_equal_whole_sequences(family: Any) -> None:
    request = request_for(family, skipped=2)
    (scores,) = family.score([request])
    check(scores, brute_force(family, request))


def test_a_single_sequence_is_scored(family: Any) -> None:
    ids = tuple(family.encode(PROMPT))
    request = ScoreRequest((ids,), (1,))
    (scores,) = family.score([request])
    check(scores, brute_force(family, request))


def test_scores_after_a_completion_use_its_cache_and_leave_it_intact(llama: Any) -> None:
    prompt = tuple(llama.encode(PROMPT))
    completion = Request("", ids=prompt, sampling=Sampling(max_tokens=6), session="s")
    llama.generate([completion])
    request = request_for(llama, "s")
    (scores,) = llama.score([request])
    check(scores, brute_force(llama, request))
    assert scores.usage.cached_tokens == len(prompt) - 1
    assert llama.generate([completion])[0].usage.cached_tokens == len(prompt) - 1
    again = Request("", ids=prompt, sampling=Sampling(max_tokens=6))
    assert llama.generate([completion])[0].ids == llama.generate([again])[0].ids


def test_many_branches_are_computed_in_groups(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.models.scoring._GROUP", 12)
    request = request_for(llama)
    (scores,) = llama.score([request])
    check(scores, brute_force(llama, request))


def test_requests_of_several_episodes_are_scored_in_one_call(llama: Any) -> None:
    requests = [request_for(llama), request_for(llama, skipped=1), request_for(llama, "x")]
    for scores, request in zip(llama.score(requests), requests, strict=True):
        check(scores, brute_force(llama, request))


def test_what_is_shared_is_counted_once(llama: Any) -> None:
    n_prompt = len(llama.encode(PROMPT))
    one = (*llama.encode(PROMPT), 40, 41)
    other = (*llama.encode(PROMPT), 50, 51, 52)
    (scores,) = llama.score([ScoreRequest((one, other), (n_prompt, n_prompt))])
    assert scores.usage.prompt_tokens == n_prompt + 2 + 3
    assert scores.usage.completion_tokens == 0


@pytest.mark.parametrize(
    ("sequences", "starts", "message"),
    [
        ((), (), "0 sequences"),
        (((20, 21),), (1, 1), "1 sequences and 2 starts"),
        (((20, 21),), (0,), "scored from 0; expected 1 to 1"),
        (((20, 21),), (2,), "scored from 2; expected 1 to 1"),
    ],
)
def test_requests_without_sense_are_refused(
    llama: Any, sequences: Any, starts: Any, message: str
) -> None:
    with pytest.raises(HarnessError, match=message):
        llama.score([ScoreRequest(sequences, starts)])


def test_sequences_that_do_not_fit_or_belong_are_refused(llama: Any) -> None:
    with pytest.raises(ContextOverflow, match="has 129 tokens; llama has 128"):
        llama.score([ScoreRequest(((20,) * 129,), (1,))])
    with pytest.raises(ProviderError, match="token id 99999"):
        llama.score([ScoreRequest(((20, 99999),), (1,))])
