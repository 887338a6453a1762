"""Run commands on stored files, and reduce their standard output and the files they write to JSON values.

`test/fixtures/<version>/` holds files that one version of the toolkit wrote. Its `readings.json.gz` lists
command lines that read these files, each with its expected result. Paths in a command line are relative to
that folder; `< file` at its end names standard input; all files that it writes go to the folder `out`.
"""

import gzip
import io
import json
import math
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch

from onmt.commandline.document import commands

FIXTURES: Final = Path(__file__).resolve().parents[1] / "fixtures"
READINGS: Final = "readings.json.gz"
OUTPUT: Final = "out"
TOLERANCE: Final = 1e-6  # relative, and absolute for numbers below 1

_NUMBER: Final = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_TIME: Final = re.compile(r"^\[\d\d/\d\d/\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
_OF_THE_WRITER: Final = {"checksum", "options", "version"}
"""The keys of a manifest that describe the run and the program that wrote it."""


def read(folder: Path, command: str) -> dict[str, Any]:
    """Run a command line in `folder`; return its exit code, standard output and the files under `out`."""
    (folder / OUTPUT).mkdir()
    code, printed = run_command(folder, command)
    written = sorted(
        path
        for path in (folder / OUTPUT).rglob("*")
        if path.is_file()
        and not path.name.endswith("_metrics.jsonl")  # holds times; newer than the first fixtures
    )
    files = {path.relative_to(folder / OUTPUT).as_posix(): describe_file(path) for path in written}
    return {"exit": code, "stdout": text_lines(printed), "files": files}


def unpacked(fixtures: Path, scratch: Path) -> Path:
    """Copy a folder of fixtures and decompress its files; return the copy."""
    copy = Path(shutil.copytree(fixtures, scratch / "stored"))
    for path in copy.rglob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    return copy


def run_command(folder: Path, command: str) -> tuple[int, str]:
    """Run a command in `folder`, in this process; return its exit code and standard output."""
    line, _, stdin = command.partition(" < ")
    name, *argv = shlex.split(line)
    content = (folder / stdin).read_bytes() if stdin else b""
    with pytest.MonkeyPatch.context() as patch, _captured_stdout(patch) as printed:
        patch.chdir(folder)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        code = commands()[name](argv)
        sys.stdout.flush()
        return code, printed.getvalue().decode("utf-8")


@contextmanager
def _captured_stdout(patch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    content = io.BytesIO()
    with io.TextIOWrapper(content, encoding="utf-8") as stream:
        patch.setattr(sys, "stdout", stream)
        yield content


def text_lines(text: str) -> list[str]:
    """The lines of a text, without the time stamps of log lines."""
    return _TIME.sub("[", text).split("\n")


def describe_file(path: Path) -> Any:
    """Reduce a file: a text to its lines, a model or a file of arrays to a few numbers per tensor."""
    if path.suffix == ".html":
        return None  # a page for people, whose wording may change
    if path.suffix == ".json":
        content = json.loads(path.read_bytes())
        if isinstance(content, dict):
            return {key: value for key, value in content.items() if key not in _OF_THE_WRITER}
        return content
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: describe_array(arrays[name]) for name in arrays.files}
    if path.suffix == ".pt":
        content = torch.load(path, map_location="cpu", weights_only=True)
        tensors = content["weights"] if isinstance(content, dict) else {"": content}
        return {name: describe_array(tensor.float().numpy()) for name, tensor in tensors.items()}
    if path.suffix == ".bin":
        return describe_array(np.fromfile(path, dtype=np.uint8))
    return text_lines(path.read_text(encoding="utf-8"))


def describe_array(array: np.ndarray) -> Any:
    """Shape and number of finite values, their mean and a position-weighted mean; text arrays as lists."""
    if array.dtype.kind not in "fiub":
        return array.tolist()
    values = array.astype(np.float64).ravel()
    finite = np.isfinite(values)
    shape = [*array.shape, int(finite.sum())]
    if not finite.any():
        return {"shape": shape, "means": []}
    ramp = np.linspace(0.5, 1.5, values.size)
    return {"shape": shape, "means": [float(values[finite].mean()), float((values * ramp)[finite].mean())]}


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Describe each place where two results differ; numbers differ if they are more than TOLERANCE apart."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in sorted(expected.keys() | found.keys()):
            if key in expected and key in found:
                yield from differences(expected[key], found[key], f"{where}/{key}")
            else:
                yield f"{where}/{key}: only in {'the fixture' if key in expected else 'the result'}"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True), start=1):
            yield from differences(one, other, f"{where}:{number}")
    elif not _same(expected, found):
        yield f"{where}: expected {expected!r}, found {found!r}"


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(expected, str) and isinstance(found, str):
        numbers = [[float(number) for number in _NUMBER.findall(text)] for text in (expected, found)]
        same_words = _NUMBER.sub("#", expected) == _NUMBER.sub("#", found)
        return same_words and all(map(_same, *numbers))
    return type(expected) is type(found) and expected == found


def readings(folder: Path) -> dict[str, Any]:
    """The command lines of a folder of fixtures, by name, with their expected results."""
    stored: dict[str, Any] = json.loads(gzip.decompress((folder / READINGS).read_bytes()))
    return stored
