"""Where a student comes from.

| spec | student |
|---|---|
| `hf:PATH_OR_ID`, `smollm2` | a pretrained model |
| `prune:N` | N evenly spaced layers of the teacher; embeddings, final norm and head are kept |
| `prune:width=W`, `prune:N,width=W` | W neurons of each feed-forward layer  |
| `config:FILE` | a configuration (`config.json`), weights drawn at random |
| `nano:S`, `nano:M`, `nano:L` | 0.5, 1 and 3 million parameters for a CPU, from scratch |
| `nano:XL` | 11 million, for a GPU |

A student made from nothing takes the teacher's tokenizer when there is a teacher, for without a
common vocabulary their distributions cannot be compared; else it gets a tokenizer of its own,
trained on the trajectories. Two tokenizers are the same when they give every text the same ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.errors import HarnessError
from harness.models.loading import load_causal_lm, quiet
from harness.models.weights import smollm2_path
from harness.trajectory import Episode
from sad_distill.own_tokenizer import train_tokenizer
from sad_distill.pruning import prune_depth, prune_width

POSITIONS = 4096
"""Positions of nano students: a generated transcript in whole, with room to spare."""

NANO: dict[str, dict[str, int]] = {
    "S": {"hidden_size": 80, "intermediate_size": 216, "layers": 3, "heads": 4},
    "M": {"hidden_size": 128, "intermediate_size": 352, "layers": 4, "heads": 4},
    "L": {"hidden_size": 192, "intermediate_size": 528, "layers": 6, "heads": 6},
    "XL": {"hidden_size": 320, "intermediate_size": 864, "layers": 8, "heads": 8},
}
"""LLaMA architectures with tied embeddings, by size.

Up to L they learn ALFWorld within an hour on two cores; XL sees too few tokens in that time."""


@dataclass(frozen=True)
class Student:
    """A model to train, its tokenizer, and how it was made.

    Attributes:
        origin: one line for the model card.
        parents: specs of the models whose weights are in it.
    """

    model: Any
    tokenizer: Any
    origin: str
    parents: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Number of parameters, tied ones once."""
        return count_parameters(self.model)


@dataclass(frozen=True)
class TeacherParts:
    """What making a student may take from the teacher: `model` only for pruning."""

    spec: str
    tokenizer: Any
    model: Any | None = None


def make_student(
    spec: str,
    *,
    teacher: TeacherParts | None = None,
    episodes: Iterable[Episode] = (),
    vocabulary: int = 3000,
    seed: int = 0,
) -> Student:
    """The student of a spec, in float32 on the CPU, in training mode.

    Args:
        spec: see the module.
        teacher: needed for `prune:N`; gives its tokenizer to students made from nothing.
        episodes: what a tokenizer is trained on where there is no teacher.
        vocabulary: tokens of that tokenizer at most.
        seed: of weights that are drawn.

    Raises:
        HarnessError: the spec is unknown, or what it needs is missing.
    """
    kind, _, rest = spec.partition(":")
    if spec == "smollm2" or (kind == "hf" and rest):
        source = smollm2_path() if spec == "smollm2" else rest
        loaded = load_causal_lm(source, device="cpu", dtype="float32")
        return Student(loaded.model.train(), loaded.tokenizer, f"pretrained {spec}", (spec,))
    if kind == "prune":
        return _pruned(rest, spec, teacher)
    if kind == "config" and rest:
        tokenizer = _tokenizer(teacher, episodes, vocabulary)
        config = _read_config(Path(rest).expanduser(), tokenizer)
        return Student(build(config, seed), tokenizer, f"from scratch, {Path(rest).name}")
    if kind == "nano" and rest in NANO:
        tokenizer = _tokenizer(teacher, episodes, vocabulary)
        return Student(
            build(nano_config(rest, tokenizer), seed), tokenizer, f"from scratch, {spec}"
        )
    sizes = ", ".join(f"nano:{size}" for size in NANO)
    raise HarnessError(
        f"unknown student {spec!r}; expected hf:PATH_OR_ID, smollm2, prune:N, prune:width=W, "
        f"config:FILE, {sizes}"
    )


