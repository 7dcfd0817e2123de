"""Speed and memory of distillation beside a dense loop and TRL's two trainers.

The same random models, data, precision and optimiser for all: a LLaMA teacher of 42M parameters, a
student of 11M, a vocabulary of 32,000, four sequences of 1,024 tokens, a quarter of them supervised
in runs of 16 (turns of an agent). Every contender is a process of its own, all alive at once, and
they take turns step by step, so that whatever else the machine does falls on all of them. A step is
forward, backward and AdamW. The loss of the first step is printed: it must be the same for all.

Memory is the peak over what the process held when its models were loaded, gradients and optimiser
included. MFU counts the useful work only (supervised rows meet the head, nothing else) against the
rate of a large matrix product measured on the same device.

    python benchmarks/distill.py [--steps N] [--trl-python PYTHON] [--only NAME...]

TRL takes part when a Python that has it is found: `.venvs/bench/bin/python`, which
`python -m venv .venvs/bench && .venvs/bench/bin/pip install -c constraints.txt trl` makes, or this
one. Its DistillationTrainer generates its own completions; here it is given them, and only its
training step is timed. Without Triton it brings every token to the vocabulary; "rows selected" is
the same trainer given the supervised rows only, as it selects them where there is Triton.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY, SEQUENCES, LENGTH, RUN, PERIOD = 32_000, 4, 1_024, 16, 64
TEACHER = {"hidden_size": 512, "intermediate_size": 1376, "layers": 8, "heads": 8}
STUDENT = {"hidden_size": 256, "intermediate_size": 688, "layers": 4, "heads": 4}
NAMES = {
    "ours": "this project, online teacher",
    "ours-cached": "this project, cached teacher",
    "dense": "dense loop",
    "trl": "TRL DistillationTrainer",
    "trl-rows": "the same, rows selected",
    "trl-gkd": "TRL GKDTrainer",
}
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


def serve(name: str) -> None:
    """A contender: one step for every line read, answered with its seconds and loss."""
    import torch

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Trainers print; only answers may reach the parent.
    teacher, student = make_models()
    step = BUILD[name](teacher, student)
    if name == "ours-cached":
        del teacher
    cuda = torch.cuda.is_available()
    start_peak = torch.cuda.memory_allocated() if cuda else reset_peak()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    print(json.dumps({"ready": True}), file=out, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        loss = step()
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        peak = (torch.cuda.max_memory_allocated() if cuda else status("VmHWM")) - start_peak
        answer = {"seconds": seconds, "loss": loss, "peak": peak}
        print(json.dumps(answer), file=out, flush=True)


def reset_peak() -> int:
    """Resident bytes now; the peak is counted from here (Linux)."""
    import gc

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def useful_flops(*, cached: bool) -> float:
    """Floating-point operations that one step needs, attention scores left out."""

    def body(shape: dict[str, int]) -> int:
        width = shape["hidden_size"]
        return shape["layers"] * (4 * width**2 + 3 * width * shape["intermediate_size"])

    tokens = SEQUENCES * LENGTH
    rows = tokens * RUN // PERIOD
    heads = VOCABULARY * (6 * STUDENT["hidden_size"] + 2 * TEACHER["hidden_size"])
    teacher = 0 if cached else 2 * body(TEACHER)
    return tokens * (6 * body(STUDENT) + teacher) + rows * heads


def matmul_rate() -> float:
    """Floating-point operations per second of a large float32 matrix product here."""
    import torch

    size = 2048 if device() == "cpu" else 8192
    left, right = torch.randn(2, size, size, device=device())
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        torch.mm(left, right)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


@dataclass
class Contender:
    """A process and what it answered."""

    name: str
    process: subprocess.Popen[str]
    answers: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def start(cls, name: str, python: str) -> Contender:
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRANSFORMERS_VERBOSITY": "error"}
        process = subprocess.Popen(
            [python, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        contender = cls(name, process)
        try:
            contender.read()
        except RuntimeError as error:
            log.seek(0)
            raise SystemExit(f"{error}\n{log.read()[-2000:]}") from error
        return contender

    def read(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended")
        answer: dict[str, float] = json.loads(line)
        return answer

    def step(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        self.answers.append(self.read())


def find_trl() -> str | None:
    bench = ROOT / ".venvs" / "bench" / "bin" / "python"
    if bench.exists():
        return str(bench)
    return sys.executable if importlib.util.find_spec("trl") else None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each")
    parser.add_argument("--trl-python", default=find_trl(), help="a Python that has trl")
    parser.add_argument("--only", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    names = [name for name in arguments.only if arguments.trl_python or "trl" not in name]
    if len(names) < len(arguments.only):
        print("TRL is left out: no Python with trl found (see --help)")
    contenders: list[Contender] = []
    try:
        for name in names:
            python = arguments.trl_python if "trl" in name else sys.executable
            contenders.append(Contender.start(name, python))
        for _ in range(arguments.steps + 1):
            for contender in contenders:
                contender.step()
    finally:
        for contender in contenders:
            contender.process.kill()
    report(contenders)


def report(contenders: list[Contender]) -> None:
    rate = matmul_rate()
    print(f"{device()}, float32, large matrix product {rate / 1e9:.0f} GFLOP/s")
    print(f"{'':32}{'tokens/s':>9}{'GB':>7}{'MFU %':>7}{'loss':>9}")
    for contender in contenders:
        # The first step warms up: it allocates, and makes the optimiser's state.
        seconds = statistics.median(answer["seconds"] for answer in contender.answers[1:])
        peak = contender.answers[-1]["peak"] / 1e9
        use = useful_flops(cached=contender.name == "ours-cached") / seconds / rate
        loss = contender.answers[0]["loss"]
        speed = SEQUENCES * LENGTH / seconds
        label = NAMES[contender.name]
        print(f"{label:32}{speed:>9.0f}{peak:>7.2f}{100 * use:>7.0f}{loss:>9.5f}")


if __name__ == "__main__":
    main()
