"""The term over admissible actions, against its plain form and against the harness's own scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from making import make_episode
from tiny_models import VOCABULARY, make_model
from torch import Tensor

from harness.errors import HarnessError
from harness.rendering import make_format, windows
from harness.trajectory import Episode
from sad_distill.attention import forward_packed, prepare
from sad_distill.branches import Branches, Group
from sad_distill.candidates import (
    CandidateTerm,
    TeacherScores,
    _Between,
    _TokenLogProbs,
    action_scores,
)
from sad_distill.choices import TurnChoices
from sad_distill.heads import find_head
from sad_distill.kinds import KINDS, Divergence, Kind, dense_divergence
from sad_distill.metrics import Meter, Work
from sad_distill.pack import PackedBatch, collate
from sad_distill.spans import NO_SPAN, Example
from sad_distill.step import Objective, SpanDistillation, distil_step
from sad_distill.teacher import OnlineTeacher

pytestmark = pytest.mark.models
FAMILIES = ["gpt2", "opt", "llama", "qwen2", "qwen3"]
FKL = Divergence("fkl")


def example(seed: int, length: int, cuts: dict[int, list[int]], weight: float = 1.0) -> Example:
    """Random tokens; at each cut, an action of each length, the first of them the one taken."""
    random = np.random.default_rng(seed)
    ids = random.integers(3, VOCABULARY, length).astype(np.int32)
    labels = np.array([NO_SPAN, *((at // 3) % 3 - 1 for at in range(1, length))], dtype=np.int16)
    choices = []
    for number, (cut, lengths) in enumerate(cuts.items()):
        branches = tuple(random.integers(3, VOCABULARY, n).astype(np.int32) for n in lengths)
        starts = tuple(index % min(2, n) for index, n in enumerate(lengths))
        choices.append(TurnChoices(number, cut, branches, starts, 0, f"{seed:032x}{cut:032x}"))
    return Example(ids, labels, labels == 1, ("e", "t", seed), (0,), weight, choices=tuple(choices))


def examples() -> list[Example]:
    return [
        example(1, 22, {6: [3, 1, 4], 15: [2, 5]}),
        example(2, 15, {9: [2, 2, 2, 6]}, weight=2.0),
    ]


def packed(data: list[Example], length: int = 40) -> PackedBatch:
    return collate(data, [list(range(len(data)))], length)


def dense_scores(model: Any, data: list[Example]) -> list[Tensor]:
    """For every turn, each action's mean log-probability from a pass over its whole text."""
    found = []
    for one in data:
        for choices in one.choices:
            scores = []
            for branch, start in zip(choices.branches, choices.starts, strict=True):
                ids = torch.tensor([[*one.ids[: choices.cut], *branch]], dtype=torch.int64)
                log_probs = torch.log_softmax(model(ids, use_cache=False).logits[0], -1)
                at = torch.arange(choices.cut + start, ids.shape[1])
                scores.append(log_probs[at - 1, ids[0, at]].mean())
            found.append(torch.stack(scores))
    return found


def dense_term(student: Any, teacher: Any, data: list[Example], divergence: Divergence) -> Tensor:
    own, theirs = dense_scores(student, data), dense_scores(teacher, data)
    weights = [one.weight for one in data for _ in one.choices]
    total = own[0].new_zeros(())
    for q, p, weight in zip(own, theirs, weights, strict=True):
        log_p = torch.log_softmax(p.detach() / divergence.temperature, -1)
        row, target = torch.ones(1, dtype=q.dtype), torch.zeros(1, dtype=torch.int64)
        total = total + weight * dense_divergence(q[None], log_p[None], row, target, divergence)
    return total / sum(weights)


def term_of(teacher: Any, divergence: Divergence = FKL) -> CandidateTerm:
    return CandidateTerm(1, divergence, TeacherScores(teacher))


