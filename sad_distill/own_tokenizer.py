"""A byte-level BPE tokenizer trained on trajectories, for students that are made from nothing.

It reads any text and gives it back byte for byte. No token crosses a line's end, so none straddles
a thought and its action, or a turn and what follows it. It has no chat template, so transcripts are
rendered as plain text, and it adds nothing of its own around a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.rendering import Format, render
from harness.trajectory import Episode

END_OF_TEXT = "<|endoftext|>"

_PIECES = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|[^\S\n]+(?=\S)|[^\S\n]+|\n"
"""Words with the blank before them, digits and newlines one by one, runs of other signs."""


def train_tokenizer(
    episodes: Iterable[Episode], *, vocabulary: int = 3000, max_length: int = 4096
) -> Any:
    """A fast tokenizer trained on the transcripts of `episodes`.

    The same episodes in the same order give the same tokenizer.

    Args:
        vocabulary: tokens at most; fewer when the transcripts do not repeat enough.
        max_length: positions of the model it is for.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    plain = Format()
    texts = (render(one.prompt, one.turns, None, plain).text for one in episodes)
    raw.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
        model_max_length=max_length,
    )
