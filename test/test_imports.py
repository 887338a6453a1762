"""Import rules: no module imports from a higher row, there are no cycles, options do not import torch."""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "onmt"

ROWS = {
    "onmt.errors": 0,
    "onmt.signals": 0,
    "onmt.starting": 0,
    "onmt.constants": 0,
    "onmt.commandline": 1,
    "onmt.logger": 1,
    "onmt.files": 1,
    "onmt.hooks": 1,
    "onmt.spec": 1,
    "onmt.text": 2,
    "onmt.scorers": 2,
    "onmt.runtime": 2,
    "onmt.checkpoint": 2,
    "onmt.kernels": 2,
    "onmt.data": 3,
    "onmt.modules": 3,
    "onmt.models": 4,
    "onmt.google": 4,
    "onmt.torch7": 4,
    "onmt.decoding": 5,
    "onmt.training": 6,
    "onmt.serving": 7,
    "onmt.commands": 8,
}
MODULES_MAY_IMPORT = ("onmt.modules", "onmt.kernels", "onmt.spec", "onmt.constants", "onmt.errors")
KERNELS_MAY_IMPORT = ("onmt.kernels",)


@cache
def modules():
    """Every module of the package, with its syntax tree."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return found


@cache
def imports(name, at_import_time_only=False):
    """The names that a module imports, including those inside functions unless only import time counts."""
    found = set()
    for node in nodes(modules()[name], at_import_time_only):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {inner if inner in modules() else node.module for inner in full}
    return frozenset(found)


def nodes(tree, at_import_time_only):
    if not at_import_time_only:
        yield from ast.walk(tree)
        return
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        skipped = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_for_types(node)
        waiting += [] if skipped else ast.iter_child_nodes(node)


def is_for_types(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def row(name):
    return next((row for package, row in ROWS.items() if within(name, package)), None)


def within(name, package):
    return name == package or name.startswith(f"{package}.")


def own_imports(name):
    return {other for other in imports(name) if within(other, "onmt")}


NAMES = [name for name in modules() if name != "onmt"]


@pytest.mark.parametrize("name", NAMES)
def test_no_module_knows_a_higher_row(name):
    assert row(name) is not None, f"{name} belongs to no row"
    higher = {other for other in own_imports(name) if row(other) is None or row(other) > row(name)}
    assert not higher


@pytest.mark.parametrize("name", [name for name in NAMES if within(name, "onmt.modules")])
def test_modules_know_only_what_a_network_is_made_of(name):
    assert {
        other for other in own_imports(name) if not any(within(other, it) for it in MODULES_MAY_IMPORT)
    } == set()


@pytest.mark.parametrize("name", [name for name in NAMES if within(name, "onmt.kernels")])
def test_kernels_know_only_torch(name):
    assert {
        other for other in own_imports(name) if not any(within(other, it) for it in KERNELS_MAY_IMPORT)
    } == set()


def test_no_circles():
    done = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(own_imports(name) & set(modules())):
                visit(other, [*path, name])
            done.add(name)

    for name in NAMES:
        visit(name, [])


def test_packages_import_nothing():
    for path in PACKAGE.rglob("__init__.py"):
        assert path == PACKAGE / "__init__.py" or path.read_text(encoding="utf-8") == "", path


def test_the_root_package_imports_nothing_until_asked():
    program = "import sys, onmt; print([name for name in sys.modules if name.startswith(('onmt.', 'torch'))])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def is_torch_free(name):
    return (
        name.endswith("options")
        or any(within(name, package) for package, number in ROWS.items() if number < 2)
        or any(
            within(name, package) for package in ("onmt.text", "onmt.scorers", "onmt.google", "onmt.commands")
        )
    )


@pytest.mark.parametrize("name", [name for name in NAMES if is_torch_free(name)])
def test_what_help_needs_comes_without_torch(name):
    reached, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            outside = {other for other in imports(current, True) if within(other, "torch")}
            assert not outside, f"{name} reaches torch through {current}"
            waiting += [other for other in imports(current, True) if other in modules()]


def commands():
    """The module of each command, by command name."""
    found = {}
    for name in NAMES:
        for node in modules()[name].body if within(name, "onmt.commands") else ():
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                if isinstance(node.value.func, ast.Name) and node.value.func.id == "Command":
                    found[target.id] = name
    return found


COMMANDS = commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_usage_errors_come_without_torch(name):
    program = f"""
import sys
from {COMMANDS[name]} import {name}
assert {name}(["-h"]) == 0
assert {name}(["--no_such_option"]) == 2
assert not {{"torch", "numpy", "zmq", "starlette"}} & sys.modules.keys()
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: ")
    assert "unknown option -no_such_option" in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_script_takes_part():
    assert len(COMMANDS) == len(LAUNCHERS)


LAUNCHERS = [
    path for path in (*REPOSITORY.glob("*.py"), *REPOSITORY.glob("tools/*.py")) if path.name != "setup.py"
]


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_launchers_hold_no_logic(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 16


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.stem)
def test_launchers_run_from_any_folder(path, tmp_path):
    """`tools/tokenize.py` must not hide the module of that name in the standard library."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(path), "-no_such_option"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == f"{path.name}: unknown option -no_such_option\n"