@pytest.mark.parametrize("family", FAMILIES)
def test_branches_are_what_each_is_alone(family: str) -> None:
    model = make_model(family).double()
    prepare(model)
    batch = packed(examples())
    assert batch.candidates is not None
    branches = batch.candidates.branches
    hidden = forward_packed(model, batch, branches)
    stream = batch.input_ids.numel()
    torch.testing.assert_close(hidden[:stream], forward_packed(model, batch), rtol=0, atol=1e-12)
    for number in sorted(set(branches.branch_ids.tolist())):
        mine = (branches.branch_ids == number).nonzero()[:, 0]
        group = next(one for one in branches.groups if one.start <= mine[0] < one.end)
        shown = batch.input_ids.flatten()[group.first : group.last]
        alone = torch.cat([shown, branches.input_ids[mine]])[None]
        expected = model.base_model(alone, use_cache=False).last_hidden_state[0, len(shown) :]
        torch.testing.assert_close(hidden[stream + mine], expected, rtol=0, atol=1e-10)


def test_a_branch_sees_neither_its_neighbours_nor_what_follows_in_the_sequence() -> None:
    ids = torch.tensor([5, 6, 7])
    branches = Branches(ids, torch.tensor([2, 3, 2]), torch.tensor([0, 0, 1]), (Group(0, 3, 4, 6),))
    (mask,) = branches.masks(None)
    assert mask.int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    (narrow,) = branches.masks(2)
    assert narrow.int().tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 1]]


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_passes_over_every_whole_text(family: str) -> None:
    model = make_model(family).double()
    expected = torch.cat(dense_scores(model, examples()))
    prepare(model)
    batch = packed(examples())
    assert batch.candidates is not None
    hidden = forward_packed(model, batch, batch.candidates.branches)
    scores = action_scores(hidden, find_head(model), batch.candidates)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_term_and_its_gradients_equal_the_plain_form(kind: Any, temperature: float) -> None:
    divergence = Divergence(kind, temperature=temperature)
    student, teacher = (
        make_model("llama", seed=0).double(),
        make_model("llama", seed=1, width=48).double(),
    )
    expected = dense_term(student, teacher, examples(), divergence)
    torch.autograd.backward(expected)
    gradients = {
        name: p.grad.clone() for name, p in student.named_parameters() if p.grad is not None
    }
    student.zero_grad()
    objective = Objective(divergence, (0.0, 1.0))
    term = term_of(teacher, divergence)
    module = SpanDistillation(student, objective, term)
    batch = packed(examples())
    report = distil_step(module, objective, OnlineTeacher(teacher), [batch], term=term)
    torch.testing.assert_close(report.loss, expected.detach(), rtol=0, atol=1e-6)
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=0, atol=1e-6)
    assert report.rows.tolist() == [0.0, 3.0]


def test_divergence_between_tables_is_exact() -> None:
    own, theirs = torch.randn(2, 3, 5, dtype=torch.float64)
    apply: Any = _Between.apply
    for kind in get_args(Kind):
        if kind == "ce":
            continue
        divergence = Divergence(kind, temperature=0.7)
        rows = apply(own, theirs, divergence)
        log_p = torch.log_softmax(theirs / 0.7, -1)
        ones, targets = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
        plain = dense_divergence(own, log_p, ones, targets, divergence)
        torch.testing.assert_close(rows.sum(), plain, rtol=0, atol=1e-12)
        inputs: Any = (own.clone().requires_grad_(), theirs, divergence)
        assert torch.autograd.gradcheck(apply, inputs)


