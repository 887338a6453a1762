"""Checks of the Dockerfile without Docker: its instructions are known, its files exist, its commands run."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from onmt.commandline.document import commands

ROOT = Path(__file__).resolve().parents[1]
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Pairs of an instruction and its arguments, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).split("\n")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def all_of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_instructions_are_known_and_begin_with_an_image() -> None:
    names = [name for name, _ in instructions()]
    assert set(names) <= KNOWN
    assert names[0] == "FROM"
    assert names.count("ENTRYPOINT") == names.count("CMD") == 1


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    for rest in all_of("COPY"):
        *sources, target = rest.split()
        assert target.startswith("./")
        for source in sources:
            assert (ROOT / source).exists()
            assert source not in ignored


def test_the_image_serves_as_another_user_than_root_on_the_port_that_it_exposes() -> None:
    assert all_of("USER") == ["onmt"]
    [entry], [command], [port] = all_of("ENTRYPOINT"), all_of("CMD"), all_of("EXPOSE")
    argv = [*json.loads(entry), *json.loads(command)]
    assert argv[0] == "onmt_rest_translation_server"
    assert argv[0].removeprefix("onmt_") in commands()
    assert port == "7784"
    assert f"127.0.0.1:{port}/health" in all_of("HEALTHCHECK")[0]


def test_the_health_check_is_a_program() -> None:
    words = shlex.split(all_of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "health check", "exec")


@pytest.mark.slow
def test_its_commands_install_a_server(tmp_path: Path) -> None:
    """The fresh environment uses this one's dependencies, because PyTorch is large."""
    for rest in all_of("COPY"):
        for source in rest.split()[:-1]:
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, tmp_path / source)
    venv.create(tmp_path / "venv", with_pip=False)
    [site] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    here = Path(sys.prefix, "lib", site.parent.name, "site-packages")
    (site / "dependencies.pth").write_text(f"{here}\n", encoding="utf-8")
    binaries = tmp_path / "venv" / "bin"
    [install] = [rest for rest in all_of("RUN") if rest.startswith("pip ")]
    offline = install.replace(
        "--extra-index-url https://download.pytorch.org/whl/cpu", "--no-build-isolation"
    )
    command = f"{binaries}/python -m {offline}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    server = binaries / json.loads(all_of("ENTRYPOINT")[0])[0]
    shown = subprocess.run([server, "-h"], check=True, capture_output=True, text=True)
    assert "-withAttn" in shown.stdout
    page = (
        "from importlib.resources import files; print(files('onmt.serving').joinpath('page.html').is_file())"
    )
    found = subprocess.run(
        [binaries / "python", "-c", page], cwd="/", check=True, capture_output=True, text=True
    )
    assert found.stdout == "True\n"
