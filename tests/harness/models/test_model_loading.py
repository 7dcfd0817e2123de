"""Loading a model folder: what is refused, in one line, and what identifies what was loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.models import Request, Sampling, load_model

pytestmark = pytest.mark.models


def refusal(spec: str, **options: Any) -> str:
    with pytest.raises(HarnessError) as caught:
        load_model(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_folder_is_loaded_without_a_word(
    model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = load_model(f"hf:{model_folder}", device="cpu")
    (done,) = model.generate([Request("the", sampling=Sampling(max_tokens=4))])
    assert done.usage.completion_tokens >= 1
    assert capfd.readouterr() == ("", "")


def test_the_dtype_is_as_asked_and_float32_by_default_on_a_cpu(model_folder: Path) -> None:
    spec = f"hf:{model_folder}"
    assert load_model(spec, device="cpu").describe()["dtype"] == "float32"
    assert load_model(spec, device="cpu", dtype="bfloat16").describe()["dtype"] == "bfloat16"


def test_the_weights_digest_is_of_the_files_not_of_the_place(
    model_folder: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    first, same = load_model(f"hf:{model_folder}").describe(), load_model(f"hf:{copy}").describe()
    assert first["weights"] == same["weights"]
    assert first["tokenizer"] == same["tokenizer"]
    tensors = load_file(copy / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"] + torch.tensor(1.0).double()
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_model(f"hf:{copy}").describe()["weights"] != first["weights"]


def test_the_tokenizer_digest_is_of_its_vocabulary_and_chat_template(byte_level: Any) -> None:
    import copy

    from harness.models.loading import tokenizer_digest

    before = tokenizer_digest(byte_level)
    byte_level(["a"], truncation=True, max_length=5)
    assert tokenizer_digest(byte_level) == before
    other = copy.deepcopy(byte_level)
    other.chat_template = "{{ messages }}"
    assert tokenizer_digest(other) != before


def test_a_missing_folder() -> None:
    assert refusal("hf:./no/such") == "there is no model folder no/such"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    assert "has no config.json; expected a transformers model folder" in refusal(f"hf:{tmp_path}")


def test_a_file(model_folder: Path) -> None:
    assert "is a file; expected" in refusal(f"hf:{model_folder / 'config.json'}")


def test_an_unreadable_configuration(model_folder: Path) -> None:
    (model_folder / "config.json").write_text("{")
    assert f"cannot load {model_folder}: " in refusal(f"hf:{model_folder}")


def test_a_kind_of_model_that_is_unknown(model_folder: Path) -> None:
    edit_config(model_folder, model_type="no-such-type")
    assert f"cannot load {model_folder}: " in refusal(f"hf:{model_folder}")


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [("bert", "BertForMaskedLM"), ("t5", "T5ForConditionalGeneration"), ("llama", "LlamaModel")],
)
def test_a_model_that_is_no_causal_one(
    model_folder: Path, model_type: str, architecture: str
) -> None:
    edit_config(model_folder, model_type=model_type, architectures=[architecture])
    expected = f"holds {architecture}; expected a causal language model"
    assert expected in refusal(f"hf:{model_folder}")


def test_missing_weights_file(model_folder: Path) -> None:
    (model_folder / "model.safetensors").unlink()
    assert "no file named model.safetensors" in refusal(f"hf:{model_folder}")


def test_damaged_weights(model_folder: Path) -> None:
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert f"cannot load {model_folder}: " in refusal(f"hf:{model_folder}")


def test_weights_that_lack_a_tensor_are_not_drawn_at_random(model_folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(model_folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, model_folder / "model.safetensors", metadata={"format": "pt"})
    message = refusal(f"hf:{model_folder}")
    assert "lacks 1 weights of LlamaForCausalLM (model.layers.1.mlp.up_proj.weight" in message


def test_weights_of_another_shape(model_folder: Path) -> None:
    edit_config(model_folder, intermediate_size=65)
    assert f"cannot load {model_folder}: " in refusal(f"hf:{model_folder}")


def test_no_tokenizer(model_folder: Path) -> None:
    for file in model_folder.glob("*token*"):
        file.unlink()
    assert "has no fast tokenizer; expected a tokenizer.json" in refusal(f"hf:{model_folder}")


def test_a_tokenizer_of_another_model(model_folder: Path) -> None:
    file = model_folder / "tokenizer.json"
    state = json.loads(file.read_text())
    state["model"]["vocab"] = {t: i + 100_000 for t, i in state["model"]["vocab"].items()}
    state["added_tokens"] = [
        token | {"id": token["id"] + 100_000} for token in state["added_tokens"]
    ]
    file.write_text(json.dumps(state))
    assert "tokenizer" in refusal(f"hf:{model_folder}")


def test_code_that_comes_with_a_model_is_not_run(model_folder: Path) -> None:
    (model_folder / "own.py").write_text("raise SystemExit('code of the model was run')")
    edit_config(
        model_folder,
        model_type="own",
        auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    )
    assert "needs Python code of its own, which is not run" in refusal(f"hf:{model_folder}")


def test_a_hub_id_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.models.loading.hub_constants.HF_HUB_OFFLINE", True)
    message = refusal("hf:no-such/model")
    assert "no folder 'no-such/model' here" in message
    assert "hub cannot be reached" in message


def test_unknown_devices_and_dtypes(model_folder: Path) -> None:
    spec = f"hf:{model_folder}"
    assert "unknown device 'gpu'; expected auto, cpu, cuda" in refusal(spec, device="gpu")
    assert "device cuda:99 is not there" in refusal(spec, device="cuda:99")
    assert "unknown dtype 'int4'; expected auto, float32" in refusal(spec, dtype="int4")
