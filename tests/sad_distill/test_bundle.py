"""Bundles: what goes in, going on with one, and an installation without network."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from making import make_episode, write_run
from packaging.requirements import Requirement

from harness.errors import HarnessError
from sad_distill import bundle
from sad_distill.bundle import Bundle, Request, make_bundle
from sad_distill.wheels import Target, collect_wheels, missing, repack
from sad_envs.data.store import silent

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
LINUX = Target("3.11", "manylinux_2_28_x86_64")
CORE = Request(Target(HERE, "manylinux_2_28_x86_64"), extras=())


def make_wheel(folder: Path, name: str, version: str = "1.0", *requires: str) -> Path:
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n")
    return wheel


# -- requirements -----------------------------------------------------------------------------


def test_requirements_are_followed_to_the_end(tmp_path):
    make_wheel(tmp_path, "a", "1.0", "b>=1")
    make_wheel(tmp_path, "b", "1.0", "c<2")
    assert missing(tmp_path, ["a"], LINUX) == ["c<2"]
    make_wheel(tmp_path, "c")
    assert missing(tmp_path, ["a"], LINUX) == []


def test_conditions_are_judged_by_the_target(tmp_path):
    arm = 'arm; platform_machine == "aarch64"'
    new = 'new; python_version >= "3.12"'
    make_wheel(tmp_path, "a", "1.0", arm, new, 'win; sys_platform == "win32"')
    assert missing(tmp_path, ["a"], LINUX) == []
    assert missing(tmp_path, ["a"], Target("3.12", "manylinux_2_28_aarch64")) == ["arm", "new"]


def test_extras_are_followed_and_others_are_not(tmp_path):
    make_wheel(tmp_path, "a", "1.0", 'a[inner]; extra == "outer"', 'b; extra == "inner"', "c")
    make_wheel(tmp_path, "c", "1.0", 'd; extra == "never"')
    assert missing(tmp_path, ["a"], LINUX) == []
    assert missing(tmp_path, ["a[outer]"], LINUX) == ["b"]


def test_a_version_that_does_not_fit_is_missing(tmp_path):
    make_wheel(tmp_path, "a", "1.0")
    assert missing(tmp_path, ["a>=2"], LINUX) == ["a>=2"]


def test_a_wheel_that_was_cut_off_is_missing(tmp_path):
    wheel = make_wheel(tmp_path, "a")
    wheel.write_bytes(wheel.read_bytes()[:40])
    assert missing(tmp_path, ["a"], LINUX) == ["a"]
    assert not wheel.exists()


def test_wheels_for_older_systems_run_too_and_those_for_newer_do_not():
    tags = list(LINUX.platforms())
    assert tags[0] == "manylinux_2_28_x86_64"
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64"} < set(tags)
    assert not any("_2_29_" in tag for tag in tags)


@pytest.mark.parametrize(
    ("python", "platform", "said"),
    [("3.9", LINUX.platform, "3.11, 3.12, 3.13"), ("3.11", "win_amd64", "manylinux_2_N_x86_64")],
)
def test_a_machine_that_is_not_served_is_one_line(python, platform, said):
    with pytest.raises(HarnessError, match=said) as caught:
        Target(python, platform)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("extras", "torch", "said"),
    [
        (["distil"], None, "did you mean 'distill'"),
        (["distill"], "cuda", "expected cpu, cu128"),
        (["report"], "cu128", "none of the extras needs torch"),
        (["vllm", "distill"], "cu128", "pins its own torch"),
    ],
)
def test_choices_that_do_not_go_together_ask_no_index(tmp_path, extras, torch, said):
    with pytest.raises(HarnessError, match=said):
        collect_wheels(tmp_path, LINUX, extras, torch)


# -- what goes in -----------------------------------------------------------------------------


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts that are copied, without the minutes that wheels take."""
    monkeypatch.setattr(bundle, "collect_wheels", lambda *_: "structured-agent-distillation==0")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "teacher", [make_episode()])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def install(out: Path, venv: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    dead = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return subprocess.run(
        ["sh", str(out / "install.sh"), str(venv)],
        env={**os.environ, "PYTHON": sys.executable, **dead, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("no_wheels")
def test_runs_and_models_lie_in_the_bundle(tmp_path, run, model):
    made = make_bundle(
        tmp_path / "out", Request(LINUX, models=(f"hf:{model}",), runs=(run,)), silent
    )
    assert (made.folder / "runs/teacher/episodes.jsonl").read_bytes() == (
        run / "episodes.jsonl"
    ).read_bytes()
    assert (made.folder / "models/student/config.json").is_file()
    listed = (made.folder / "SHA256SUMS").read_text()
    assert "runs/teacher/episodes.jsonl" in listed
    assert str(tmp_path) not in listed + (made.folder / "install.sh").read_text()


@pytest.mark.usefixtures("no_wheels")
def test_a_second_call_copies_only_what_changed(tmp_path, run):
    request = Request(LINUX, runs=(run,))
    out = make_bundle(tmp_path / "out", request, silent).folder
    kept = (out / "runs/teacher/config.json").stat().st_ino
    with (run / "episodes.jsonl").open("a") as file:
        file.write(make_episode(task_id="u").model_dump_json() + "\n")
    make_bundle(out, request, silent)
    assert (out / "runs/teacher/config.json").stat().st_ino == kept
    assert len((out / "runs/teacher/episodes.jsonl").read_text().splitlines()) == 2


@pytest.mark.usefixtures("no_wheels")
def test_a_bundle_for_another_machine_is_refused(tmp_path):
    make_bundle(tmp_path / "out", Request(LINUX), silent)
    other = Request(Target("3.12", LINUX.platform))
    with pytest.raises(HarnessError, match=r"python 3\.11, not 3\.12"):
        make_bundle(tmp_path / "out", other, silent)


def test_a_refused_choice_does_not_bind_the_folder(tmp_path, monkeypatch):
    with pytest.raises(HarnessError, match="no extra 'distil'"):
        make_bundle(tmp_path / "out", Request(LINUX, extras=("distil",)), silent)
    monkeypatch.setattr(bundle, "collect_wheels", lambda *_: "structured-agent-distillation==0")
    assert make_bundle(tmp_path / "out", Request(LINUX), silent).n_files > 2


@pytest.mark.usefixtures("no_wheels")
def test_a_folder_with_other_things_is_left_alone(tmp_path, run):
    with pytest.raises(HarnessError, match="holds other things"):
        make_bundle(run, Request(LINUX), silent)


@pytest.mark.usefixtures("no_wheels")
def test_two_runs_of_one_name_are_refused(tmp_path, run):
    other = write_run(tmp_path / "other" / "teacher", [make_episode()])
    with pytest.raises(HarnessError, match="would both be runs/teacher"):
        make_bundle(tmp_path / "out", Request(LINUX, runs=(run, other)), silent)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(LINUX, models=("openai:gpt",)), "expected smollm2 or hf:PATH_OR_ID"),
        (Request(LINUX, models=("hf:./nowhere",)), "there is no model folder"),
        (Request(LINUX, runs=(Path("nowhere"),)), "nowhere is no run directory"),
    ],
)
def test_what_cannot_go_in_is_said_before_anything_is_made(tmp_path, request_, said):
    with pytest.raises(HarnessError, match=said):
        make_bundle(tmp_path / "out", request_, silent)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_wheels")
