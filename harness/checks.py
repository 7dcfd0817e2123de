"""What this machine has, what it lacks, and the command that mends it.

Every check gives one finding: `ok`, `absent` (something optional is not there, with the command
that brings it), or `problem` (something is broken or stands in the way). Nothing is installed,
fetched or changed. What may crash or hang, such as a JVM or a GPU driver, is tried in a process of
its own with a time limit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import harness

DISTRIBUTION = "structured-agent-distillation"
LEAST_FREE = 2**30
"""Bytes below which a disk is called full: a run, or one data set, would not fit."""
TRY_SECONDS = 60.0

Level = Literal["ok", "absent", "problem"]

EXTRAS = {
    "models": "local models",
    "distill": "training students",
    "report": "leaderboards, figures and export",
    "lucene": "search with Lucene",
    "textworld": "the reference backend of ALFWorld",
    "webshop": "WebShop's real catalogue and its site",
    "browser": "WebShop in a browser",
}
"""Extras that are looked at, and what each is for."""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `mend` is the command or the advice, empty when all is well."""

    check: str
    level: Level
    found: str
    mend: str = ""


def examine() -> Iterator[Finding]:
    """All findings, in the order of the report; some take seconds."""
    yield check_python(sys.version_info[:3])
    yield check_installed()
    yield from check_names(metadata.packages_distributions(), shutil.which("harness"))
    for extra, purpose in EXTRAS.items():
        yield check_extra(extra, purpose)
    yield check_jvm()
    yield check_browser()
    yield check_gpu()
    yield check_vllm()
    yield check_weights()
    yield from check_data()
    yield from check_disks()


def check_python(version: tuple[int, int, int]) -> Finding:
    """Python 3.11 or newer."""
    shown = ".".join(map(str, version))
    if version < (3, 11):
        return Finding("python", "problem", shown, "install Python 3.11 or newer, and a new venv")
    if version >= (3, 14):
        return Finding("python", "ok", f"{shown} (tested are 3.11 to 3.13)")
    return Finding("python", "ok", shown)


def check_installed() -> Finding:
    """The package is installed, with the dependencies of its core."""
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return Finding("package", "problem", "not installed", "pip install -e . in the checkout")
    wanting = _wanting(None)
    if wanting:
        return Finding(
            "package",
            "problem",
            f"{version}; wanting: {', '.join(wanting)}",
            f"pip install --upgrade {DISTRIBUTION}",
        )
    return Finding("package", "ok", version)


def check_names(owners: Mapping[str, list[str]], command: str | None) -> Iterator[Finding]:
    """No other distribution brings a package of our names, and `harness` on the path is ours.

    Args:
        owners: distributions by top-level package, as `importlib.metadata` gives them.
        command: the program that `harness` starts, None if there is none.
    """
    for name in ("harness", "sad_envs", "sad_distill", "leaderboards"):
        foreign = sorted({one for one in owners.get(name, []) if one != DISTRIBUTION})
        if foreign:
            yield Finding(
                f"name {name}",
                "problem",
                f"{', '.join(foreign)} also installs a package named {name}",
                f"pip uninstall {' '.join(foreign)}, then reinstall {DISTRIBUTION}; or use a venv "
                "of its own",
            )
    ours = Path(harness.__file__)
    started = _try([sys.executable, "-c", "import harness; print(harness.__file__)"], Path("/"))
    if started.text and Path(started.text) != ours:
        yield Finding(
            "name harness",
            "problem",
            f"'import harness' elsewhere finds {started.text}",
            f"remove it, or its folder from PYTHONPATH; expected {ours}",
        )
    here = Path(sys.executable).parent / "harness"
    if command is not None and here.exists() and not Path(command).samefile(here):
        yield Finding(
            "command",
            "problem",
            f"'harness' starts {command}, not {here}",
            f"put {here.parent} first in PATH, or activate the venv",
        )
    else:
        yield Finding("command", "ok", command or f"harness is not in PATH; it is {here}")


