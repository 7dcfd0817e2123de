"""Caches between turns, shared prefixes, refill and memory: the same completions, less computed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.errors import ProviderError
from harness.models import Completion, Request, Sampling

pytestmark = pytest.mark.models

FAMILIES = ["gpt2", "opt", "llama", "qwen2", "mistral"]

SHARED = "Observation: The fridge 1 is closed. You see nothing else here.\n" * 3
"""45 tokens: more than it takes to be copied."""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, make_tiny: Callable[..., Any]) -> Any:
    made = make_tiny(request.param)
    made._ends = frozenset()
    yield made
    made.close()


@pytest.fixture
def llama(make_tiny: Callable[..., Any]) -> Any:
    made = make_tiny("llama")
    made._ends = frozenset()
    yield made
    made.close()


def ask(model: Any, ids: list[int], session: str = "", n: int = 8) -> Completion:
    request = Request("", ids=tuple(ids), sampling=Sampling(max_tokens=n), session=session)
    done: Completion = model.generate([request])[0]
    return done


def watch_memory(model: Any) -> list[int]:
    """The tokens there is memory for at every step from now on."""
    held: list[int] = []
    engine, forward = model._engine, model._engine._packed.forward

    def watched(segments: Any) -> Any:
        held.append(engine.held_tokens)
        return forward(segments)

    engine._packed.forward = watched
    return held


def turns_of(model: Any, session: str, start: list[int]) -> list[Completion]:
    """Three turns, each prompt the last one with its completion and an observation behind it."""
    ids, said = list(start), []
    for number in range(3):
        done = ask(model, ids, session)
        said.append(done)
        # As in canonical text: the last sampled id is not what stands there at the next turn.
        ids = [*ids, *(done.ids or ())[:-1], 20 + number, 30, 31]
    return said


def test_turns_on_a_kept_cache_equal_turns_computed_anew(family: Any) -> None:
    start = family.encode("Thought: I should look")
    kept, anew = turns_of(family, "episode", start), turns_of(family, "", start)
    assert [done.ids for done in kept] == [done.ids for done in anew]
    assert [done.usage.cached_tokens for done in anew] == [0, 0, 0]
    lengths = [done.usage.prompt_tokens for done in kept]
    # All of the last prompt, and all of its completion but the token that was replaced.
    assert [done.usage.cached_tokens for done in kept] == [0, lengths[0] + 7, lengths[1] + 7]


def test_a_history_that_was_cut_keeps_what_is_still_shared(family: Any) -> None:
    start = family.encode("Thought: I should look for the apple in the fridge.")
    ask(family, [*start, 40, 41, 42, 43], "cut")
    shorter = [*start, 42, 43]
    again = ask(family, shorter, "cut")
    assert again.usage.cached_tokens == len(start)
    assert again.ids == ask(family, shorter).ids


def test_the_same_prompt_again_computes_its_last_token_only(llama: Any) -> None:
    ids = llama.encode("Action: go to fridge 1")
    first, again = ask(llama, ids, "same"), ask(llama, ids, "same")
    assert again.usage.cached_tokens == len(ids) - 1
    assert again.ids == first.ids


def test_a_prefix_of_other_sessions_is_copied(family: Any) -> None:
    shared = family.encode(SHARED)
    one = ask(family, [*shared, 40, 41], "one")
    other = ask(family, [*shared, 50, 51], "other")
    assert other.usage.cached_tokens == len(shared)
    assert other.ids == ask(family, [*shared, 50, 51], n=8).ids
    assert one.usage.cached_tokens == 0


def test_prompts_that_come_together_compute_their_shared_prefix_once(llama: Any) -> None:
    shared = llama.encode(SHARED)
    requests = [
        Request("", ids=(*shared, 40 + number, 41), sampling=Sampling(max_tokens=6))
        for number in range(5)
    ]
    alone = [llama.generate([request])[0].ids for request in requests]
    together = llama.generate(requests)
    assert [done.ids for done in together] == alone
    assert sorted(done.usage.cached_tokens for done in together) == [0] + [len(shared)] * 4


def test_a_released_session_is_computed_anew(llama: Any) -> None:
    ids = llama.encode("Action: go to fridge 1")
    ask(llama, ids, "gone")
    llama.release("gone")
    assert ask(llama, ids, "gone").usage.cached_tokens == 0


def test_without_a_session_nothing_is_kept(llama: Any) -> None:
    ask(llama, llama.encode(SHARED))
    assert llama._engine.held_tokens == 0


def test_a_request_joins_while_another_is_decoded(llama: Any) -> None:
    steps: list[list[int]] = []
    forward = llama._engine._packed.forward
    under_way = threading.Event()

    def watched(segments: Any) -> Any:
        steps.append([len(segment.flat()) for segment in segments])
        if len(steps) == 3:
            under_way.set()
            joined.wait(10)
        return forward(segments)

    joined = threading.Event()
    alone = ask(llama, llama.encode("go"), n=5).ids
    llama._engine._packed.forward = watched
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(ask, llama, llama.encode("Thought: I should"), n=40)
        assert under_way.wait(10)
        short = pool.submit(ask, llama, llama.encode("go"), n=5)
        while llama._engine._arriving.empty():
            pass
        joined.set()
        assert short.result().ids == alone
        assert not long.done() or len(steps) < 45
        assert len(long.result().ids or ()) == 40
    # The short one was computed beside the long one, and left it alone at its end.
    assert [1, 2] in steps or [1, 1] in steps
    assert steps[-1] == [1]
    assert len(steps) == 40


def test_long_prompts_are_computed_in_parts_that_leave_the_others_going(
    make_tiny: Callable[..., Any],
) -> None:
    from harness.models.engine import Engine

    model = make_tiny("llama")
    prompts = [[20 + (7 * number + at) % 90 for at in range(60)] for number in range(4)]
    whole = [ask(model, ids).ids for ids in prompts]
    engine = Engine(model._engine._packed, name="parts", cache_tokens=10_000, step_tokens=13)
    sizes: list[int] = []
    forward = engine._packed.forward

    def watched(segments: Any) -> Any:
        sizes.append(sum(len(segment.flat()) for segment in segments))
        return forward(segments)

    engine._packed.forward = watched  # type: ignore[method-assign]
    model._engine = engine
    requests = [Request("", ids=tuple(ids), sampling=Sampling(max_tokens=8)) for ids in prompts]
    assert [done.ids for done in model.generate(requests)] == whole
    assert max(sizes) == 13
    model.close()


def test_kept_caches_are_bounded_and_the_oldest_go_first(make_tiny: Callable[..., Any]) -> None:
    from harness.models.transformers import TransformersModel

    tiny = make_tiny("llama")
    model = TransformersModel(tiny._model, tiny.tokenizer, name="small", cache_tokens=3 * 256)
    prompts = {name: [20 + index] * 10 for index, name in enumerate("abcde")}
    for name in "abcd":
        ask(model, prompts[name], name)
        assert model._engine is not None
        assert model._engine.held_tokens <= 3 * 256
    assert ask(model, prompts["d"], "d").usage.cached_tokens == 9
    assert ask(model, prompts["b"], "b").usage.cached_tokens == 9
    assert ask(model, prompts["a"], "a").usage.cached_tokens == 0
    model.close()


def test_requests_wait_for_memory_and_one_that_needs_more_runs_alone(
    make_tiny: Callable[..., Any],
) -> None:
    from harness.models.transformers import TransformersModel

    tiny = make_tiny("llama")
    tiny._ends = frozenset()
    requests = [
        Request("", ids=(20 + number,) * 9, sampling=Sampling(max_tokens=6)) for number in range(6)
    ]
    expected = [tiny.generate([request])[0].ids for request in requests]
    for limit in (1, 2 * 256):
        model = TransformersModel(tiny._model, tiny.tokenizer, name="small", cache_tokens=limit)
        model._ends = frozenset()
        held = watch_memory(model)
        assert [done.ids for done in model.generate(requests)] == expected
        assert max(held) == max(limit, 256)
        model.close()


def test_a_failing_step_fails_its_own_request_only(llama: Any) -> None:
    forward = llama._engine._packed.forward

    def failing(segments: Any) -> Any:
        if any(77 in segment.tokens for segment in segments):
            raise RuntimeError("not enough memory")
        return forward(segments)

    good = ask(llama, [20, 21, 22]).ids
    llama._engine._packed.forward = failing
    with ThreadPoolExecutor(2) as pool:
        bad = pool.submit(ask, llama, [20, 77, 22])
        fine = pool.submit(ask, llama, [20, 21, 22])
        assert fine.result().ids == good
        with pytest.raises(ProviderError, match="llama failed: not enough memory"):
            bad.result()
    assert ask(llama, [20, 21, 22]).ids == good


def test_closing_fails_what_is_under_way(make_tiny: Callable[..., Any]) -> None:
    model = make_tiny("llama")
    model._ends = frozenset()
    started = threading.Event()
    forward = model._engine._packed.forward

    def watched(segments: Any) -> Any:
        started.set()
        return forward(segments)

    model._engine._packed.forward = watched
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, model, [20, 21], n=120)
        assert started.wait(10)
        model.close()
        with pytest.raises(ProviderError, match="llama is closed"):
            asked.result()


def test_models_that_cannot_be_packed_are_told_apart(make_tiny: Callable[..., Any]) -> None:
    assert not make_tiny("bloom").concurrent
    assert make_tiny("mistral").concurrent


def test_what_a_trial_would_not_show_is_read_from_the_configuration(
    make_tiny: Callable[..., Any],
) -> None:
    from harness.models.packed import can_pack

    model = make_tiny("llama")._model
    assert can_pack(model) is not None
    model.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    assert can_pack(model) is None
    windowed = make_tiny("llama")._model
    windowed.config.sliding_window = 4096  # a window that attention is not told of
    assert can_pack(windowed) is None


def test_a_model_whose_packed_logits_differ_is_not_packed(make_tiny: Callable[..., Any]) -> None:
    from harness.models.packed import can_pack

    model = make_tiny("llama")._model
    attention = model.model.layers[1].self_attn
    attention.num_key_value_groups = 1
    attention.layer_idx = 0  # two layers that share a cache
    assert can_pack(model) is None
