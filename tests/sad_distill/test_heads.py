"""Heads read apart from their models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import configs, make_model
from torch import nn

from harness.errors import HarnessError
from sad_distill.heads import Head, common_vocabulary, find_head, read_head

pytestmark = pytest.mark.models


@pytest.mark.parametrize("family", sorted(configs()))
def test_a_head_gives_the_logits_of_its_model(family: str) -> None:
    model = make_model(family)
    head, ids = read_head(model), torch.tensor([[3, 1, 4, 1, 5]])
    states = model.base_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(head.logits(states), model(input_ids=ids).logits)


def test_a_tied_head_is_the_embedding() -> None:
    model = make_model("gpt2")
    assert read_head(model).weight is model.get_input_embeddings().weight


def test_scaled_logits_are_read() -> None:
    from transformers import GraniteConfig, GraniteForCausalLM

    config = configs()["llama"].to_dict()
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    model = GraniteForCausalLM(
        GraniteConfig(**{name: config[name] for name in names}, logits_scaling=8.0)
    )
    assert read_head(model).scale == 0.125


def test_a_bias_is_read() -> None:
    from transformers import PhiConfig, PhiForCausalLM

    model = PhiForCausalLM(
        PhiConfig(vocab_size=61, hidden_size=32, num_hidden_layers=1, num_attention_heads=4)
    )
    with torch.no_grad():
        model.lm_head.bias.normal_()
    assert read_head(model).bias is model.lm_head.bias


def test_logits_that_are_changed_after_the_head_are_refused() -> None:
    model = make_model("llama")
    plain = model.forward

    def bent(*args: Any, **kwargs: Any) -> Any:
        out = plain(*args, **kwargs)
        out.logits = 2.0 * torch.tanh(out.logits / 2.0)
        return out

    model.forward = bent
    with pytest.raises(HarnessError, match="differ from its head"):
        read_head(model)


def test_an_adapter_on_the_head_is_refused() -> None:
    class Adapter(nn.Module):
        def __init__(self, base_layer: nn.Module) -> None:
            super().__init__()
            self.base_layer = base_layer

    model = make_model("llama")
    model.set_output_embeddings(Adapter(model.lm_head))
    with pytest.raises(HarnessError, match="carries an adapter"):
        find_head(model)


def test_the_common_vocabulary_must_hold_the_tokenizer() -> None:
    small, large = Head(torch.zeros(61, 4)), Head(torch.zeros(64, 4))
    assert common_vocabulary(small, large, 60) == 61
    with pytest.raises(HarnessError, match="the tokenizer 62 tokens"):
        common_vocabulary(small, large, 62)
