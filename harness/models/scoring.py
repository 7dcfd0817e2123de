"""One score request on its way: what its sequences share is computed once, the rest as branches."""

from __future__ import annotations

from typing import Any

import torch

from harness.encoding import shared_prefix
from harness.errors import HarnessError
from harness.models.base import ScoreRequest, Scores
from harness.trajectory import Usage

_GROUP = 256
"""Tokens of branches computed at once, unless a single one is longer."""


class ScoreTask:
    """The state of one score request; a `harness.models.engine.Task`.

    Attributes:
        prompt: what all sequences share, up to the first token that is scored in any.
        room: tokens of branches that are in the cache at once.
        cached: tokens of the prompt that were not computed.
    """

    def __init__(self, request: ScoreRequest) -> None:
        check_score_request(request)
        first, *others = request.sequences
        shared = min(len(first), *request.starts)
        for other in others:
            shared = min(shared, shared_prefix(first, other))
        if shared < 1:
            raise HarnessError("the sequences to score share no token; expected the same prompt")
        self.prompt = list(first[:shared])
        self.session = request.session
        self.cached = 0
        self.sequences, self.starts = request.sequences, request.starts
        # A sequence's last token is scored but gives no logits.
        self._branches = [list(ids[shared:-1]) for ids in request.sequences]
        longest = max(map(len, self._branches))
        self.room = max(longest, min(_GROUP, sum(map(len, self._branches))))
        self._logprobs: list[list[float]] = [[] for _ in request.sequences]
        self._root: torch.Tensor | None = None  # [1, vocabulary], after the prompt
        self._begun = 0
        self._group: list[int] = []

    def following(self, budget: int) -> tuple[list[int], list[list[int]], list[int]]:
        """As many branches as `budget` and room allow, at least one."""
        size = 0
        group: list[int] = []
        for index in range(self._begun, len(self._branches)):
            size += len(self._branches[index])
            if group and size > min(budget, self.room):
                break
            group.append(index)
        self._group = group
        self._begun += len(group)
        branches = [self._branches[index] for index in group]
        wanted = [] if self._root is not None else [-1]
        at = 0
        for index in group:
            n_branch = len(self._branches[index])
            skipped = self.starts[index] - len(self.prompt)
            wanted.extend(range(at + max(0, skipped - 1), at + n_branch))
            at += n_branch
        return [], [branch for branch in branches if branch], wanted

    def take(self, logits: torch.Tensor) -> None:
        """Logits [wanted, vocabulary], in the order `following` asked for them."""
        if self._root is None:
            self._root, logits = logits[:1], logits[1:]
        at = 0
        for index in self._group:
            targets = self.sequences[index][self.starts[index] :]
            from_root = self.starts[index] == len(self.prompt)
            count = len(targets) - from_root
            rows = logits[at : at + count]
            at += count
            if from_root:
                rows = torch.cat([self._root, rows])
            self._logprobs[index] = token_logprobs(rows, targets)

    @property
    def done(self) -> bool:
        return self._begun == len(self._branches)

    def result(self) -> Scores:
        usage = Usage(
            model_calls=1,
            prompt_tokens=len(self.prompt)
            + sum(len(ids) - len(self.prompt) for ids in self.sequences),
            cached_tokens=self.cached,
        )
        return Scores(tuple(map(tuple, self._logprobs)), usage)


def check_score_request(request: ScoreRequest) -> None:
    """Raise `HarnessError` when there is nothing to score, or nothing to score it after."""
    if not request.sequences or len(request.sequences) != len(request.starts):
        raise HarnessError(
            f"{len(request.sequences)} sequences and {len(request.starts)} starts to score; "
            "expected as many of each, and at least one"
        )
    for ids, start in zip(request.sequences, request.starts, strict=True):
        if not 1 <= start < len(ids):
            raise HarnessError(
                f"a sequence of {len(ids)} tokens is to be scored from {start}; expected 1 to "
                f"{len(ids) - 1}"
            )


def token_logprobs(logits: Any, targets: Any) -> list[float]:
    """Log-probabilities of `targets` [n] under logits [n, vocabulary], in float64.

    Raises:
        FloatingPointError: when one of them is NaN.
    """
    precise = logits.double()
    chosen = torch.tensor(list(targets), device=logits.device)[:, None]
    found = precise.gather(1, chosen)[:, 0] - precise.logsumexp(1)  # [n]
    if found.isnan().any():
        raise FloatingPointError("a log-probability is nan")
    values: list[float] = found.tolist()
    return values
