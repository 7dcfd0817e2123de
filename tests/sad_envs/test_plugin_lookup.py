"""Entry points, modules and files: what is found, and the one line for what is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sad_envs.plugins import (
    PluginError,
    absolute_target,
    find_plugin,
    is_target,
    list_plugins,
    load_file,
    load_target,
)

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package with entry points and modules on the path, as pip would."""

    def put(name: str, entry_points: str, **modules: str) -> Path:
        site = tmp_path / name
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        for module, code in modules.items():
            (site / f"{module}.py").write_text(code)
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(str(site))
        return site

    return put


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PluginError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_listing_imports_nothing(install: Install) -> None:
    install("quiet", "[sad_envs]\nhush = quiet_module:Env\n", quiet_module="1 / 0")
    (plugin,) = [p for p in list_plugins("environment") if p.name == "hush"]
    assert (plugin.target, plugin.source) == ("quiet_module:Env", "quiet 1.0")
    assert "quiet_module" not in sys.modules
    assert find_plugin("agent", "hush") is None


def test_a_failure_is_kept_and_repeated(install: Install, tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"with open({str(count)!r}, 'a') as f:\n    f.write('x')\nimport json\njson.loads('oh')"
    install("bad", "[harness.models]\nbad = bad_module:M\n", bad_module=code)
    plugin = find_plugin("model", "bad")
    assert plugin is not None
    first, second = refusal(plugin.load), refusal(plugin.load)
    assert first == second
    assert first.startswith("model 'bad' from bad 1.0 cannot be used: module bad_module failed")
    assert "JSONDecodeError: Expecting value" in first
    assert count.read_text() == "x"


def test_a_module_that_exits_is_a_failure_like_any_other(install: Install) -> None:
    install("exits", "[sad_envs]\nbye = exits_module:E\n", exits_module="raise SystemExit(4)")
    plugin = find_plugin("environment", "bye")
    assert plugin is not None
    assert "SystemExit: 4 (exits_module.py, line 1)" in refusal(plugin.load)


def test_a_name_two_packages_declare_is_refused(install: Install) -> None:
    install("left", "[sad_envs]\nsame = left_module:E\n")
    install("right", "[sad_envs]\nsame = right_module:E\n")
    said = refusal(lambda: find_plugin("environment", "same"))
    assert "declared by left 1.0 and by right 1.0" in said
    assert "left_module:E or right_module:E" in said


def test_extras_of_an_entry_point_are_no_part_of_its_target(install: Install) -> None:
    install("extra", "[sad_envs]\nx = extra_module : E [more]\n", extra_module="E = 5")
    plugin = find_plugin("environment", "x")
    assert plugin is not None
    assert plugin.load() == 5


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:E", "there is no module 'no_such_module' to import"),
        ("json.no_such:E", "there is no module 'json.no_such' to import"),
        ("json:lods", "json has no 'lods'; did you mean 'loads'"),
        ("json:JSONDecoder.decod", "did you mean 'decode'"),
        ("absent.py:E", "cannot read absent.py: No such file or directory"),
        ("some.py", "expected module:attr or path/to/file.py:attr"),
        (":", "expected module:attr"),
        ("a:b:c", "expected module:attr"),
        ("a b:c", "expected module:attr"),
    ],
)
def test_a_target_that_names_nothing_is_one_line(target: str, message: str) -> None:
    assert is_target(target)
    assert message in refusal(lambda: load_target(target))


def test_a_target_may_have_dots() -> None:
    import os.path

    assert load_target("os:path.join") is os.path.join


def test_a_file_finds_the_modules_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_it.py").write_text("VALUE = 7")
    (tmp_path / "own.py").write_text("from beside_it import VALUE")
    monkeypatch.chdir(tmp_path)
    assert load_target("own.py:VALUE") == 7
    assert absolute_target("./own.py:VALUE") == f"{tmp_path / 'own.py'}:VALUE"


def test_files_of_one_name_do_not_meet_and_a_change_is_seen(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(f"NAME = {folder!r}")
    a, b = tmp_path / "a" / "same.py", tmp_path / "b" / "same.py"
    assert (load_file(a).NAME, load_file(b).NAME) == ("a", "b")
    assert load_file(a) is load_file(a)
    a.write_text("NAME = 'c'")
    assert load_file(a).NAME == "c"


def test_the_file_to_name_is_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nearby_file.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert "write nearby_file.py:…" in refusal(lambda: load_target("nearby_file:E"))