def check_extra(extra: str, purpose: str) -> Finding:
    """The distributions that an extra asks for are there, and new enough."""
    wanting = _wanting(extra)
    if not wanting:
        return Finding(f"extra {extra}", "ok", purpose)
    return Finding(
        f"extra {extra}",
        "absent",
        f"{purpose}; wanting: {', '.join(wanting)}",
        f"pip install '{DISTRIBUTION}[{extra}]'",
    )


JVM_CODE = """
from sad_envs.search.jvm import java_class
print(java_class("java.lang.System").getProperty("java.version"))
"""


def check_jvm() -> Finding:
    """A JVM starts and knows Lucene."""
    from sad_envs.base import EnvError
    from sad_envs.search.jvm import INSTALL, fat_jar

    if _wanting("lucene"):
        return Finding("jvm", "absent", "no JVM from pip; the engine bm25 needs none", INSTALL)
    try:
        jar = fat_jar()
    except EnvError:
        return Finding(
            "jvm",
            "absent",
            "a JVM, but not Lucene's jar",
            "pip install --no-deps 'pyserini>=1.6,<2'",
        )
    answer = _try([sys.executable, "-c", JVM_CODE])
    if answer.ok:
        return Finding("jvm", "ok", f"Java {answer.text}, {jar.name}")
    return Finding("jvm", "problem", answer.text, f"{INSTALL}; unset JAVA_HOME if it is set")


def check_browser() -> Finding:
    """Chromium and its driver answer, and are of one version."""
    from sad_envs.base import EnvError
    from sad_envs.webshop.chromium import find_binaries

    try:
        found = find_binaries(download=False)
    except EnvError as error:
        return Finding(
            "browser",
            "absent",
            str(error).partition(":")[0],
            "apt-get install chromium chromium-driver",
        )
    versions = []
    for program in (found.chrome, found.driver):
        answer = _try([program, "--version"])
        number = re.search(r"\d+(\.\d+)+", answer.text)
        if not answer.ok or number is None:
            return Finding(
                "browser",
                "problem",
                f"{program} does not answer: {answer.text}",
                "apt-get install --reinstall chromium chromium-driver",
            )
        versions.append(number[0])
    if versions[0].split(".")[0] != versions[1].split(".")[0]:
        return Finding(
            "browser",
            "problem",
            f"Chromium {versions[0]}, driver {versions[1]}",
            "install both in the same version: apt-get install chromium chromium-driver",
        )
    return Finding("browser", "ok", f"Chromium {versions[0]}")


TORCH = "https://pytorch.org/get-started"
GPU_CODE = """
import json, torch
found = {"torch": torch.__version__, "cuda": torch.cuda.is_available(), "names": [], "works": ""}
if found["cuda"]:
    for i in range(torch.cuda.device_count()):
        p = torch.cuda.get_device_properties(i)
        found["names"].append(f"{p.name}, {p.total_memory / 2**30:.0f} GiB")
    found["works"] = str(float(torch.ones(2, device="cuda").sum()))
print(json.dumps(found))
"""


def check_gpu() -> Finding:
    """The GPU that torch can use, or why it cannot use one that is there."""
    if _wanting("models"):
        return Finding(
            "gpu", "absent", "not looked for without torch", f"pip install '{DISTRIBUTION}[models]'"
        )
    answer = _try([sys.executable, "-c", GPU_CODE])
    if not answer.ok:
        return Finding(
            "gpu",
            "problem",
            f"torch does not start: {answer.text}",
            f"reinstall torch for this machine: {TORCH}",
        )
    found = json.loads(answer.text.splitlines()[-1])
    if found["cuda"]:
        return Finding("gpu", "ok", f"{'; '.join(found['names'])} (torch {found['torch']})")
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        unused = f"an NVIDIA GPU, but torch {found['torch']} cannot use it"
        return Finding("gpu", "problem", unused, f"install a CUDA build of torch: {TORCH}")
    return Finding(
        "gpu",
        "absent",
        f"none (torch {found['torch']}); models run on the CPU",
        "nothing to do; a machine with a GPU is faster",
    )


