"""`harness data` and `harness model`: what goes to stdout, what to stderr, what a script reads."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness.cli.data import app as data_app
from harness.cli.model import app as model_app
from harness.errors import HarnessError
from sad_envs.base import EnvError
from sad_envs.data import DataFile, Dataset
from sad_envs.data.manifest import manifest_digest, manifest_text

CONTENT = {"a.json": b"[1]", "b.json": b"[2]"}


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue with one data set of two files, and a mirror that holds it."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
    files = tuple(DataFile(name, digests[name], len(data)) for name, data in CONTENT.items())
    toy = Dataset(
        name="toy",
        title="a toy",
        licence="CC0",
        licence_url="",
        homepage="",
        manifest=manifest_digest(manifest_text(digests)),
        n_files=2,
        n_bytes=6,
        files=files,
    )
    monkeypatch.setattr("sad_envs.data.entries.catalogue", lambda: {"toy": toy})
    monkeypatch.setattr("sad_envs.data.catalogue", lambda: {"toy": toy})
    monkeypatch.setenv("SAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAD_DATA_MIRROR", raising=False)
    folder = tmp_path / "mirror/toy"
    folder.mkdir(parents=True)
    for name, data in CONTENT.items():
        (folder / name).write_bytes(data)
    return folder.parent


def data(*arguments: str) -> Result:
    return CliRunner().invoke(data_app, arguments)


def refusal(*arguments: str, app=data_app) -> str:
    """The one line of a refused command."""
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, EnvError | HarnessError), result.output
    line = str(result.exception)
    assert "\n" not in line
    return line


def test_fetch_prints_the_folder_and_nothing_else(mirror, tmp_path):
    result = data("fetch", "toy", "--from", str(mirror))
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'cache/data/toy'}\n"
    assert "a.json: hashing" in result.stderr


def test_fetch_checks_all_names_before_it_begins(mirror, tmp_path):
    assert "did you mean 'toy'" in refusal("fetch", "toy", "toi", "--from", str(mirror))
    assert not (tmp_path / "cache").exists()


def test_fetch_without_a_source_says_how_to_name_one():
    assert "--from DIR_OR_URL or SAD_DATA_MIRROR" in refusal("fetch", "toy")


def test_path_before_and_after_fetch(mirror, tmp_path):
    assert refusal("path", "toy").endswith("run: harness data fetch toy")
    data("fetch", "toy", "--from", str(mirror))
    assert data("path", "toy").stdout == f"{tmp_path / 'cache/data/toy'}\n"


def test_list_says_what_is_there(mirror):
    assert "not fetched, needs --from" in data("list").stdout
    data("fetch", "toy", "--from", str(mirror))
    assert "toy        present" in data("list").stdout


def test_list_for_a_script(mirror):
    listed = json.loads(data("list", "--json").stdout)
    assert listed["data"][0]["name"] == "toy"
    assert listed["data"][0]["present"] is False
    assert listed["data"][0]["licence"] == "CC0"


def test_verify_takes_all_that_is_present(mirror):
    data("fetch", "toy", "--from", str(mirror))
    result = data("verify")
    assert (result.exit_code, result.stdout) == (0, "toy: 2 files, 0.0 MB, all good\n")


def test_verify_with_nothing_present_is_no_error():
    result = data("verify")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no data set is in the cache" in result.stderr


def test_verify_of_absent_data_names_the_fetch_command():
    assert "harness data fetch toy" in refusal("verify", "toy")


def test_verify_names_the_damage_and_fails(mirror, tmp_path):
    data("fetch", "toy", "--from", str(mirror))
    (tmp_path / "cache/data/toy/a.json").write_text("[3]")
    assert "1 changed (a.json); mend it with: harness data fetch toy --force" in refusal("verify")


def test_verify_for_a_script_lists_the_damage(mirror, tmp_path):
    data("fetch", "toy", "--from", str(mirror))
    (tmp_path / "cache/data/toy/b.json").unlink()
    (row,) = json.loads(data("verify", "--json").stdout)
    assert (row["ok"], row["missing"]) == (False, ["b.json"])


def test_force_fetches_again(mirror, tmp_path):
    data("fetch", "toy", "--from", str(mirror))
    (tmp_path / "cache/data/toy/a.json").write_text("[3]")
    data("fetch", "toy", "--from", str(mirror), "--force")
    assert data("verify").exit_code == 0


def test_models_are_listed_with_the_command_that_fetches_them():
    result = CliRunner().invoke(model_app, ["list"])
    assert "smollm2" in result.stdout
    assert "harness model fetch smollm2" in result.stdout
    assert "hf:PATH_OR_ID" in result.stdout


def test_models_for_a_script():
    rows = json.loads(CliRunner().invoke(model_app, ["list", "--json"]).stdout)
    assert {"spec": "smollm2", "present": False, "path": None}.items() <= rows[0].items()


def test_an_unknown_model_is_answered_with_the_known_one():
    assert "did you mean 'smollm2'" in refusal("fetch", "smolm2", app=model_app)


def test_the_command_modules_import_nothing_heavy():
    code = (
        "import sys, harness.cli.data, harness.cli.model;"
        "print(sorted({'pooch', 'httpx', 'requests', 'gymnasium', 'torch', 'rich.progress'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_index_of_passages_prints_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "passages.jsonl"
    path.write_text('{"title": "A", "text": "One."}\n')
    result = data("index", "hotpotqa", "--passages", str(path), "--out", str(tmp_path / "index"))
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'index'}\n"
    assert "1 article" in result.stderr
    assert "did you mean 'lucene'" in refusal("index", "hotpotqa", "--engine", "lucent")
