"""Where the teacher's distributions on the supervised rows come from.

Three sources, one method, `rows(batch)`:

- `OnlineTeacher` runs the model on every batch;
- `CachedTeacher` keeps the final hidden states of the supervised rows on disk. The first epoch
  fills the cache; afterwards the exact divergence over the vocabulary needs only the teacher's
  head, which is stored beside the rows, so the model can be released or never loaded;
- `CachedTeacher` with `top_k` keeps the k likeliest tokens and the logarithm of the probability of
  all others, at the temperature of the divergence; then not even the head is needed.

A teacher is always in evaluation mode, whatever its module was set to, and gets no gradient.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness.errors import HarnessError
from sad_distill.attention import Packed, forward_packed, prepare, sequence_starts
from sad_distill.capabilities import chunk_rows
from sad_distill.divergence import HiddenRows, TeacherRows, TopKRows
from sad_distill.heads import Head, read_head
from sad_distill.rowcache import CacheKey, RowCache, sequence_key

STORED_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


class PackedRows(Packed, Protocol):
    """A packed batch with its supervised rows."""

    @property
    def row_index(self) -> Tensor: ...


class Teacher(Protocol):
    """A source of the teacher's distributions."""

    def rows(self, batch: PackedRows) -> TeacherRows:
        """The distributions that predict the batch's supervised tokens, in their order."""
        ...


