"""`load_model`: what each spec gives, and the one line for a spec that gives nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.models import Request, load_model
from harness.models.scripted import ScriptedModel


def first_text(model: Any) -> str:
    return str(model.generate([Request("x", seed=3)])[0].text)


def refusal(spec: str, **options: Any) -> str:
    with pytest.raises(HarnessError) as caught:
        load_model(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_importing_the_package_imports_no_model_library() -> None:
    code = (
        "import sys, harness.models as m; m.load_model; m.Request('x');"
        "print([n for n in ('torch', 'transformers', 'jinja2', 'httpx') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import harness.models

    assert all(hasattr(harness.models, name) for name in harness.models.__all__)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = harness.models.nothing_such


def test_a_script_file_is_named_by_its_spec(tmp_path: Path) -> None:
    file = tmp_path / "two.json"
    file.write_text('["one", "two"]', encoding="utf-8")
    model = load_model(f"scripted:{file}")
    assert model.name == f"scripted:{file}"
    assert first_text(model) == "one"


@pytest.mark.parametrize(
    "code",
    [
        "completions = ['said 3']",
        "def completions():\n    yield 'said 3'",
        "def respond(request):\n    return f'said {request.seed}'",
    ],
)
def test_a_python_script_defines_completions_or_respond(tmp_path: Path, code: str) -> None:
    file = tmp_path / "script.py"
    file.write_text(code, encoding="utf-8")
    assert first_text(load_model(f"scripted:{file}")) == "said 3"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1", "defines neither `completions` nor `respond`"),
        ("1 / 0", "failed to load: ZeroDivisionError: division by zero"),
        ("import no_such_module_here", "failed to load: ModuleNotFoundError"),
        ("def", "failed to load: SyntaxError"),
        ("completions = []", "has no completions"),
    ],
)
def test_a_python_script_that_gives_nothing_is_refused(
    tmp_path: Path, code: str, message: str
) -> None:
    file = tmp_path / "script.py"
    file.write_text(code, encoding="utf-8")
    assert message in refusal(f"scripted:{file}")


def make_echo(prefix: str = "", device: str = "auto") -> ScriptedModel:
    return ScriptedModel(lambda request: f"{prefix}{request.text}{device}", name="echo")


ECHO = make_echo("fixed ")
NOT_A_MODEL = 5


def make_nothing() -> None:
    return None


def test_a_models_own_function_is_given_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "own_models", sys.modules[__name__])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "own_models" or None)
    assert first_text(load_model("own_models:make_echo", prefix="> ")) == "> xauto"
    assert first_text(load_model("own_models:make_echo", device="cpu")) == "xcpu"
    assert first_text(load_model("own_models:ECHO")) == "fixed xauto"
    assert "did you mean 'make_echo'" in refusal("own_models:make_ecko")
    assert "cannot be made with colour" in refusal("own_models:make_echo", colour="red")
    assert "is int; expected a Model" in refusal("own_models:NOT_A_MODEL")
    assert "is NoneType; expected a Model" in refusal("own_models:make_nothing")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smolm2", "unknown model 'smolm2'; did you mean smollm2?"),
        ("HF:gpt2", "did you mean hf:PATH_OR_ID?"),
        ("script:a.json", "did you mean scripted:FILE?"),
        ("zzz:some-model", "expected one of smollm2, hf:PATH_OR_ID, vllm:PATH_OR_ID, openai:NAME"),
        ("openai:", "names nothing to load; expected openai:NAME"),
        ("no_such_module:thing", "there is no module 'no_such_module'"),
        ("", "unknown model ''"),
        (":", "unknown model ':'"),
        ("hf:", "names nothing to load; expected hf:PATH_OR_ID"),
        ("scripted:", "names nothing to load; expected scripted:FILE"),
        ("scripted:no/such.json", "no script no/such.json; expected a .json, .txt or .py"),
        ("scripted:pyproject.toml", "ends in '.toml'; expected .json, .txt or .py"),
    ],
)
def test_unknown_specs_are_answered_with_the_known(
    spec: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert message in refusal(spec)


def test_a_folder_without_its_prefix_is_recognised(tmp_path: Path) -> None:
    assert f"did you mean 'hf:{tmp_path}'" in refusal(str(tmp_path))


def test_options_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('["one"]', encoding="utf-8")
    assert "does not take dtype" in refusal(f"scripted:{file}", dtype="bfloat16")
    assert "does not take colour" in refusal("hf:x", colour="red")
    assert load_model(f"scripted:{file}", device="auto", dtype="auto")


@pytest.mark.parametrize("spec", ["smollm2", "hf:gpt2"])
def test_a_missing_extra_names_the_pip_command(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert refusal(spec) == (
        f"model {spec} needs torch and transformers: "
        "pip install 'structured-agent-distillation[models]'"
    )


@pytest.mark.models
def test_threads_wait_without_spinning_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY")
    refusal("hf:./no/such")
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    refusal("hf:./no/such")
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
