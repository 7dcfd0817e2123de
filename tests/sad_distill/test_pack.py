"""Packing: every token once, positions restarted, rows never across the start of a sequence."""

from __future__ import annotations

import pytest
from making import make_episode
from small_tokenizers import tokenizer

from harness.errors import HarnessError
from harness.rendering import Format

pytestmark = pytest.mark.models


def examples_of(*turns: int) -> list:  # type: ignore[type-arg]
    from sad_distill import make_examples, make_scheme

    scheme = make_scheme("reason-act")
    return [
        make_examples(
            make_episode(n), tokenizer("byte-level"), Format(), scheme, weight=1.0 + n, trajectory=i
        )[0]
        for i, n in enumerate(turns)
    ]


def test_best_fit_decreasing_fills_the_tightest_row() -> None:
    from sad_distill import pack_lengths

    rows = pack_lengths([5, 7, 3, 2, 1], 10)
    assert sorted(i for row in rows for i in row) == [0, 1, 2, 3, 4]
    assert [1, 2] in rows


def test_pools_keep_the_order_of_a_curriculum() -> None:
    from sad_distill import pack_lengths

    rows = pack_lengths([4] * 12, 8, pool=4)
    assert [max(row) // 4 for row in rows] == [0, 0, 1, 1, 2, 2]


def test_sequence_longer_than_a_row_is_refused() -> None:
    from sad_distill import pack_lengths

    with pytest.raises(HarnessError, match="a sequence has 11 tokens, a row 10"):
        pack_lengths([3, 11], 10)


def test_packed_rows_predict_their_targets() -> None:
    from sad_distill import collate, pack_lengths

    examples = examples_of(1, 3, 2, 4)
    lengths = [len(e.ids) for e in examples]
    length = max(lengths) + 40
    rows = pack_lengths(lengths, length)
    assert len(rows) < len(examples)
    batch = collate(examples, rows, length)
    flat, sequence = batch.input_ids.flatten(), batch.sequence_ids.flatten()
    positions = batch.position_ids.flatten()
    assert (flat[batch.row_index + 1] == batch.target_ids).all()
    assert (sequence[batch.row_index + 1] == sequence[batch.row_index]).all()
    assert (sequence[batch.row_index] >= 0).all()
    assert int(sum(len(e.rows) for e in examples)) == len(batch.row_index)
    for number, place in enumerate(batch.example_index.tolist()):
        mine = sequence == number
        assert flat[mine].tolist() == examples[place].ids.tolist()
        assert positions[mine].tolist() == list(range(len(examples[place].ids)))
        assert set(batch.weights[mine[batch.row_index]].tolist()) == {examples[place].weight}


def test_batches_cover_the_order_once() -> None:
    from sad_distill import batches

    examples = examples_of(1, 2, 3, 1, 2)
    seen = [
        place
        for batch in batches(examples, [4, 2, 0, 1, 3], length=700, rows=1, pool=2)
        for place in batch.example_index.tolist()
    ]
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert set(seen[:2]) == {4, 2}