class OnlineTeacher:
    """The model itself.

    Args:
        model: a causal language model, on its device.

    Raises:
        HarnessError: its head or its attention is not supported.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval().requires_grad_(False)
        self.head = read_head(model)
        prepare(model)

    @torch.no_grad()
    def rows(self, batch: PackedRows) -> HiddenRows:
        """One pass over the batch."""
        self.model.eval()
        hidden = forward_packed(self.model, batch, wanted=batch.row_index)
        return HiddenRows(hidden[batch.row_index], self.head)


@dataclass(frozen=True)
class TopK:
    """Keep the `k` likeliest tokens at a temperature."""

    k: int
    temperature: float = 1.0


class CachedTeacher:
    """Rows from a folder; rows that are not there yet come from `online` and are kept.

    Args:
        folder: of the cache.
        online: the model; None when the cache is complete.
        teacher: digest of its weights; None takes the cache as it is.
        tokenizer: digest of the tokenizer.
        top_k: store the likeliest tokens; None stores hidden states.
        dtype: of stored hidden states. Log-probabilities stay float32: rounded to bfloat16 they no
            longer sum to one, which bends the gradient where student and teacher are close.
        device: where rows are put.

    Raises:
        HarnessError: the cache was made for something else, or is missing without a model.
    """

    def __init__(
        self,
        folder: Path,
        online: OnlineTeacher | None,
        *,
        teacher: str | None = None,
        tokenizer: str | None = None,
        top_k: TopK | None = None,
        dtype: str = "bfloat16",
        device: str = "cpu",
    ) -> None:
        if dtype not in STORED_DTYPES:
            raise HarnessError(f"cannot store {dtype}; expected one of {', '.join(STORED_DTYPES)}")
        key = None
        if teacher is not None and tokenizer is not None:
            content = f"hidden {dtype}"
            if top_k is not None:
                content = f"top-k {top_k.k} float32 t={top_k.temperature:g}"
            key = CacheKey(teacher, tokenizer, content)
        self.cache = RowCache(folder, key)
        self._online, self._top_k = online, top_k
        self._dtype, self._device = STORED_DTYPES[dtype], torch.device(device)
        self._head = self._load_head() if top_k is None else None

    def rows(self, batch: PackedRows) -> TeacherRows:
        """The rows of a batch, from the cache when all its sequences are there.

        Raises:
            HarnessError: some are not, and there is no model.
        """
        keys, counts = _sequences(batch)
        missing = sum(key not in self.cache for key in keys)
        if missing:
            if self._online is None:
                raise HarnessError(
                    f"{missing} of {len(keys)} sequences are not in the cache {self.cache.folder}; "
                    "run once with the teacher's model to add them"
                )
            tensors = self._encode(self._online.rows(batch))
            split = {name: torch.split(tensor, counts) for name, tensor in tensors.items()}
            for index, key in enumerate(keys):
                self.cache.put(key, {name: parts[index].clone() for name, parts in split.items()})
        return self._decode([self.cache.get(key) for key in keys])

    def flush(self) -> None:
        """Write what is still in memory."""
        self.cache.flush()

    def release(self) -> None:
        """Flush, and let go of the model: from now on every row must be in the cache."""
        self.flush()
        self._online = None
        if self._head is not None:
            self._head = self._load_head()

    def _encode(self, rows: HiddenRows) -> dict[str, Tensor]:
        if self._top_k is None:
            return {"hidden": rows.hidden.to(self._dtype)}
        best = top_k_rows(rows, self._top_k)
        return {
            "ids": best.ids.to(torch.int32),
            "log_probs": best.log_probs.to(torch.float32),
            "tail": best.tail.to(torch.float32),
        }

    def _decode(self, entries: list[dict[str, Tensor]]) -> TeacherRows:
        def joined(name: str) -> Tensor:
            return torch.cat([entry[name] for entry in entries]).to(self._device, non_blocking=True)

        if self._head is None:
            return TopKRows(joined("ids"), joined("log_probs"), joined("tail"))
        return HiddenRows(joined("hidden").to(self._head.weight.dtype), self._head)

    def _load_head(self) -> Head:
        path = self.cache.folder / "head.safetensors"
        form = self.cache.folder / "head.json"
        if self._online is not None:
            head = self._online.head
            if not form.exists():
                tensors = {"weight": head.weight} | (
                    {} if head.bias is None else {"bias": head.bias}
                )
                # Trainings that share the cache may all come here at once: each moves its own.
                draft = self.cache.folder / f".head-{uuid.uuid4().hex}"
                save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, draft)
                os.replace(draft, path)
                draft.write_text(json.dumps({"scale": head.scale, "softcap": head.softcap}) + "\n")
                os.replace(draft, form)
            return head
        if not form.exists():
            raise HarnessError(f"the cache in {self.cache.folder} has no teacher's head")
        stored = load_file(path, device=str(self._device))
        return Head(stored["weight"], stored.get("bias"), **json.loads(form.read_text()))


def top_k_rows(rows: HiddenRows, top_k: TopK) -> TopKRows:
    """The likeliest tokens of each row, and the logarithm of what is left."""

    def best(log_probs: Tensor) -> tuple[Tensor, ...]:
        # The tail is never empty: its logarithm stays finite.
        shown, ids = log_probs.topk(min(top_k.k, log_probs.shape[1] - 1), -1)
        rest = log_probs.scatter_(-1, ids, -torch.inf)
        return ids, shown, torch.logsumexp(rest, -1)

    return TopKRows(*_by_chunk(rows, top_k.temperature, best))


def teacher_entropy(rows: HiddenRows, temperature: float = 1.0) -> Tensor:
    """Entropy of the teacher's distribution on each row, in nats."""

    def entropy(log_probs: Tensor) -> tuple[Tensor, ...]:
        return (-(log_probs.exp() * log_probs).sum(-1),)

    return _by_chunk(rows, temperature, entropy)[0]


def _by_chunk(
    rows: HiddenRows, temperature: float, function: Callable[[Tensor], tuple[Tensor, ...]]
) -> list[Tensor]:
    rows = rows.ready()
    size = chunk_rows(rows.head.vocabulary, rows.hidden.device)
    parts = [
        function(rows.log_probs(slice(at, at + size), rows.head.vocabulary, temperature))
        for at in range(0, max(1, len(rows.hidden)), size)
    ]
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def _sequences(batch: PackedRows) -> tuple[list[str], list[int]]:
    """Key and number of rows of every sequence that has supervised rows, in their order."""
    ids = batch.input_ids.flatten().cpu()
    starts = sequence_starts(batch.sequence_ids).cpu().long()
    index = batch.row_index.cpu()
    of_row = torch.searchsorted(starts, index, right=True) - 1
    if (of_row.diff() < 0).any():
        raise HarnessError("the rows of a batch are not in the order of its sequences")
    numbers, counts = torch.unique_consecutive(of_row, return_counts=True)
    keys = []
    for number, rows in zip(numbers.tolist(), torch.split(index, counts.tolist()), strict=True):
        start, end = int(starts[number]), int(starts[number + 1])
        keys.append(sequence_key(ids[start:end], rows - start))
    return keys, counts.tolist()
