"""The last layer, computed for the positions whose hidden states are wanted.

Keys and values of the last layer are needed at every position, for later ones attend to them. All
else of it — queries, output projection, feed-forward — only reaches the head, and the head sees
the supervised rows alone. `only_wanted` gives these parts the wanted positions and leaves zeros at
the others, whose hidden states then mean nothing. With a quarter of the tokens supervised that is
about half of the layer.

Nothing is saved where the parts would run another time or in another form than they were called:
under gradient checkpointing, in compiled layers, and in architectures that are not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from sad_distill.heads import causal_model
from sad_distill.pruning import layers_of

_PARTS = {
    "llama": ("self_attn.q_proj", "self_attn.o_proj", "mlp"),
    "qwen2": ("self_attn.q_proj", "self_attn.o_proj", "mlp"),
    "qwen3": ("self_attn.q_proj", "self_attn.o_proj", "mlp"),
    "opt": ("self_attn.q_proj", "self_attn.out_proj", "fc1:fc2"),
    "gpt2": ("attn.c_proj", "mlp"),
}
"""By `model_type`, the parts of a layer that see one position at a time; `FIRST:LAST` where tokens
enter one module and leave another."""


@contextmanager
def only_wanted(model: nn.Module, wanted: Tensor | None) -> Iterator[None]:
    """While this holds, the last layer is computed for `wanted` positions where it can be.

    Args:
        wanted: [n] positions in the stream, each once; None for all.
    """
    with ExitStack() as hooks:
        if wanted is not None:
            for first, last in _parts(causal_model(model)):
                narrowed = _Narrowed(wanted)
                hooks.callback(first.register_forward_pre_hook(narrowed.select).remove)
                hooks.callback(last.register_forward_hook(narrowed.scatter).remove)
        yield


def _parts(inner: Any) -> list[tuple[nn.Module, nn.Module]]:
    names = _PARTS.get(getattr(inner.config, "model_type", ""), ())
    if not names:
        return []
    layer = layers_of(inner)[1][-1]
    again = any(getattr(one, "gradient_checkpointing", False) for one in (layer, inner.base_model))
    if again or getattr(layer, "_compiled_call_impl", None) is not None:
        return []
    ends = [name.partition(":")[::2] for name in names]
    return [
        (layer.get_submodule(first), layer.get_submodule(last or first)) for first, last in ends
    ]


class _Narrowed:
    """Tokens that are selected at one place and put back at another.

    Args:
        wanted: [n] positions.
    """

    def __init__(self, wanted: Tensor) -> None:
        self._wanted = wanted
        self._length = 0

    def select(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """[..., length, width] to [..., n, width]."""
        states, *rest = inputs
        self._length = states.shape[-2]
        return states.index_select(-2, self._wanted), *rest

    def scatter(self, _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """[..., n, width] to [..., length, width]."""
        whole = output.new_zeros(*output.shape[:-2], self._length, output.shape[-1])
        return whole.index_copy(-2, self._wanted, output)
