"""Text and stops of one completion, its tokens pushed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from harness.models import Completion, Request, Sampling

pytestmark = pytest.mark.models


def complete(
    tokenizer: Any,
    prompt: str,
    continuation: str,
    *,
    ends: frozenset[int] = frozenset(),
    room: int = 1000,
    after: tuple[int, ...] = (),
    **request: Any,
) -> Completion:
    """Push the tokens of `continuation`, then `after`, until the row finishes."""
    from harness.models.decoding import Row

    whole = tokenizer(prompt + continuation, add_special_tokens=False)["input_ids"]
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert whole[: len(ids)] == ids
    sampled = [*whole[len(ids) :], *after]
    row = Row(
        Request(prompt, sampling=Sampling(max_tokens=room), **request), ids, room, tokenizer, ends
    )
    for token in sampled:
        row.push(token)
        if row.finish:
            break
    row.finish = row.finish or "length"
    return row.result()


def test_a_blank_at_the_start_is_kept(byte_level: Any, metaspace: Any) -> None:
    for tokenizer in (byte_level, metaspace):
        done = complete(tokenizer, "Thought:", " I should look")
        assert done.text == " I should look"


def test_a_stop_may_span_tokens(byte_level: Any) -> None:
    ids = byte_level(" go now\nObservation: no", add_special_tokens=False)["input_ids"]
    assert len(ids) > 4
    done = complete(byte_level, "Action:", " go now\nObservation: no", stop=("w\nObs",))
    assert done.text == " go no"
    assert done.finish_reason == "stop"


def test_characters_of_several_tokens_are_put_together(byte_level: Any) -> None:
    assert len(byte_level("Ω", add_special_tokens=False)["input_ids"]) > 1
    done = complete(byte_level, "said", " 日本語 Ω 🙂 é!", stop=("🙂",))
    assert done.text == " 日本語 Ω "


def test_an_unfinished_character_is_left_out(byte_level: Any) -> None:
    ids = byte_level(" a Ω", add_special_tokens=False)["input_ids"]
    done = complete(byte_level, "said", " a", after=(ids[-2],))
    if "Ω" in byte_level.decode(ids[:-1]):
        raise AssertionError("expected Ω to end in a token of its own")
    assert "\ufffd" not in done.text
    assert done.text.startswith(" a")


def test_text_after_the_stop_within_its_token_is_dropped(byte_level: Any) -> None:
    (token,) = byte_level(" fridge", add_special_tokens=False)["input_ids"]
    done = complete(byte_level, "the", " fridge", stop=("dge",))
    assert done.text == " fri"
    assert done.ids == (token,)


def test_ids_reach_to_the_end_of_the_text_and_no_further(byte_level: Any) -> None:
    kept = byte_level(" look", add_special_tokens=False)["input_ids"]
    done = complete(byte_level, "I should", " look for the apple", stop=(" for the",))
    assert done.text == " look"
    assert done.ids == tuple(kept)
    assert done.usage.completion_tokens > len(kept)


def test_a_stop_at_once_gives_nothing(byte_level: Any) -> None:
    done = complete(byte_level, "I should", " look", stop=(" ",))
    assert (done.text, done.ids, done.finish_reason) == ("", (), "stop")


def test_a_stop_line_is_complete_with_its_newline(byte_level: Any) -> None:
    done = complete(
        byte_level, "Thought:", " I look.\nAction: go to fridge 1\nObserv", stop_line="Action:"
    )
    assert done.text == " I look.\nAction: go to fridge 1\n"


def test_an_end_token_is_in_the_ids_and_not_in_the_text(byte_level: Any) -> None:
    end = byte_level.convert_tokens_to_ids("<|im_end|>")
    done = complete(byte_level, "I", " should", after=(end,), ends=frozenset({end}))
    assert (done.text, done.finish_reason) == (" should", "eos")
    assert done.ids is not None
    assert done.ids[-1] == end


def test_an_end_token_that_is_plain_text_is_not_in_the_text(byte_level: Any) -> None:
    (end,) = byte_level(" fridge", add_special_tokens=False)["input_ids"]
    done = complete(byte_level, "the", " fridge", ends=frozenset({end}))
    assert (done.text, done.ids) == ("", (end,))


def test_special_tokens_within_a_completion_have_no_text(byte_level: Any) -> None:
    start = byte_level.convert_tokens_to_ids("<|im_start|>")
    done = complete(byte_level, "I", " should", after=(start,))
    assert done.text == " should"


def test_the_end_wins_over_the_limit(byte_level: Any) -> None:
    end = byte_level.eos_token_id
    done = complete(byte_level, "I", "", after=(end,), ends=frozenset({end}), room=1)
    assert done.finish_reason == "eos"


def test_a_stop_wins_over_the_limit(byte_level: Any) -> None:
    done = complete(byte_level, "the", " fridge", stop=("fridge",), room=1)
    assert done.finish_reason == "stop"
