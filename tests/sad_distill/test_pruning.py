"""Students with narrower feed-forward layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import make_model

from harness.errors import HarnessError
from sad_distill.pruning import FEED_FORWARD, layers_of, prune_width
from sad_distill.students import TeacherParts, make_student

pytestmark = pytest.mark.models
FAMILIES = ["gpt2", "opt", "llama", "qwen2", "qwen3"]
IDS = torch.arange(20)[None] * 3 % 61


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS, use_cache=False).logits
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_neurons_that_add_nothing_are_the_first_to_go(family: str) -> None:
    teacher = make_model(family)
    form = FEED_FORWARD[family]
    for block in layers_of(teacher)[1]:
        weight = block.get_submodule(form.outer).weight
        with torch.no_grad():
            silent = torch.arange(1, weight.shape[0 if form.transposed else 1], 3)
            weight.index_fill_(0 if form.transposed else 1, silent, 0.0)
    width = weight.shape[0 if form.transposed else 1] - len(silent)
    student = prune_width(teacher, width)
    assert getattr(student.config, form.setting) == width
    torch.testing.assert_close(logits(student), logits(teacher), rtol=0, atol=1e-4)
    # One neuron fewer is one that mattered.
    assert not torch.allclose(logits(prune_width(teacher, width - 1)), logits(teacher), atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_narrow_student_is_saved_and_loaded(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    student = prune_width(make_model(family), 24)
    student.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(loaded), logits(student))


@pytest.mark.parametrize("family", FAMILIES)
def test_all_neurons_are_the_teacher_itself(family: str) -> None:
    teacher = make_model(family)
    form = FEED_FORWARD[family]
    inner = layers_of(teacher)[1][0].get_submodule(form.inner[0]).weight
    width = inner.shape[1 if form.transposed else 0]
    assert torch.equal(logits(prune_width(teacher, width)), logits(teacher))
    with pytest.raises(HarnessError, match=f"expected 1 to {width}"):
        prune_width(teacher, width + 1)


def test_spec_prunes_depth_and_width() -> None:
    model = make_model("llama")
    teacher = TeacherParts("hf:t", None, model)
    student = make_student("prune:1,width=20", teacher=teacher)
    assert student.model.config.num_hidden_layers == 1
    assert student.model.config.intermediate_size == 20
    assert student.origin == "1 of 2 layers, 20 neurons of each feed-forward layer of hf:t"
    assert student.parents == ("hf:t",)
    whole = make_student("prune:width=20", teacher=teacher)
    assert whole.model.config.num_hidden_layers == 2
    assert whole.parameters < sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("spec", ["prune:", "prune:width=", "prune:,width=3", "prune:2width=3"])
def test_a_wrong_spec_says_what_is_expected(spec: str) -> None:
    with pytest.raises(HarnessError, match="prune:N"):
        make_student(spec, teacher=TeacherParts("hf:t", None, make_model("llama")))
