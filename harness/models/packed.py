"""Tokens of many sequences through a model as one row, each sequence with a cache of its own.

The model sees the new tokens of all sequences side by side, so nothing is padded, in prefill or in
decoding. Only attention has to tell them apart: while `forward` runs, an attention function of this
module takes the place of the model's own, stores each sequence's new keys and values behind its
older ones, and attends within the sequence. A sequence's cache therefore never moves when its
neighbours come and go, and may be kept, cut and copied at will.

A segment may also hold branches: several continuations of one sequence, computed side by side
over its cache and then forgotten.

This stands on the attention interface of `transformers`. Models that bypass it, bias or cap the
scores, attend in chunks, or change rotary frequencies with length are told apart by their
configuration and by a trial at load time (`can_pack`); they are not to be used with it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

_NAME = "harness_packed"

_ROUND = 256
"""Caches grow by so many tokens."""

_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 6e-2}
"""By how much, of the largest logit, the trial may differ from the model's own forward pass."""

_current = threading.local()


class SequenceCache:
    """Keys and values of one sequence of tokens.

    Attributes:
        ids: the tokens whose keys and values are there, from position 0.
        capacity: tokens there is memory for.
    """

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.capacity = 0
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # [kv heads, capacity, dim]

    @staticmethod
    def rounded(n_tokens: int) -> int:
        """The capacity that `reserve(n_tokens)` gives an empty cache."""
        return -(-n_tokens // _ROUND) * _ROUND

    def reserve(self, n_tokens: int) -> None:
        """Make room for `n_tokens` in all, keeping what is there."""
        if n_tokens <= self.capacity:
            return
        self.capacity = self.rounded(n_tokens)
        for layer, (keys, values) in self._layers.items():
            self._layers[layer] = (self._grown(keys), self._grown(values))

    def truncate(self, n_tokens: int) -> None:
        """Forget all but the first `n_tokens`."""
        del self.ids[n_tokens:]

    def copy_from(self, other: SequenceCache, n_tokens: int) -> None:
        """Begin anew with the first `n_tokens` of `other`; `reserve` comes first."""
        self.ids = other.ids[:n_tokens]
        self._layers = {}
        for layer, (keys, values) in other._layers.items():
            self._layers[layer] = (
                self._grown(keys[:, :n_tokens]),
                self._grown(values[:, :n_tokens]),
            )

    def append(
        self, layer: int, at: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store [kv heads, n, dim] from position `at`; all keys and values up to their end."""
        if layer not in self._layers:
            empty = (keys.new_empty(0), values.new_empty(0))
            made = tuple(
                like.new_empty(new.shape[0], self.capacity, new.shape[2])
                for like, new in zip(empty, (keys, values), strict=True)
            )
            self._layers[layer] = (made[0], made[1])
        all_keys, all_values = self._layers[layer]
        end = at + keys.shape[1]
        all_keys[:, at:end] = keys
        all_values[:, at:end] = values
        return all_keys[:, :end], all_values[:, :end]

    def _grown(self, tensor: torch.Tensor) -> torch.Tensor:
        grown = tensor.new_empty(tensor.shape[0], self.capacity, tensor.shape[2])
        grown[:, : tensor.shape[1]] = tensor
        return grown


@dataclass
class Segment:
    """New tokens of one sequence.

    Attributes:
        cache: what came before; it has room for the new tokens.
        tokens: the tokens that continue it. They are part of it when `forward` returns.
        branches: continuations of the sequence after `tokens`, each for itself; forgotten.
        wanted: where logits are wanted, as indices into `tokens` followed by all branches.
    """

    cache: SequenceCache
    tokens: Sequence[int]
    branches: Sequence[Sequence[int]] = ()
    wanted: Sequence[int] = ()
    masks: dict[int | None, torch.Tensor | None] = field(default_factory=dict)

    def flat(self) -> list[int]:
        """All new tokens, in the order they are computed."""
        return [*self.tokens, *(token for branch in self.branches for token in branch)]

    def positions(self) -> list[int]:
        """The position of each of `flat()`."""
        start = len(self.cache.ids)
        end = start + len(self.tokens)
        found = list(range(start, end))
        for branch in self.branches:
            found.extend(range(end, end + len(branch)))
        return found

    def mask(self, window: int | None, like: torch.Tensor, groups: int) -> torch.Tensor | None:
        """What is added to scores, [groups * new, old + new], or None where causality is all.

        A token sees the sequence before it and its own branch, of that the last `window` tokens.
        """
        if window not in self.masks:
            past, new = len(self.cache.ids), self.positions()
            if past == 0 and not self.branches and (window is None or len(new) <= window):
                self.masks[window] = None
                return None
            branch_of = [0] * len(self.tokens)
            for number, branch in enumerate(self.branches, 1):
                branch_of.extend([number] * len(branch))
            at = torch.tensor([*range(past), *new], device=like.device)
            branches = torch.tensor([0] * past + branch_of, device=like.device)
            back = at[past:, None] - at[None, :]
            seen = (back >= 0) & ((branches == 0) | (branches[past:, None] == branches))
            if window is not None:
                seen &= back < window
            mask = torch.zeros(seen.shape, dtype=like.dtype, device=like.device)
            mask.masked_fill_(~seen, float("-inf"))
            self.masks[window] = mask.repeat(groups, 1)
        return self.masks[window]


class PackedModel:
    """Runs segments through a model.

    Args:
        model: a causal language model of `transformers` for which `can_pack` holds.
    """

    def __init__(self, model: Any) -> None:
        self._model: Any | None = model
        self._config = model.config.get_text_config()
        accepted = signature(model.forward).parameters
        self._selects = "logits_to_keep" in accepted
        self.windows: dict[int, int | None] = {}
        self.bytes_per_token = 0

    @property
    def device(self) -> torch.device:
        assert self._model is not None
        device: torch.device = self._model.device
        return device

    def forget(self) -> None:
        """Let go of the model; nothing can be computed afterwards."""
        self._model = None

    @torch.inference_mode()
    def forward(self, segments: Sequence[Segment]) -> list[torch.Tensor]:
        """Logits [wanted, vocabulary] of every segment, on the model's device.

        On return the tokens of every segment, without branches, have joined its cache. When this
        raises, no cache has changed.
        """
        assert self._model is not None
        flat = [segment.flat() for segment in segments]
        ids = torch.tensor([[token for part in flat for token in part]], device=self.device)
        positions = torch.tensor([[at for one in segments for at in one.positions()]]).to(ids)
        starts: list[int] = []
        wanted: list[int] = []
        start = 0
        for segment, part in zip(segments, flat, strict=True):
            starts.append(start)
            wanted.extend(start + index for index in segment.wanted)
            start += len(part)
        chosen = torch.tensor(wanted or [0], device=self.device)
        options = {"logits_to_keep": chosen} if self._selects else {}
        own = self._config._attn_implementation
        _current.step = (self, list(zip(segments, starts, map(len, flat), strict=True)))
        self._config._attn_implementation = _NAME
        try:
            output = self._model(
                input_ids=ids, position_ids=positions, use_cache=False, **options
            ).logits[0]
        finally:
            self._config._attn_implementation = own
            del _current.step
        logits = output if self._selects else output[chosen]
        for segment in segments:
            segment.cache.ids.extend(segment.tokens)
            segment.masks.clear()
        return list(logits[: len(wanted)].split([len(segment.wanted) for segment in segments]))


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of [1, heads, all new, dim] within each segment; gives [1, all new, heads, dim]."""
    unknown = [name for name in ("softcap", "s_aux", "position_bias") if rest.get(name) is not None]
    if unknown or attention_mask is not None:
        raise ValueError(f"packed attention does not know {unknown or 'this mask'}")
    packed, segments = _current.step
    layer, (n_heads, n_new), kv_heads = module.layer_idx, query.shape[1:3], key.shape[1]
    packed.windows[layer] = sliding_window
    groups = n_heads // kv_heads
    result = query.new_empty(n_new, n_heads, value.shape[-1])
    for segment, start, count in segments:
        end = start + count
        keys, values = segment.cache.append(
            layer, len(segment.cache.ids), key[0, :, start:end], value[0, :, start:end]
        )
        asked = query[0, :, start:end]  # [heads, new, dim]
        if count == 1:
            first = max(0, keys.shape[1] - sliding_window) if sliding_window else 0
            answer = scaled_dot_product_attention(
                asked.reshape(1, kv_heads, groups, -1),
                keys[None, :, first:],
                values[None, :, first:],
                scale=scaling,
            )
        elif (mask := segment.mask(sliding_window, query, groups)) is None:
            answer = scaled_dot_product_attention(
                asked[None],
                keys[None],
                values[None],
                is_causal=True,
                scale=scaling,
                enable_gqa=groups > 1,
            )
        else:
            answer = scaled_dot_product_attention(
                asked.reshape(1, kv_heads, groups * count, -1),
                keys[None],
                values[None],
                attn_mask=mask,
                scale=scaling,
            )
        result[start:end] = answer.reshape(n_heads, count, -1).transpose(0, 1)
    return result[None], None


AttentionInterface.register(_NAME, _attend)


def can_pack(model: Any) -> PackedModel | None:
    """`model` made ready for packing, or None when it cannot be packed without changing it.

    Two short sequences, one of them in two parts and with branches, must give the logits that the
    model's own forward pass gives for each alone.
    """
    config = model.config.get_text_config()
    if not _describes_plain_attention(config):
        return None
    packed = PackedModel(model)
    try:
        difference, largest = _trial(packed, model)
    except (RuntimeError, TypeError, AttributeError, ValueError, LookupError):
        return None
    if not difference <= _TOLERANCE.get(model.dtype, 1e-3) * max(largest, 1.0):
        return None
    return packed if packed.windows == _expected_windows(config) else None


def _describes_plain_attention(config: Any) -> bool:
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention", "sliding_attention"} or getattr(
        config, "attention_chunk_size", None
    ):
        return False
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    found = [rope, *(one for one in rope.values() if isinstance(one, dict))]
    return all(one.get("rope_type", "default") not in ("dynamic", "longrope") for one in found)


def _expected_windows(config: Any) -> dict[int, int | None]:
    window = getattr(config, "sliding_window", None)
    n_layers = config.num_hidden_layers
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        kind = "full_attention" if window is None else "sliding_attention"
        kinds = [kind] * n_layers
    return {
        layer: window if kind == "sliding_attention" else None for layer, kind in enumerate(kinds)
    }


@torch.inference_mode()
def _trial(packed: PackedModel, model: Any) -> tuple[float, float]:
    n_known = int(model.get_input_embeddings().weight.shape[0])
    whole = [[(31 * number + 7) % n_known for number in range(length)] for length in (6, 11)]
    tail = whole[1][:-4:-1]
    caches = [SequenceCache(), SequenceCache()]
    for cache in caches:
        cache.reserve(32)
    packed.forward([Segment(caches[0], whole[0]), Segment(caches[1], whole[1][:4])])
    packed.bytes_per_token = sum(
        tensor.shape[0] * tensor.shape[2] * tensor.element_size()
        for pair in caches[0]._layers.values()
        for tensor in pair
    )
    caches[0].truncate(5)
    branches = [whole[1][10:], tail]
    found = packed.forward(
        [
            Segment(caches[0], whole[0][5:], wanted=[0]),
            Segment(caches[1], whole[1][4:10], branches, wanted=[5, 6, 9]),
        ]
    )
    plain = [
        model(input_ids=torch.tensor([ids], device=packed.device), use_cache=False).logits[0, -1]
        for ids in (whole[0], whole[1][:10], whole[1], [*whole[1][:10], *tail])
    ]
    got, expected = torch.cat(found).double(), torch.stack(plain).double()
    return float((got - expected).abs().max()), float(expected.abs().max())
