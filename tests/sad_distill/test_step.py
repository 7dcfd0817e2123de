"""The optimiser step: identities between methods, invariances, and mutations that must show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_models import Batch, make_model, pack, random_sequences, small_batch
from torch import Tensor

from harness.errors import HarnessError
from sad_distill.heads import Head
from sad_distill.kinds import Divergence, dense_divergence
from sad_distill.step import Objective, SpanDistillation, StepReport, distil_step
from sad_distill.teacher import OnlineTeacher

pytestmark = pytest.mark.models
FKL = Divergence("fkl")
LENGTHS = (14, 9, 20)


def step(
    objective: Objective, batches: list[Batch], *, family: str = "llama", student: Any = None
) -> tuple[StepReport, dict[str, Tensor]]:
    """Report and gradients of one step of a fixed student under a fixed teacher."""
    student = make_model(family, seed=0) if student is None else student
    teacher = OnlineTeacher(make_model(family, seed=1, width=48))
    report = distil_step(SpanDistillation(student, objective), objective, teacher, batches)
    return report, {
        name: parameter.grad.clone()
        for name, parameter in student.named_parameters()
        if parameter.grad is not None
    }


def assert_same_gradients(got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert got.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=0, atol=1e-6 * max(1.0, largest))


def as_one_span(batch: Batch) -> Batch:
    return replace(batch, span_ids=torch.zeros_like(batch.span_ids))


def apart(seed: int = 3) -> list[Batch]:
    ids, spans = random_sequences(seed, LENGTHS)
    return [pack([row], [kinds]) for row, kinds in zip(ids, spans, strict=True)]


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "qwen3"])
def test_equals_a_dense_loop_over_single_sequences(family: str) -> None:
    objective = Objective(FKL, (1.0, 2.0))
    _, got = step(objective, [small_batch()], family=family)
    student = make_model(family, seed=0)
    teacher = make_model(family, seed=1, width=48)
    batch = small_batch()
    counts = torch.bincount(batch.span_ids)
    loss = torch.zeros(())
    for one in apart():
        logits = student(input_ids=one.input_ids[None]).logits[0]
        with torch.no_grad():
            log_p = torch.log_softmax(teacher(input_ids=one.input_ids[None]).logits[0], -1)
        weights = torch.tensor([1.0, 2.0])[one.span_ids] / counts[one.span_ids]
        index = one.row_index
        loss = loss + dense_divergence(logits[index], log_p[index], weights, one.target_ids, FKL)
    loss.backward()
    expected = {n: p.grad for n, p in student.named_parameters() if p.grad is not None}
    assert_same_gradients(got, expected)


def test_equal_weights_without_normalisation_are_masked_token_distillation() -> None:
    sad, sad_gradients = step(Objective(FKL, (1.0, 1.0), "none"), [small_batch()])
    kd, kd_gradients = step(Objective(FKL, (1.0,)), [as_one_span(small_batch())])
    assert sad.loss.item() == pytest.approx(kd.loss.item(), abs=1e-6)
    assert_same_gradients(sad_gradients, kd_gradients)


@pytest.mark.parametrize("normalise", ["span", "none"])
def test_reason_only_and_act_only_add_up_to_the_whole(normalise: Any) -> None:
    both, whole = step(Objective(FKL, (0.5, 2.0), normalise), [small_batch()])
    reason, reason_gradients = step(Objective(FKL, (0.5, 0.0), normalise), [small_batch()])
    act, act_gradients = step(Objective(FKL, (0.0, 2.0), normalise), [small_batch()])
    assert both.loss.item() == pytest.approx((reason.loss + act.loss).item(), abs=1e-6)
    added = {name: value + act_gradients[name] for name, value in reason_gradients.items()}
    assert_same_gradients(added, whole)
    assert reason.rows.tolist()[1] == 0


def test_random_spans_of_equal_size_carry_the_same_weight() -> None:
    from sad_distill.step import row_weights, span_masses

    batch, objective = small_batch(), Objective(FKL, (1.0, 3.0))
    order = torch.randperm(len(batch.span_ids), generator=torch.Generator().manual_seed(0))
    shuffled = replace(batch, span_ids=batch.span_ids[order])
    sums = [row_weights(b, objective, span_masses([b], objective)).sum() for b in (batch, shuffled)]
    torch.testing.assert_close(sums[0], torch.tensor(4.0))
    torch.testing.assert_close(sums[1], sums[0])


@pytest.mark.parametrize("normalise", ["span", "none"])
def test_accumulation_changes_nothing(normalise: Any) -> None:
    # The micro-batches hold very different numbers of rows: a mean of means would show.
    objective = Objective(FKL, (1.0, 2.0), normalise)
    together, expected = step(objective, [small_batch()])
    split, got = step(objective, apart())
    assert split.loss.item() == pytest.approx(together.loss.item(), abs=1e-6)
    assert_same_gradients(got, expected)
    assert torch.equal(split.rows, together.rows)


def test_poisoned_observations_change_nothing() -> None:
    # Row selection never reads a target that is not supervised, and predictions do not look ahead:
    # the last tokens, observations that nothing follows, may be anything.
    ids, spans = random_sequences(3, LENGTHS)
    quiet = [[*kinds[:-3], -1, -1, -1] for kinds in spans]
    clean, expected = step(Objective(FKL, (1.0, 1.0)), [pack(ids, quiet)])
    poisoned = [[*row[:-3], *((token + 17) % 61 for token in row[-3:])] for row in ids]
    report, got = step(Objective(FKL, (1.0, 1.0)), [pack(poisoned, quiet)])
    assert report.loss.item() == clean.loss.item()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize("kind", ["fkl", "ce"])
def test_rows_off_by_one_change_the_loss(kind: Any) -> None:
    objective, batch = Objective(Divergence(kind), (1.0, 1.0)), small_batch()
    right, _ = step(objective, [batch])
    shifted, _ = step(objective, [replace(batch, row_index=batch.row_index + 1)])
    assert abs(right.loss.item() - shifted.loss.item()) > 1e-3


def test_a_span_without_rows_adds_nothing() -> None:
    report, _ = step(Objective(FKL, (1.0, 1.0, 1.0)), [small_batch()])
    assert torch.isfinite(report.loss)
    assert report.rows[2] == 0


def test_tied_embeddings_get_both_gradients() -> None:
    objective = Objective(Divergence("ce"), (1.0,))
    batch = as_one_span(small_batch())
    _, tied = step(objective, [batch], family="gpt2")
    student = make_model("gpt2", seed=0)
    rows = []
    for one in apart():
        logits = student(input_ids=one.input_ids[None]).logits[0]
        rows.append(
            torch.nn.functional.cross_entropy(
                logits[one.row_index], one.target_ids, reduction="sum"
            )
        )
    (torch.stack(rows).sum() / len(batch.weights)).backward()
    expected = student.get_input_embeddings().weight.grad
    torch.testing.assert_close(tied["transformer.wte.weight"], expected, rtol=0, atol=1e-5)


def test_a_frozen_head_is_not_given_a_gradient() -> None:
    student = make_model("llama", seed=0)
    student.lm_head.weight.requires_grad_(False)
    _, gradients = step(Objective(FKL, (1.0, 1.0)), [small_batch()], student=student)
    assert "lm_head.weight" not in gradients
    assert gradients["model.layers.0.mlp.up_proj.weight"].abs().max() > 0


def test_the_report_adds_up_to_the_loss() -> None:
    objective = Objective(FKL, (1.0, 2.0))
    report, _ = step(objective, apart())
    means = report.divergence / report.rows
    assert report.loss.item() == pytest.approx((means[0] + 2 * means[1]).item(), rel=1e-5)
    assert report.tokens == sum(LENGTHS)


def test_a_student_that_is_its_teacher_has_no_loss() -> None:
    student = make_model("llama", seed=1, width=48)
    report, _ = step(Objective(FKL, (1.0, 1.0)), [small_batch()], student=student)
    assert abs(report.loss.item()) < 1e-5


def test_vocabulary_sized_buffers_of_all_tokens_never_exist() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            for value in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(value, Tensor) and value.ndim and value.shape[-1] == 61:
                    self.seen = max(self.seen, value.numel() // 61)
            return out

    objective = Objective(FKL, (1.0, 1.0), chunk=4)
    student, teacher = make_model("llama"), OnlineTeacher(make_model("llama", width=48))
    module = SpanDistillation(student, objective)
    with Largest() as largest:
        distil_step(module, objective, teacher, [small_batch()])
    # Transposed heads are views of [61, hidden]; logits are at most 4 rows.
    assert largest.seen <= 48
    rows = len(small_batch().row_index)
    assert rows < 48 or largest.seen < rows


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda: Objective(FKL, (0.0, 0.0)), "expected none below 0, one above 0"),
        (lambda: Objective(FKL, (1.0,), "mean"), "normalise is 'mean'"),  # type: ignore[arg-type]
    ],
)
def test_objectives_that_mean_nothing_are_refused(objective: Any, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        objective()


def test_a_span_without_a_weight_is_refused() -> None:
    with pytest.raises(HarnessError, match="a batch has span 1"):
        step(Objective(FKL, (1.0,)), [small_batch()])


def test_padded_heads_share_the_prefix_in_a_step() -> None:
    student = make_model("llama", seed=0, vocab_size=64)
    report, gradients = step(Objective(FKL, (1.0, 1.0)), [small_batch()], student=student)
    assert torch.isfinite(report.loss)
    assert gradients["lm_head.weight"][61:].abs().max() == 0
    assert Head(student.lm_head.weight).vocabulary == 64
