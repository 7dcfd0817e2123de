"""The language-model head of a causal model, read apart from the model.

The divergence needs the head's weights, not the model's logits: only selected rows meet the
vocabulary. A head is `logits = cap(scale · (hidden @ weightᵀ + bias))`, with `cap(x) =
softcap · tanh(x / softcap)` where a model has one. `read_head` finds the parts and then compares
them with the model's own logits on a few tokens: a model whose logits are computed in any other
way is refused at load, never trained on wrongly.

It refuses heads that are not plain linear layers: a LoRA or other adapter on the head (its update
would be ignored), a copy that PEFT keeps in `modules_to_save`, and quantised weights.

Two heads of different height (the same tokenizer, padded differently) share the common prefix of
the vocabulary. Both distributions are restricted to that prefix and renormalised, which is a
softmax over the first n logits: padding takes no probability and gets no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import HarnessError

PROBE_TOKENS = 12
"""Tokens of the comparison with the model's own logits."""


@dataclass(frozen=True)
class Head:
    """A language-model head; see the module for the formula.

    Attributes:
        weight: [vocabulary, hidden]; the model's own parameter, so a gradient for it is the
            gradient of the model (and of the embedding, where they are tied).
        bias: [vocabulary], or None.
        scale: factor on the logits.
        softcap: bound of the logits, or None.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    @property
    def vocabulary(self) -> int:
        """Number of logits."""
        return int(self.weight.shape[0])

    def narrow(self, vocabulary: int) -> Head:
        """The head of the first `vocabulary` tokens: a view, so gradients reach the whole."""
        if vocabulary == self.vocabulary:
            return self
        bias = None if self.bias is None else self.bias[:vocabulary]
        return replace(self, weight=self.weight[:vocabulary], bias=bias)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] of hidden states [..., hidden], as the model computes them."""
        raw = nn.functional.linear(hidden, self.weight, self.bias) * self.scale
        return raw if self.softcap is None else self.softcap * torch.tanh(raw / self.softcap)


def causal_model(model: nn.Module) -> Any:
    """The `transformers` model inside the wrappers of PEFT, DDP and `torch.compile`."""
    inner: Any = model
    while True:
        if hasattr(inner, "get_base_model"):
            inner = inner.get_base_model()
        elif hasattr(inner, "_orig_mod"):
            inner = inner._orig_mod
        elif isinstance(inner, nn.parallel.DistributedDataParallel):
            inner = inner.module
        else:
            return inner


def find_head(model: nn.Module) -> Head:
    """The head of a causal language model, not yet compared with the model.

    Raises:
        HarnessError: there is none, or it is not a plain linear layer.
    """
    inner = causal_model(model)
    layer = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    if layer is None:
        raise HarnessError(
            f"{type(inner).__name__} has no language-model head; expected a causal language model"
        )
    if hasattr(layer, "base_layer") or hasattr(layer, "modules_to_save"):
        raise HarnessError(
            f"the head of {type(inner).__name__} carries an adapter ({type(layer).__name__}) "
            "that distillation would ignore; leave it out of target_modules and modules_to_save"
        )
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, nn.Linear) or weight is None or not weight.is_floating_point():
        raise HarnessError(
            f"the head of {type(inner).__name__} is a {type(layer).__name__}; expected "
            "torch.nn.Linear with float weights (load the model without quantising lm_head)"
        )
    config = inner.config
    scale = float(getattr(config, "logit_scale", None) or 1.0)  # Cohere
    scale /= float(getattr(config, "logits_scaling", None) or 1.0)  # Granite
    scale *= float(getattr(config, "lm_head_multiplier", None) or 1.0)  # Falcon H1
    softcap = getattr(config, "final_logit_softcapping", None)  # Gemma
    return Head(weight, layer.bias, scale, None if softcap is None else float(softcap))


def read_head(model: nn.Module) -> Head:
    """The head of a causal language model, compared with the model's own logits.

    Raises:
        HarnessError: as `find_head`; or the logits of head and model differ.
    """
    head = find_head(model)
    inner = causal_model(model)
    device = head.weight.device
    ids = torch.arange(PROBE_TOKENS, device=device)[None] % head.vocabulary
    training = inner.training
    inner.eval()
    try:
        with torch.no_grad():
            own = inner(input_ids=ids, use_cache=False).logits
            states = inner.base_model(input_ids=ids, use_cache=False).last_hidden_state
            ours = head.logits(states)
    finally:
        inner.train(training)
    if own.shape != ours.shape:
        raise HarnessError(
            f"{type(inner).__name__} gives logits of shape {tuple(own.shape)}, its head "
            f"{tuple(ours.shape)}; this architecture is not supported"
        )
    deviation = float((own.double() - ours.double()).abs().max())
    # Half precision: the model may add bias and scale in another order than `Head.logits`.
    unit = torch.finfo(own.dtype).eps * max(1.0, float(own.double().abs().max()))
    if not deviation <= 16 * unit:
        raise HarnessError(
            f"the logits of {type(inner).__name__} differ from its head by {deviation:.2g} "
            f"(allowed {16 * unit:.2g}); it changes them after the head in a way that is not "
            "supported"
        )
    return head


def common_vocabulary(student: Head, teacher: Head, tokens: int | None = None) -> int:
    """Height of the common prefix of two heads; `tokens` is the size of the tokenizer.

    Raises:
        HarnessError: the prefix does not hold every token of the tokenizer.
    """
    common = min(student.vocabulary, teacher.vocabulary)
    if tokens is not None and common < tokens:
        raise HarnessError(
            f"the heads have {student.vocabulary} (student) and {teacher.vocabulary} (teacher) "
            f"logits, the tokenizer {tokens} tokens; expected one for every token: resize the "
            "smaller model's embeddings"
        )
    return common
