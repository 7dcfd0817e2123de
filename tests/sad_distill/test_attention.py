"""Packed sequences against the same sequences apart."""

from __future__ import annotations

import pytest
import torch
from tiny_models import Batch, make_model, pack, random_sequences, small_batch
from torch import Tensor

from harness.errors import HarnessError
from sad_distill.attention import NAME, forward_packed, prepare, sequence_starts
from sad_distill.pruning import layers_of

pytestmark = pytest.mark.models
FAMILIES = ["gpt2", "opt", "llama", "qwen2", "qwen3"]
LENGTHS = (14, 9, 20)


def alone() -> list[Batch]:
    ids, spans = random_sequences(3, LENGTHS)
    return [pack([row], [kinds]) for row, kinds in zip(ids, spans, strict=True)]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_equals_transformers_on_each_sequence(family: str, training: bool) -> None:
    plain = make_model(family)
    expected = torch.cat(
        [plain.base_model(input_ids=one.input_ids[None]).last_hidden_state[0] for one in alone()]
    )
    model = make_model(family)
    prepare(model)
    model.train(training)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        if hasattr(part, "dropout") and isinstance(part.dropout, float):
            part.dropout = 0.0
    torch.testing.assert_close(forward_packed(model, small_batch()), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_packed_equal_those_apart(family: str) -> None:
    def gradients(batches: list[Batch]) -> list[Tensor]:
        model = make_model(family)
        prepare(model)
        for batch in batches:
            forward_packed(model, batch).cumsum(1).square().sum().backward()
        found = [parameter.grad for parameter in model.parameters()]
        return [gradient for gradient in found if gradient is not None]

    expected = gradients(alone())
    largest = max(float(value.abs().max()) for value in expected)
    for got, value in zip(gradients([small_batch()]), expected, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-4, atol=1e-6 * largest)


@pytest.mark.parametrize("family", FAMILIES)
def test_where_some_positions_are_wanted_they_and_their_gradients_are_the_same(
    family: str,
) -> None:
    """And the last layer's feed-forward sees them alone."""
    wanted = torch.tensor([3, 4, 13, 20, 42])

    def run(chosen: Tensor | None) -> tuple[Tensor, list[Tensor], int]:
        model = make_model(family)
        prepare(model)
        seen: list[int] = []
        layer = layers_of(model)[1][-1]
        feed_forward = layer.fc1 if family == "opt" else layer.mlp
        hook = feed_forward.register_forward_hook(
            lambda _, inputs, __: seen.append(inputs[0].shape[-2])
        )
        hidden = forward_packed(model, small_batch(), wanted=chosen)[wanted]
        hook.remove()
        hidden.cumsum(1).square().sum().backward()
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in layer.modules())
        found = [p.grad for p in model.parameters() if p.grad is not None]
        return hidden.detach(), found, seen[0]

    hidden, gradients, seen = run(wanted)
    expected, full, everything = run(None)
    assert (seen, everything) == (len(wanted), sum(LENGTHS))
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-6)
    largest = max(float(value.abs().max()) for value in full)
    for got, value in zip(gradients, full, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-4, atol=1e-6 * largest)


@pytest.mark.parametrize("how", ["checkpointing", "compiled", "unknown"])
def test_where_the_last_layer_cannot_be_narrowed_it_is_whole(how: str) -> None:
    model = make_model("llama")
    prepare(model)
    layer = layers_of(model)[1][-1]
    if how == "checkpointing":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    elif how == "compiled":
        layer._compiled_call_impl = layer._call_impl
    else:
        model.config.model_type = "of_tomorrow"
    seen: list[int] = []
    layer.mlp.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[-2]))
    model.train()
    forward_packed(model, small_batch(), wanted=torch.tensor([3]))
    assert seen[0] == sum(LENGTHS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_token_changes_nothing_in_other_sequences(family: str) -> None:
    model, batch = make_model(family), small_batch()
    prepare(model)
    before = forward_packed(model, batch)
    batch.input_ids[0] = (batch.input_ids[0] + 1) % 61
    after = forward_packed(model, batch)
    assert (before[:14] - after[:14]).abs().max() > 1e-3
    torch.testing.assert_close(before[14:], after[14:], rtol=0, atol=1e-6)


def test_gradient_checkpointing_changes_nothing() -> None:
    def gradient(checkpointing: bool) -> Tensor:
        model = make_model("llama")
        prepare(model)
        model.train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        forward_packed(model, small_batch()).square().sum().backward()
        found = model.model.layers[0].self_attn.q_proj.weight.grad
        assert isinstance(found, Tensor)
        return found

    torch.testing.assert_close(gradient(True), gradient(False))


def test_positions_that_do_not_restart_change_what_gpt2_sees() -> None:
    model, batch = make_model("gpt2"), small_batch()
    prepare(model)
    before = forward_packed(model, batch)
    batch.position_ids.copy_(torch.arange(len(batch.position_ids)))
    assert (forward_packed(model, batch)[14:] - before[14:]).abs().max() > 1e-3


def test_rows_of_a_batch_are_sequences_of_their_own() -> None:
    starts = sequence_starts(torch.tensor([[0, 0, 1, -1], [1, 2, 2, 2]]))
    assert starts.tolist() == [0, 2, 3, 4, 5, 8]


def test_a_prepared_model_still_generates_and_saves_as_before(tmp_path: object) -> None:
    model, plain = make_model("qwen2"), make_model("qwen2")
    prepare(model)
    prompt = torch.tensor([[5, 6, 7], [0, 8, 9]])
    mask = torch.tensor([[1, 1, 1], [0, 1, 1]])
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    got = model.generate(prompt, attention_mask=mask, **settings)
    assert torch.equal(got, plain.generate(prompt, attention_mask=mask, **settings))
    assert NAME not in str(model.config.to_dict())


def test_models_whose_sequences_cannot_be_kept_apart_are_refused() -> None:
    from transformers import BloomConfig, MambaConfig, MambaForCausalLM
    from transformers.models.bloom import BloomForCausalLM

    mamba = MambaForCausalLM(MambaConfig(vocab_size=61, hidden_size=16, num_hidden_layers=1))
    bloom = BloomForCausalLM(BloomConfig(vocab_size=61, hidden_size=16, n_layer=1, n_head=2))
    for model in (mamba, bloom):
        with pytest.raises(HarnessError, match=type(model).__name__):
            prepare(model)


def test_an_attention_that_is_not_told_where_sequences_end_raises() -> None:
    model = make_model("llama")
    prepare(model)
    with pytest.raises(HarnessError, match="would see each other"):
        model.model(input_ids=torch.tensor([[1, 2, 3]]), attention_mask=torch.empty(1, 1, 0, 0))
