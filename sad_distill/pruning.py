"""Students made from the teacher by leaving parts of it out: layers, or feed-forward neurons.

Depth keeps evenly spaced layers. Width keeps the neurons of every feed-forward layer that weigh
most: by the product of the norms of a neuron's incoming and outgoing weights, which bounds what it
can add to the layer's output. All else is as it was, copied: embeddings, attention, norms and
head, so the result is a plain model of its family with another size in its configuration.

It refuses architectures whose layers, or feed-forward layers, are none of those known here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.errors import HarnessError


@dataclass(frozen=True)
class FeedForward:
    """Where a family keeps its feed-forward layers.

    Attributes:
        setting: name of their width in the configuration.
        inner: linear layers that make the neurons, by name within a layer.
        outer: the linear layer that reads them.
        transposed: whether weights are [inputs, outputs], as GPT-2 has them.
    """

    setting: str
    inner: tuple[str, ...]
    outer: str
    transposed: bool = False


_GATED = FeedForward("intermediate_size", ("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj")
FEED_FORWARD = {
    "gpt2": FeedForward("n_inner", ("mlp.c_fc",), "mlp.c_proj", transposed=True),
    "opt": FeedForward("ffn_dim", ("fc1",), "fc2"),
    "llama": _GATED,
    "mistral": _GATED,
    "qwen2": _GATED,
    "qwen3": _GATED,
}
"""By model type."""

FAMILIES = ("gpt2", "opt", "llama", "mistral", "qwen2", "qwen3")
"""Model types that depth pruning is tested with, or that are built as one that is."""

_LAYER_LISTS = ("transformer.h", "model.decoder.layers", "model.layers")


def prune_depth(model: Any, layers: int) -> Any:
    """A model with `layers` evenly spaced layers of `model`, the first and the last among them.

    The weights are copies; everything but the layers is as it was. A single layer is the first.

    Raises:
        HarnessError: `model` has fewer layers, or keeps them where no known architecture does.
    """
    where, blocks = layers_of(model)
    if not 1 <= layers <= len(blocks):
        raise HarnessError(
            f"cannot keep {layers} layers of a model with {len(blocks)}; expected 1 to "
            f"{len(blocks)}"
        )
    kept = kept_layers(len(blocks), layers)
    config = pruned_config(model.config, kept)
    # A new model, so that what a layer knows of its place is right.
    small = type(model)._from_config(config, dtype=model.dtype)
    state = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(f"{where}."):
            number, _, rest = name.removeprefix(f"{where}.").partition(".")
            if int(number) not in kept:
                continue
            name = f"{where}.{kept.index(int(number))}.{rest}"
        state[name] = tensor
    small.load_state_dict(state)
    small.tie_weights()
    small.generation_config = model.generation_config
    return small.to(model.device).train()


def kept_layers(total: int, layers: int) -> list[int]:
    """Which of `total` layers are kept: evenly spaced, the ends included."""
    if layers == 1:
        return [0]
    return [math.floor(i * (total - 1) / (layers - 1) + 0.5) for i in range(layers)]


def pruned_config(config: Any, kept: Sequence[int]) -> Any:
    """The configuration with only the layers `kept`, types of layers included."""
    settings = config.to_dict()
    settings.pop("num_hidden_layers", None)
    types = settings.pop("layer_types", None)
    before = config.num_hidden_layers
    small = type(config).from_dict(settings)
    small.num_hidden_layers = len(kept)
    if types is not None:
        small.layer_types = [types[index] for index in kept]
    if getattr(config, "max_window_layers", None) is not None:
        full = min(config.max_window_layers, before)
        small.max_window_layers = sum(index < full for index in kept)
    return small


def prune_width(model: Any, width: int) -> Any:
    """A model with the `width` weightiest neurons of every feed-forward layer of `model`.

    The weights are copies. Kept neurons stay in their order.

    Raises:
        HarnessError: `model` is of another family, or has fewer neurons.
    """
    kind = model.config.model_type
    form = FEED_FORWARD.get(kind)
    if form is None:
        raise HarnessError(
            f"it is not known where {type(model).__name__} keeps its neurons; expected one of the "
            f"families {', '.join(FEED_FORWARD)}"
        )
    where, blocks = layers_of(model)
    state = dict(model.state_dict())
    side = 1 if form.transposed else 0
    have = blocks[0].get_submodule(form.inner[0]).weight.shape[side]
    if not 1 <= width <= have:
        raise HarnessError(
            f"cannot keep {width} neurons of feed-forward layers with {have}; expected 1 to {have}"
        )
    for number, block in enumerate(blocks):
        kept = torch.topk(neuron_weights(block, form), width).indices.sort().values
        for name in (*form.inner, form.outer):
            full = f"{where}.{number}.{name}"
            # A neuron is an output of the inner layers and an input of the outer one.
            axis = side if name in form.inner else 1 - side
            state[f"{full}.weight"] = state[f"{full}.weight"].index_select(axis, kept)
            if name in form.inner and f"{full}.bias" in state:
                state[f"{full}.bias"] = state[f"{full}.bias"][kept]
    config = type(model.config).from_dict(model.config.to_dict())
    setattr(config, form.setting, width)
    small = type(model)._from_config(config, dtype=model.dtype)
    small.load_state_dict(state)
    small.tie_weights()
    small.generation_config = model.generation_config
    return small.to(model.device).train()


@torch.no_grad()
def neuron_weights(block: Any, form: FeedForward) -> Tensor:
    """[neurons] product of the norms of each neuron's weights in all its linear layers."""
    total: Tensor | None = None
    for name in (*form.inner, form.outer):
        weight: Tensor = block.get_submodule(name).weight.double()
        if form.transposed:
            weight = weight.T
        norm = torch.linalg.vector_norm(weight, dim=1 if name in form.inner else 0)
        total = norm if total is None else total * norm
    assert total is not None
    return total


def layers_of(model: Any) -> tuple[str, Any]:
    """Where a causal model keeps its layers, by dotted name, and the list of them.

    Raises:
        HarnessError: its architecture is not known.
    """
    for where in _LAYER_LISTS:
        found = model
        for name in where.split("."):
            found = getattr(found, name, None)
        if isinstance(found, torch.nn.ModuleList):
            return where, found
    raise HarnessError(
        f"it is not known where {type(model).__name__} keeps its layers; expected one of the "
        f"families {', '.join(FAMILIES)}"
    )
