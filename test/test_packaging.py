"""Scripts, console commands and versions agree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from onmt.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = sorted(path.stem for path in (ROOT / "onmt" / "commands").glob("[!_]*.py"))
LAUNCHERS = {path.stem: path for folder in (ROOT, ROOT / "tools") for path in folder.glob("*.py")}


def test_every_command_has_a_launcher_and_every_launcher_a_command() -> None:
    assert sorted(set(LAUNCHERS) - {"setup"}) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_launchers_only_launch(name: str) -> None:
    text = LAUNCHERS[name].read_text(encoding="utf-8")
    assert f"from onmt.commands.{name} import main" in text
    assert len(text.splitlines()) < 16


def test_the_package_has_the_version_and_a_console_command_per_script(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [info] = tmp_path.glob("*.egg-info")
    assert f"\nVersion: {VERSION}\n" in (info / "PKG-INFO").read_text(encoding="utf-8")
    scripts = (info / "entry_points.txt").read_text(encoding="utf-8").strip().split("\n")[1:]
    assert scripts == [f"onmt_{name} = onmt.commands.{name}:main" for name in COMMANDS]


def requirements(folder: Path) -> dict[str, list[str]]:
    """What setup.py asks for, by the name of the extra; "" without one."""
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [info] = folder.glob("*.egg-info")
    sections: dict[str, list[str]] = {"": []}
    for line in (info / "requires.txt").read_text(encoding="utf-8").split("\n"):
        if line.startswith("["):
            name = line.strip("[]")
            sections[name] = []
        elif line:
            sections[list(sections)[-1]].append(re.split("[<>=]", line)[0])
    return sections


def normalised(name: str) -> str:
    """A package's name as registries compare it."""
    return name.lower().replace("_", "-")


def test_the_readme_names_every_extra_and_all_that_is_needed_is_pinned(tmp_path: Path) -> None:
    sections = requirements(tmp_path)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [told] = re.findall(r"Extras: (.*?); as\s+in", readme, re.DOTALL)
    assert sorted(re.findall("`([a-z]+)`", told)) == sorted(sections.keys() - {""})
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n")
    pinned = {normalised(line.partition("==")[0]) for line in lines}
    assert {normalised(name) for names in sections.values() for name in names} <= pinned


def test_every_dependency_is_pinned() -> None:
    pinned = [
        line
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n")
        if line and not line.startswith("#")
    ]
    assert all(line.count("==") == 1 for line in pinned)
    assert "torch==2.13.0" in pinned
