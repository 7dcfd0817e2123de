"""The self-test passes here, and notices what is broken."""

from __future__ import annotations

import pytest
import torch

from sad_distill import attention, kinds
from sad_distill.selftest import Check, self_test

pytestmark = pytest.mark.models


def test_every_check_passes_on_a_cpu() -> None:
    checks = self_test("cpu")
    assert len(checks) > 14
    assert [check for check in checks if not check.passed] == []


def test_a_number_that_is_not_one_does_not_pass() -> None:
    assert not Check("broken", float("nan"), 1.0).passed


def test_a_wrong_gradient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = kinds.KINDS["fkl"]
    monkeypatch.setitem(kinds.KINDS, "fkl", lambda p, q, d: tuple(2 * t for t in right(p, q, d)))
    failed = {check.name for check in self_test("cpu") if not check.passed}
    assert {"fkl float64", "fkl float32", "packed step float32"} <= failed


def test_attention_across_sequences_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = attention._blocks

    def leaking(query: torch.Tensor, *rest: object) -> torch.Tensor:
        key, value, starts, *others = rest
        assert isinstance(starts, torch.Tensor)
        return right(query, key, value, starts[[0, -1]], *others)  # type: ignore[arg-type]

    monkeypatch.setattr(attention, "_blocks", leaking)
    with pytest.raises(Exception, match="packed sequences") as refusal:
        self_test("cpu")
    assert "differ from the same sequences apart" in str(refusal.value)
