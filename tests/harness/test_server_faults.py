"""Every fault of a server ends in the right outcome; nothing hangs, and totals are right."""

from __future__ import annotations

import email.utils
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import fault_server as stand_in
import pytest
from fault_server import Fault, StandIn

from harness.cli.execute import execute
from harness.config import make_config
from harness.errors import (
    CallTimeout,
    ContextOverflow,
    HarnessError,
    ProviderError,
    RateLimited,
    ServerBusy,
    TransientError,
)
from harness.models.answers import retry_after
from harness.models.base import Message, Request, Sampling
from harness.models.openai import OpenAIModel
from harness.store import ERRORS, read_episodes

KEY = "sk-very-secret-0123456789"

KINDS: list[tuple[str, Fault, type[HarnessError], str]] = [
    ("429", stand_in.status(429), RateLimited, "answered 429: not now"),
    ("quota", stand_in.status(429, "insufficient_quota: pay"), ProviderError, "insufficient"),
    ("503", stand_in.status(503), ServerBusy, "503"),
    ("529", stand_in.status(529), ServerBusy, "529"),
    ("500", stand_in.status(500), TransientError, "500"),
    ("401", stand_in.status(401, "who are you"), ProviderError, "who are you"),
    ("404", stand_in.status(404, "no such model"), ProviderError, "no such model"),
    ("302", stand_in.status(302), ProviderError, "302"),
    ("reset", stand_in.reset, TransientError, "connection"),
    ("silent", stand_in.silent, CallTimeout, "within 1 s"),
    ("endless", stand_in.endless, CallTimeout, "longer than 1 s"),
    ("flood", stand_in.flood, ProviderError, "does not keep to max_tokens"),
    ("torn json", stand_in.torn_json, TransientError, "broken JSON"),
    ("torn stream", stand_in.torn_stream, TransientError, "connection"),
    ("unfinished", stand_in.unfinished, TransientError, "incomplete"),
    ("web page", stand_in.web_page, TransientError, "text/html; expected text/event-stream"),
    ("no choices", stand_in.no_choices, TransientError, "empty list of choices"),
    ("too long", stand_in.too_long, ContextOverflow, "maximum context length"),
    ("other model", stand_in.other_model, ProviderError, "answered as 'somebody-else'"),
]
PASSING = ("429", "503", "500", "reset", "torn json", "torn stream", "unfinished", "no choices")
FAULTS = {name: fault for name, fault, _, _ in KINDS}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAD_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask() -> Request:
    sampling = Sampling(max_tokens=30)
    return Request("Go.", messages=(Message("user", "Go."),), sampling=sampling, stop_line="Act:")


def play(server: StandIn, out: Path, **settings: Any) -> int:
    """Run the ReAct agent on three generated ALFWorld tasks; the number left unscored."""
    given: dict[str, Any] = {
        "agent": "react", "env": "alfworld", "model": f"openai:{stand_in.MODEL}",
        "base_url": server.base_url, "limit": 3, "concurrency": 3, "max_steps": 2, "out": out,
    }  # fmt: skip
    return execute(make_config(given | {"shots": 0} | settings))


def outcomes(folder: Path) -> Counter[str]:
    rows = [*read_episodes(folder), *read_episodes(folder, ERRORS)]
    return Counter(str(row.outcome) for row in rows)


@pytest.mark.parametrize(("name", "fault", "kind", "words"), KINDS, ids=[k[0] for k in KINDS])
def test_a_fault_is_classified_and_names_itself(
    name: str, fault: Fault, kind: type[HarnessError], words: str
) -> None:
    with StandIn(fault=lambda number: fault) as server:
        model = OpenAIModel(stand_in.MODEL, base_url=server.base_url, call_timeout=1.0)
        started = time.monotonic()
        with pytest.raises(HarnessError, match=words) as failed:
            model.generate([ask()])
        assert type(failed.value) is kind
        assert time.monotonic() - started < 4
        assert len(server.bodies) == 1  # trying again is the caller's business
        model.close()


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_costs_no_episode(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.scheduling.FIRST_WAIT", 0.05, raising=False)
    with StandIn(fault=lambda number: FAULTS[name] if number in (1, 2) else None) as server:
        if play(server, tmp_path):
            assert play(server, tmp_path, resume=True) == 0
    rows = list(read_episodes(tmp_path))
    assert len({row.key for row in rows}) == len(rows) == 3
    assert outcomes(tmp_path)["truncated_steps"] == 3
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["rows"][-1]["scored"], summary["rows"][-1]["planned"]) == (3, 3)
    assert all(row.usage.model_calls == len(row.turns) == 2 for row in rows)


@pytest.mark.parametrize("name", ["other model", "quota", "404", "flood"])
def test_a_refusal_leaves_every_episode_owed(name: str, tmp_path: Path) -> None:
    with StandIn(fault=lambda number: FAULTS[name]) as server:
        assert play(server, tmp_path) == 3
        assert len(server.bodies) == 3
    assert outcomes(tmp_path) == {"provider_error": 3}


def test_an_over_long_context_is_scored_as_such(tmp_path: Path) -> None:
    def second_turn_too_long(reply: Any, body: dict[str, Any]) -> None:
        acted = any(message["role"] == "assistant" for message in body["messages"])
        (stand_in.too_long if acted else stand_in.answer)(reply, body)

    with StandIn(fault=lambda number: second_turn_too_long) as server:
        assert play(server, tmp_path) == 0
    assert outcomes(tmp_path) == {"truncated_context": 3}
    assert all(row.score is not None and len(row.turns) == 1 for row in read_episodes(tmp_path))


@pytest.mark.parametrize("headers", [{}, {"Retry_After": "0.2"}])
def test_a_storm_of_refusals_ends_with_all_episodes_scored(
    headers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.scheduling.FIRST_WAIT", 0.05, raising=False)
    storm = stand_in.status(429, **headers)
    with StandIn(fault=lambda number: storm if number % 3 else None) as server:
        left = play(server, tmp_path, concurrency=3)
        for _ in range(6):
            left = left and play(server, tmp_path, resume=True)
        assert left == 0
    rows = list(read_episodes(tmp_path))
    assert len({row.key for row in rows}) == len(rows) == 3


def test_the_key_reaches_the_server_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    echo = stand_in.status(401, f"Incorrect API key provided: {KEY}")
    with StandIn(fault=lambda number: echo if number > 1 else None) as server:
        play(server, tmp_path)
        assert all(seen["Authorization"] == f"Bearer {KEY}" for seen in server.headers_seen)
    printed = capsys.readouterr()
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "Incorrect API key provided: [key]" in written
    assert KEY not in written + printed.out + printed.err


def test_a_key_with_odd_characters_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\nsecret")
    with pytest.raises(HarnessError, match="OPENAI_API_KEY holds characters") as refused:
        OpenAIModel("any", base_url="http://127.0.0.1:9/v1")
    assert "secret" not in str(refused.value)


def test_retry_after_is_seconds_or_a_date() -> None:
    at = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert 25 < (retry_after({"retry-after": at}) or 0) <= 30
    for nothing in ("", "soon", "nan", "inf"):
        assert retry_after({"retry-after": nothing}) is None
    assert retry_after({"retry-after": "-3"}) == 0
