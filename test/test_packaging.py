"""Scripts, console commands and versions agree."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from onmt.commandline.document import commands
from onmt.constants import VERSION

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = commands()
LAUNCHERS = {path.stem: path for folder in (ROOT, ROOT / "tools") for path in folder.glob("*.py")}


def test_every_command_has_a_launcher_and_every_launcher_a_command() -> None:
    assert sorted(set(LAUNCHERS) - {"setup"}) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_launchers_only_launch(name: str) -> None:
    text = LAUNCHERS[name].read_text(encoding="utf-8")
    [module] = re.findall(rf"    from (onmt\.commands\.\w+) import {name}\n", text)
    assert getattr(importlib.import_module(module), name) is COMMANDS[name]
    assert f"    sys.exit({name}())\n" in text
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
    places = dict(re.fullmatch(r"onmt_(\w+) = (\S+):\1", line).groups() for line in scripts)  # type: ignore[union-attr, misc]
    assert {name: getattr(importlib.import_module(place), name) for name, place in places.items()} == COMMANDS


def requirements(folder: Path) -> dict[str, list[str]]:
    """The packages that setup.py requires, by extra; "" stands for those that are always required."""
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
    """A package's name in the form in which registries compare names."""
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program folder of a fresh environment with our wheel and this environment's dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "onmt", source / "onmt", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    offline = ["-q", "--no-deps", "--no-index", "--disable-pip-version-check"]
    build = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, capture_output=True, cwd=folder)
    shutil.rmtree(source)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    [site] = (folder / "venv" / "lib").glob("python*/site-packages")
    # A folder named in a .pth file adds no .pth files of its own: an editable install stays invisible.
    here = Path(sys.prefix, "lib", site.parent.name, "site-packages")
    (site / "dependencies.pth").write_text(f"{here}\n", encoding="utf-8")
    programs = folder / "venv" / "bin"
    install = ["install", *offline, "--ignore-installed", str(wheel)]
    subprocess.run([programs / "python", "-m", "pip", *install], check=True, capture_output=True, cwd=folder)
    return programs


def run_installed(programs: Path, folder: Path, name: str, *argv: str, stdin: bytes = b"") -> str:
    """Run an installed program in `folder`, which must succeed; return its standard output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [programs / name, *argv]
    finished = subprocess.run(
        command, cwd=folder, env=environment, input=stdin, capture_output=True, timeout=600
    )
    assert finished.returncode == 0, f"{name}: {finished.stderr.decode()}"
    return finished.stdout.decode("utf-8")


@pytest.mark.slow
def test_every_command_of_the_wheel_prints_its_help(installed: Path, tmp_path: Path) -> None:
    assert {path.name for path in installed.glob("onmt_*")} == {f"onmt_{name}" for name in COMMANDS}
    where = run_installed(installed, tmp_path, "python", "-c", "import onmt; print(onmt.__file__)")
    assert Path(where).is_relative_to(installed.parent)
    for name in COMMANDS:
        assert run_installed(installed, tmp_path, f"onmt_{name}", "-h").startswith("Usage: ")


@pytest.mark.slow
def test_the_wheel_runs_the_demo_and_scores_it(installed: Path, tmp_path: Path) -> None:
    printed = run_installed(installed, tmp_path, "onmt_demo", "-end_epoch", "1")
    commands = re.findall(r"^\$ (\S+)", printed, re.MULTILINE)
    assert commands == ["onmt_generate_dates", "onmt_preprocess", "onmt_train", "onmt_translate"]
    assert "| onmt_translate -model demo/dates_epoch1_" in printed
    predictions = (tmp_path / "demo" / "test.pred").read_bytes()
    references = "demo/corpus/test.tgt"
    score = run_installed(installed, tmp_path, "onmt_score", references, stdin=predictions)
    assert float(score.split("\t")[0]) > 0
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
