"""The scripted model: what each kind of script means, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, ProviderError
from harness.models import Request, Sampling
from harness.models.scripted import ScriptedModel, read_script


def say(model: ScriptedModel, session: str = "", **request: Any) -> str:
    return model.generate([Request("hello there", session=session, **request)])[0].text


def test_every_session_hears_a_list_from_the_beginning() -> None:
    model = ScriptedModel(["one", "two"])
    heard = [say(model, session) for session in ("a", "b", "a", "b")]
    assert heard == ["one", "one", "two", "two"]


def test_requests_of_one_session_in_one_call_are_answered_in_order() -> None:
    model = ScriptedModel(["one", "two", "three"])
    done = model.generate([Request("", session=s) for s in ("a", "a", "b")])
    assert [completion.text for completion in done] == ["one", "two", "one"]


def test_a_list_that_has_run_out_is_an_error_again_and_again() -> None:
    model = ScriptedModel(["one"])
    say(model, "a")
    for _ in range(2):
        with pytest.raises(ProviderError, match="has 1 completions and request 2 of session 'a'"):
            say(model, "a")
    assert say(model, "b") == "one"


def test_a_generator_function_starts_anew_in_every_session() -> None:
    def script() -> Iterator[str]:
        yield "one"
        yield "two"

    model = ScriptedModel(script)
    assert [say(model, session) for session in ("a", "b", "a")] == ["one", "one", "two"]


def test_an_iterator_is_one_stream_for_all_sessions() -> None:
    model = ScriptedModel(iter(["one", "two"]))
    assert [say(model, session) for session in ("a", "b")] == ["one", "two"]
    with pytest.raises(ProviderError, match="has 2 completions and request 3 asks"):
        say(model, "c")


def test_a_function_sees_the_request() -> None:
    model = ScriptedModel(lambda request: f"{request.text} {request.seed}")
    assert say(model, seed=4) == "hello there 4"


def test_an_iterator_gives_every_completion_once_to_many_threads() -> None:
    model = ScriptedModel(str(n) for n in range(200))
    with ThreadPoolExecutor(8) as pool:
        heard = list(pool.map(lambda n: say(model, str(n)), range(200)))
    assert sorted(heard, key=int) == [str(n) for n in range(200)]


def test_finish_reasons_are_a_real_models() -> None:
    model = ScriptedModel(lambda request: "Action: go\nObservation: no")
    (stop,) = model.generate([Request("", stop=("\nObservation:",))])
    (eos,) = model.generate([Request("")])
    (length,) = model.generate([Request("", sampling=Sampling(max_tokens=2))])
    assert (stop.text, stop.finish_reason) == ("Action: go", "stop")
    assert eos.finish_reason == "eos"
    assert (length.text, length.finish_reason) == ("Action: go", "length")


def test_words_are_its_tokens() -> None:
    model = ScriptedModel(["a  b\nc d"])
    (done,) = model.generate([Request("one two  three", sampling=Sampling(max_tokens=3))])
    assert done.text == "a  b\nc"
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (3, 3)
    assert done.ids is None


def test_closing_forgets_the_sessions() -> None:
    model = ScriptedModel(["one", "two"])
    say(model, "a")
    model.close()
    assert say(model, "a") == "one"


def test_the_digest_is_of_the_completions() -> None:
    digests = [ScriptedModel(script).describe()["script"] for script in (["a"], ("a",), ["b"])]
    assert digests[0] == digests[1] != digests[2]


def test_an_answer_that_is_no_string_is_refused() -> None:
    broken: Any = lambda request: None  # noqa: E731
    with pytest.raises(ProviderError, match="gave NoneType; expected a string"):
        say(ScriptedModel(broken))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("one string", "is str; expected a list"),
        (5, "is int; expected a list"),
        ([], "has no completions"),
        (["a", 3], "completion 1 of scripted is int"),
    ],
)
def test_what_is_no_script_is_refused(script: Any, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        ScriptedModel(script)


def test_a_text_file_separates_completions_by_dashes(tmp_path: Path) -> None:
    file = tmp_path / "script.txt"
    file.write_text("Thought: a\nAction: look\n---\nAction: go\n\n---\n\n", encoding="utf-8")
    assert read_script(file) == ["Thought: a\nAction: look", "Action: go\n", ""]


def test_a_json_file_is_a_list_of_strings(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text('["Action: look\\n", "naïve"]', encoding="utf-8")
    assert read_script(file) == ["Action: look\n", "naïve"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "completion 0 of .* is int"),
        (b'{"a": 1}', "holds a dict; expected a list"),
        (b"[", "is not JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "script.json"
    file.write_bytes(content)
    with pytest.raises(HarnessError, match=message) as refusal:
        read_script(file)
    assert "\n" not in str(refusal.value)
