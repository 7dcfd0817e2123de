"""Teachers: online, from cached hidden states, from their likeliest tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import Batch, make_model, pack, random_sequences, small_batch
from torch import Tensor

from harness.errors import HarnessError
from sad_distill.divergence import HiddenRows, TopKRows
from sad_distill.teacher import CachedTeacher, OnlineTeacher, TopK, teacher_entropy, top_k_rows

pytestmark = pytest.mark.models


def online(seed: int = 1) -> OnlineTeacher:
    return OnlineTeacher(make_model("llama", seed=seed, width=48))


def cached(
    folder: Path,
    source: OnlineTeacher | None,
    *,
    teacher: str = "t1",
    dtype: str = "float32",
    top_k: TopK | None = None,
) -> CachedTeacher:
    return CachedTeacher(folder, source, teacher=teacher, tokenizer="k1", dtype=dtype, top_k=top_k)


def hidden(rows: object) -> Tensor:
    assert isinstance(rows, HiddenRows)
    return rows.hidden


def test_a_teacher_set_to_train_mode_gives_the_same_rows() -> None:
    teacher = OnlineTeacher(make_model("gpt2", resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5))
    before = teacher.rows(small_batch()).hidden
    teacher.model.train()
    assert torch.equal(teacher.rows(small_batch()).hidden, before)


def test_a_filled_cache_needs_no_model(tmp_path: Path) -> None:
    source, batch = online(), small_batch()
    expected = source.rows(batch)
    first = cached(tmp_path, source)
    first.rows(batch)
    first.release()
    again = cached(tmp_path, None).rows(batch)
    assert isinstance(again, HiddenRows)
    assert torch.equal(again.hidden, expected.hidden)
    assert torch.equal(again.head.weight, expected.head.weight)
    assert torch.equal(hidden(first.rows(batch)), expected.hidden)


def test_the_cache_survives_another_packing(tmp_path: Path) -> None:
    ids, spans = random_sequences(3, (14, 9, 20))
    first = cached(tmp_path, online())
    first.rows(pack(ids, spans))
    first.release()
    turned = pack(ids[::-1], spans[::-1])
    torch.testing.assert_close(
        hidden(first.rows(turned)), online().rows(turned).hidden, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("change", ["token", "rows"])
def test_changed_text_or_rows_are_not_answered_from_the_cache(tmp_path: Path, change: str) -> None:
    teacher, batch = cached(tmp_path, online()), small_batch()
    teacher.rows(batch)
    teacher.release()
    changed: Batch = batch
    if change == "token":
        changed = replace(batch, input_ids=(batch.input_ids + 1) % 61)
    else:
        changed = replace(batch, row_index=batch.row_index[1:])
    with pytest.raises(HarnessError, match="sequences are not in the cache"):
        teacher.rows(changed)


def test_a_cache_of_another_teacher_or_content_is_refused(tmp_path: Path) -> None:
    cached(tmp_path, online())
    with pytest.raises(HarnessError, match="teacher is t1, expected t2"):
        cached(tmp_path, online(2), teacher="t2")
    with pytest.raises(HarnessError, match="content is hidden float32, expected hidden bfloat16"):
        cached(tmp_path, online(), dtype="bfloat16")


def test_a_missing_cache_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no cache"):
        CachedTeacher(tmp_path / "none", None)


def test_bfloat16_rows_are_close(tmp_path: Path) -> None:
    source, batch = online(), small_batch()
    teacher = cached(tmp_path, source, dtype="bfloat16")
    rows, exact = hidden(teacher.rows(batch)), source.rows(batch).hidden
    assert (rows - exact).norm() < 4e-3 * exact.norm()


def test_top_k_rows_sum_to_one_and_come_back_from_disk(tmp_path: Path) -> None:
    source, batch = online(), small_batch()
    teacher = cached(tmp_path, source, top_k=TopK(5, 2.0), dtype="bfloat16")
    teacher.rows(batch)
    teacher.release()
    rows = cached(tmp_path, None, top_k=TopK(5, 2.0), dtype="bfloat16").rows(batch)
    assert isinstance(rows, TopKRows)
    total = rows.log_probs.exp().sum(-1) + rows.tail.exp()
    torch.testing.assert_close(total, torch.ones_like(total))
    expected = top_k_rows(source.rows(batch), TopK(5, 2.0))
    assert torch.equal(rows.ids.long(), expected.ids)
    assert torch.equal(rows.log_probs, expected.log_probs)
    assert torch.equal(rows.tail, expected.tail)


def test_entropy_is_that_of_the_softmax() -> None:
    rows = online().rows(small_batch())
    p = torch.softmax(rows.head.logits(rows.hidden), -1)
    torch.testing.assert_close(teacher_entropy(rows), -(p * p.log()).sum(-1), rtol=1e-4, atol=1e-5)


def test_rows_out_of_order_are_refused(tmp_path: Path) -> None:
    batch = small_batch()
    with pytest.raises(HarnessError, match="not in the order of its sequences"):
        cached(tmp_path, online()).rows(replace(batch, row_index=batch.row_index.flip(0)))
