"""A causal language model in this process, through `transformers`.

Requests of all callers are decoded together, each with its own sampling, seed, stops and end, and
each session's key-value cache is kept between its turns: see `harness.models.engine`. In exact
arithmetic a completion is what it would be alone; in float32 and below, rounding differs with what
else is computed in the same step and may, rarely, settle a near-tie otherwise. Models whose
attention cannot be packed (`harness.models.packed`) are decoded call by call in padded batches, and
compute every prompt anew; `concurrent` tells the two apart.

`Completion.ids` is the shortest run of sampled ids whose text contains the kept text: when a stop
begins within a token, that token is the last; after `eos`, the end token is the last; nothing else
is left out of `eos` and `length` completions. `usage.completion_tokens` counts every sampled token.
A completion that ends within a multi-byte character leaves that character out of the text.

It refuses prompts that are empty or leave no room for a token; it cuts `max_tokens` to that room.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.encoding import encode
from harness.errors import ContextOverflow, ProviderError
from harness.models.base import Completion, Request, ScoreRequest, Scores
from harness.models.checks import check_request
from harness.models.decoding import Row, end_token_ids
from harness.models.engine import Engine
from harness.models.loading import (
    first_line,
    load_causal_lm,
    state_digest,
    tokenizer_digest,
)
from harness.models.packed import PackedModel, can_pack
from harness.models.padded import decode_padded, score_whole
from harness.models.scoring import ScoreTask, check_score_request

logger = logging.getLogger(__name__)


class TransformersModel:
    """Completions from a `transformers` model, for any number of threads.

    Args:
        model: a causal language model, in evaluation mode, on its device.
        tokenizer: its fast tokenizer.
        name: the spec to record.
        weights_digest: what identifies the weights; computed from the tensors when not given.
        cache_tokens: tokens of keys and values to hold at most, running requests included; by
            default what fits in a quarter of the machine's memory, or half of what a GPU has free.

    Attributes:
        concurrent: whether calls of several threads run together; if not, they take turns.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        weights_digest: str | None = None,
        cache_tokens: int | None = None,
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.max_context = max_positions(model.config)
        self._model: Any | None = model
        self._lock = threading.Lock()
        self._ends = end_token_ids(model, tokenizer)
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        packed = can_pack(model)
        self._engine: Engine | None = None
        if packed is not None:
            limit = cache_tokens or _affordable_tokens(packed)
            self._engine = Engine(packed, name=name, cache_tokens=limit)
        else:
            logger.info("%s cannot be packed: batches are padded, nothing is kept for a turn", name)
        self.concurrent = self._engine is not None
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
            ContextOverflow: a prompt leaves no room for a token.
            ProviderError: the model fails (out of memory, NaN logits), or is closed.
        """
        for request in requests:
            check_request(request)
        rows = [self._row(request) for request in requests]
        if self._engine is not None:
            return self._engine.run(rows)
        with self._lock:
            model = self._open_model()
            try:
                decode_padded(model, rows)
            except (RuntimeError, IndexError, FloatingPointError) as error:
                raise ProviderError(f"model {self.name} failed: {first_line(error)}") from error
        return [row.result() for row in rows]

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Log-probabilities of given tokens; what sequences share is computed once.

        Raises:
            HarnessError: a request has nothing to score, or no token before what is scored.
            ContextOverflow: a sequence is longer than the model's context.
            ProviderError: the model fails.
        """
        for request in requests:
            check_score_request(request)
            for ids in request.sequences:
                self._check_ids(ids)
                if self.max_context is not None and len(ids) > self.max_context:
                    raise ContextOverflow(
                        f"a sequence to score has {len(ids)} tokens; {self.name} has "
                        f"{self.max_context} positions"
                    )
        if self._engine is not None:
            return self._engine.run([ScoreTask(request) for request in requests])
        with self._lock:
            model = self._open_model()
            try:
                return [score_whole(model, request) for request in requests]
            except (RuntimeError, IndexError, FloatingPointError) as error:
                raise ProviderError(f"model {self.name} failed: {first_line(error)}") from error

    def release(self, session: str) -> None:
        """Drop the cache that is kept of a session."""
        if self._engine is not None:
            self._engine.release(session)

    def describe(self) -> dict[str, Any]:
        """What completions depend on: `weights` and `tokenizer` digests (SHA-256), `dtype`, and
        the rest by name; `device` is where it ran, which results should not depend on.
        """
        return dict(self._description)

    def close(self) -> None:
        """Free weights and caches; what is under way fails, and so does what is asked later."""
        if self._engine is not None:
            self._engine.close()
        with self._lock:
            self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _open_model(self) -> Any:
        if self._model is None:
            raise ProviderError(f"model {self.name} is closed")
        return self._model

    def _row(self, request: Request) -> Row:
        ids = self.encode(request.text) if request.ids is None else list(request.ids)
        if not ids:
            raise ProviderError("the prompt is empty; expected at least one token")
        self._check_ids(ids)
        room = request.sampling.max_tokens
        if self.max_context is not None:
            room = min(room, self.max_context - len(ids))
            if room < 1:
                raise ContextOverflow(
                    f"the prompt has {len(ids)} tokens; {self.name} has {self.max_context} "
                    "positions and needs one for the completion: shorten the prompt"
                )
        return Row(request, ids, room, self.tokenizer, self._ends)

    def _check_ids(self, ids: Sequence[int]) -> None:
        if min(ids) < 0 or max(ids) >= self._vocabulary:
            unknown = next(token for token in ids if not 0 <= token < self._vocabulary)
            raise ProviderError(
                f"the prompt has token id {unknown}; {self.name} knows ids 0 to "
                f"{self._vocabulary - 1}: it was rendered for another tokenizer"
            )

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt's text, as rendering has them: BOS first where the tokenizer adds one."""
        bos = self.tokenizer.bos_token
        carried = bool(bos) and text.startswith(bos)
        return encode(text, self.tokenizer, add_bos=not carried)[0]


def max_positions(config: Any) -> int | None:
    """Positions a configuration allows for prompt and completion together, None if unbounded."""
    text = config.get_text_config()
    names: Iterable[str] = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
    values = (getattr(text, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), None)


def _affordable_tokens(packed: PackedModel) -> int:
    if packed.device.type == "cuda":
        share = torch.cuda.mem_get_info(packed.device)[0] // 2
    else:
        share = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    return max(1, share // packed.bytes_per_token)
