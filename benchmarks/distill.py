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
from dataclasses import dataclass, field
from pathlib import Path

from distill_contenders import (
    BUILD,
    LENGTH,
    PERIOD,
    RUN,
    SEQUENCES,
    STUDENT,
    TEACHER,
    VOCABULARY,
    device,
    make_models,
)

ROOT = Path(__file__).resolve().parent.parent
NAMES = {
    "ours": "this project, online teacher",
    "ours-cached": "this project, cached teacher",
    "dense": "dense loop",
    "trl": "TRL DistillationTrainer",
    "trl-rows": "the same, rows selected",
    "trl-gkd": "TRL GKDTrainer",
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
