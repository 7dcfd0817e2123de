"""Rendering: the invariants that training and inference both rest on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tokenizers import KINDS, tokenizer

from harness.errors import HarnessError
from harness.rendering import (
    ContextOverflow,
    Format,
    make_format,
    render,
    render_next,
    window_start,
    windows,
)
from harness.styles import STYLES, get_style
from harness.trajectory import (
    Episode,
    ExampleTurn,
    Outcome,
    Prompt,
    PromptExample,
    Span,
    Turn,
)

pytestmark = pytest.mark.models

words = st.text(alphabet=st.sampled_from(list("abc XYZ.,:[]>1é漢\n")), min_size=0, max_size=24)
styles = st.sampled_from(sorted(STYLES))


def make_turn(style: str, completion: str, observation: str) -> Turn:
    parsed = get_style(style).parse(completion)
    spans = [Span(kind="reason", text=parsed.reason)] if parsed.reason else []
    if parsed.act:
        spans.append(Span(kind="act", text=parsed.act))
    spans.append(Span(kind="observation", text=observation))
    return Turn(spans=tuple(spans), action=parsed.action)


@st.composite
def transcripts(draw: Any) -> tuple[Prompt, list[Turn]]:
    style = draw(styles)
    example = PromptExample(
        task=draw(words),
        turns=(ExampleTurn(thought="t", action=draw(words), observation=draw(words)),),
    )
    prompt = Prompt(
        style=style,
        instruction=draw(words),
        examples=draw(st.sampled_from([(), (example,)])),
        task=draw(words),
    )
    turns = []
    for _ in range(draw(st.integers(0, 4))):
        thought = draw(words)
        completion = draw(
            st.sampled_from(["Thought: {}\nAction: go", "Action: {}", "think: {}", "{}"])
        )
        turns.append(make_turn(style, completion.format(thought), draw(words)))
    return prompt, turns


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(transcript=transcripts(), open_turn=st.booleans())
def test_spans_partition_the_text_and_tokens_follow_their_first_character(
    kind: str, transcript: tuple[Prompt, list[Turn]], open_turn: bool
) -> None:
    prompt, turns = transcript
    fmt = make_format(tokenizer(kind))
    rendered = render(prompt, turns, tokenizer(kind), fmt, open_turn=open_turn)
    position = 0
    for span in rendered.spans:
        assert span.start == position < span.end
        position = span.end
    assert position == len(rendered.text)
    assert len(rendered.ids) == len(rendered.token_spans)
    assert list(rendered.token_spans) == sorted(rendered.token_spans)
    encoding = tokenizer(kind)(rendered.text, add_special_tokens=False, return_offsets_mapping=True)
    assert list(rendered.ids) == encoding["input_ids"]
    for (start, end), index in zip(encoding["offset_mapping"], rendered.token_spans, strict=True):
        span = rendered.spans[index]
        if start < span.end:
            assert span.start <= start
        else:
            # The token carries blanks that its offsets leave out; the first lies in this span.
            assert rendered.text[span.start : start][-1].isspace() or start == end


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(transcript=transcripts())
def test_generated_text_is_supervised_with_its_end_and_nothing_else_is(
    kind: str, transcript: tuple[Prompt, list[Turn]]
) -> None:
    prompt, turns = transcript
    fmt = make_format(tokenizer(kind))
    style = get_style(prompt.style)
    rendered = render(prompt, turns, tokenizer(kind), fmt)
    for index, turn in enumerate(turns):
        mine = [s for s in rendered.spans if s.turn == index and s.kind in ("reason", "act")]
        said = "".join(rendered.text[s.start : s.end] for s in mine)
        if fmt.template == "chat":
            assert said == turn.generated + "<|im_end|>"
        else:
            assert said == style.gap * bool(turn.generated) + turn.generated + "\n"
        shown = [s for s in rendered.spans if s.turn == index and s.kind == "observation"]
        assert turn.observation.strip() in "".join(rendered.text[s.start : s.end] for s in shown)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(transcript=transcripts())
def test_prompt_of_a_turn_is_a_prefix_of_the_whole(
    kind: str, transcript: tuple[Prompt, list[Turn]]
) -> None:
    prompt, turns = transcript
    fmt = make_format(tokenizer(kind))
    whole = render(prompt, turns, tokenizer(kind), fmt)
    for k in range(len(turns)):
        opened = render(prompt, turns[:k], tokenizer(kind), fmt, open_turn=True)
        assert whole.text.startswith(opened.text)
        assert whole.spans[: len(opened.spans) - 1] == opened.spans[:-1]


def turns_of(n: int) -> list[Turn]:
    return [
        make_turn(
            "thought-action", f"Thought: step {i}\nAction: go to desk {i}", f"You see a pen {i}."
        )
        for i in range(n)
    ]


PROMPT = Prompt(instruction="Do the task.", task="You are in a room.")


@pytest.mark.parametrize("kind", ["byte-level", "chat"])
def test_prompt_ids_are_a_prefix_of_the_ids_of_the_whole(kind: str) -> None:
    turns, fmt = turns_of(5), make_format(tokenizer(kind))
    whole = render(PROMPT, turns, tokenizer(kind), fmt)
    for k in range(5):
        opened = render(PROMPT, turns[:k], tokenizer(kind), fmt, open_turn=True)
        assert whole.ids[: len(opened.ids)] == opened.ids


def test_rendered_plain_transcript() -> None:
    turns = [*turns_of(1), make_turn("thought-action", "hm", "No action found.")]
    assert render(PROMPT, turns, None, Format(), open_turn=True).text == (
        "Do the task.\n\nYou are in a room.\n"
        "Thought: step 0\nAction: go to desk 0\nObservation: You see a pen 0.\n"
        "hm\nObservation: No action found.\n"
    )


def test_rendered_react_transcript() -> None:
    prompt = PROMPT.model_copy(update={"style": "react-alfworld"})
    turns = [
        make_turn("react-alfworld", "think: a pen", "OK."),
        make_turn("react-alfworld", "look", "You see."),
    ]
    assert render(prompt, turns, None, Format(), open_turn=True).text == (
        "Do the task.\n\nYou are in a room.\n> think: a pen\nOK.\n> look\nYou see.\n>"
    )


def test_full_history_overflows_and_last_k_turns_drops_the_oldest() -> None:
    tok, turns = tokenizer("byte-level"), turns_of(8)
    whole = len(render(PROMPT, turns, tok, Format(), open_turn=True).ids)
    tight = Format(max_length=whole, reserve=10)
    with pytest.raises(ContextOverflow, match="over the"):
        render_next(PROMPT, turns, tok, tight)
    kept = render_next(
        PROMPT, turns, tok, tight.model_copy(update={"history": "last-k-turns", "last_k": 6})
    )
    assert kept.text.startswith("Do the task.\n\nYou are in a room.\n")
    assert kept.text.endswith("You see a pen 7.\n")
    assert kept.first_turn >= 2


def test_nothing_left_to_drop_is_an_overflow() -> None:
    fmt = Format(max_length=20, reserve=10, history="last-k-turns", last_k=2)
    with pytest.raises(ContextOverflow):
        render_next(PROMPT, turns_of(3), tokenizer("byte-level"), fmt)


def test_window_moves_half_its_length_at_a_time() -> None:
    fmt = Format(history="last-k-turns", last_k=4)
    assert [window_start(n, fmt) for n in range(11)] == [0, 0, 0, 0, 0, 2, 2, 4, 4, 6, 6]


@pytest.mark.parametrize("max_length", [None, 330])
def test_windows_show_each_turn_as_inference_did(max_length: int | None) -> None:
    tok, turns = tokenizer("byte-level"), turns_of(11)
    fmt = Format(history="last-k-turns", last_k=4, max_length=max_length, reserve=20)
    episode = Episode(
        env_id="e", env_version="1", task_id="t", agent="x", outcome=Outcome.FAILURE, score=0.0,
        prompt=PROMPT, turns=tuple(turns),
    )  # fmt: skip
    sequences = windows(episode, tok, fmt)
    first = 0
    for k in range(len(turns)):
        opened = render_next(PROMPT, turns[:k], tok, fmt, not_before=first)
        first = opened.first_turn
        (window,) = [w for w in sequences if k in w.turns]
        assert window.sequence.first_turn == first
        assert window.prompts[window.turns.index(k)] == opened
        assert window.sequence.text.startswith(opened.text + turns[k].generated)


def test_template_that_rewrites_messages_is_refused() -> None:
    import copy

    shouting = copy.deepcopy(tokenizer("chat"))
    shouting.chat_template = "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}"
    with pytest.raises(HarnessError, match="rewrites"):
        render(PROMPT, [], shouting, make_format(shouting))


def test_template_without_system_role_gets_the_instruction_in_the_first_message() -> None:
    import copy

    strict = copy.deepcopy(tokenizer("chat"))
    strict.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + strict.chat_template
    )
    rendered = render(PROMPT, turns_of(1), strict, make_format(strict))
    assert rendered.text.startswith(
        "<|im_start|>user\nDo the task.\n\nYou are in a room.<|im_end|>"
    )


def test_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(HarnessError, match="fast tokenizer"):
        render(PROMPT, [], Slow(), Format())


def test_react_examples_are_followed_by_the_announcement_of_the_task() -> None:
    example = PromptExample(
        task="You are in a hall.", turns=(ExampleTurn(action="look", observation="You see."),)
    )
    prompt = PROMPT.model_copy(update={"style": "react-alfworld", "examples": (example,)})
    assert render(prompt, [], None, Format(), open_turn=True).text == (
        "Do the task.\n\nYou are in a hall.\n> look\nYou see.\n\n"
        "Here is the task.\nYou are in a room.\n>"
    )
