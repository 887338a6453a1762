import numpy as np
import pytest
import torch

from onmt.errors import CheckpointError
from onmt.models.loading import read_tensor
from onmt.torch7.objects import Storage, Table, Tensor


@pytest.mark.parametrize("kind", ["Float", "Double", "Half"])
def test_reads_word_vectors(write_t7, tmp_path, kind):
    storage = Storage(f"torch.{kind}Storage", np.arange(8) / 4)
    path = tmp_path / "vectors.t7"
    path.write_bytes(write_t7(Tensor(f"torch.{kind}Tensor", (2, 3), (4, 1), 1, storage)))
    vectors = read_tensor(str(path))
    assert vectors.dtype == torch.float32
    assert vectors.tolist() == [[0.25, 0.5, 0.75], [1.25, 1.5, 1.75]]
    vectors += 1  # must be a writable copy, unlike the file's bytes


def test_refuses_anything_else(write_t7, tmp_path):
    path = tmp_path / "vectors.t7"
    storage = Storage("torch.FloatStorage", np.zeros(1, np.float32))
    for value in (Table(), storage, Tensor("torch.FloatTensor", (2**40, 2**20), (0, 0), 0, storage)):
        path.write_bytes(write_t7(value))
        with pytest.raises(CheckpointError, match=r"vectors\.t7: this file holds something else"):
            read_tensor(str(path))
