"""The loop as a whole: what it writes, and what must not change a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from training import assert_same_weights, losses, make_job, student_spec, weights

from harness.errors import HarnessError
from sad_distill.checkpoint import checkpoints
from sad_distill.metrics import read_metrics
from sad_distill.train import Hook, Moment, train

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("one_thread")]

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def test_a_finished_student_loads_and_says_what_it_is(teacher: Path, run: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(teacher)
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    assert model(torch.tensor([tokenizer("Thought: go")["input_ids"]])).logits.isfinite().all()
    record = json.loads((teacher / "distillation.json").read_text())
    assert record["method"] == "imitation"
    assert record["teacher"] is None
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert record["ended"] == "done"
    assert record["steps"] == record["planned_steps"] > 0
    assert record["data"]["episodes"] == 6
    assert record["data"]["agents"] == ["expert"]
    assert record["data"]["runs"][0]["digest"] == "d"
    card = (teacher / "README.md").read_text()
    assert record["data"]["digest"] in card
    assert "imitation" in card


def test_imitation_lowers_the_loss_and_metrics_say_so(teacher: Path) -> None:
    lines = read_metrics(teacher / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert lines[-1]["accuracy/act"] > lines[0]["accuracy/act"]
    assert lines[-1]["done"] == 1.0
    assert {"tokens_per_second", "rows_per_second", "mfu", "peak_memory_bytes"} <= lines[0].keys()
    assert lines[-1]["tokens"] > lines[0]["tokens"] > 0


def test_metrics_go_to_tensorboard(teacher: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(teacher / "tensorboard"))
    board.Reload()
    shown = [event.value for event in board.Scalars("loss")]
    assert shown == pytest.approx([x["loss"] for x in read_metrics(teacher / "metrics.jsonl")])


def test_sad_without_its_ingredients_is_masked_token_distillation(
    run: Path, student: str, teacher: Path, tmp_path: Path
) -> None:
    spec = f"hf:{teacher}"
    plain = ("spans.normalise=none", "curriculum.order=none")
    sad = make_job(run, tmp_path / "a", "sad", *plain, student=student, teacher=spec)
    masked = make_job(run, tmp_path / "b", "token-kd-masked", student=student, teacher=spec)
    one, other = losses(sad, tmp_path / "a"), losses(masked, tmp_path / "b")
    assert len(one) == 18
    assert one == pytest.approx(other, abs=1e-6)
    whole = make_job(run, tmp_path / "c", "sad", student=student, teacher=spec)
    assert losses(whole, tmp_path / "c") != pytest.approx(one, abs=1e-3)


def test_accumulation_changes_nothing(
    run: Path, student: str, teacher: Path, tmp_path: Path
) -> None:
    folders = []
    for rows, accumulation in ((2, 1), (1, 2)):
        folders.append(tmp_path / f"{rows}")
        settings = (f"training.rows={rows}", f"training.accumulation={accumulation}")
        more = ("training.pack_length=300", "training.max_steps=6", "training.learning_rate=1e-3")
        train(
            make_job(
                run, folders[-1], "sad", *settings, *more, student=student, teacher=f"hf:{teacher}"
            ),
            folders[-1],
        )
    assert_same_weights(*folders, within=2e-5)


def test_a_checkpoint_is_a_model_folder(run: Path, student: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    settings = ("training.save_every=2", "training.max_steps=5")
    train(make_job(run, tmp_path, "imitation", *settings, student=student), tmp_path)
    found = checkpoints(tmp_path)
    assert [folder.name for folder in found] == ["step-000004", "step-000005"]
    last = AutoModelForCausalLM.from_pretrained(found[-1]).state_dict()
    assert torch.equal(last["model.norm.weight"], weights(tmp_path)["model.norm.weight"])


def test_time_ends_a_training_with_a_student(run: Path, student: str, tmp_path: Path) -> None:
    settings = ("training.minutes=0.005", "training.epochs=1000")
    ending = train(make_job(run, tmp_path, "imitation", *settings, student=student), tmp_path)
    assert ending.reason == "time"
    assert 0 < ending.steps < ending.planned
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert lines[-1]["learning_rate"] < 0.5e-3  # it has annealed
    assert json.loads((tmp_path / "distillation.json").read_text())["ended"] == "time"


def test_hooks_are_called_at_their_steps_and_change_nothing(
    run: Path, student: str, tmp_path: Path
) -> None:
    seen: list[tuple[int, bool]] = []

    def call(moment: Moment) -> dict[str, float]:
        seen.append((moment.step, moment.model.training))
        torch.rand(3)
        return {"mine": 7.0}

    settings = ("training.max_steps=5",)
    plain, hooked = tmp_path / "plain", tmp_path / "hooked"
    train(make_job(run, plain, "imitation", *settings, student=student), plain)
    hooks = [Hook(2, call, at_start=True)]
    train(make_job(run, hooked, "imitation", *settings, student=student), hooked, hooks=hooks)
    assert seen == [(0, False), (2, False), (4, False)]
    lines = {line["step"]: line for line in read_metrics(hooked / "metrics.jsonl")}
    assert lines[4]["mine"] == 7.0
    assert "mine" not in lines[5]
    assert_same_weights(plain, hooked)


def test_lora_trains_adapters_and_gives_a_whole_student(
    run: Path, teacher: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    settings = ("student.lora_rank=4", "training.max_steps=4", "training.learning_rate=1e-2")
    spec = f"hf:{teacher}"
    job = make_job(run, tmp_path, "imitation", *settings, student=spec)
    train(job, tmp_path)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(teacher)
    ids = torch.arange(9)[None]
    with torch.no_grad():
        before = base(ids).logits
        beside = PeftModel.from_pretrained(base, tmp_path / "adapter")(ids).logits
        after = merged(ids).logits
    assert float((after - before).abs().max()) > 1e-2
    torch.testing.assert_close(after, beside, rtol=0, atol=1e-4)
    record = json.loads((tmp_path / "distillation.json").read_text())
    assert record["trained_parameters"] < record["parameters"] / 4
    assert torch.equal(merged.lm_head.weight, base.lm_head.weight)


@pytest.mark.parametrize("source", ["cached", "top-k"])
def test_cached_teachers_train_as_the_online_one(
    source: str, run: Path, student: str, teacher: Path, tmp_path: Path
) -> None:
    spec = f"hf:{teacher}"
    # As many tokens as there are: then top-k and the whole distribution are the same.
    settings = ("training.epochs=2", "teacher.top_k=5000")
    online = make_job(run, tmp_path / "a", "sad", *settings, student=student, teacher=spec)
    kept = make_job(
        run, tmp_path / "b", "sad", *settings, f"teacher.source={source}",
        student=student, teacher=spec,
    )  # fmt: skip
    one, other = losses(online, tmp_path / "a"), losses(kept, tmp_path / "b")
    assert one == pytest.approx(other, abs=5e-3)  # rows are kept in bfloat16


def test_gradient_checkpointing_gives_the_same_student(
    run: Path, student: str, tmp_path: Path
) -> None:
    folders = []
    for value in ("false", "true"):
        folders.append(tmp_path / value)
        settings = ("training.max_steps=3", f"training.gradient_checkpointing={value}")
        train(make_job(run, folders[-1], "imitation", *settings, student=student), folders[-1])
    assert_same_weights(*folders, within=1e-6)


def test_dropout_is_off_in_training_and_kept_in_the_configuration(
    run: Path, tmp_path: Path
) -> None:
    spec = student_spec(tmp_path, attention_dropout=0.5)
    job = make_job(run, tmp_path / "out", "imitation", "training.max_steps=1", student=spec)
    same = make_job(run, tmp_path / "more", "imitation", "training.max_steps=1", student=spec)
    assert losses(job, tmp_path / "out") == losses(same, tmp_path / "more")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["attention_dropout"] == 0.5


def test_bfloat16_trains_float32_weights_and_writes_bfloat16(
    run: Path, student: str, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    settings = ("training.precision=bfloat16", "training.max_steps=2")
    ending = train(make_job(run, tmp_path, "imitation", *settings, student=student), tmp_path)
    assert {value.dtype for value in weights(tmp_path).values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    kept = load_file(ending.checkpoint / "model.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.float32}


def test_a_loss_that_is_no_number_is_an_error(run: Path, student: str, tmp_path: Path) -> None:
    settings = ("training.learning_rate=1e30", "training.clip=0", "training.warmup=0")
    job = make_job(run, tmp_path, "imitation", *settings, student=student)
    with pytest.raises(HarnessError, match=r"the loss is nan at step \d+; lower training"):
        train(job, tmp_path)


@pytest.mark.parametrize("device", DEVICES)
def test_fifty_steps_on_every_device(
    device: str, run: Path, student: str, teacher: Path, tmp_path: Path
) -> None:
    settings = ("training.epochs=20", "training.max_steps=50", "training.learning_rate=5e-3")
    spec = f"hf:{teacher}"
    job = make_job(run, tmp_path, "sad", *settings, student=student, teacher=spec, device=device)
    found = losses(job, tmp_path)
    assert len(found) == 50
    assert found[-1] < 0.5 * found[0]


@pytest.mark.parametrize("device", DEVICES)
def test_the_device_computes_what_the_formulas_say(device: str) -> None:
    from sad_distill.selftest import self_test

    assert [check for check in self_test(device) if not check.passed] == []


@pytest.mark.slow
def test_compiled_layers_give_the_same_student(run: Path, student: str, tmp_path: Path) -> None:
    folders = []
    for value in ("false", "true"):
        folders.append(tmp_path / value)
        settings = ("training.max_steps=3", f"training.compile={value}")
        train(make_job(run, folders[-1], "imitation", *settings, student=student), folders[-1])
    assert_same_weights(*folders, within=1e-5)


def refusals() -> list[tuple[str, tuple[str, ...], str]]:
    return [
        ("sad", (), "compares the student with a teacher; name one with --teacher"),
        ("imitation", ("training.accumulation=0",), "training.accumulation is 0"),
        ("imitation", ("format.max_length=16", "format.reserve=10"), "no turn of 6 episodes"),
        ("imitation", ("training.pack_length=20",), "raise pack_length"),
        ("imitation", ("data.hold_out=0.9999",), "leaves none of 6 episodes"),
    ]


@pytest.mark.parametrize(("recipe", "settings", "said"), refusals())
def test_what_cannot_be_trained_is_refused_in_one_line(
    recipe: str, settings: tuple[str, ...], said: str, run: Path, student: str, tmp_path: Path
) -> None:
    with pytest.raises(HarnessError) as refusal:
        make_job(run, tmp_path, recipe, *settings, student=student)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_another_tokenizer_is_refused_where_distributions_are_compared(
    run: Path, student: str, teacher: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    more = ("student.vocabulary=300", "training.max_steps=1")
    train(make_job(run, folder, "imitation", *more, student=student), folder)
    made: dict[str, Any] = {"student": f"hf:{folder}", "teacher": f"hf:{teacher}"}
    with pytest.raises(HarnessError, match="different tokenizers"):
        make_job(run, tmp_path / "out", "sad", **made)
    make_job(run, tmp_path / "out", "imitation", **made)
