"""What a run has spent, and what it may.

Tokens are counted when a model call is answered, also those of a turn or an episode that comes to
nothing, so a limit holds for what is paid for. A spent budget ends a run cleanly: calls under way
are answered, no other is made, and what was not finished is owed. The overshoot is therefore at
most the calls under way.

A price file is TOML, with prices per million tokens under the spec that `--model` names:

    currency = "USD"
    [models."openai:some-model"]
    prompt = 0.50
    cached = 0.05
    completion = 1.50

`cached` may be left out; cached tokens then cost what others do.
"""

from __future__ import annotations

import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.deadlines import EpisodeOver
from harness.errors import HarnessError
from harness.trajectory import Outcome, Usage

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(BaseModel):
    """Prices of a model per million tokens, in `currency`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: _Amount
    completion: _Amount
    cached: _Amount | None = None
    currency: str = "USD"

    def cost(self, usage: Usage) -> float:
        """What `usage` costs."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        price = self.prompt if self.cached is None else self.cached
        amount = (usage.prompt_tokens - cached) * self.prompt + cached * price
        return (amount + usage.completion_tokens * self.completion) / 1e6


class _PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    currency: str = "USD"
    models: dict[str, Price]


def read_price(path: Path, spec: str) -> Price:
    """The price of the model `spec` in a price file.

    Raises:
        HarnessError: the file cannot be read, is not as expected, or does not name the model.
    """
    try:
        found = _PriceFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise HarnessError(f"cannot read --prices {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HarnessError(f"--prices {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise HarnessError(f"--prices {path}: {where}: {first['msg']}") from error
    if spec not in found.models:
        known = ", ".join(sorted(found.models)) or "none"
        raise HarnessError(f"--prices {path} has no model {spec!r}; it names {known}")
    return found.models[spec].model_copy(update={"currency": found.currency})


@dataclass(frozen=True)
class Budget:
    """The most a run may spend in its whole life, resumptions included; None for no limit."""

    total_tokens: int | None = None
    cost: float | None = None


class Ledger:
    """Adds up what a run spends. Safe to use from several threads.

    Args:
        budget: what it may spend.
        price: what tokens cost; needed for a limit on the cost.
        spent: what the run had spent before.
    """

    def __init__(
        self, budget: Budget = Budget(), price: Price | None = None, spent: Usage = Usage()
    ) -> None:
        if budget.cost is not None and price is None:
            raise HarnessError(
                "--max-cost needs --prices FILE.toml, a file with the model's prices"
            )
        self.budget = budget
        self.price = price
        self._usage = spent
        self._lock = threading.Lock()

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return self._usage

    def add(self, usage: Usage) -> None:
        """Note the usage of answered calls."""
        with self._lock:
            self._usage += usage

    def exhausted(self) -> str | None:
        """Which limit is reached, as a line; None while there is something left."""
        spent, budget = self._usage, self.budget
        tokens = spent.prompt_tokens + spent.completion_tokens
        if budget.total_tokens is not None and tokens >= budget.total_tokens:
            return f"the budget is spent: {tokens:,} of {budget.total_tokens:,} tokens"
        if budget.cost is not None and self.price is not None:
            cost = self.price.cost(spent)
            if cost >= budget.cost:
                unit = self.price.currency
                return f"the budget is spent: {cost:.4g} of {budget.cost:.4g} {unit}"
        return None

    def check(self) -> None:
        """Raise `EpisodeOver` when the budget is spent."""
        line = self.exhausted()
        if line is not None:
            raise EpisodeOver(Outcome.TRUNCATED_BUDGET, line)
