"""Load a causal language model and its tokenizer with `transformers`, or say in one line why not.

Device `auto` is CUDA when there is one, else the CPU. Dtype `auto` is bfloat16 on a CUDA device
that computes it in hardware, else float32. That holds for CPUs with bfloat16 instructions too:
there bfloat16 doubles the speed of a batch, but rounds so coarsely that most completions come to
depend on what else is in their batch, while float32 keeps nearly all of them (`--dtype bfloat16` is
for those who want the speed). Weights that the folder lacks are refused, not drawn at random; code
that comes with a model is never run. Progress bars and log lines of the libraries are held back;
what they would have said of importance is an error here.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import torch
import transformers
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from harness.errors import HarnessError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}

_LOAD_ERRORS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(ImportError, RuntimeError, SafetensorError, StrictDataclassError, pickle.UnpicklingError),
)
"""What the libraries raise over a folder whose files are damaged or do not fit together."""

_HASHED = ("config.json", "generation_config.json", "*.safetensors", "*.bin")


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode on its device, its fast tokenizer, and what identifies both."""

    model: Any
    tokenizer: Any
    weights_digest: str


def load_causal_lm(source: str | Path, *, device: str, dtype: str) -> Loaded:
    """Load from a folder, or from the hub when no such folder exists and `source` is an id.

    Raises:
        HarnessError: the folder or id cannot be read, is no causal language model, lacks weights
            or a fast tokenizer; or the device or dtype is not available.
    """
    place = resolve_device(device)
    precision = resolve_dtype(dtype, place)
    where, local = _resolve_source(source)
    offline = not local and not _hub_answers()
    fetch: dict[str, Any] = {"local_files_only": local or offline, "trust_remote_code": False}
    with quiet():
        config = _attempt(where, offline, transformers.AutoConfig.from_pretrained, fetch)
        _check_causal(where, config)
        model = _load_weights(where, offline, config, precision, fetch)
        tokenizer = _load_tokenizer(where, offline, fetch)
    n_embedded = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) == 0 or min(tokenizer.get_vocab().values()) >= n_embedded:
        raise HarnessError(f"the tokenizer of {where} does not belong to its model")
    try:
        model.to(place)
    except RuntimeError as error:
        raise HarnessError(f"{where} does not fit on {place}: {first_line(error)}") from error
    commit = getattr(config, "_commit_hash", None)
    digest = folder_digest(Path(where)) if local else f"commit:{commit}"
    return Loaded(model.eval(), tokenizer, digest)


def load_tokenizer(source: str | Path) -> Any:
    """The fast tokenizer of a folder or hub id, without its model.

    Raises:
        HarnessError: it cannot be read, or is not a fast one.
    """
    where, local = _resolve_source(source)
    offline = not local and not _hub_answers()
    with quiet():
        return _load_tokenizer(
            where, offline, {"local_files_only": local or offline, "trust_remote_code": False}
        )


