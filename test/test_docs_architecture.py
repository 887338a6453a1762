"""docs/architecture.md and docs/glossary.md name files that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = "|".join(sorted(path.name for path in (ROOT / "onmt").iterdir() if path.is_dir()))


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md"])
def test_every_file_named_is_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(rf"\b((?:{PACKAGES})/\w+(?:\.py)?)\b", text)) - {"google/seq2seq"}
    assert len(named) > 10
    missing = [name for name in sorted(named) if not exists(name.removesuffix(".py"))]
    assert missing == []


def exists(name: str) -> bool:
    return (ROOT / "onmt" / f"{name}.py").is_file() or (ROOT / "onmt" / name).is_dir()


def test_the_layers_drawn_are_those_that_are_checked() -> None:
    source = (ROOT / "test" / "test_imports.py").read_text(encoding="utf-8")
    rows = ast.literal_eval(re.findall(r"^ROWS = (\{.*?^\})", source, flags=re.MULTILINE | re.DOTALL)[0])
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = {}
    for row, names in re.findall(r"^(\d)  (.*)$", text, flags=re.MULTILINE):
        for name in re.split(r"\s{3,}", names)[0].split():
            drawn[f"onmt.{name.rstrip('/')}"] = int(row)
    assert drawn == rows
