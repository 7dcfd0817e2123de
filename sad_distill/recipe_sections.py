"""The sections of a recipe: every key, its range and what it means.

Only names and numbers are held here. What they stand for is built by the modules that own it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Frozen settings; keys that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSection(Section):
    """Which recorded episodes are used."""

    outcomes: tuple[str, ...] = Field(default=("success",), description="Outcomes to train on.")
    min_score: float = Field(default=0.0, ge=0, le=1, description="Lowest score to train on.")
    envs: tuple[str, ...] = Field(default=(), description="Environments to keep; empty for all.")
    agents: tuple[str, ...] = Field(default=(), description="Agents to keep; empty for all.")
    limit: int | None = Field(
        default=None, ge=1, description="First N selected episodes of each run."
    )
    weights: dict[str, float] = Field(
        default={}, description="Factor in the loss, by environment or by name of the run's folder."
    )
    hold_out: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of tasks kept from training, to measure agreement on.",
    )
    eval_splits: tuple[str, ...] = Field(
        default=(), description="Splits that may not be trained on, besides those named as such."
    )


class FormatSection(Section):
    """How a transcript becomes text; must be what the student is run with."""

    template: Literal["auto", "plain", "chat"] = Field(
        default="auto",
        description="`chat` uses the tokenizer's template; `auto` does if it has one.",
    )
    history: Literal["auto", "full", "last-k-turns"] = Field(
        default="auto", description="`auto` is last-k-turns for students of up to 2,048 positions."
    )
    last_k: int = Field(default=10, ge=1, description="Turns kept by last-k-turns.")
    max_length: int | None = Field(
        default=None, ge=16, description="Positions; by default those of the student."
    )
    reserve: int = Field(
        default=160, ge=1, description="Positions kept free for a turn at inference."
    )


class SpansSection(Section):
    """Which tokens are supervised, and what each span weighs."""

    scheme: str | dict[str, tuple[str, ...]] = Field(
        default="reason-act",
        description="`reason-act`, `generated`, `all`, `reason`, `act`, `random`, or a table of "
        "span names and the kinds in them (reason, act, observation, template).",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the scheme `random`.")
    weights: dict[str, float] = Field(
        default={}, description="λ of each span, by name; 1 where nothing is said."
    )
    normalise: Literal["span", "none"] = Field(
        default="span", description="`span` divides by the rows of a span, `none` by all rows."
    )


class DivergenceSection(Section):
    """How the student's distribution is compared with the teacher's."""

    kind: Literal["fkl", "rkl", "jsd", "sfkl", "srkl", "ce"] = Field(
        default="fkl",
        description="Forward or reverse KL, generalised JSD, skewed KLs, cross-entropy.",
    )
    beta: float = Field(
        default=0.5, gt=0, lt=1, description="Weight of the teacher in jsd's mixture."
    )
    alpha: float = Field(default=0.1, gt=0, lt=1, description="Skew of sfkl and srkl.")
    temperature: float = Field(default=1.0, gt=0, description="Divides the logits of both models.")
    candidates: bool = Field(
        default=False,
        description="The action term is the KL between the likelihoods that both models give the "
        "admissible actions, instead of token by token.",
    )


class TeacherSection(Section):
    """Where the teacher's distributions come from."""

    spec: str | None = Field(default=None, description="Model spec of the teacher; --teacher wins.")
    source: Literal["online", "cached", "top-k"] = Field(
        default="online", description="Run it on every batch, or keep its states or top k on disk."
    )
    top_k: int = Field(default=64, ge=1, description="Tokens kept by top-k, besides the tail.")


class StudentSection(Section):
    """What is trained."""

    spec: str | None = Field(default=None, description="Student spec; --student wins.")
    lora_rank: int = Field(
        default=0, ge=0, description="Rank of LoRA adapters; 0 trains all weights."
    )
    lora_alpha: float = Field(default=16.0, gt=0, description="Scale of LoRA adapters.")
    vocabulary: int = Field(
        default=3000, ge=300, le=65536, description="Tokens of the tokenizer of a nano student."
    )


