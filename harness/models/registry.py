"""Models by spec.

`load_model` turns a spec into a model, or into one line that says why not. A spec is `smollm2`,
`hf:PATH_OR_ID`, `scripted:FILE`, or `module:attr` for a model of one's own: a `Model`, or a
function or class that makes one from the options it takes. Libraries are imported when a spec
needs them. Code is run only from a `.py` script and a `module:attr` that the caller names.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.models.base import Model
from sad_envs.base import did_you_mean

MODEL_SPECS = {
    "smollm2": "SmolLM2-135M-Instruct from the cache (harness model fetch smollm2)",
    "hf:PATH_OR_ID": "a causal language model for transformers: a folder, or an id on the hub",
    "scripted:FILE": "completions from a .json, .txt or .py file, for tests",
    "module:attr": "a Model of your own, or a function that makes one",
}
"""Every form of a spec, and what it gives."""

MODELS_EXTRA = "pip install 'structured-agent-distillation[models]'"


def load_model(spec: str, *, device: str = "auto", dtype: str = "auto", **options: Any) -> Model:
    """The model that `spec` names, ready to generate.

    Args:
        spec: one of the forms in `MODEL_SPECS`.
        device: `auto`, or a torch device such as `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `auto`, `float32`, `bfloat16`, `float16` or `float64`.
        options: for a `module:attr` alone; what its function takes by keyword. It is also given
            `device` and `dtype` when they are not `auto`.

    Raises:
        HarnessError: one line when the spec is unknown or its prerequisites are missing.
    """
    kind, _, rest = spec.partition(":")
    if spec == "smollm2":
        _refuse_options(spec, options)
        _require_models_extra(spec)
        from harness.models.transformers import TransformersModel
        from harness.models.weights import smollm2_path

        return TransformersModel.load(smollm2_path(), name=spec, device=device, dtype=dtype)
    if kind == "hf" and rest:
        _refuse_options(spec, options)
        _require_models_extra(spec)
        from harness.models.transformers import TransformersModel

        return TransformersModel.load(rest, name=spec, device=device, dtype=dtype)
    if kind == "scripted" and rest:
        chosen = {"device": device, "dtype": dtype}
        _refuse_options(spec, options | {k: v for k, v in chosen.items() if v != "auto"})
        return _scripted(spec, Path(rest).expanduser())
    if rest and all(part.isidentifier() for part in rest.split(".")) and _importable(kind):
        return _plugin(spec, kind, rest, device, dtype, options)
    raise HarnessError(_unknown(spec))


def _require_models_extra(spec: str) -> None:
    missing = [name for name in ("torch", "transformers") if not _importable(name)]
    if missing:
        raise HarnessError(f"model {spec} needs torch and transformers: {MODELS_EXTRA}")
    # Threads that spin while they wait starve the environments' processes, and each other: with
    # two busy neighbours on two cores, decoding is six times slower. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _refuse_options(spec: str, options: dict[str, Any]) -> None:
    if options:
        raise HarnessError(f"model {spec} does not take {', '.join(sorted(options))}; leave it out")


def _importable(module: str) -> bool:
    """Whether `import module` would find something; no part of it is run but its parents."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _unknown(spec: str) -> str:
    known = ", ".join(MODEL_SPECS)
    kind, colon, _ = spec.partition(":")
    if kind in ("hf", "scripted"):
        form = next(form for form in MODEL_SPECS if form.startswith(kind))
        return f"model {spec!r} names nothing to load; expected {form}"
    if not colon and Path(spec).expanduser().exists():
        form = "hf" if Path(spec).expanduser().is_dir() else "scripted"
        return f"unknown model {spec!r}; did you mean '{form}:{spec}'?"
    forms = {form.partition(":")[0]: form for form in MODEL_SPECS}
    close = difflib.get_close_matches(kind.lower(), [name for name in forms if name != "module"])
    if close:
        return f"unknown model {spec!r}; did you mean {forms[close[0]]}?"
    why = f" (there is no module {kind!r} to import)" if colon else ""
    return f"unknown model {spec!r}{why}; expected one of {known}"


def _scripted(spec: str, path: Path) -> Model:
    from harness.models.scripted import ScriptedModel, read_script

    if not path.is_file():
        raise HarnessError(f"no script {path}; expected a .json, .txt or .py file of completions")
    if path.suffix in (".json", ".txt"):
        return ScriptedModel(read_script(path), name=spec)
    if path.suffix != ".py":
        raise HarnessError(
            f"script {path} ends in {path.suffix or 'nothing'!r}; expected .json, .txt or .py"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    module_spec = importlib.util.spec_from_file_location(f"sad_script_{digest[:12]}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    loader = module_spec.loader
    _run_foreign(f"script {path}", lambda: loader.exec_module(module))
    script = getattr(module, "respond", None) or getattr(module, "completions", None)
    if script is None:
        raise HarnessError(f"script {path} defines neither `completions` nor `respond`")
    return ScriptedModel(script, name=spec, digest=digest)


def _plugin(
    spec: str, module: str, attribute: str, device: str, dtype: str, options: dict[str, Any]
) -> Model:
    loaded = _run_foreign(f"module {module}", lambda: importlib.import_module(module))
    target: Any = loaded
    for part in attribute.split("."):
        if not hasattr(target, part):
            names = [name for name in dir(target) if not name.startswith("_")]
            raise HarnessError(f"module {module} has no {attribute!r}{did_you_mean(part, names)}")
        target = getattr(target, part)
    made = target
    chosen = {"device": device, "dtype": dtype}
    arguments = options | {key: value for key, value in chosen.items() if value != "auto"}
    if callable(target) and (inspect.isclass(target) or not isinstance(target, Model)):
        try:
            inspect.signature(target).bind(**arguments)
        except TypeError as error:
            given = ", ".join(sorted(arguments)) or "no options"
            raise HarnessError(f"model {spec} cannot be made with {given}: {error}") from error
        made = _run_foreign(f"model {spec}", lambda: target(**arguments))
    if not isinstance(made, Model):
        raise HarnessError(
            f"model {spec} is {type(made).__name__}; expected a Model (name, tokenizer, "
            "max_context, generate, describe, close) or a function that makes one"
        )
    return made


def _run_foreign(what: str, call: Callable[[], Any]) -> Any:
    """Run someone else's code; whatever it raises becomes one line that names it."""
    try:
        return call()
    except HarnessError:
        raise
    except Exception as error:  # whatever foreign code raises is its line
        line = (str(error).splitlines() or [""])[0]
        raise HarnessError(f"{what} failed: {type(error).__name__}: {line}") from error
