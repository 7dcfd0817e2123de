"""The learning rate over a training, and what is decayed."""

from __future__ import annotations

import pytest
from tiny_models import make_model

from sad_distill.optimiser import learning_rate, make_optimiser, peak_learning_rate
from sad_distill.recipe_sections import TrainingSection
from sad_distill.recipes import load_recipe

pytestmark = pytest.mark.models


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_rise_to_the_peak_and_end_where_they_say(schedule: str) -> None:
    settings = TrainingSection.model_validate({"schedule": schedule, "warmup": 0.1, "final": 0.2})
    rates = [learning_rate(settings, 3.0, done / 100) for done in range(101)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(1.5)
    assert rates[10] == pytest.approx(3.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(3.0 if schedule == "constant" else 0.6)
    middle = {"cosine": 1.8, "linear": 1.8, "constant": 3.0}[schedule]
    assert rates[55] == pytest.approx(middle)


def test_without_a_warm_up_the_peak_comes_first() -> None:
    assert learning_rate(TrainingSection(warmup=0), 1.0, 0.0) == 1.0


def test_past_the_end_the_rate_stays_at_its_last() -> None:
    assert learning_rate(TrainingSection(), 1.0, 1.2) == pytest.approx(0.1)


def test_matrices_are_decayed_and_vectors_are_not() -> None:
    model = make_model("gpt2")
    optimiser = make_optimiser(model, TrainingSection(weight_decay=0.3), 1e-3)
    decayed = {id(p) for p in optimiser.param_groups[0]["params"]}
    assert optimiser.param_groups[0]["weight_decay"] == 0.3
    assert optimiser.param_groups[1]["weight_decay"] == 0
    for name, parameter in model.named_parameters():
        is_matrix = "bias" not in name and "ln" not in name
        assert (id(parameter) in decayed) == is_matrix, name


@pytest.mark.parametrize(
    ("overrides", "scratch_width", "peak"),
    [
        ((), 128, 3e-3),
        ((), 768, 7.5e-4),
        ((), None, 5e-5),
        (("student.lora_rank=8",), None, 2e-4),
        (("training.learning_rate=0.5",), 128, 0.5),
    ],
)
def test_the_peak_suits_the_student(
    overrides: tuple[str, ...], scratch_width: int | None, peak: float
) -> None:
    recipe = load_recipe("sad", overrides)
    assert peak_learning_rate(recipe, scratch_width=scratch_width) == pytest.approx(peak)
