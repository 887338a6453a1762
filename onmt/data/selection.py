"""Some sentences of a data set, in any order and any number of times, as if they were a data set."""

import numpy as np
import numpy.typing as npt

from onmt.data.batch import Batch
from onmt.data.dataset import Dataset


class Selection:
    """The sentences at `indices` of a data set; the `indices` of their batches are those of the data set."""

    def __init__(self, dataset: Dataset, indices: npt.NDArray[np.int64]) -> None:
        self._dataset = dataset
        self._indices = indices
        self.src_lengths = dataset.src_lengths[indices]
        self.tgt_lengths = None if dataset.tgt_lengths is None else dataset.tgt_lengths[indices]

    def __len__(self) -> int:
        return len(self._indices)

    def batch(self, indices: npt.NDArray[np.integer]) -> Batch:
        """See `SentenceSet.batch`."""
        return self._dataset.batch(self._indices[indices])

    def predicted_words(self) -> npt.NDArray[np.int64]:
        """See `SentenceSet.predicted_words`."""
        return self._dataset.predicted_words(np.unique(self._indices))
