"""Forward passes over packed sequences, in which no sequence sees another.

`forward_packed` lays the rows of a batch end to end in one stream and gives the attention the ends
of the sequences. On CUDA that is one variable-length kernel; elsewhere scaled-dot-product attention
runs once per sequence, so the cost is that of the sequences, and no mask of the pack's length
squared exists. Positions come from the batch and restart with every sequence.

Why an attention function of its own: with `attention_mask=None`, `transformers` tells packed
sequences apart only in some architectures and only while no cache is built; where it does not,
tokens silently attend across the border. Here nothing depends on that:

- `prepare` selects the attention and runs two short sequences packed and apart. An architecture in
  which they differ, for whatever reason, is refused before training, teachers included.
- in a packed pass the mask is a sentinel. A model that hands its attention a sentinel but no ends
  raises instead of attending across.

Outside `forward_packed` a prepared model is what it was: other calls take `transformers`' own
scaled-dot-product attention, with its masks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from harness.errors import HarnessError
from sad_distill.branches import Branches
from sad_distill.capabilities import capabilities
from sad_distill.heads import causal_model
from sad_distill.last_layer import only_wanted

NAME = "sad_packed"
"""Name under which the attention is registered with `transformers`."""

REFUSED = ("softcap", "s_aux", "position_bias")
"""Arguments of attention functions that change the scores in ways not covered here."""


class Packed(Protocol):
    """Token tensors of a packed batch, [length] or [rows, length]."""

    @property
    def input_ids(self) -> Tensor: ...

    @property
    def position_ids(self) -> Tensor: ...

    @property
    def sequence_ids(self) -> Tensor: ...


def sequence_starts(sequence_ids: Tensor) -> Tensor:
    """First position of every sequence in the stream of all rows, and the stream's length.

    Args:
        sequence_ids: [length] or [rows, length]; a change of number starts a sequence, and so does
            a row. Padding counts as a sequence.

    Returns:
        [sequences + 1] int32.
    """
    rows = sequence_ids.reshape(-1, sequence_ids.shape[-1])
    starts = torch.ones_like(rows, dtype=torch.bool)
    starts[:, 1:] = rows[:, 1:] != rows[:, :-1]
    positions = starts.flatten().nonzero()[:, 0]
    end = torch.tensor([rows.numel()], device=rows.device)
    return torch.cat([positions, end]).to(torch.int32)


def forward_packed(
    model: nn.Module,
    batch: Packed,
    branches: Branches | None = None,
    wanted: Tensor | None = None,
) -> Tensor:
    """Final hidden states of a prepared model, without its head.

    Args:
        wanted: [n] positions whose hidden states are used, each once; None for all. The others'
            mean nothing then.

    Returns:
        [rows * length, hidden]; with `branches`, those of their tokens behind them.
    """
    ids, positions = batch.input_ids.reshape(1, -1), batch.position_ids.reshape(1, -1)
    extra: dict[str, Any] = {}
    if branches is not None and len(branches.input_ids):
        ids = torch.cat([ids, branches.input_ids[None]], 1)
        positions = torch.cat([positions, branches.position_ids[None]], 1)
        extra["branches"] = branches
    starts = sequence_starts(batch.sequence_ids)
    longest = int(starts.diff().max())
    sentinel = torch.empty(1, 1, 0, 0, device=batch.input_ids.device)
    with only_wanted(model, wanted):
        out: Any = causal_model(model).base_model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=sentinel,
            use_cache=False,
            cu_seq_lens_q=starts,
            cu_seq_lens_k=starts,
            max_length_q=longest,
            max_length_k=longest,
            **extra,
        )
    hidden: Tensor = out.last_hidden_state
    return hidden[0]


def prepare(model: nn.Module) -> None:
    """Select the packed attention, and check that packed equals apart.

    Raises:
        HarnessError: the architecture does not take attention functions, or its sequences see
            each other when packed.
    """
    inner = causal_model(model)
    name = type(inner).__name__
    inner.set_attn_implementation(NAME)
    if inner.config._attn_implementation != NAME:
        raise HarnessError(f"{name} does not take other attention functions than its own")
    device = inner.get_input_embeddings().weight.device
    vocabulary = int(inner.get_input_embeddings().weight.shape[0])
    lengths = [9, 5]
    ids = (torch.arange(sum(lengths), device=device) * 7 + 3) % vocabulary
    pieces = torch.split(ids, lengths)
    training = inner.training
    inner.eval()
    try:
        with torch.no_grad():
            packed = forward_packed(inner, _Stream.of(pieces))
            apart = torch.cat([forward_packed(inner, _Stream.of([piece])) for piece in pieces])
            own = inner.base_model(input_ids=pieces[0][None], use_cache=False).last_hidden_state[0]
            some = torch.tensor([2, 7, 8], device=device)
            narrowed = forward_packed(inner, _Stream.of(pieces), wanted=some)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise HarnessError(f"{name} cannot be run on packed sequences: {error}") from error
    finally:
        inner.train(training)
    first = lengths[0]
    pairs = ((packed, apart), (packed[:first], own), (packed[some], narrowed[some]))
    deviation = max(float((one - other).abs().max()) for one, other in pairs)
    allowed = 64 * torch.finfo(packed.dtype).eps * max(1.0, float(packed.abs().max()))
    if not deviation <= allowed:
        raise HarnessError(
            f"packed sequences of {name} differ from the same sequences apart by "
            f"{deviation:.2g} (allowed {allowed:.2g}); this architecture cannot be "
            "trained on packed sequences"
        )


class _Stream:
    """Sequences end to end, for the check."""

    def __init__(self, input_ids: Tensor, position_ids: Tensor, sequence_ids: Tensor) -> None:
        self.input_ids, self.position_ids = input_ids, position_ids
        self.sequence_ids = sequence_ids

    @classmethod
    def of(cls, pieces: Any) -> _Stream:
        device = pieces[0].device
        counts = [torch.arange(len(piece), device=device) for piece in pieces]
        numbers = [torch.full_like(piece, index) for index, piece in enumerate(pieces)]
        return cls(torch.cat(list(pieces)), torch.cat(counts), torch.cat(numbers))


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence; registered with `transformers` as `sad_packed`.

    Args:
        query: [1, heads, length, width].
        key, value: [1, key heads, length, width].

    Returns:
        [1, length, heads, width], and no weights.
    """
    starts = kwargs.get("cu_seq_lens_q")
    packed = attention_mask is not None and attention_mask.numel() == 0
    if not packed:
        outcome: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return outcome
    used = [name for name in REFUSED if kwargs.get(name) is not None]
    if used:
        raise HarnessError(f"attention with {', '.join(used)} is not supported on packed sequences")
    if starts is None or query.shape[0] != 1 or not getattr(module, "is_causal", True):
        raise HarnessError(
            f"{type(module).__name__} does not pass on where its sequences end; packed sequences "
            "would see each other"
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    use_varlen = (
        capabilities(str(query.device)).varlen
        and query.dtype in (torch.bfloat16, torch.float16)
        and dropout == 0
        and query.shape[-1] == value.shape[-1] <= 256
    )
    branches: Branches | None = kwargs.get("branches")
    stream = query.shape[2] - (0 if branches is None else len(branches.input_ids))
    q, k, v = (tensor[:, :, :stream] for tensor in (query, key, value))
    if use_varlen:
        out = _varlen(q, k, v, starts, kwargs["max_length_q"], scale, sliding_window)
    else:
        out = _blocks(q, k, v, starts, dropout, scale, sliding_window)
    if branches is not None:
        behind = _branched(query, key, value, branches, stream, dropout, scale, sliding_window)
        out = torch.cat([out, behind], 1)
    return out, None


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    longest: int,
    scale: float,
    window: int | None,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    out = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        starts,
        starts,
        longest,
        longest,
        scale=scale,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(out, Tensor)
    return out[None]


def _blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    dropout: float,
    scale: float,
    window: int | None,
) -> Tensor:
    ends = starts.tolist()
    lengths = [end - start for start, end in pairwise(ends)]
    grouped = query.shape[1] != key.shape[1]
    outs = []
    for q, k, v in zip(*(torch.split(t, lengths, 2) for t in (query, key, value)), strict=True):
        length = q.shape[2]
        band = None
        if window is not None and length > window:
            steps = torch.arange(length, device=q.device)
            distance = steps[:, None] - steps[None, :]
            band = (distance >= 0) & (distance < window)
        outs.append(
            nn.functional.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=band,
                dropout_p=dropout,
                is_causal=band is None,
                scale=scale,
                enable_gqa=grouped,
            ).transpose(1, 2)
        )
    return torch.cat(outs, 1)


def _branched(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    branches: Branches,
    stream: int,
    dropout: float,
    scale: float,
    window: int | None,
) -> Tensor:
    """Attention of the branches, whose tokens begin at `stream`: [1, tokens, heads, width]."""
    outs = []
    for group, mask in zip(branches.groups, branches.masks(window), strict=True):
        own = slice(stream + group.start, stream + group.end)
        seen = slice(group.first, group.last)
        outs.append(
            nn.functional.scaled_dot_product_attention(
                query[:, :, own],
                torch.cat([key[:, :, seen], key[:, :, own]], 2),
                torch.cat([value[:, :, seen], value[:, :, own]], 2),
                attn_mask=mask,
                dropout_p=dropout,
                scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
            ).transpose(1, 2)
        )
    return torch.cat(outs, 1)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
