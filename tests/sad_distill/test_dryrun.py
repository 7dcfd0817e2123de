"""What a training will take, reckoned without weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from making import make_episode, write_run

from harness.errors import HarnessError
from sad_distill.datasize import DataSize, measure
from sad_distill.dryrun import Rung, dry_run
from sad_distill.recipes import load_recipe
from sad_distill.sizing import model_config, stored_bytes

pytestmark = pytest.mark.models

DATA = DataSize(sequences=100, tokens=64_000, rows=16_000, longest=1000, told="made up")


def rung(recipe: str, *settings: str, gpu: str = "h100", student: str | None = None) -> Rung:
    chosen = load_recipe(recipe, settings)
    return dry_run(chosen, None, student or chosen.student.spec, gpu, DATA).rungs[0]


def test_every_student_of_a_ladder_is_sized_exactly() -> None:
    found = dry_run(load_recipe("ladders/gpt2"), None, None, "h100", DATA).rungs
    assert [one.parameters for one in found] == [124_439_808, 354_823_168, 774_030_080]
    assert {one.teacher_parameters for one in found} == {1_557_611_200}
    assert all(one.fits for one in found)


def test_operations_are_those_of_bodies_and_heads() -> None:
    found = rung("ladders/gpt2")
    tokens, rows = 3 * 64_000, 3 * 16_000
    vocabulary = 50257
    # Matrices of a GPT-2 layer: 12 times the square of its width.
    student, teacher = 12 * 12 * 768**2, 48 * 12 * 1600**2
    heads = 6 * vocabulary * 768 + 2 * vocabulary * 1600
    assert found.operations == pytest.approx(
        tokens * (6 * student + 2 * teacher) + rows * heads, rel=1e-6
    )
    assert found.recomputed == 0
    cached = rung("ladders/gpt2", "teacher.source=cached")
    assert found.operations - cached.operations == pytest.approx(2 / 3 * tokens * 2 * teacher)


def test_memory_is_the_sum_of_its_parts_and_less_with_checkpointing() -> None:
    found = rung("ladders/qwen3")
    assert found.checkpointing
    assert found.other.activations > 5 * found.memory.activations
    assert found.memory.gradients == 4 * found.parameters
    assert found.memory.moments == 8 * found.parameters
    assert found.memory.teacher == 2 * found.teacher_parameters


def test_what_does_not_fit_is_told_which_switch_makes_it() -> None:
    found = rung("ladders/gpt2", gpu="rtx4090", student="hf:openai-community/gpt2-medium")
    assert not found.fits
    assert found.switch == "fits with --set training.gradient_checkpointing=true"
    settled = rung(
        "ladders/gpt2", "training.gradient_checkpointing=true",
        gpu="rtx4090", student="hf:openai-community/gpt2-medium",
    )  # fmt: skip
    assert settled.fits
    assert settled.memory.total == found.other.total


def test_what_several_devices_are_told_can_be_shared_evenly() -> None:
    found = rung("ladders/llama", "training.rows=1", "training.accumulation=1")
    assert found.switch is not None
    assert "fits on 4 of them" in found.switch
    assert found.switch.count("training.accumulation") == 1
    assert "--set training.accumulation=4" in found.switch
    settled = rung("ladders/llama")
    assert settled.switch is not None
    assert settled.switch.count("training.accumulation") == 1


def test_something_small_is_not_nothing() -> None:
    shown = dry_run(load_recipe("imitation"), None, "nano:S", "h100").render()
    assert "  0.0 GB" not in shown.partition("  weights")[2].partition("  teacher")[0]
    assert "below 1 s" in shown


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_stored_bytes_are_not_below_a_real_model_and_close_to_it(
    precision: torch.dtype | None,
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(hidden_size=64, intermediate_size=160, num_hidden_layers=3,
                         num_attention_heads=4, vocab_size=128)  # fmt: skip
    torch.manual_seed(0)

    def kept(layers: int, tokens: int) -> int:
        config.num_hidden_layers = layers
        model = LlamaForCausalLM(config)
        own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        found: dict[int, int] = {}
        alive = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            alive.append(tensor)
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        ids = torch.zeros(1, tokens, dtype=torch.long)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=precision is not None),
        ):
            states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        del states
        return sum(size for place, size in found.items() if place not in own)

    grown = [kept(3, tokens) - kept(2, tokens) for tokens in (96, 160)]
    config.num_hidden_layers = 3
    real = (grown[1] - grown[0]) / 64
    assert real <= stored_bytes(config, precision).layer <= 1.2 * real


def test_students_of_every_kind_have_a_size(tmp_path: Path) -> None:
    recipe = load_recipe("ladders/gpt2")
    teacher = model_config("hf:openai-community/gpt2-xl", recipe)
    assert model_config("prune:6", recipe, teacher).num_hidden_layers == 6
    assert model_config("prune:6,width=800", recipe, teacher).n_inner == 800
    assert model_config("nano:S", recipe, teacher).vocab_size == 50304
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 2}))
    assert model_config(f"hf:{tmp_path}", recipe).num_hidden_layers == 2
    with pytest.raises(HarnessError, match="nothing here says how large hf:some/where is"):
        model_config("hf:some/where", recipe)


def test_runs_are_counted_by_characters_where_there_is_no_tokenizer(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [make_episode(4), make_episode(2, task_id="u")])
    found = measure(load_recipe("sad"), [run], None)
    assert found.sequences == 2
    assert 0 < found.rows < found.tokens
    assert found.told == "counted in the runs, 4 characters a token"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--recipe", "ladders/gpt2", "--gpu", "h1000"), "--gpu is 'h1000'; expected h100, h200"),
        (("--gpu", "h100"), "name a --recipe"),
        (("--recipe", "sad", "--student", "nano:S"), "name one with --teacher"),
    ],
)  # fmt: skip
def test_bad_arguments_get_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", "distill", "--dry-run",
         *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
