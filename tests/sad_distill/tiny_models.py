"""Tiny models of the supported families, and packed batches with random tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

VOCABULARY = 61


@dataclass(frozen=True)
class Batch:
    """What the step reads of a packed batch."""

    input_ids: Tensor
    position_ids: Tensor
    sequence_ids: Tensor
    row_index: Tensor
    target_ids: Tensor
    span_ids: Tensor
    weights: Tensor


def pack(sequences: Sequence[Sequence[int]], spans: Sequence[Sequence[int]]) -> Batch:
    """Sequences of token ids end to end; `spans` gives each token's span, -1 for none."""
    rows: list[tuple[int, int, int]] = []
    start = 0
    for ids, kinds in zip(sequences, spans, strict=True):
        for at in range(1, len(ids)):
            if kinds[at] >= 0:
                rows.append((start + at - 1, ids[at], kinds[at]))
        start += len(ids)
    columns = [torch.tensor(column) for column in zip(*rows, strict=True)]
    counts = [len(ids) for ids in sequences]
    return Batch(
        input_ids=torch.tensor([token for ids in sequences for token in ids]),
        position_ids=torch.cat([torch.arange(count) for count in counts]),
        sequence_ids=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)),
        row_index=columns[0],
        target_ids=columns[1],
        span_ids=columns[2],
        weights=torch.ones(len(rows)),
    )


def random_sequences(seed: int, lengths: Sequence[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids, and spans in which a third is observation, a third reason, a third act."""
    random = torch.Generator().manual_seed(seed)
    ids = [torch.randint(VOCABULARY, (length,), generator=random).tolist() for length in lengths]
    return ids, [[(at // 2) % 3 - 1 for at in range(length)] for length in lengths]


def configs(width: int = 32) -> dict[str, Any]:
    """A tiny configuration per family; the tokens of none are padded."""
    from transformers import GPT2Config, LlamaConfig, OPTConfig, Qwen2Config, Qwen3Config

    common: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 2 * width,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    shared = {key: common[key] for key in ("vocab_size", "bos_token_id", "eos_token_id")}
    return {
        "gpt2": GPT2Config(**shared, n_embd=width, n_layer=2, n_head=4, n_positions=64),
        "opt": OPTConfig(
            **shared,
            hidden_size=width,
            word_embed_proj_dim=width,
            ffn_dim=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
        ),
        "llama": LlamaConfig(**common),
        "qwen2": Qwen2Config(
            **common, use_sliding_window=True, sliding_window=4, max_window_layers=1
        ),
        "qwen3": Qwen3Config(**common, head_dim=16),
    }


def build(config: Any, *, seed: int = 0, sharpness: float = 4.0) -> Any:
    """A model with random weights, in evaluation mode, whose predictions are far from uniform."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(sharpness)
    return model


def small_batch() -> Batch:
    """Three sequences with reason (0) and act (1) rows."""
    return pack(*random_sequences(3, (14, 9, 20)))


def make_model(family: str, *, seed: int = 0, width: int = 32, **changes: Any) -> Any:
    """A random model of a family, with changes to its configuration."""
    config = configs(width)[family]
    for name, value in changes.items():
        setattr(config, name, value)
    return build(config, seed=seed)