@pytest.mark.parametrize("family", ["gpt2", "opt"])
def test_gradient_of_token_log_probabilities(family: str) -> None:
    head = find_head(make_model(family, width=8).double())
    hidden = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)
    weight = head.weight.detach().clone().requires_grad_()
    targets = torch.arange(6)

    def found(hidden: Tensor, weight: Tensor) -> Tensor:
        apply: Any = _TokenLogProbs.apply
        rows: Tensor = apply(hidden, weight, None, head, targets)
        return rows

    plain = torch.log_softmax(hidden @ weight.T, -1).gather(-1, targets[:, None])[:, 0]
    torch.testing.assert_close(found(hidden, weight), plain, rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(found, (hidden, weight))


def gradient_norm(student: Any, teacher: Any, data: list[Example]) -> tuple[float, float]:
    objective = Objective(FKL, (0.0, 1.0))
    term = term_of(teacher)
    module = SpanDistillation(student, objective, term)
    report = distil_step(module, objective, OnlineTeacher(teacher), [packed(data)], term=term)
    norm = sum(float(p.grad.abs().sum()) for p in student.parameters() if p.grad is not None)
    return float(report.loss), norm


def test_a_single_action_says_nothing() -> None:
    loss, norm = gradient_norm(
        make_model("llama"), make_model("llama", seed=1), [example(4, 20, {8: [4], 14: [3]})]
    )
    assert loss == 0
    assert norm == 0


def test_a_student_like_its_teacher_has_nothing_to_learn() -> None:
    loss, norm = gradient_norm(make_model("llama"), make_model("llama"), examples())
    assert abs(loss) < 1e-6
    assert norm < 1e-3
    other, _ = gradient_norm(make_model("llama"), make_model("llama", seed=1), examples())
    assert other > 1e-3


@pytest.mark.parametrize("normalise", ["span", "none"])
def test_micro_batches_change_nothing(normalise: Any) -> None:
    objective = Objective(FKL, (1.0, 2.0), normalise)
    teacher = make_model("llama", seed=1)
    results = []
    for batches in ([packed(examples())], [packed([one]) for one in examples()]):
        student = make_model("llama", seed=0)
        term = term_of(teacher)
        module = SpanDistillation(student, objective, term)
        report = distil_step(module, objective, OnlineTeacher(teacher), batches, term=term)
        results.append((report.loss, [p.grad for p in student.parameters()]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-6, atol=0)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_an_idle_batch_of_a_process_adds_nothing() -> None:
    objective = Objective(FKL, (1.0, 1.0))
    teacher = make_model("llama", seed=1)
    batch = packed(examples())
    idle = replace(batch, weights=torch.zeros_like(batch.weights))
    losses = []
    for batches in ([batch], [batch, idle]):
        term = term_of(teacher)
        module = SpanDistillation(make_model("llama"), objective, term)
        report = distil_step(module, objective, OnlineTeacher(teacher), batches, term=term)
        losses.append((report.loss, report.rows))
    assert losses[0][0] == losses[1][0]
    assert torch.equal(losses[0][1], losses[1][1])


def test_act_tokens_no_longer_count() -> None:
    """With λ = 0 for the term's span the loss is that of the other span alone."""
    teacher = make_model("llama", seed=1)
    losses = []
    for term in (None, term_of(teacher)):
        objective = Objective(FKL, (1.0, 0.0))
        module = SpanDistillation(make_model("llama"), objective, term)
        batches = [packed(examples())]
        report = distil_step(module, objective, OnlineTeacher(teacher), batches, term=term)
        losses.append(report.loss)
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)


def test_accuracy_of_actions_is_of_turns_not_of_tokens_left_out() -> None:
    teacher, student = make_model("llama", seed=1), make_model("llama")
    data, objective = examples(), Objective(FKL, (1.0, 1.0))
    batch = packed(data)
    assert batch.candidates is not None
    likeliest = torch.tensor([int(scores.argmax()) for scores in dense_scores(student, data)])
    batches = [replace(batch, candidates=replace(batch.candidates, taken=likeliest))]
    term = term_of(teacher)
    module = SpanDistillation(student, objective, term)
    report = distil_step(module, objective, OnlineTeacher(teacher), batches, term=term)
    meter = Meter(("reason", "act"), Work(1.0, 1.0), None, torch.device("cpu"))
    meter.add(report, batches, torch.zeros(()), 1.0)
    assert meter.line()["accuracy/act"] == 1.0


def test_cross_entropy_learns_the_action_taken() -> None:
    data = [example(1, 22, {6: [3, 1, 4], 15: [2, 5]})]
    unknown = replace(data[0].choices[1], taken=-1)
    data = [replace(data[0], choices=(data[0].choices[0], unknown))]
    student = make_model("llama").double()
    expected = -torch.log_softmax(dense_scores(student, data)[0], -1)[0]
    objective = Objective(Divergence("ce"), (0.0, 1.0))
    term = CandidateTerm(1, objective.divergence, None)
    module = SpanDistillation(student, objective, term)
    report = distil_step(module, objective, None, [packed(data)], term=term)
    torch.testing.assert_close(report.loss, expected.detach(), rtol=0, atol=1e-6)
    assert report.rows.tolist() == [0.0, 1.0]


def test_teacher_is_asked_once(tmp_path: Any) -> None:
    from sad_distill.rowcache import CacheKey, RowCache

    teacher = make_model("llama", seed=1)
    calls: list[int] = []
    teacher.base_model.register_forward_pre_hook(lambda *_: calls.append(1))
    key = CacheKey("teacher", "tokenizer", "candidates")
    scores = TeacherScores(teacher, cache=RowCache(tmp_path, key))
    batch = packed(examples())
    assert batch.candidates is not None
    calls.clear()
    first = scores.of(batch, batch.candidates)
    assert len(calls) == 1
    assert torch.equal(scores.of(batch, batch.candidates), first)
    scores.flush()
    again = TeacherScores(make_model("llama", seed=2), cache=RowCache(tmp_path, key))
    again.release()
    assert torch.equal(again.of(batch, batch.candidates), first)
    assert len(calls) == 1
    other = packed([example(9, 20, {7: [2, 2]})])
    assert other.candidates is not None
    with pytest.raises(HarnessError, match="1 of 1 turns"):
        again.of(other, other.candidates)


def listed(episode: Episode) -> Episode:
    """With admissible actions at every turn, the one taken among them."""
    actions = [f"go to desk {number}" for number in range(4)] + ["look", "go to desk 0 now"]
    turns = tuple(
        turn.model_copy(update={"admissible": (*range(len(actions)),)}) for turn in episode.turns
    )
    return episode.model_copy(update={"actions": tuple(actions), "turns": turns})


@pytest.mark.parametrize("history", ["full", "last-k-turns"])
def test_scores_are_those_the_harness_chooses_actions_by(history: Any) -> None:
    from harness.models.likelihood import make_choice, reasoning_of
    from harness.models.transformers import TransformersModel
    from harness.styles import get_style
    from sad_distill.own_tokenizer import train_tokenizer
    from sad_distill.spans import PRESETS, make_examples
    from sad_distill.students import build, nano_config

    episode = listed(make_episode(5))
    tokenizer = train_tokenizer([episode], vocabulary=400)
    model = build(nano_config("S", tokenizer), seed=1).eval()
    fmt = make_format(tokenizer, template="plain", max_length=400, history=history, last_k=2)
    data = make_examples(episode, tokenizer, fmt, PRESETS["reason-act"], choices=True)
    assert len(data) == (1 if history == "full" else 3)
    prepare(model)
    batch = packed(data, length=sum(len(one.ids) for one in data))
    assert batch.candidates is not None
    hidden = forward_packed(model, batch, batch.candidates.branches)
    ours = batch.candidates.table(action_scores(hidden, find_head(model), batch.candidates))
    assert batch.candidates.taken.tolist() == [0, 1, 2, 3, -1]
    backend = TransformersModel(model, tokenizer, name="m", weights_digest="")
    style = get_style(episode.prompt.style)
    shown = windows(episode, tokenizer, fmt)
    number = 0
    for one in data:
        for choices in one.choices:
            turn = episode.turns[choices.turn]
            window = next(w for w in shown if choices.turn in w.turns)
            choice = make_choice(
                episode.prompt, episode.turns[: choices.turn], tokenizer, fmt, style=style,
                reasoning=reasoning_of(style, turn.generated),
                actions=episode.admissible_actions(choices.turn) or (),
                first_turn=window.sequence.first_turn,
            )  # fmt: skip
            (scores,) = backend.score([choice.request])
            means = torch.tensor([sum(part) / len(part) for part in scores.logprobs])
            torch.testing.assert_close(ours[number], means.to(ours), rtol=0, atol=1e-4)
            number += 1
    backend.close()
    assert number == 5
