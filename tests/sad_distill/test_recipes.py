"""Recipes: all load, every key is documented, and mistakes get one helpful line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from sad_distill.recipes import load_recipe, recipe_names, recipe_table
from sad_distill.spans import PRESETS

DOCS = Path(__file__).parents[2] / "docs" / "recipes.md"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_says_what_it_is(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.description.endswith(".")
    assert recipe.method == name or name.startswith("ladders/")


def test_every_method_and_ablation_is_there() -> None:
    wanted = {
        "imitation", "token-kd", "token-kd-masked", "minillm", "gkd", "distillm", "sad",
        "sad-reason-only", "sad-act-only", "sad-random-spans", "sad-no-curriculum",
        "sad-reversed-curriculum", "sad-act-2", "sad-act-4", "sad-unnormalised",
        "sad-candidates", "sad-onpolicy",
        "ladders/gpt2", "ladders/opt", "ladders/llama", "ladders/qwen3",
    }  # fmt: skip
    assert wanted <= set(recipe_names())


def test_span_names_agree_with_the_schemes() -> None:
    for scheme, preset in PRESETS.items():
        recipe = load_recipe("imitation", [f"spans.scheme={scheme}"])
        assert tuple(recipe.span_weights) == preset.names


def test_an_ablation_changes_one_thing() -> None:
    base = load_recipe("sad").dump()
    changed = load_recipe("sad-act-2").dump()
    differing = {key for key in base if base[key] != changed[key]}
    assert differing == {"description", "method", "extends", "spans"}
    assert changed["spans"]["weights"] == {"reason": 1.0, "act": 2.0}


def test_overrides_win() -> None:
    recipe = load_recipe("sad", ["training.epochs=7", "spans.weights.act=3", "teacher.spec=hf:x"])
    assert recipe.training.epochs == 7
    assert recipe.span_weights == {"reason": 1.0, "act": 3.0}
    assert recipe.teacher.spec == "hf:x"


def test_a_file_of_ones_own_extends_a_known_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('method = "mine"\nextends = "sad"\n[training]\nepochs = 9\n')
    recipe = load_recipe(file)
    assert (recipe.training.epochs, recipe.curriculum.order) == (9, "easy-first")
    other = tmp_path / "again.toml"
    other.write_text('method = "again"\nextends = "mine"\n')
    assert load_recipe(other).training.epochs == 9


def test_a_recipe_does_not_pass_for_the_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "sad"\n')
    with pytest.raises(HarnessError, match="the key 'method' is missing"):
        load_recipe(tmp_path / "mine.toml")


def test_recipes_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    for one, two in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.toml").write_text(f'method = "m"\nextends = "{two}"\n')
    with pytest.raises(HarnessError, match="in a circle"):
        load_recipe(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("training.epoch=2", "unknown key 'training.epoch'; did you mean 'training.epochs'"),
        ("epochs=2", "did you mean 'training.epochs'"),
        ("traning.epochs=2", "unknown key 'traning'; did you mean 'training'?"),
        ("training=5", "training is 5; expected a table of settings"),
        ("data.outcomes=failure", 'expected a list, such as ["failure"]'),
        ("method=", "at least 1 character"),
        ("spans.scheme=reason-action", "did you mean 'reason-act'"),
        ("spans.weights.acts=1", "the spans are reason, act"),
        ("spans.weights.act=-1", "expected 0 or more"),
        ("training.epochs=0", "greater than or equal to 1"),
        ("divergence.kind=kl", "'fkl', 'rkl'"),
        ("training", "expected KEY=VALUE"),
        ("method.x=1", "'method' is no table"),
    ],
)
def test_mistakes_are_refused_with_a_suggestion(pair: str, said: str) -> None:
    with pytest.raises(HarnessError) as error:
        load_recipe("sad", [pair])
    assert said in str(error.value)


def test_unknown_recipe_is_refused_with_a_suggestion() -> None:
    with pytest.raises(HarnessError, match=r"there is no recipe 'imitatoin'.*'imitation'"):
        load_recipe("imitatoin")


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(HarnessError, match="needs a span named 'act'"):
        load_recipe("imitation", ["divergence.candidates=true"])
    with pytest.raises(HarnessError, match="cannot score the student's own rollouts"):
        load_recipe("imitation", ["on_policy.share=0.5"])


def test_every_key_is_documented() -> None:
    page = DOCS.read_text()
    for key, default, meaning in recipe_table():
        assert meaning, key
        assert f"| `{key}` | `{default}` | {meaning} |" in page


def test_every_recipe_is_documented() -> None:
    page = DOCS.read_text()
    for name in recipe_names():
        assert f"| `{name}` | {load_recipe(name).description} |" in page
