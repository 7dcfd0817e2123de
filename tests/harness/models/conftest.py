"""Tiny random models with real tokenizers; torch is imported only by the fixtures that need it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as load_model does, before torch is loaded

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

CORPUS = [
    "Thought: I should look for the apple in the fridge.\nAction: go to fridge 1\n",
    "Observation: The fridge 1 is closed. You see nothing else here.\n",
    "Pleased to meet you, naïve café, 日本語 and Ωmega, said the lamp 🙂.\n",
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,:;!?'\"-\n",
]


def train_byte_level(*, bos_first: bool = False) -> Any:
    """A byte-level BPE tokenizer of about 350 tokens with a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=350, special_tokens=specials, show_progress=False)
    )
    if bos_first:
        backend.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|endoftext|>", bos_token="<|im_start|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    tokenizer.chat_template = CHATML
    return tokenizer


def train_metaspace() -> Any:
    """A BPE tokenizer that marks words as SentencePiece does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


def build_model(family: str, vocabulary: int) -> Any:
    """A two-layer model of random float64 weights, large enough to make every position matter."""
    import torch
    import transformers as t

    size: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    wide = size | {"intermediate_size": 64}
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    configs: dict[str, Callable[[], Any]] = {
        "gpt2": lambda: t.GPT2Config(
            vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, n_positions=128, **ends
        ),
        "opt": lambda: t.OPTConfig(**size, ffn_dim=64, word_embed_proj_dim=32),
        "llama": lambda: t.LlamaConfig(**wide, num_key_value_heads=2),
        "qwen2": lambda: t.Qwen2Config(**wide, num_key_value_heads=2),
        "gpt_neox": lambda: t.GPTNeoXConfig(**wide),
        "mistral": lambda: t.MistralConfig(**wide, num_key_value_heads=2, sliding_window=8),
        "bloom": lambda: t.BloomConfig(
            vocab_size=vocabulary, hidden_size=32, n_layer=2, n_head=4, **ends
        ),
    }
    torch.manual_seed(7)
    model = t.AutoModelForCausalLM.from_config(configs[family](), dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.4)
    return model.eval()


@pytest.fixture(scope="session")
def byte_level() -> Any:
    return train_byte_level()


@pytest.fixture(scope="session")
def bos_first() -> Any:
    return train_byte_level(bos_first=True)


@pytest.fixture(scope="session")
def metaspace() -> Any:
    return train_metaspace()


@pytest.fixture(scope="session")
def make_tiny(byte_level: Any) -> Callable[..., Any]:
    """Makes a `TransformersModel` of a family with the byte-level tokenizer."""
    from harness.models.transformers import TransformersModel

    def make(family: str = "llama") -> Any:
        return TransformersModel(build_model(family, len(byte_level)), byte_level, name=family)

    return make


@pytest.fixture
def model_folder(tmp_path: Path, byte_level: Any) -> Path:
    """A tiny LLaMA, saved as a folder."""
    folder = tmp_path / "tiny"
    build_model("llama", len(byte_level)).save_pretrained(folder)
    byte_level.save_pretrained(folder)
    return folder