def test_a_disk_that_is_too_small_is_said_first(tmp_path, monkeypatch):
    monkeypatch.setitem(bundle.WHEEL_BYTES, "gpu", 10**18)
    with pytest.raises(HarnessError, match=r"1,000,000,000,000\.0 MB are needed"):
        make_bundle(tmp_path / "out", Request(LINUX), silent)


@pytest.mark.usefixtures("no_wheels")
def test_a_damaged_bundle_is_not_installed(tmp_path, run):
    request = Request(CORE.target, extras=(), runs=(run,))
    out = make_bundle(tmp_path / "out", request, silent).folder
    (out / "runs/teacher/episodes.jsonl").write_text("{}\n")
    done = install(out, tmp_path / "venv")
    assert done.returncode == 2
    assert "the bundle is damaged; copy it again" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.usefixtures("no_wheels")
def test_another_python_is_refused_by_the_installer(tmp_path):
    wanted = "3.13" if HERE != "3.13" else "3.12"
    request = Request(Target(wanted, LINUX.platform), extras=())
    out = make_bundle(tmp_path / "out", request, silent).folder
    done = install(out, tmp_path / "venv")
    assert done.returncode == 2
    assert f"Python {HERE}, but the bundle is for {wanted}" in done.stderr


@pytest.mark.usefixtures("no_wheels")
def test_the_installer_says_how_it_is_used(tmp_path: Path) -> None:
    out = make_bundle(tmp_path / "out", Request(LINUX, extras=()), silent).folder
    done = install(out, Path("--help"))
    assert done.returncode == 0
    assert "sh install.sh [VENV]" in done.stdout
    assert "PYTHON" in done.stdout
    assert not (out / "venv").exists()


# -- a real one -------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip finds all that this project's core needs: made of what is installed here."""
    folder = tmp_path / "index"
    folder.mkdir()
    lines = metadata.requires("structured-agent-distillation") or []
    wanted = [line for line in lines if "extra" not in line]
    while lacking := missing(folder, [*wanted, "pip"], CORE.target):
        for line in lacking:
            repack(metadata.distribution(Requirement(line).name), folder)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _bundled(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    data = tmp_path / "hotpotqa"
    data.mkdir()
    (data / "questions.json").write_text("[]")
    monkeypatch.setattr(bundle, "data_path", lambda name: data)
    request = Request(CORE.target, extras=(), data=("hotpotqa",), runs=(run,))
    return make_bundle(tmp_path / "out", request, silent)


@pytest.mark.slow
def test_a_bundle_installs_without_network_and_runs(tmp_path, run, index, monkeypatch):
    out = _bundled(tmp_path, run, monkeypatch).folder
    for wheel in index.iterdir():
        wheel.unlink()
    again = make_bundle(out, CORE, silent)  # complete: pip would find nothing now
    assert again.n_files > 10

    cache = tmp_path / "cache"
    done = install(out, tmp_path / "venv", SAD_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("harness doctor")
    assert (cache / "data/hotpotqa/questions.json").read_text() == "[]"

    program = str(tmp_path / "venv/bin/harness")
    bare = {"PATH": os.environ["PATH"], "SAD_CACHE": str(cache), "HOME": str(tmp_path)}
    helped = subprocess.run([program, "--help"], env=bare, capture_output=True, text=True)
    assert "bundle" in helped.stdout
    command = [program, "run", "--agent", "expert", "--env", "alfworld"]
    command += ["--split", "generated:0:1", "--out", str(tmp_path / "first")]
    played = subprocess.run(command, env=bare, capture_output=True, text=True, cwd=tmp_path)
    assert played.returncode == 0, played.stderr
    assert (tmp_path / "first/episodes.jsonl").read_text().count("\n") == 1