def resolve_device(device: str) -> torch.device:
    """The torch device of a name; raises `HarnessError` when it is unknown or absent."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise HarnessError(
            f"unknown device {device!r}; expected auto, cpu, cuda, cuda:N or mps"
        ) from error
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(place.type)
    if count is not None and (place.index or 0) >= count:
        raise HarnessError(
            f"device {device} is not there: this torch ({torch.__version__}) sees {count} "
            f"{place.type} devices; use --device auto"
        )
    return place


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The torch dtype of a name, by the rule of the module docstring for `auto`."""
    if dtype == "auto":
        # Older GPUs only emulate bfloat16, slower than float32.
        in_hardware = device.type == "cuda" and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
        return torch.bfloat16 if in_hardware else torch.float32
    if dtype not in DTYPES:
        raise HarnessError(f"unknown dtype {dtype!r}; expected auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the libraries' progress bars and everything they log below an error."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    hub_bars = not are_progress_bars_disabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()


def folder_digest(folder: Path) -> str:
    """Sha256 over the names and bytes of a model folder's configuration and weight files."""
    files = sorted({path for pattern in _HASHED for path in folder.glob(pattern)})
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        digest.update(f"{path.name}\0".encode())
        digest.update(_file_digest(path, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()


def state_digest(model: Any) -> str:
    """Sha256 over the names and values of a live model's tensors, and its configuration."""
    digest = hashlib.sha256(
        json.dumps(model.config.to_dict(), sort_keys=True, default=str).encode()
    )
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """Sha256 over what a fast tokenizer does with text, its chat template included."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    # Left over from the last call, and no part of the tokenizer's identity.
    state.pop("padding", None)
    state.pop("truncation", None)
    known = json.dumps([state, str(tokenizer.chat_template or "")], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type when it says nothing."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, mtime_ns: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _resolve_source(source: str | Path) -> tuple[str, bool]:
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise HarnessError(f"{path} has no config.json; expected a transformers model folder")
        return str(path), True
    name = str(source)
    if path.exists():
        raise HarnessError(f"{path} is a file; expected a transformers model folder")
    if isinstance(source, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise HarnessError(f"there is no model folder {path}")
    return name, False


def _hub_answers() -> bool:
    """Whether the hub can be reached; asked first, as its own client retries for 25 seconds."""
    if hub_constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE") == "1":
        return False
    try:
        httpx.head(hub_constants.ENDPOINT, timeout=5.0, follow_redirects=False)
    except httpx.HTTPError:
        return False
    return True


def _attempt(where: str, offline: bool, load: Any, options: dict[str, Any]) -> Any:
    try:
        return load(where, **options)
    except _LOAD_ERRORS as error:
        raise HarnessError(_reason(where, offline, error)) from error


def _reason(where: str, offline: bool, error: BaseException) -> str:
    if offline:
        return (
            f"no folder {where!r} here, no such model in the hub's cache, and the hub cannot be "
            "reached; download it first, or give a folder as hf:PATH"
        )
    if "trust_remote_code" in str(error):
        return f"model {where} needs Python code of its own, which is not run; use another model"
    if isinstance(error, OSError | ValueError | RuntimeError | SafetensorError):
        return f"cannot load {where}: {first_line(error)}"
    lines = " ".join(str(error).split())
    return f"cannot load {where}: its files do not fit together ({type(error).__name__}: {lines})"


def _check_causal(where: str, config: Any) -> None:
    mapping = transformers.AutoModelForCausalLM._model_mapping
    named = [str(name) for name in getattr(config, "architectures", None) or []]
    known = type(config) in mapping
    causal = (
        name.endswith(("ForCausalLM", "LMHeadModel")) or name == mapping[type(config)].__name__
        for name in (named if known else [])
    )
    if not known or (named and not any(causal)):
        holds = " and ".join(named) or f"a {config.model_type} model"
        raise HarnessError(f"{where} holds {holds}; expected a causal language model")


def _load_weights(
    where: str, offline: bool, config: Any, dtype: torch.dtype, fetch: dict[str, Any]
) -> Any:
    options = fetch | {"config": config, "dtype": dtype, "output_loading_info": True}
    model, report = _attempt(
        where, offline, transformers.AutoModelForCausalLM.from_pretrained, options
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise HarnessError(
            f"{where} lacks {len(missing)} weights of {type(model).__name__} "
            f"({missing[0]} is the first); expected a complete causal language model"
        )
    return model


def _load_tokenizer(where: str, offline: bool, fetch: dict[str, Any]) -> Any:
    try:
        tokenizer = _attempt(where, offline, transformers.AutoTokenizer.from_pretrained, fetch)
    except HarnessError as error:
        if offline or (Path(where) / "tokenizer.json").is_file():
            raise
        raise HarnessError(
            f"{where} has no fast tokenizer; expected a tokenizer.json beside the weights"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise HarnessError(
            f"the tokenizer of {where} is {type(tokenizer).__name__}, which is not a fast one; "
            "expected a tokenizer.json beside the weights"
        )
    return tokenizer
