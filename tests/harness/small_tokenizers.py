"""Small real tokenizers of four kinds, trained on the spot."""

from __future__ import annotations

from functools import cache
from typing import Any

CORPUS = [
    "You are in the middle of a room. Looking quickly around you, you see a desk 1.",
    "Thought: I need to find a pen. It may be on the desk.\nAction: go to desk 1\n",
    "Observation: You arrive at desk 1. On the desk 1, you see a pen 2, and a mug 1.\n",
    "Your task is to: put a clean mug in shelf. search[Ada Byron] click[< Prev] naïve café 漢字",
]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
KINDS = ("byte-level", "sentencepiece", "wordpiece", "chat")


@cache
def tokenizer(kind: str) -> Any:
    """A fast tokenizer of one of `KINDS`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if kind == "wordpiece":
        raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        raw.normalizer = normalizers.BertNormalizer(lowercase=True)
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]"])
        raw.train_from_iterator(CORPUS, trainer)
        return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]")
    if kind == "sentencepiece":
        raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        raw.pre_tokenizer = pre_tokenizers.Metaspace()
        raw.decoder = decoders.Metaspace()
        specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=specials)
        raw.train_from_iterator(CORPUS, trainer)
        return PreTrainedTokenizerFast(
            tokenizer_object=raw, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
        )
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>")
    if kind == "chat":
        fast.chat_template = CHATML
    return fast
