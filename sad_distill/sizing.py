"""How large models are, told from their configuration alone: no weights, no network.

A configuration comes from the recipe's `architectures`, from a local folder, or from the teacher's
when the student is pruned from it. Parameters are counted on models without memory. What a forward
pass keeps for the backward one is estimated by counting what autograd saves on a model of one and
of two layers whose tensors have shapes and types but no content. The estimate is on the high side:
for a small LLaMA a tenth above a real pass in bfloat16, and three twentieths in float32. It grows
linearly with layers and tokens, for packed attention never holds a [tokens, tokens] matrix.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.models.loading import quiet
from harness.models.weights import smollm2_folder, smollm2_present
from sad_distill.pruning import FEED_FORWARD, kept_layers, pruned_config
from sad_distill.recipes import Recipe
from sad_distill.students import NANO, architecture_config, nano_config
from sad_distill.train import no_dropout

TRIALS = (64, 128)
"""Tokens of the passes that memory per token is counted on."""


@dataclass(frozen=True)
class Stored:
    """Bytes that autograd keeps of every token: of one layer, and of the states between layers."""

    layer: float
    between: float


def model_config(spec: str, recipe: Recipe, teacher: Any | None = None) -> Any:
    """The configuration of a model spec.

    Args:
        teacher: the teacher's configuration, for `prune:` and for the vocabulary of students from
            scratch.

    Raises:
        HarnessError: nothing here says how large the model is.
    """
    if spec in recipe.architectures:
        return architecture_config(recipe.architectures[spec])
    kind, _, rest = spec.partition(":")
    if kind == "prune":
        return _pruned(spec, rest, teacher)
    if kind == "nano" and rest in NANO:
        return nano_config(rest, _Vocabulary(_height(recipe, teacher)))
    folder = smollm2_folder() if spec == "smollm2" and smollm2_present() else Path(rest)
    if kind == "config":
        return _read(folder, _height(recipe, teacher))
    if kind in ("hf", "smollm2") and (folder.expanduser() / "config.json").is_file():
        return _read(folder.expanduser() / "config.json", None)
    raise HarnessError(
        f"nothing here says how large {spec} is; name a local folder as hf:PATH, or give its "
        f'configuration in the recipe as [architectures."{spec}"]'
    )


def stored_bytes(config: Any, precision: torch.dtype | None) -> Stored:
    """What a training's forward pass keeps for the backward one, per token.

    Args:
        precision: that of autocast, None for float32.
    """
    few, many = TRIALS
    layers = [_kept(config, 2, tokens, precision) - _kept(config, 1, tokens, precision)
              for tokens in TRIALS]  # fmt: skip
    return Stored(
        layer=(layers[1] - layers[0]) / (many - few),
        between=4.0 * int(config.hidden_size),
    )


def _kept(config: Any, layers: int, tokens: int, precision: torch.dtype | None) -> int:
    return _kept_of(_Frozen(config), layers, tokens, precision)


@cache
def _kept_of(frozen: _Frozen, layers: int, tokens: int, precision: torch.dtype | None) -> int:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoModelForCausalLM

    config = deepcopy(frozen.config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        found[storage._cdata] = storage.nbytes()
        return tensor

    with FakeTensorMode(), quiet():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        no_dropout(model)
        ids = torch.zeros(1, tokens, dtype=torch.long)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None),
        ):
            # Alive until the count is done, or storages would be counted under one name.
            states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    del states
    return sum(size for name, size in found.items() if name not in own)


class _Frozen:
    """A configuration that can be remembered by its content."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self._text = config.to_json_string()

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and self._text == other._text


@dataclass(frozen=True)
class _Vocabulary:
    """What a configuration needs to know of a tokenizer that is yet to be trained."""

    size: int
    bos_token_id: int = 0
    eos_token_id: int = 0
    pad_token_id: int = 0

    def __len__(self) -> int:
        return self.size


def _height(recipe: Recipe, teacher: Any | None) -> int:
    return recipe.student.vocabulary if teacher is None else int(teacher.vocab_size)


def _read(path: Path, vocabulary: int | None) -> Any:
    import json

    try:
        settings = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(f"cannot read the configuration {path}: {error}") from error
    padded = {} if vocabulary is None else {"vocab_size": -(-vocabulary // 64) * 64}
    return architecture_config(padded | settings)


def _pruned(spec: str, shape: str, teacher: Any | None) -> Any:
    if teacher is None:
        raise HarnessError(f"student {spec!r} is made from the teacher; name one with --teacher")
    found = re.fullmatch(r"(\d+)?(?:(?:^|(?<=\d),)width=(\d+))?", shape)
    layers, width = found.groups() if found else (None, None)
    if layers is None and width is None:
        raise HarnessError(f"student is {spec!r}; expected prune:N, N being a number of layers")
    config = deepcopy(teacher)
    if layers is not None:
        total = config.num_hidden_layers
        if not 1 <= int(layers) <= total:
            raise HarnessError(f"cannot keep {layers} layers of a model with {total}")
        config = pruned_config(config, kept_layers(total, int(layers)))
    if width is not None:
        setattr(config, FEED_FORWARD[config.model_type].setting, int(width))
    return config
