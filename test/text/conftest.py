"""Output of the original's tokenizer for many lines under many options.

A part is stored with the tests. The whole lies beside the checkout, if it is there.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onmt.text.options import TokenizerOptions

HERE = Path(__file__).resolve().parent / "golden"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "golden" / "tokenizer"


@dataclass(frozen=True)
class Measured:
    """The original's output for each line under one set of options."""

    options: TokenizerOptions
    lines: Sequence[str]
    tokens: Sequence[str]
    detokenized: Sequence[str] | None


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of the measurements that are stored with the tests."""
    return HERE


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """The folder of all measurements; the test is skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("the full measurements are not here")
    return SHARED


@pytest.fixture(scope="session")
def measured(golden: Path) -> list[Measured]:
    """The first lines of the measurements, under all options."""
    header, *rows = _json_lines(golden / "expected.jsonl.gz")
    return [_measured(row, header["input"], golden) for row in rows]


@pytest.fixture(scope="session")
def all_measured(shared_golden: Path) -> list[Measured]:
    """All lines of the measurements, under all options."""
    lines = (shared_golden / "input.txt").read_bytes().decode().split("\n")[:-1]
    return [_measured(row, lines, shared_golden) for row in _json_lines(shared_golden / "expected.jsonl.gz")]


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]


def _measured(row: dict[str, Any], lines: Sequence[str], folder: Path) -> Measured:
    settings = _settings(row["options"])
    if row["bpe_model"]:
        settings["bpe_model"] = str(folder / row["bpe_model"])
    return Measured(TokenizerOptions(**settings), lines, row["tokens"], row.get("detokenized"))


def _settings(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the values by option name of arguments like `["-mode", "space", "-joiner_annotate"]`."""
    settings: dict[str, Any] = {}
    for word in arguments:
        if word.startswith("-"):
            name = word.removeprefix("-")
            settings[name] = () if name == "segment_alphabet" else True
        elif name == "segment_alphabet":
            settings[name] += (word,)
        else:
            settings[name] = word
    return settings
