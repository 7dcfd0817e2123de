"""The openai: backend against the stand-in: what it sends, what it reads, what it refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fault_server import MODEL, StandIn

from harness.errors import HarnessError
from harness.models.base import Message, Request, Sampling
from harness.models.openai import OpenAIModel

TALE = "Thought: one\nAction: look\nObservation: made up\nThought: two\nAction: go on and on"


MADE: list[OpenAIModel] = []


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SAD_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    yield
    while MADE:
        MADE.pop().close()


def ask(**fields: Any) -> Request:
    given: dict[str, Any] = {"text": "Go.", "messages": (Message("user", "Go on then."),)}
    return Request(**given | {"sampling": Sampling(max_tokens=50)} | fields)


def connect(server: StandIn, **options: Any) -> OpenAIModel:
    MADE.append(OpenAIModel(MODEL, base_url=server.base_url, **options))
    return MADE[-1]


def test_chat_is_asked_without_a_tokenizer_and_all_settings_are_sent() -> None:
    with StandIn() as server:
        model = connect(server)
        sampling = Sampling(temperature=0.5, top_p=0.9, top_k=7, max_tokens=5)
        (done,) = model.generate([ask(sampling=sampling, stop=("zzz",), seed=3)])
        (body,) = server.bodies
    assert body["messages"] == [{"role": "user", "content": "Go on then."}]
    sent = ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop")
    assert [body[name] for name in sent] == [5, 0.5, 0.9, 7, 3, ["zzz"]]
    assert (done.text, done.finish_reason) == ("Thought: I look around.\n", "length")
    assert (done.usage.prompt_tokens, done.usage.cached_tokens) == (3, 1)
    assert done.usage.completion_tokens == 5


def test_plain_text_goes_to_the_completions_endpoint() -> None:
    with StandIn() as server:
        (done,) = connect(server, api="completions").generate([ask()])
        assert server.bodies[0]["prompt"] == "Go."
    assert (done.text, done.finish_reason) == ("Thought: I look around.\nAction: look\n", "eos")


def test_a_stop_line_closes_the_connection_and_the_usage_is_of_what_was_generated() -> None:
    with StandIn(say=lambda body: TALE + " and on" * 1900) as server:
        model = connect(server)
        request = ask(stop_line="Action:", sampling=Sampling(max_tokens=2000))
        (done,) = model.generate([request])
        give_up = time.monotonic() + 5
        while not server.hung_up and time.monotonic() < give_up:
            time.sleep(0.01)
        assert server.hung_up == 1
    assert (done.text, done.finish_reason) == ("Thought: one\nAction: look\n", "stop")
    assert done.usage.prompt_tokens == 3
    assert done.usage.completion_tokens == 6


def test_without_running_usage_the_answer_is_heard_to_its_end_and_cut() -> None:
    with StandIn(say=lambda body: TALE, kind="somebody") as server:
        (done,) = connect(server).generate([ask(stop_line="Action:", stop=("\nObservation:",))])
        assert server.bodies[0]["stop"] == ["\nObservation:"]
    assert done.text == "Thought: one\nAction: look"
    assert done.usage.completion_tokens == 5
    assert done.usage.cached_tokens == 1


def test_stops_mean_the_same_whether_streamed_or_not() -> None:
    with StandIn(say=lambda body: TALE) as server:
        model = connect(server)
        for stop_line in (None, "Never:"):
            (done,) = model.generate([ask(stop=(" made", "two"), stop_line=stop_line)])
            assert done.text == "Thought: one\nAction: look\nObservation:"
            assert done.finish_reason == "stop"


def test_more_stops_than_the_protocol_allows_are_honoured_here() -> None:
    with StandIn(say=lambda body: TALE) as server:
        (done,) = connect(server).generate([ask(stop=("a1", "b2", "c3", "d4", "look"))])
        assert len(server.bodies[0]["stop"]) == 4
    assert (done.text, done.finish_reason) == ("Thought: one\nAction: ", "stop")


def test_many_requests_are_under_way_at_once_and_answered_in_order() -> None:
    pair = threading.Barrier(2)  # no answer before another request has come

    def say(body: dict[str, Any]) -> str:
        pair.wait(20)
        return str(body["messages"][0]["content"])

    with StandIn(say=say) as server:
        requests = [ask(messages=(Message("user", f"number {n}"),)) for n in range(20)]
        texts = [done.text for done in connect(server).generate(requests)]
    assert texts == [f"number {n}" for n in range(20)]


def test_it_waits_for_a_server_that_is_not_up_yet() -> None:
    lines: list[str] = []
    with StandIn(models_status=503) as server:

        def heal(line: str) -> None:
            lines.append(line)
            server.models_status = 200

        assert connect(server, server_timeout=10, on_wait=heal).max_context == 2048
    assert lines == [f"waiting for the server at {server.base_url}"]


def test_no_server_is_one_line_that_names_the_way_out() -> None:
    with StandIn() as server:
        url = server.base_url
    with pytest.raises(HarnessError, match=r"no server at .* after 0 s .*harness serve"):
        OpenAIModel(MODEL, base_url=url)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": None}, "needs --base-url"),
        ({"base_url": "127.0.0.1:80"}, "expected http"),
        ({"base_url": "http://me:secret@127.0.0.1/v1"}, "carries a user name, password or query"),
        ({"api": "chat", "tokenizer": object()}, "leave out --tokenizer or --api chat"),
    ],
)
def test_bad_settings_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message) as refused:
        OpenAIModel(MODEL, **{"base_url": "http://127.0.0.1:9/v1", **options})
    assert "secret" not in str(refused.value)


def test_a_model_the_server_has_not_is_answered_with_those_it_has() -> None:
    with StandIn() as server, pytest.raises(HarnessError, match="did you mean 'stand-in'"):
        OpenAIModel("stand-inn", base_url=server.base_url)


def test_top_k_is_refused_where_it_would_be_ignored() -> None:
    with (
        StandIn(kind="somebody") as server,
        pytest.raises(HarnessError, match="--top-k is 5, which this server does not know"),
    ):
        connect(server).generate([ask(sampling=Sampling(top_k=5))])


def test_a_limit_that_leaves_no_room_for_a_prompt_is_refused() -> None:
    with (
        StandIn(max_model_len=100) as server,
        pytest.raises(HarnessError, match="expected room for a prompt"),
    ):
        connect(server).generate([ask(sampling=Sampling(max_tokens=100))])


def test_the_digest_knows_the_model_but_not_the_address() -> None:
    with StandIn() as server:
        model = connect(server)
        described = model.describe()
    assert described["served"] == MODEL
    assert "127.0.0.1" not in str(described)


def test_a_server_that_wants_max_completion_tokens_gets_it() -> None:
    from fault_server import answer, status

    def picky(reply: Any, body: dict[str, Any]) -> None:
        known = "max_tokens" not in body
        refusal = status(400, "Unsupported parameter: use 'max_completion_tokens' instead.")
        (answer if known else refusal)(reply, body)

    with StandIn(kind="somebody", fault=lambda number: picky) as server:
        model = connect(server)
        model.generate([ask()])
        model.generate([ask()])
    assert len(server.bodies) == 3
