"""The commands read files that earlier versions wrote, with the same results as those versions."""

from pathlib import Path
from typing import Any

import pytest
from stored_formats import FIXTURES, differences, read, readings, unpacked

CASES = [
    pytest.param(folder, reading["command"], reading["result"], id=f"{folder.name}-{name}")
    for folder in sorted(path for path in FIXTURES.iterdir() if path.is_dir())
    for name, reading in readings(folder).items()
]


@pytest.mark.parametrize(("folder", "command", "result"), CASES)
def test_stored_files_give_the_results_of_their_time(
    folder: Path, command: str, result: dict[str, Any], tmp_path: Path
) -> None:
    if " images/" in command:
        pytest.importorskip("PIL.Image")
    found = read(unpacked(folder, tmp_path), command)
    assert list(differences(result, found)) == []


def test_there_are_fixtures() -> None:
    assert CASES


def test_the_comparison_notices_each_kind_of_difference() -> None:
    numbers = {"shape": [2, 2], "means": [0.25, 1.0]}
    same = {"out": ["a 0.5"], "m.pt": numbers}
    assert list(differences(same, {"out": ["a 0.50"], "m.pt": numbers})) == []
    for other in (
        {"out": ["a 0.5001"], "m.pt": numbers},
        {"out": ["b 0.5"], "m.pt": numbers},
        {"out": ["a 0.5", ""], "m.pt": numbers},
        {"out": ["a 0.5"], "m.pt": {**numbers, "means": [0.25, 1.00001]}},
        {"out": ["a 0.5"], "m.pt": {**numbers, "shape": [2, 1]}},
        {"out": ["a 0.5"]},
        {**same, "more": None},
    ):
        assert len(list(differences(same, other))) == 1
