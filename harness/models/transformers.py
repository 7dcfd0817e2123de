"""A causal language model in this process, through `transformers`.

Requests of one call are decoded together: prompts are padded on the left, positions and mask leave
the padding out, and every row has its own sampling, seed, stops and end. A finished row leaves the
batch. In exact arithmetic a row's completion is what it would be alone; in float32 and below,
rounding differs with the size of the batch and may, rarely, settle a near-tie otherwise. Models
that take no position ids (ALiBi) see only prompts of equal length together, so nothing is padded.

`Completion.ids` is the shortest run of sampled ids whose text contains the kept text: when a stop
begins within a token, that token is the last; after `eos`, the end token is the last; nothing else
is left out of `eos` and `length` completions. `usage.completion_tokens` counts every sampled token.
A completion that ends within a multi-byte character leaves that character out of the text.

It refuses prompts that are empty or leave no room for a token; it cuts `max_tokens` to that room.
"""

from __future__ import annotations

import gc
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from harness.errors import ProviderError
from harness.models.base import Completion, Request
from harness.models.checks import check_request
from harness.models.decoding import Row, end_token_ids
from harness.models.loading import (
    first_line,
    load_causal_lm,
    state_digest,
    tokenizer_digest,
)
from harness.models.sampling import draw
from harness.rendering import encode


class TransformersModel:
    """Completions from a `transformers` model. Calls from several threads take turns.

    Args:
        model: a causal language model, in evaluation mode, on its device.
        tokenizer: its fast tokenizer.
        name: the spec to record.
        weights_digest: what identifies the weights; computed from the tensors when not given.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, weights_digest: str | None = None
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.max_context = max_positions(model.config)
        self._model: Any | None = model
        self._lock = threading.Lock()
        self._ends = end_token_ids(model, tokenizer)
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        accepted = signature(model.forward).parameters
        self._positions = "position_ids" in accepted
        self._last_only: dict[str, Any] = (
            {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        )
        self._description = {
            "spec": name,
            "class": type(model).__name__,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "dtype": str(model.dtype).removeprefix("torch."),
            "weights": weights_digest or state_digest(model),
            "tokenizer": tokenizer_digest(tokenizer),
            "device": model.device.type,
        }

    @classmethod
    def load(
        cls, source: str | Path, *, name: str, device: str = "auto", dtype: str = "auto"
    ) -> TransformersModel:
        """The model of a folder or hub id; raises `HarnessError` as `load_causal_lm` does."""
        loaded = load_causal_lm(source, device=device, dtype=dtype)
        return cls(loaded.model, loaded.tokenizer, name=name, weights_digest=loaded.weights_digest)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete every request, in order.

        Raises:
            HarnessError: a request's sampling is out of range.
            ProviderError: a prompt does not fit, or the model fails (out of memory, NaN logits).
        """
        for request in requests:
            check_request(request)
        with self._lock:
            if self._model is None:
                raise ProviderError(f"model {self.name} is closed")
            rows = [self._row(request) for request in requests]
            groups: dict[int, list[Row]] = defaultdict(list)
            for row in rows:
                groups[0 if self._positions else len(row.prompt)].append(row)
            try:
                for group in groups.values():
                    self._decode(group)
            except (RuntimeError, IndexError, FloatingPointError) as error:
                raise ProviderError(f"model {self.name} failed: {first_line(error)}") from error
        return [row.completion() for row in rows]

    def describe(self) -> dict[str, Any]:
        """What completions depend on: `weights` and `tokenizer` digests (SHA-256), `dtype`, and
        the rest by name; `device` is where it ran, which results should not depend on.
        """
        return dict(self._description)

    def close(self) -> None:
        """Free the weights; `generate` fails afterwards."""
        with self._lock:
            self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _row(self, request: Request) -> Row:
        ids = self.encode(request.text) if request.ids is None else list(request.ids)
        if not ids:
            raise ProviderError("the prompt is empty; expected at least one token")
        unknown = next((token for token in ids if not 0 <= token < self._vocabulary), None)
        if unknown is not None:
            raise ProviderError(
                f"the prompt has token id {unknown}; {self.name} knows ids 0 to "
                f"{self._vocabulary - 1}: it was rendered for another tokenizer"
            )
        room = request.sampling.max_tokens
        if self.max_context is not None:
            room = min(room, self.max_context - len(ids))
            if room < 1:
                raise ProviderError(
                    f"the prompt has {len(ids)} tokens; {self.name} has {self.max_context} "
                    "positions and needs one for the completion: shorten the prompt"
                )
        return Row(request, ids, room, self.tokenizer, self._ends)

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt's text, as rendering has them: BOS first where the tokenizer adds one."""
        bos = self.tokenizer.bos_token
        carried = bool(bos) and text.startswith(bos)
        return encode(text, self.tokenizer, add_bos=not carried)[0]

    @torch.inference_mode()
    def _decode(self, rows: list[Row]) -> None:
        """Run `rows` together until every one has finished."""
        model = self._model
        assert model is not None
        width = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, width - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[index, width - len(row.prompt) :] = 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)  # [rows, width]
        cache = None
        while True:
            place = {"position_ids": positions} if self._positions else {}
            output = model(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                **place,
                **self._last_only,
            )
            cache = output.past_key_values
            logits = output.logits[:, -1].to("cpu", torch.float64)  # [rows, vocabulary]
            del output
            for row, row_logits in zip(rows, logits, strict=True):
                row.push(draw(row_logits, row.request.sampling, row.generator))
            going = [index for index, row in enumerate(rows) if row.finish is None]
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


def max_positions(config: Any) -> int | None:
    """Positions a configuration allows for prompt and completion together, None if unbounded."""
    text = config.get_text_config()
    names: Iterable[str] = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
    values = (getattr(text, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), None)
