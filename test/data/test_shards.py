"""Opening prepared data."""

import resource
from pathlib import Path

import numpy as np

from onmt.commands.pipeline import preprocess
from onmt.data.loading import open_prepared


def test_many_files_can_be_open(tmp_path: Path) -> None:
    """Data of more shards than the process may have open files is read."""
    files = []
    for option in ("train_src", "train_tgt", "valid_src", "valid_tgt"):
        path = tmp_path / option
        path.write_text("a b\n" * (240 if option.startswith("train") else 2))
        files += [f"-{option}", str(path)]
    assert preprocess([*files, "-save_data", str(tmp_path / "d"), "-shard_size", "2"]) == 0
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
    try:
        data = open_prepared(str(tmp_path / "d"))
        assert data.train.batch(np.arange(240)).size == 240
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
