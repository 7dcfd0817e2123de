"""Students: pruned, from a configuration, from scratch; tokenizers of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import make_episode

from harness.errors import HarnessError
from harness.rendering import Format, make_format

pytestmark = pytest.mark.models

SHAPE = {"hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 2, "vocab_size": 90}
SMALL: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 5, "n_head": 2, "vocab_size": 90, "n_positions": 64},
    "opt": SHAPE | {"ffn_dim": 64, "word_embed_proj_dim": 32, "max_position_embeddings": 64},
    "llama": SHAPE | {"intermediate_size": 64, "tie_word_embeddings": False},
    "qwen2": SHAPE
    | {"intermediate_size": 64, "num_key_value_heads": 1, "use_sliding_window": True,
       "sliding_window": 8, "max_window_layers": 3},
    "qwen3": SHAPE | {"intermediate_size": 64, "num_key_value_heads": 1, "head_dim": 16},
}  # fmt: skip


def small_model(family: str) -> Any:
    from sad_distill.students import architecture_config, build

    return build(architecture_config({"model_type": family, **SMALL[family]}), seed=1).eval()


@pytest.fixture(scope="module")
def own() -> Any:
    from sad_distill.own_tokenizer import train_tokenizer

    return train_tokenizer([make_episode(12, task_id=f"t{i}") for i in range(4)], vocabulary=500)


@pytest.mark.parametrize("family", SMALL)
def test_pruned_model_computes_what_the_teacher_does_without_the_other_layers(family: str) -> None:
    import torch

    from sad_distill.pruning import layers_of, prune_depth

    teacher = small_model(family)
    student = prune_depth(teacher, 3).eval()
    where, blocks = layers_of(student)
    assert len(blocks) == student.config.num_hidden_layers == 3
    ids = torch.arange(20)[None] * 3 % 90
    whole = layers_of(teacher)[1]
    kept = torch.nn.ModuleList([whole[i] for i in (0, 2, 4)])
    holder, _, name = where.rpartition(".")
    setattr(teacher.get_submodule(holder), name, kept)
    if getattr(teacher.config, "layer_types", None):
        teacher.config.layer_types = [teacher.config.layer_types[i] for i in (0, 2, 4)]
    teacher.config.num_hidden_layers = 3
    with torch.no_grad():
        expected = teacher(ids, use_cache=False).logits
        assert torch.equal(student(ids, use_cache=False).logits, expected)
        # With a cache every layer must know its own place.
        half = student(ids[:, :12], use_cache=True)
        rest = student(ids[:, 12:], past_key_values=half.past_key_values, use_cache=True).logits
    torch.testing.assert_close(rest, expected[:, 12:])


@pytest.mark.parametrize("family", SMALL)
def test_pruned_model_is_saved_and_loaded(family: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from sad_distill.pruning import prune_depth

    student = prune_depth(small_model(family), 2).eval()
    student.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, student(ids).logits)


def test_pruning_copies_and_leaves_the_teacher_alone() -> None:
    import torch

    from sad_distill.pruning import prune_depth

    teacher = small_model("llama")
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    student = prune_depth(teacher, 2)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_layers_are_evenly_spaced_with_both_ends() -> None:
    from sad_distill.pruning import kept_layers

    assert kept_layers(30, 6) == [0, 6, 12, 17, 23, 29]
    assert kept_layers(5, 5) == [0, 1, 2, 3, 4]
    assert kept_layers(12, 1) == [0]
    for total in range(1, 40):
        for n in range(1, total + 1):
            assert len(set(kept_layers(total, n))) == n


def test_sliding_layers_keep_their_type() -> None:
    from sad_distill.pruning import prune_depth

    teacher = small_model("qwen2")
    student = prune_depth(teacher, 3)
    assert student.config.layer_types == [teacher.config.layer_types[i] for i in (0, 2, 4)]
    assert student.config.max_window_layers == 2


def test_more_layers_than_there_are_is_refused() -> None:
    from sad_distill.pruning import prune_depth

    with pytest.raises(HarnessError, match="cannot keep 6 layers of a model with 5"):
        prune_depth(small_model("gpt2"), 6)


@pytest.mark.parametrize(
    ("size", "least", "most"), [("S", 0.3, 0.6), ("M", 1, 1.5), ("L", 2.5, 4), ("XL", 9, 12)]
)
def test_nano_sizes(size: str, least: float, most: float, own: Any) -> None:
    from sad_distill.students import count_parameters, meta_model, nano_config

    config = nano_config(size, own)
    config.vocab_size = 3008
    assert least < count_parameters(meta_model(config)) / 1e6 < most
    assert config.max_position_embeddings > 2048


def test_nano_weights_are_as_large_as_their_width_asks_for() -> None:
    from sad_distill.students import make_student

    student = make_student("nano:S", episodes=[make_episode(8)], vocabulary=400)
    weight = student.model.model.layers[0].self_attn.q_proj.weight
    assert weight.std().item() == pytest.approx(80**-0.5, rel=0.05)


def test_nano_student_is_seeded_and_loads_with_its_tokenizer(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sad_distill.students import make_student

    episodes = [make_episode(8)]
    student = make_student("nano:S", episodes=episodes, vocabulary=400, seed=5)
    again = make_student("nano:S", episodes=episodes, vocabulary=400, seed=5)
    for one, two in zip(student.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
    student.model.save_pretrained(tmp_path)
    student.tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Thought: naïve\n\n  Action: go to desk 12\n"
    assert loaded.is_fast
    assert loaded(text)["input_ids"] == student.tokenizer(text)["input_ids"]
    assert make_format(loaded).template == "plain"
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config.eos_token_id == loaded.eos_token_id


def test_student_from_scratch_takes_the_tokenizer_of_the_teacher(own: Any) -> None:
    from sad_distill.students import TeacherParts, make_student

    student = make_student("nano:S", teacher=TeacherParts("hf:t", own), episodes=[])
    assert student.tokenizer is own


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_own_tokenizer_gives_back_any_text(own: Any, text: str) -> None:
    text = text.replace("<|endoftext|>", "")
    ids = own(text)["input_ids"]
    assert own.decode(ids, clean_up_tokenization_spaces=False) == text


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet=" \n.,:ab1>[]", max_size=40))
def test_no_token_of_the_own_tokenizer_crosses_the_end_of_a_line(own: Any, text: str) -> None:
    for token in own(text)["input_ids"]:
        piece = own.decode([token], clean_up_tokenization_spaces=False)
        assert piece == "\n" or "\n" not in piece


def test_own_tokenizer_straddles_no_span(own: Any) -> None:
    from sad_distill import SpanStatistics, make_examples, make_scheme

    counts = SpanStatistics()
    make_examples(make_episode(12), own, Format(), make_scheme("reason-act"), statistics=counts)
    assert counts.turns_supervised == 12
    assert counts.straddling == counts.own_sequences == 0


def test_training_a_tokenizer_is_repeatable(own: Any) -> None:
    from sad_distill.own_tokenizer import train_tokenizer
    from sad_distill.students import same_tokenizer

    again = train_tokenizer([make_episode(12, task_id=f"t{i}") for i in range(4)], vocabulary=500)
    other = train_tokenizer([make_episode(12)], vocabulary=300)
    assert same_tokenizer(own, again)
    assert not same_tokenizer(own, other)


def test_student_of_a_configuration_file(tmp_path: Path, own: Any) -> None:
    from sad_distill.students import TeacherParts, make_student

    file = tmp_path / "config.json"
    shape = {key: value for key, value in SMALL["llama"].items() if key != "vocab_size"}
    file.write_text(json.dumps({"model_type": "llama", **shape}))
    teacher = TeacherParts("hf:t", own)
    student = make_student(f"config:{file}", teacher=teacher)
    assert student.model.config.vocab_size >= len(own)
    file.write_text(json.dumps({"model_type": "llama", **SMALL["llama"]}))
    with pytest.raises(HarnessError, match="has vocab_size 90, the tokenizer"):
        make_student(f"config:{file}", teacher=teacher)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nano:XXL", "unknown student 'nano:XXL'"),
        ("prune:x", "expected prune:N"),
        ("prune:2", "name one with --teacher"),
        ("nano:S", "needs a teacher's tokenizer, or episodes"),
        ("config:nowhere.json", "cannot read the configuration"),
    ],
)
def test_bad_specs_are_refused(spec: str, said: str) -> None:
    from sad_distill.students import make_student

    with pytest.raises(HarnessError, match=said):
        make_student(spec, teacher=None, episodes=[make_episode()] if spec[0] == "c" else [])


@pytest.mark.parametrize(
    ("ladder", "spec", "parameters"),
    [
        ("gpt2", "hf:openai-community/gpt2", 124_439_808),
        ("gpt2", "hf:openai-community/gpt2-medium", 354_823_168),
        ("gpt2", "hf:openai-community/gpt2-large", 774_030_080),
        ("gpt2", "hf:openai-community/gpt2-xl", 1_557_611_200),
        ("opt", "hf:facebook/opt-1.3b", 1_315_758_080),
        ("opt", "hf:facebook/opt-2.7b", 2_651_596_800),
        ("opt", "hf:facebook/opt-6.7b", 6_658_473_984),
        ("opt", "hf:facebook/opt-13b", 12_853_473_280),
        ("llama", "hf:huggyllama/llama-7b", 6_738_415_616),
        ("llama", "hf:huggyllama/llama-13b", 13_015_864_320),
        ("qwen3", "hf:Qwen/Qwen3-0.6B", 596_049_920),
        ("qwen3", "hf:Qwen/Qwen3-1.7B", 1_720_574_976),
        ("qwen3", "hf:Qwen/Qwen3-4B", 4_022_468_096),
        ("qwen3", "hf:Qwen/Qwen3-14B", 14_768_307_200),
    ],
)
def test_ladders_have_the_sizes_of_the_published_models(
    ladder: str, spec: str, parameters: int
) -> None:
    from sad_distill.recipes import load_recipe
    from sad_distill.students import architecture_config, count_parameters, meta_model

    recipe = load_recipe(f"ladders/{ladder}")
    assert spec in (*recipe.ladder, recipe.teacher.spec)
    config = architecture_config(recipe.architectures[spec])
    assert count_parameters(meta_model(config)) == parameters


@pytest.mark.smollm2
@pytest.mark.slow
def test_the_real_smollm2_is_pruned_to_six_layers() -> None:
    from sad_distill.students import TeacherParts, make_student

    teacher = make_student("smollm2")
    parts = TeacherParts("smollm2", teacher.tokenizer, teacher.model)
    student = make_student("prune:6", teacher=parts)
    assert student.origin == "6 of 30 layers of smollm2"
    assert student.model.config.num_hidden_layers == 6


def test_own_tokenizer_goes_on_where_a_text_was_encoded_before(own: Any) -> None:
    from harness.encoding import cuts_of, encode
    from harness.rendering import render

    episode = make_episode(5)
    fmt = Format()
    known = render(episode.prompt, episode.turns[:3], own, fmt)
    whole = render(episode.prompt, episode.turns, own, fmt)
    assert cuts_of(own).lines
    assert encode(whole.text, own, add_bos=True, known=known) == (
        list(whole.ids),
        list(whole.starts),
    )