def check_vllm() -> Finding:
    """A Python with vLLM, for `harness serve` and `vllm:`."""
    from harness.errors import HarnessError
    from harness.serving import find_python

    try:
        python = find_python(None, os.environ)
    except HarnessError:
        return Finding(
            "vllm",
            "absent",
            "no Python with vLLM",
            "make setup-vllm, or pip install vllm in a venv of its own",
        )
    return Finding("vllm", "ok", str(python))


def check_weights() -> Finding:
    """The small model of the demos."""
    from harness.models.weights import smollm2_folder, smollm2_present

    if smollm2_present():
        return Finding("weights", "ok", str(smollm2_folder()))
    return Finding("weights", "absent", "SmolLM2-135M-Instruct", "harness model fetch smollm2")


def check_data() -> Iterator[Finding]:
    """Every data set of the catalogue; and the mirror, if one is named."""
    from sad_envs.data import catalogue, data_path, is_present

    mirror = os.environ.get("SAD_DATA_MIRROR", "")
    if mirror and "://" not in mirror and not Path(mirror).is_dir():
        yield Finding(
            "mirror",
            "problem",
            f"SAD_DATA_MIRROR is {mirror}, which is no folder",
            "set it to a folder or an address, or unset it",
        )
    for name, data in catalogue().items():
        if is_present(name):
            yield Finding(f"data {name}", "ok", str(data_path(name)))
        else:
            only = not all(file.addresses for file in data.files)
            fetch = f"harness data fetch {name}" + (" --from DIR_OR_URL" if only else "")
            yield Finding(f"data {name}", "absent", data.title, fetch)


def check_disks() -> Iterator[Finding]:
    """Space where data and runs go."""
    from sad_envs.data import cache_folder

    for name, folder in (("cache", cache_folder()), ("here", Path.cwd())):
        there = next(one for one in (folder, *folder.parents) if one.exists())
        yield judge_disk(name, folder, shutil.disk_usage(there).free, os.access(there, os.W_OK))


def judge_disk(name: str, folder: Path, free: int, writable: bool) -> Finding:
    """What `free` bytes in `folder` mean."""
    found = f"{folder}: {free / 2**30:.1f} GiB free"
    move = "set SAD_CACHE to another folder" if name == "cache" else "stand in another folder"
    if not writable:
        return Finding(f"disk {name}", "problem", f"{folder} cannot be written", move)
    if free < LEAST_FREE:
        return Finding(f"disk {name}", "problem", found, f"free some space, or {move}")
    return Finding(f"disk {name}", "ok", found)


def _wanting(extra: str | None) -> list[str]:
    """What the package asks for, for an extra or for its core, and what is not there."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [DISTRIBUTION]
    wanting: list[str] = []
    for line in lines:
        named = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if (named[1] if named else None) != extra:
            continue
        name, nested = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", line).groups()  # type: ignore[union-attr]
        if name == DISTRIBUTION:
            wanting += [one for other in nested.split(",") for one in _wanting(other)]
            continue
        least = re.search(r">=\s*([\d.]+)", line.partition(";")[0])
        found = _version(name)
        if found is None:
            wanting.append(name)
        elif least and _numbers(found) < _numbers(least[1]):
            wanting.append(f"{name} {least[1]} or newer (found {found})")
    return wanting


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


@dataclass(frozen=True)
class _Answer:
    ok: bool
    text: str


def _try(command: list[str], folder: Path | None = None) -> _Answer:
    """Run a program; its output, or the last line of its complaint."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=TRY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return _Answer(False, f"no answer within {TRY_SECONDS:.0f} s")
    except OSError as error:
        return _Answer(False, error.strerror or str(error))
    if done.returncode == 0:
        return _Answer(True, done.stdout.strip())
    lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
    return _Answer(False, lines[-1])
