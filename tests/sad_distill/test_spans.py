"""Sequences and labels: exactly what inference feeds, each generated token supervised once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from making import make_episode, make_turn
from small_tokenizers import KINDS, tokenizer

from harness.errors import HarnessError
from harness.rendering import Format, make_format, render_next
from harness.trajectory import Episode
from sad_distill.spans import NO_SPAN, PRESETS, SpanStatistics, make_examples, make_scheme

pytestmark = pytest.mark.models

LAST_K = {"history": "last-k-turns", "last_k": 4}


def said(ids: Any, kind: str) -> str:
    text = tokenizer(kind).decode(ids, clean_up_tokenization_spaces=False)
    return str(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("history", [{}, LAST_K, LAST_K | {"max_length": 330, "reserve": 40}])
def test_every_turn_follows_the_very_ids_that_inference_feeds(
    kind: str, history: dict[str, Any]
) -> None:
    episode = make_episode(11)
    fmt = make_format(tokenizer(kind), **history)
    examples = make_examples(episode, tokenizer(kind), fmt, PRESETS["reason-act"])
    supervised = Counter(turn for example in examples for turn in example.turns)
    assert supervised == dict.fromkeys(range(11), 1)
    first = 0
    for turn in range(11):
        prompt = render_next(
            episode.prompt, episode.turns[:turn], tokenizer(kind), fmt, not_before=first
        )
        first = prompt.first_turn
        (example,) = [one for one in examples if turn in one.turns]
        assert tuple(example.ids[: len(prompt.ids)]) == prompt.ids
        assert example.labels[len(prompt.ids)] == 0
        # What was supervised before the prompt's end belongs to earlier turns of the window.
        before = example.labels[: len(prompt.ids)] != NO_SPAN
        assert before.any() == (turn > min(example.turns))


@pytest.mark.parametrize("kind", ["byte-level", "chat"])
def test_supervised_text_is_what_was_generated_with_the_end_of_the_turn(kind: str) -> None:
    episode = make_episode(2)
    (example,) = make_examples(
        episode, tokenizer(kind), make_format(tokenizer(kind)), PRESETS["reason-act"]
    )
    end = "<|im_end|>" if kind == "chat" else "\n"
    expected = [turn.text("act") + end for turn in episode.turns]
    assert said(example.ids[example.labels == 1], kind) == "".join(expected)
    reasons = "".join(turn.text("reason") for turn in episode.turns)
    assert said(example.ids[example.labels == 0], kind) == reasons


def test_nothing_follows_the_last_supervised_token() -> None:
    for name in PRESETS:
        for example in make_examples(
            make_episode(3), tokenizer("byte-level"), Format(), PRESETS[name]
        ):
            assert example.labels[-1] != NO_SPAN
            assert example.rows[0] > 0


def test_all_spans_cover_every_token_after_the_prompt_observations_included() -> None:
    episode = make_episode(3)
    for kind in ("byte-level", "chat"):
        fmt = make_format(tokenizer(kind))
        (example,) = make_examples(episode, tokenizer(kind), fmt, PRESETS["all"])
        prompt = render_next(episode.prompt, (), tokenizer(kind), fmt)
        assert (example.labels[: len(prompt.ids)] == NO_SPAN).all()
        assert (example.labels[len(prompt.ids) :] == 0).all()
        assert episode.turns[-1].observation in said(example.ids, kind)


def test_one_kind_alone_is_a_part_of_the_whole() -> None:
    tok = tokenizer("byte-level")
    of = {
        name: make_examples(make_episode(3), tok, Format(), PRESETS[name])[0]
        for name in ("reason", "act", "generated", "reason-act")
    }
    whole = of["generated"].rows.tolist()
    assert sorted([*of["reason"].rows.tolist(), *of["act"].rows.tolist()]) == whole
    assert of["reason-act"].rows.tolist() == whole


def test_random_spans_have_the_sizes_of_the_real_ones_elsewhere() -> None:
    tok, episode = tokenizer("byte-level"), make_episode(6)
    (real,) = make_examples(episode, tok, Format(), PRESETS["reason-act"])
    drawn = [
        make_examples(episode, tok, Format(), make_scheme("random", random_seed=seed))[0]
        for seed in (0, 0, 1)
    ]
    for example in drawn:
        assert np.bincount(example.labels + 1).tolist() == np.bincount(real.labels + 1).tolist()
    assert (drawn[0].labels == drawn[1].labels).all()
    assert (drawn[0].labels != drawn[2].labels).any()
    assert (drawn[0].labels != real.labels).any()


def test_turn_without_an_action_is_context_only() -> None:
    turns = (*make_episode(1).turns, make_turn("Thought: I wonder", "No action found."))
    episode = make_episode(1, turns=turns)
    counts = SpanStatistics()
    (example,) = make_examples(
        episode, tokenizer("byte-level"), Format(), PRESETS["generated"], statistics=counts
    )
    assert example.turns == (0,)
    assert counts.turns_without_action == 1


def test_turn_that_does_not_fit_is_left_out_whole() -> None:
    tok, episode = tokenizer("byte-level"), make_episode(4)
    (whole,) = make_examples(episode, tok, Format(), PRESETS["reason-act"])
    for max_length in range(len(whole.ids) - 60, len(whole.ids) + 1):
        counts = SpanStatistics()
        fmt = Format(max_length=max_length, reserve=1)
        examples = make_examples(episode, tok, fmt, PRESETS["reason-act"], statistics=counts)
        assert counts.turns_supervised + counts.turns_too_long == 4
        for example in examples:
            assert len(example.ids) <= max_length
            acts = said(example.ids[example.labels == 1], "byte-level")
            assert acts.count("\n") == acts.count("Action:") == len(example.turns)
            reasons = said(example.ids[example.labels == 0], "byte-level")
            assert reasons.count("Thought:") == len(example.turns)


def test_turn_whose_prompt_is_no_prefix_gets_a_sequence_of_its_own() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    # One vocabulary entry crosses from the prompt's last newline into the turn.
    letters = sorted(set(str(make_episode(3)) + "\n:"))
    vocabulary = {c: i for i, c in enumerate(letters)} | {"\nT": len(letters)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[("\n", "T")]))
    raw.decoder = decoders.Fuse()
    crossing = PreTrainedTokenizerFast(tokenizer_object=raw)
    counts = SpanStatistics()
    episode = make_episode(3)
    examples = make_examples(episode, crossing, Format(), PRESETS["reason-act"], statistics=counts)
    assert [example.turns for example in examples] == [(0,), (1,), (2,)]
    assert counts.own_sequences == 3
    for turn, example in enumerate(examples):
        prompt = render_next(episode.prompt, episode.turns[:turn], crossing, Format())
        assert tuple(example.ids[: len(prompt.ids)]) == prompt.ids
        decoded = crossing.decode(example.ids[example.rows])
        assert decoded == episode.turns[turn].generated + "\n"


def test_straddling_tokens_belong_to_the_span_of_their_first_character() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    letters = sorted(set(str(make_episode(3)) + "\n:"))
    vocabulary = {c: i for i, c in enumerate(letters)} | {"\nA": len(letters)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[("\n", "A")]))
    raw.decoder = decoders.Fuse()
    crossing = PreTrainedTokenizerFast(tokenizer_object=raw)
    counts = SpanStatistics()
    (example,) = make_examples(
        make_episode(3), crossing, Format(), PRESETS["reason-act"], statistics=counts
    )
    assert counts.straddling == 3
    assert crossing.decode(example.ids[example.labels == 0]).endswith(".\nA")


def test_examples_know_their_lengths_whatever_the_scheme() -> None:
    tok = tokenizer("byte-level")
    real = make_examples(make_episode(3), tok, Format(), PRESETS["reason-act"])[0]
    merged = make_examples(make_episode(3), tok, Format(), PRESETS["generated"])[0]
    assert (merged.reason_tokens, merged.act_tokens) == (real.reason_tokens, real.act_tokens)
    assert real.act_tokens == int((real.labels == 1).sum())


def test_named_spans_of_any_kinds() -> None:
    scheme = make_scheme({"act": ["act"], "seen": ["observation"]})
    (example,) = make_examples(make_episode(2), tokenizer("byte-level"), Format(), scheme)
    assert "You arrive at desk 0" in said(example.ids[example.labels == 1], "byte-level")


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ("reason-action", "did you mean 'reason-act'"),
        ({"a": ["thought"]}, "expected reason, act"),
        ({"a": ["act"], "b": ["act"]}, "is in spans 'a' and 'b'"),
        ({}, "at least one span"),
    ],
)
def test_bad_schemes_are_refused(spans: Any, said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        make_scheme(spans)


def test_style_with_thinking_turns_supervises_them() -> None:
    turns = (
        make_turn("think: a pen", "OK.", "react-alfworld"),
        make_turn("look", "You see.", "react-alfworld"),
    )
    prompt = make_episode().prompt.model_copy(update={"style": "react-alfworld"})
    episode: Episode = make_episode(turns=turns, prompt=prompt)
    (example,) = make_examples(episode, tokenizer("byte-level"), Format(), PRESETS["reason-act"])
    assert said(example.ids[example.labels == 0], "byte-level") == " think: a pen\n"
    assert said(example.ids[example.labels == 1], "byte-level") == " look\n"
