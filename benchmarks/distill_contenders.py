"""What `distill.py` compares: each contender as one function that takes an optimiser step.

All are given the same models, data, precision and optimiser. A contender is built in a process of
its own; `BUILD` has them by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

VOCABULARY, SEQUENCES, LENGTH, RUN, PERIOD = 32_000, 4, 1_024, 16, 64
TEACHER = {"hidden_size": 512, "intermediate_size": 1376, "layers": 8, "heads": 8}
STUDENT = {"hidden_size": 256, "intermediate_size": 688, "layers": 4, "heads": 4}
Step = Callable[[], float]
"""Runs one optimiser step and gives its loss."""


def make_models() -> tuple[Any, Any]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    def make(shape: dict[str, int], seed: int) -> Any:
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=shape["hidden_size"],
            intermediate_size=shape["intermediate_size"],
            num_hidden_layers=shape["layers"],
            num_attention_heads=shape["heads"],
            num_key_value_heads=shape["heads"],
            max_position_embeddings=LENGTH,
            tie_word_embeddings=True,
        )
        return LlamaForCausalLM(config).to(device())

    return make(TEACHER, 1).eval().requires_grad_(False), make(STUDENT, 0).train()


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def make_data() -> tuple[Any, Any]:
    """Token ids and which of them are supervised, [sequences, length]."""
    import torch

    random = torch.Generator().manual_seed(7)
    ids = torch.randint(VOCABULARY, (SEQUENCES, LENGTH), generator=random)
    supervised = (torch.arange(LENGTH) % PERIOD >= PERIOD - RUN).expand(SEQUENCES, -1)
    return ids.to(device()), supervised.to(device())


def optimiser(student: Any) -> Any:
    import torch

    return torch.optim.AdamW(student.parameters(), lr=1e-4, fused=True)


def ours(teacher: Any, student: Any, *, cached: bool = False) -> Step:
    import torch

    from sad_distill.kinds import Divergence
    from sad_distill.step import Objective, SpanDistillation, distil_step
    from sad_distill.teacher import CachedTeacher, OnlineTeacher, Teacher

    ids, supervised = make_data()
    flat = supervised.flatten().nonzero()[:, 0]
    batch = SimpleNamespace(
        input_ids=ids,
        position_ids=torch.arange(LENGTH, device=ids.device).expand(SEQUENCES, -1),
        sequence_ids=torch.arange(SEQUENCES, device=ids.device)[:, None].expand(-1, LENGTH),
        row_index=flat - 1,
        target_ids=ids.flatten()[flat],
        span_ids=torch.zeros_like(flat),
        weights=torch.ones(len(flat), device=ids.device),
    )
    objective = Objective(Divergence("fkl"), (1.0,))
    module = SpanDistillation(student, objective)
    source: Teacher = OnlineTeacher(teacher)
    if cached:
        folder = Path(tempfile.mkdtemp(prefix="sad-rows-"))
        filled = CachedTeacher(
            folder, OnlineTeacher(teacher), teacher="t", tokenizer="k", dtype="float32"
        )
        filled.rows(batch)
        filled.release()
        source = filled
    optim = optimiser(student)

    def step() -> float:
        report = distil_step(module, objective, source, [batch])
        optim.step()
        optim.zero_grad(set_to_none=True)
        return float(report.loss)

    return step


def dense(teacher: Any, student: Any) -> Step:
    import torch

    ids, supervised = make_data()
    mask = supervised[:, 1:]
    optim = optimiser(student)

    def step() -> float:
        with torch.no_grad():
            log_p = torch.log_softmax(teacher(input_ids=ids).logits[:, :-1].float(), -1)
        log_q = torch.log_softmax(student(input_ids=ids).logits[:, :-1].float(), -1)
        divergence = torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none")
        loss = (divergence.sum(-1) * mask).sum() / mask.sum()
        loss.backward()
        optim.step()
        optim.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def trl_settings(extra: dict[str, Any]) -> dict[str, Any]:
    return {
        "output_dir": tempfile.mkdtemp(prefix="sad-trl-"),
        "per_device_train_batch_size": SEQUENCES,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "use_cpu": device() == "cpu",
        "beta": 0.0,
        **extra,
    }


def trl_tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{number}": number for number in range(VOCABULARY)}
    raw = Tokenizer(models.WordLevel(words, unk_token="w0"))
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="w2", pad_token="w0", chat_template="{{ messages }}"
    )


def trl_step(trainer: Any, student: Any, inputs: dict[str, Any], rows: Any) -> Step:
    optim = optimiser(student)

    def step() -> float:
        loss = trainer.training_step(trainer.model, dict(inputs), rows)
        optim.step()
        optim.zero_grad(set_to_none=True)
        return float(loss)

    return step


def trl_gkd(teacher: Any, student: Any) -> Step:
    from datasets import Dataset
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    ids, supervised = make_data()
    trainer = GKDTrainer(
        model=student,
        teacher_model=teacher,
        args=GKDConfig(**trl_settings({"lmbda": 0.0, "disable_dropout": True})),
        train_dataset=Dataset.from_dict({"input_ids": [[1]] * 8}),
        processing_class=trl_tokenizer(),
    )
    labels = ids.masked_fill(~supervised, -100)
    inputs = {"input_ids": ids, "attention_mask": ids.new_ones(ids.shape), "labels": labels}
    return trl_step(trainer, student, inputs, supervised[:, 1:].sum())


def trl(teacher: Any, student: Any, *, select_rows: bool = False) -> Step:
    from datasets import Dataset
    from trl import DistillationConfig, DistillationTrainer
    from trl.trainer import distillation_trainer

    if select_rows:
        plain = distillation_trainer._chunked_divergence_loss

        def selected(
            student: Any, teacher: Any, head: Any, other: Any, mask: Any, *rest: Any, **named: Any
        ) -> Any:
            kept = mask != 0
            return plain(student[kept], teacher[kept], head, other, mask[kept], *rest, **named)

        distillation_trainer._chunked_divergence_loss = selected
    ids, supervised = make_data()
    split = 1
    mask = ids.new_ones(ids.shape)
    given = {
        "prompt_ids": ids[:, :split],
        "prompt_mask": mask[:, :split],
        "completion_ids": ids[:, split:],
        "completion_mask": mask[:, split:],
        "tool_mask": supervised[:, split:].long(),
        "num_items_in_batch": supervised[:, split:].sum(),
    }

    class Offline(DistillationTrainer):  # type: ignore[misc]
        """The trainer on given completions: its loss and training step, without generation."""

        def _prepare_inputs(self, generation_batch: Any) -> Any:
            return generation_batch

    trainer = Offline(
        model=student,
        teacher_model=teacher,
        args=DistillationConfig(**trl_settings({"max_completion_length": LENGTH - split})),
        train_dataset=Dataset.from_dict({"prompt": ["w1"] * 8}),
        processing_class=trl_tokenizer(),
    )
    trainer.current_gradient_accumulation_steps = 1
    return trl_step(trainer, student, given, given["num_items_in_batch"])


BUILD: dict[str, Callable[[Any, Any], Step]] = {
    "ours": ours,
    "ours-cached": lambda teacher, student: ours(teacher, student, cached=True),
    "dense": dense,
    "trl": trl,
    "trl-rows": lambda teacher, student: trl(teacher, student, select_rows=True),
    "trl-gkd": trl_gkd,
}
