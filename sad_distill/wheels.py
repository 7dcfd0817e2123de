"""Wheels for another machine: all that an installation there will ask for, and nothing to compile.

pip chooses and downloads, told the target's Python and platform. Conditions such as
`platform_system == "Linux"` it judges by the machine it runs on, though; so what it brought is
followed here requirement by requirement with the target's answers, and pip is asked again until
nothing is missing. A folder where nothing is missing is complete, and no index is asked. torch
comes first and by itself when a build is named, since an index may hold a newer one of another
build. Only wheels are taken: a source distribution would be built for this machine.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import harness
from harness.errors import HarnessError
from harness.pip import require_pip

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.version import Version

DISTRIBUTION = "structured-agent-distillation"
PYTHONS = ("3.11", "3.12", "3.13")
TORCH_INDEX = "https://download.pytorch.org/whl"
"""Has a folder per build: `cpu`, `cu128`, …; https://pytorch.org/get-started/locally/."""

_PLATFORM = re.compile(r"manylinux_2_(\d+)_(x86_64|aarch64)")
_OLDER_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
"""Names that PEP 600 gave to these versions of glibc afterwards."""
_INSTALLED_ONLY = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")


@dataclass(frozen=True)
class Target:
    """The machine that a bundle is for.

    Attributes:
        python: one of `PYTHONS`.
        platform: `manylinux_2_N_x86_64` or `…_aarch64`; Linux with glibc 2.N or newer.
    """

    python: str
    platform: str

    def __post_init__(self) -> None:
        if self.python not in PYTHONS:
            raise HarnessError(
                f"no bundle for Python {self.python!r}; expected {', '.join(PYTHONS)}"
            )
        if not _PLATFORM.fullmatch(self.platform):
            raise HarnessError(
                f"no bundle for platform {self.platform!r}; expected manylinux_2_N_x86_64 or "
                "manylinux_2_N_aarch64, where the machine has glibc 2.N or newer (ldd --version)"
            )

    @property
    def machine(self) -> str:
        """As `uname -m` has it."""
        return self._parts[1]

    @property
    def glibc(self) -> int:
        """The minor version of glibc that the machine has at least."""
        return int(self._parts[0])

    @property
    def _parts(self) -> tuple[str, str]:
        found = _PLATFORM.fullmatch(self.platform)
        assert found is not None
        return found[1], found[2]

    def platforms(self) -> Iterator[str]:
        """Platform tags of the wheels that run there, the newest first."""
        for minor in range(self.glibc, 4, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _OLDER_NAMES:
                yield f"{_OLDER_NAMES[minor]}_{self.machine}"
        yield f"linux_{self.machine}"

    def environment(self, extra: str) -> dict[str, str]:
        """What markers of requirements (PEP 508) see there."""
        return {
            "extra": extra,
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


def collect_wheels(folder: Path, target: Target, extras: Sequence[str], torch: str | None) -> str:
    """Fill `folder` with this project's wheel, pip's, and all they need; goes on where it stopped.

    Args:
        folder: exists.
        extras: of this project.
        torch: the build, such as `cu128` or `cpu`; None takes what pip's index has.

    Returns:
        The requirement to install, `structured-agent-distillation[…]==VERSION`.

    Raises:
        HarnessError: an extra is unknown, or pip cannot bring what is missing.
    """
    wheel = project_wheel(folder)
    _check_extras(wheel, extras, torch)
    named = f"[{','.join(extras)}]" if extras else ""
    wanted = f"{DISTRIBUTION}{named}=={wheel.name.split('-')[1]}"
    before: list[str] = []
    while lacking := missing(folder, (wanted, "pip"), target):
        if lacking == before:
            raise HarnessError(
                f"pip brought no wheel for {', '.join(lacking)} on {target.platform}"
            )
        first = [line for line in lacking if re.match(r"torch\b(?!-)", line)]
        if torch and first:
            _pip_download(
                folder, target, first, "--no-deps", "--index-url", f"{TORCH_INDEX}/{torch}"
            )
            _check_build(folder, torch)
            continue
        places = ["--extra-index-url", f"{TORCH_INDEX}/{torch}"] if torch else []
        _pip_download(folder, target, lacking, *places)
        before = lacking
    return wanted


def missing(folder: Path, wanted: Sequence[str], target: Target) -> list[str]:
    """The requirements, of `wanted` and of all that follows from it, that no wheel here meets."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    held = _held(folder)
    queue = [Requirement(line) for line in wanted]
    seen: set[str] = set()
    lacking: set[str] = set()
    while queue:
        one = queue.pop()
        one.marker = None
        if str(one) in seen:
            continue
        seen.add(str(one))
        wheels = held.get(canonicalize_name(one.name), {})
        fitting = [v for v in wheels if one.specifier.contains(v, prereleases=True)]
        if fitting:
            queue += _follow(wheels[max(fitting)], one, target)
        else:
            lacking.add(str(one))
    return sorted(lacking)


def _follow(wheel: Path, requirement: Requirement, target: Target) -> Iterator[Requirement]:
    """What a wheel, with the extras of a requirement, asks for on the target."""
    from packaging.requirements import Requirement

    for line in _metadata(wheel).get_all("Requires-Dist") or ():
        found = Requirement(line)
        marker = found.marker
        extras = ("", *requirement.extras)
        if marker is None or any(marker.evaluate(target.environment(e)) for e in extras):
            yield found


def _held(folder: Path) -> dict[str, dict[Version, Path]]:
    """The wheels of a folder by name and version; damaged ones are removed."""
    from packaging.utils import parse_wheel_filename

    held: dict[str, dict[Version, Path]] = {}
    for path in sorted(folder.glob("*.whl")):
        if not zipfile.is_zipfile(path):
            path.unlink()
            continue
        name, version, _, _ = parse_wheel_filename(path.name)
        held.setdefault(name, {})[version] = path
    return held


def _metadata(wheel: Path) -> metadata.PackageMetadata:
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        text = archive.read(names[0]).decode("utf-8", "replace") if names else ""
    return HeaderParser().parsestr(text)  # type: ignore[return-value]


def _check_extras(wheel: Path, extras: Sequence[str], torch: str | None) -> None:
    from sad_envs.base import did_you_mean

    known = _metadata(wheel).get_all("Provides-Extra") or []
    for extra in extras:
        if extra not in known:
            hint = did_you_mean(extra, known) or f"; expected one of {', '.join(sorted(known))}"
            raise HarnessError(f"there is no extra {extra!r}{hint}")
    if not torch:
        return
    if not re.fullmatch(r"cpu|cu\d{3}|rocm\d+\.\d+|xpu", torch):
        raise HarnessError(f"no build of torch is named {torch!r}; expected cpu, cu128 or the like")
    if "vllm" in extras:
        raise HarnessError("the extra vllm pins its own torch; leave out --cuda")
    if not {"models", "distill", "distill-bench"} & set(extras):
        raise HarnessError("none of the extras needs torch; leave out --cuda")


def _check_build(folder: Path, torch: str) -> None:
    builds = {str(version.local) for version in _held(folder).get("torch", {})}
    if builds - {torch}:
        raise HarnessError(
            f"pip brought torch of build {', '.join(sorted(builds))}, expected {torch}; see which "
            "places pip is told to look in (pip config list), and remove the wheel from "
            f"{folder}"
        )


# -- pip --------------------------------------------------------------------------------------


def _pip_download(folder: Path, target: Target, wanted: Sequence[str], *places: str) -> None:
    """Let pip bring the wheels; versions that are here already stay as they are."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    version = target.python.replace(".", "")
    options = ["--only-binary", ":all:", "--dest", str(folder), "--find-links", str(folder)]
    options += [
        "--python-version",
        target.python,
        "--implementation",
        "cp",
        "--abi",
        f"cp{version}",
    ]
    for platform in target.platforms():
        options += ["--platform", platform]
    changing = {canonicalize_name(Requirement(line).name) for line in wanted}
    kept = {name: max(found) for name, found in _held(folder).items() if name not in changing}
    with tempfile.TemporaryDirectory() as scratch:
        constraints = Path(scratch, "kept.txt")
        constraints.write_text("".join(f"{name}=={kept[name]}\n" for name in kept), "utf-8")
        run_pip("download", *options, *places, "--constraint", str(constraints), *wanted)


def run_pip(command: str, *arguments: str) -> None:
    """Run this Python's pip, its progress on stderr; raises `HarnessError` with its last error."""
    pip = require_pip()
    shown = sys.stderr.isatty()
    quiet = ["--disable-pip-version-check", "--no-input", *([] if shown else ["--quiet"])]
    done = subprocess.run(
        [*pip, command, *quiet, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno() if shown else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else "it says no reason"
        raise HarnessError(
            f"pip {command} failed: {reason[:300]}; check the network and pip's settings, then run "
            "the same command again: it goes on where it stopped"
        )


# -- this project -----------------------------------------------------------------------------


def project_wheel(folder: Path) -> Path:
    """Put the wheel of this project into `folder`, in place of an older one.

    Built from the checkout when this is one, else made again from what is installed.
    """
    source = Path(harness.__file__).parents[1]
    for left in folder.glob(".building-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as scratch:
        if (source / "pyproject.toml").is_file():
            here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
            run_pip("wheel", "--no-deps", *here, "--wheel-dir", scratch, str(source))
            built = next(Path(scratch).glob("*.whl"))
        else:
            built = repack(metadata.distribution(DISTRIBUTION), Path(scratch))
        for old in folder.glob(f"{built.name.split('-')[0]}-*.whl"):
            old.unlink()
        return built.replace(folder / built.name)


def repack(distribution: metadata.Distribution, folder: Path) -> Path:
    """Make the wheel again that a distribution was installed from.

    Launchers, which pip makes anew, and compiled Python are left out; so is what pip noted down.
    """
    text = distribution.read_text("WHEEL")
    if text is None or distribution.files is None:
        name = distribution.metadata["Name"]
        raise HarnessError(f"{name} was not installed from a wheel; install it with pip")
    tags = [tag.split("-") for tag in HeaderParser().parsestr(text).get_all("Tag") or ()]
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"])
    wheel = folder / f"{name}-{distribution.version}-{tag}.whl"
    rows = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in distribution.files:
            path = file.as_posix()
            if path.startswith("../") or file.suffix == ".pyc":
                continue
            if file.parent.name.endswith(".dist-info") and file.name in _INSTALLED_ONLY:
                record = str(file.parent / "RECORD")
                continue
            content = file.read_binary()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            rows.append(f"{path},sha256={digest.decode()},{len(content)}\n")
            archive.writestr(path, content)
        archive.writestr(record, "".join([*rows, f"{record},,\n"]))
    return wheel