class CurriculumSection(Section):
    """In which order trajectories are met."""

    order: Literal["easy-first", "hard-first", "none"] = Field(
        default="none", description="By difficulty, its reverse, or shuffled every epoch."
    )
    alpha: float = Field(default=1.0, description="Weight of reason tokens in the difficulty.")
    beta: float = Field(default=1.0, description="Weight of act tokens.")
    gamma: float = Field(default=0.0, description="Weight of the teacher's mean entropy, in nats.")
    pacing: Literal["sorted", "linear", "root"] = Field(
        default="sorted", description="Sorted every epoch, or a share of the easiest that grows."
    )
    start: float = Field(default=0.2, gt=0, le=1, description="Share at the beginning.")
    until: float = Field(
        default=0.5, gt=0, le=1, description="Share of training until all are there."
    )


class OnPolicySection(Section):
    """Rollouts of the student that the teacher scores."""

    share: float = Field(
        default=0.0, ge=0, le=1, description="Share of steps on the student's rollouts."
    )
    refresh: int = Field(default=50, ge=1, description="Optimiser steps between collections.")
    episodes: int = Field(default=32, ge=1, description="Episodes per collection.")
    temperature: float = Field(default=1.0, ge=0, description="Of the student's sampling.")
    replay: bool = Field(
        default=True,
        description="Begin with the teacher's turns, and let the student act after them.",
    )
    depth_start: int = Field(
        default=1, ge=1, description="Turns the student writes at the beginning."
    )
    depth_end: int = Field(default=50, ge=1, description="Turns it writes at the end of training.")
    env: str | None = Field(
        default=None, description="Environment of the runs' tasks; by default what they name."
    )
    split: str | None = Field(
        default=None, description="Split with the runs' tasks; by default what they name."
    )


class TrainingSection(Section):
    """The optimiser's side."""

    epochs: int = Field(default=3, ge=1, description="Passes over the data.")
    max_steps: int | None = Field(default=None, ge=1, description="Optimiser steps, if fewer.")
    minutes: float | None = Field(default=None, gt=0, description="Wall time, if less.")
    pack_length: int | None = Field(
        default=None,
        ge=16,
        description="Tokens of a packed row; by default the longest sequence's.",
    )
    rows: int = Field(default=1, ge=1, description="Packed rows of a micro-batch.")
    accumulation: int = Field(default=1, ge=1, description="Micro-batches of an optimiser step.")
    pool: int = Field(default=256, ge=1, description="Sequences packed together; keeps an order.")
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        description="Peak; by default 2e-4 with LoRA, 5e-5 for a pretrained student, "
        "from scratch 3e-3 up to width 192 and less in proportion above.",
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="After the warm-up."
    )
    warmup: float = Field(default=0.05, ge=0, lt=1, description="Share of steps of linear warm-up.")
    final: float = Field(default=0.1, ge=0, le=1, description="Final share of the learning rate.")
    weight_decay: float = Field(
        default=0.01, ge=0, description="Of matrices; not of biases and norms."
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="First moment of AdamW.")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="Second moment of AdamW.")
    clip: float = Field(default=1.0, ge=0, description="Largest norm of the gradient; 0 for any.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Of the forward passes; weights stay float32."
    )
    gradient_checkpointing: bool = Field(default=False, description="Trade time for memory.")
    compile: bool = Field(default=False, description="Compile the student's layers.")
    sharded: bool = Field(
        default=False, description="Spread the student over the processes (FSDP)."
    )
    seed: int = Field(default=0, ge=0, description="Of weights and order.")
    log_every: int = Field(default=10, ge=1, description="Steps between lines of metrics.")
    save_every: int | None = Field(
        default=None, ge=1, description="Steps between checkpoints; by default ten minutes."
    )
    rollouts_every: int | None = Field(
        default=None, ge=1, description="Steps between rollouts of the student."
    )
    rollouts: int = Field(default=20, ge=1, description="Episodes of those rollouts.")
    rollouts_env: str | None = Field(
        default=None, description="Their environment; by default that of the runs."
    )
    rollouts_split: str = Field(
        default="generated:1000:100", description="Their split; its tasks must not be trained on."
    )
