"""Decoding of models whose attention cannot be packed: padded batches, no cache between turns.

Prompts are padded on the left; positions and mask leave the padding out. A finished row leaves the
batch, none joins it. Models that take no position ids (ALiBi) see only prompts of equal length
together, so nothing is padded. Sequences to score go through the model whole, one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch

from harness.models.base import ScoreRequest, Scores
from harness.models.decoding import Row
from harness.models.scoring import token_logprobs
from harness.trajectory import Usage


@torch.inference_mode()
def decode_padded(model: Any, rows: Sequence[Row]) -> None:
    """Run `rows` until every one has finished."""
    accepted = signature(model.forward).parameters
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[0 if "position_ids" in accepted else len(row.prompt)].append(row)
    for group in groups.values():
        _decode(model, group, frozenset(accepted))


@torch.inference_mode()
def score_whole(model: Any, request: ScoreRequest) -> Scores:
    """Scores of a request that has been checked, a forward pass per sequence."""
    logprobs = []
    for ids, start in zip(request.sequences, request.starts, strict=True):
        given = torch.tensor([ids], device=model.device)
        logits = model(input_ids=given, use_cache=False).logits[0, start - 1 : -1]
        logprobs.append(tuple(token_logprobs(logits, ids[start:])))
    usage = Usage(model_calls=1, prompt_tokens=sum(map(len, request.sequences)))
    return Scores(tuple(logprobs), usage)


def _decode(model: Any, rows: list[Row], accepted: frozenset[str]) -> None:
    width = max(len(row.prompt) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, width - len(row.prompt) :] = torch.tensor(row.prompt)
        mask[index, width - len(row.prompt) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)  # [rows, width]
    last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    cache = None
    while True:
        place = {"position_ids": positions} if "position_ids" in accepted else {}
        output = model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **place,
            **last_only,
        )
        cache = output.past_key_values
        logits = output.logits[:, -1:]  # [rows, 1, vocabulary]
        del output
        for row, row_logits in zip(rows, logits, strict=True):
            row.take(row_logits)
        going = [index for index, row in enumerate(rows) if not row.done]
        if not going:
            return
        if len(going) < len(rows):
            kept = torch.tensor(going, device=mask.device)
            cache.batch_select_indices(kept)
            mask = mask[kept]
            rows = [rows[index] for index in going]
        ids = torch.tensor([[row.sampled[-1]] for row in rows], device=mask.device)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = mask.sum(1, keepdim=True) - 1  # [rows, 1]