def nano_config(size: str, tokenizer: Any) -> Any:
    """The configuration of a nano student for a tokenizer.

    Weights are drawn with a deviation of one over the root of the width. The usual 0.02 suits
    widths ten times as large; here attention would begin all but uniform, and copying names from
    the task into a thought would be learned later.
    """
    from transformers import LlamaConfig

    shape = NANO[size]
    return LlamaConfig(
        initializer_range=shape["hidden_size"] ** -0.5,
        vocab_size=_padded(len(tokenizer)),
        hidden_size=shape["hidden_size"],
        intermediate_size=shape["intermediate_size"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads"],
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def build(config: Any, seed: int) -> Any:
    """A causal language model with weights drawn from `seed`, float32, in training mode."""
    from transformers import AutoModelForCausalLM

    before = torch.random.get_rng_state()
    try:
        torch.manual_seed(seed)
        with quiet():
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    finally:
        torch.random.set_rng_state(before)
    return model.train()


def architecture_config(architecture: dict[str, Any]) -> Any:
    """The configuration that a recipe's `architectures` gives for a model.

    Raises:
        HarnessError: `model_type` is missing or unknown.
    """
    from transformers import AutoConfig

    settings = dict(architecture)
    kind = settings.pop("model_type", None)
    try:
        return AutoConfig.for_model(kind, **settings)
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            f"an architecture has model_type {kind!r}; expected one that transformers knows"
        ) from error


def meta_model(config: Any) -> Any:
    """The model of a configuration without memory for its weights, to size and to count."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), quiet():
        return AutoModelForCausalLM.from_config(config)


def count_parameters(model: Any) -> int:
    """Number of parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def same_tokenizer(one: Any, other: Any) -> bool:
    """Whether two fast tokenizers give every text the same ids; chat templates do not count."""
    return _ids_of_text(one) == _ids_of_text(other)


def _ids_of_text(tokenizer: Any) -> str:
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = ("normalizer", "pre_tokenizer", "model", "added_tokens")
    return json.dumps([state.get(name) for name in kept], sort_keys=True)


def _padded(tokens: int) -> int:
    """The next multiple of 64, which products of matrices like."""
    return -(-tokens // 64) * 64


def _tokenizer(teacher: TeacherParts | None, episodes: Iterable[Episode], vocabulary: int) -> Any:
    if teacher is not None:
        return teacher.tokenizer
    chosen = list(episodes)
    if not chosen:
        raise HarnessError(
            "a student from scratch needs a teacher's tokenizer, or episodes to train its own on"
        )
    return train_tokenizer(chosen, vocabulary=vocabulary, max_length=POSITIONS)


def _pruned(shape: str, spec: str, teacher: TeacherParts | None) -> Student:
    found = re.fullmatch(r"(\d+)?(?:(?:^|(?<=\d),)width=(\d+))?", shape)
    if not shape or found is None:
        raise HarnessError(
            f"student is {spec!r}; expected prune:N, prune:width=W or prune:N,width=W, with N "
            "layers and W neurons of each feed-forward layer"
        )
    layers, width = found.groups()
    if teacher is None or teacher.model is None:
        raise HarnessError(f"student {spec!r} is made from the teacher; name one with --teacher")
    model, parts = teacher.model, []
    if layers is not None:
        model = prune_depth(model, int(layers))
        parts.append(f"{layers} of {teacher.model.config.num_hidden_layers} layers")
    if width is not None:
        model = prune_width(model, int(width))
        parts.append(f"{width} neurons of each feed-forward layer")
    origin = f"{', '.join(parts)} of {teacher.spec}"
    return Student(model.float().cpu(), teacher.tokenizer, origin, (teacher.spec,))


def _read_config(path: Path, tokenizer: Any) -> Any:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise HarnessError(f"{path} names no model_type; expected the config.json of a model")
    config = architecture_config({"vocab_size": _padded(len(tokenizer))} | settings)
    if config.vocab_size < len(tokenizer):
        raise HarnessError(
            f"{path} has vocab_size {config.vocab_size}, the tokenizer {len(tokenizer)} tokens; "
            "raise vocab_size, or leave it out"
        )
    return config
