"""The examples of docs/python.md run."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_run_one_after_the_other(folder: Path, capsys) -> None:
    names: dict[str, object] = {}
    assert len(EXAMPLES) == 6
    for example in EXAMPLES:
        exec(example, names)
    printed = capsys.readouterr().out.split("\n")
    assert printed[-2] == "unknown option 'beam_siez'; did you mean beam_size?"
