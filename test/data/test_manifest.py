"""The manifest of prepared data: a flipped bit is detected; older manifests are read."""

import json
import random
from pathlib import Path

import pytest

from onmt.commands.pipeline import preprocess
from onmt.data.loading import open_prepared
from onmt.errors import DataError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "src").write_text("a b c\nb c\nc a\n", encoding="utf-8")
    argv = [word for side in ("src", "tgt") for word in (f"-train_{side}", str(folder / "src"))]
    argv += [word for side in ("src", "tgt") for word in (f"-valid_{side}", str(folder / "src"))]
    assert preprocess([*argv, "-save_data", str(folder / "d"), "-disable_logs"]) == 0
    return folder


def test_every_flipped_bit_is_noticed(prepared: Path) -> None:
    path = prepared / "d-train.json"
    content = path.read_bytes()
    draw = random.Random(1)
    before = json.loads(content)
    try:
        for _ in range(300):
            damaged = bytearray(content)
            place, bit = draw.randrange(len(damaged)), draw.randrange(8)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                same = json.loads(damaged) == before  # white space between values is ignored
            except ValueError:
                same = False
            if same:
                open_prepared(str(prepared / "d"))
            else:
                with pytest.raises(DataError):
                    open_prepared(str(prepared / "d"))
    finally:
        path.write_bytes(content)


def test_a_manifest_without_checksum_is_an_older_one(prepared: Path) -> None:
    path = prepared / "d-train.json"
    whole = path.read_bytes()
    content = json.loads(whole)
    del content["checksum"]
    try:
        path.write_text(json.dumps(content), encoding="utf-8")
        assert len(open_prepared(str(prepared / "d")).train) == 3
    finally:
        path.write_bytes(whole)
