"""Training data: opened or encoded, sampled for each epoch, cut into batches, divided among replicas."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from onmt.constants import PAD
from onmt.data.dataset import (
    Batch,
    BatchPlan,
    Dataset,
    Selection,
    SentenceSet,
    epoch_order,
    plan_batches,
    prefetch,
    to_device,
)
from onmt.data.loading import RawData, open_prepared
from onmt.data.vocabulary import Vocabularies
from onmt.data.vocabulary_building import read_vocabulary
from onmt.errors import DataError, OnmtError, OptionError, is_out_of_memory
from onmt.hooks import load_hook_module
from onmt.logger import Logger
from onmt.models.lua import DataSizes
from onmt.training.distributed import Replicas
from onmt.training.options import AnyTrainOptions
from onmt.training.sampling import Sampler
from onmt.training.trainer_options import OptimOptions

_LEARNT_FROM: Final = {
    "seq2seq": ("bitext", "feattext", "img"),
    "lm": ("monotext",),
    "seqtagger": ("bitext", "feattext"),
}


@dataclass(frozen=True)
class TrainingData:
    """Vocabularies and data sets.

    features_shifted: whether word features of the target are stored one step after their word; train: returns
    the data set of an epoch (from 1); resampled: whether that differs between epochs.
    """

    data_type: str
    vocabularies: Vocabularies
    features_shifted: bool
    train: Callable[[int], Dataset]
    resampled: bool
    valid: Dataset | None

    @classmethod
    def open(cls, options: AnyTrainOptions, known: Vocabularies | None, logger: Logger) -> "TrainingData":
        """Open the data that the options name. `known`: the vocabularies of a model that is trained further.

        Raises DataError, or OptionError for data that this kind of model does not learn from.
        """
        return _open_prepared(options, logger) if options.data else _open_raw(options, known, logger)

    @property
    def sizes(self) -> DataSizes:
        """Sizes of the data that a model depends on."""
        return DataSizes(
            src=tuple(len(vocabulary) for vocabulary in self.vocabularies.src),
            tgt=tuple(len(vocabulary) for vocabulary in self.vocabularies.tgt),
            src_vector_size=self.vocabularies.src_vector_size,
            src_image_size=self.vocabularies.src_image_size,
            features_shifted=self.features_shifted,
        )


def _open_prepared(options: AnyTrainOptions, logger: Logger) -> TrainingData:
    logger.info(f"Loading data from '{options.data}'...")
    data = open_prepared(options.data)
    wanted = _LEARNT_FROM[options.model_type]
    if data.data_type not in wanted:
        raise OptionError(
            f"-model_type {options.model_type} learns from {' or '.join(wanted)} data, "
            f"but '{options.data}' is {data.data_type} data"
        )
    return TrainingData(
        data_type=data.data_type,
        vocabularies=data.vocabularies,
        features_shifted=bool(data.options.get("time_shift_feature", True)),
        train=lambda _: data.train,
        resampled=False,
        valid=data.valid,
    )


def _open_raw(options: AnyTrainOptions, known: Vocabularies | None, logger: Logger) -> TrainingData:
    if known is not None:
        if not known.src:
            kind = "images" if known.src_image_size else "vectors"
            raise OptionError(
                f"the model of -train_from reads {kind}, not texts: prepare them with preprocess.py and give "
                "-data"
            )
        _compare_vocabulary_files(options, known, logger)
    folder = Path(options.save_model).parent  # has room for models, so for encoded sentences too
    raw = RawData(options, load_hook_module(options.hook_file, logger), options.seed, folder, logger, known)
    return TrainingData(
        data_type="monotext" if options.model_type == "lm" else "bitext",
        vocabularies=raw.vocabularies,
        features_shifted=options.time_shift_feature,
        train=raw.train,
        resampled=raw.sampled,
        valid=raw.valid,
    )


def _compare_vocabulary_files(options: AnyTrainOptions, known: Vocabularies, logger: Logger) -> None:
    """Warn if a vocabulary file that the user names is not the model's vocabulary."""
    logger.info("The text is encoded with the vocabularies of the model")
    for side in options.sides():
        words = known.src if side.name == "source" else known.tgt
        if side.vocab and words and read_vocabulary(side.vocab).words != words[0].words:
            logger.warning(
                f"'{side.vocab}' is ignored: it differs from the {side.name} vocabulary of the model, which "
                "only -update_vocab changes"
            )


class _BatchTooLargeError(OnmtError):
    """A training step ran out of memory; the message names its batches and the flags to lower."""


@contextmanager
def naming_batches(batches: Sequence[Batch], when: str) -> Iterator[None]:
    """Turn an allocation failure into _BatchTooLargeError; when: the step, as `epoch 1, iteration 2`."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        detail = str(error).partition("\n")[0]
        raise _BatchTooLargeError(
            f"out of memory at {when}, with {' and '.join(map(_describe, batches)) or 'no batch'}: lower "
            "-max_batch_size or -max_tokens (-accum_count keeps the sentences per update), the lengths that "
            "preprocessing keeps (-src_seq_length, -tgt_seq_length), or the model's -rnn_size and -layers"
            + (f" ({detail})" if detail else "")
        ) from error


def _describe(batch: Batch) -> str:
    target = "" if batch.tgt_output is None else f" and target length {batch.tgt_output.shape[1]}"
    return f"a batch of {batch.size} sentences of source length {batch.src.shape[1]}{target}"


class _EpochBatches:
    """The batches of a training set in the order of each epoch: as stored for the first `curriculum` epochs,
    then shuffled.

    With N replicas an iteration takes N x `accumulated` consecutive batches of that order. Each replica gets
    every N-th of them.
    """

    def __init__(
        self,
        dataset: SentenceSet,
        plan: BatchPlan,
        curriculum: int,
        accumulated: int,
        seed: int,
        replicas: Replicas,
        device: torch.device,
    ) -> None:
        self._accumulated = accumulated
        self._dataset = dataset
        self.plan = plan
        self._curriculum = curriculum
        self._seed = seed
        self._replicas = replicas
        self._device = device

    @property
    def iterations(self) -> int:
        """The number of iterations per epoch."""
        return -(-len(self.plan) // (self._replicas.size * self._accumulated))

    def take(self, epoch: int, first: int) -> Iterator[tuple[Batch, ...]]:
        """Yield this replica's batches of each iteration from `first` (from 1) on, on its device.

        The last iteration may have fewer batches, or none.
        """
        size, rank = self._replicas.size, self._replicas.rank
        order = epoch_order(len(self.plan), epoch, self._curriculum, self._seed)
        mine = range((first - 1) * size * self._accumulated + rank, len(order), size)
        batches = prefetch(lambda place: self._batch(int(order[place])), mine)
        for _ in range(first, self.iterations + 1):
            yield tuple(islice(batches, self._accumulated))

    def _batch(self, index: int) -> Batch:
        return self._dataset.batch(self.plan[index]).to(self._device)


def _plan(sentences: SentenceSet, options: OptimOptions) -> BatchPlan:
    most = options.max_batch_size or len(sentences)
    return plan_batches(sentences.src_lengths, most, options.max_tokens, options.uneven_batches)


class StoredBatches:
    """All batches of a data set in stored order; each iteration over them reads them again."""

    def __init__(self, dataset: Dataset, plan: BatchPlan, device: torch.device) -> None:
        self._dataset = dataset
        self._plan = plan
        self._device = device

    @classmethod
    def of(cls, dataset: Dataset, options: OptimOptions, device: torch.device) -> "StoredBatches":
        """Return the batches that the options make of the data set."""
        return cls(dataset, _plan(dataset, options), device)

    def __iter__(self) -> Iterator[Batch]:
        return prefetch(
            lambda index: self._dataset.batch(self._plan[index]).to(self._device), range(len(self._plan))
        )


class _StepBatches:
    """The batches of consecutive passes over the data, in epochs of `iterations` steps.

    total: number of steps, counted from the first epoch, after which there are no more batches; 0: no limit.
    The batch of a step depends only on the step's number, as the order of a pass does.
    """

    def __init__(self, passes: _EpochBatches, iterations: int, total: int) -> None:
        self._passes = passes
        self._total = total
        self.iterations = iterations

    @property
    def plan(self) -> BatchPlan:
        """The plan of a pass."""
        return self._passes.plan

    def take(self, epoch: int, first: int) -> Iterator[tuple[Batch, ...]]:
        """See `_EpochBatches.take`."""
        step, end = (epoch - 1) * self.iterations + first - 1, epoch * self.iterations
        if self._total > 0:
            end = min(end, self._total)
        while step < end:
            number, place = divmod(step, self._passes.iterations)
            for batches in self._passes.take(number + 1, place + 1):
                yield batches
                step += 1
                if step >= end:
                    return


_WORDS_IN: Final = {False: "source", True: "target"}  # by whether there is a target


@dataclass(frozen=True)
class Epoch:
    """The sentences of an epoch and their batches; output_words: see `TrainingStep`."""

    sentences: SentenceSet
    batches: _EpochBatches | _StepBatches
    output_words: Tensor | None

    def take(self, epoch: int, first: int) -> Iterator[Sequence[Batch] | DataError]:
        """Yield this replica's batches of each iteration from `first` (from 1) on, on its device.

        A DataError is yielded as the last item, so that the replicas can agree to stop.
        """
        try:
            yield from self.batches.take(epoch, first)
        except DataError as error:
            yield error

    def largest_batch(self) -> Batch:
        """Return the batch with the most positions, padding and both sides counted; the first of several."""
        plan = self.batches.plan
        starts = plan.bounds[:-1]
        longest = np.maximum.reduceat(self.sentences.src_lengths, starts).astype(np.int64)
        if self.sentences.tgt_lengths is not None:
            longest = longest + np.maximum.reduceat(self.sentences.tgt_lengths, starts)
        return self.sentences.batch(plan[int(np.argmax(longest * np.diff(plan.bounds)))])


class Epochs:
    """Chooses the sentences and batches of each epoch. They depend on the epoch's number, and with
    `-sample_type perplexity` on the losses before it, so a resumed run sees the same ones.

    vary: whether the sentences differ between epochs.
    """

    def __init__(
        self,
        options: AnyTrainOptions,
        data: TrainingData,
        sampler_state: Mapping[str, Any] | None,
        replicas: Replicas,
        device: torch.device,
        logger: Logger,
    ) -> None:
        """sampler_state: what `sampler_state` returned, None for a new training."""
        self._options = options
        self._data = data.train
        self._sampler = (
            Sampler.of(options, options.seed, replicas, logger, sampler_state) if options.sample else None
        )
        self._replicas = replicas
        self._device = device
        self._logger = logger
        self._current: tuple[int, Epoch] | None = None
        self.vary = data.resampled or self._sampler is not None

    def load(self, number: int) -> Epoch:
        """Return the sentences and batches of this epoch, from 1. All replicas must call this."""
        if self._current is None or (self.vary and self._current[0] != number):
            self._current = None  # frees its memory for the next one
            self._current = (number, self._epoch(number))
        return self._current[1]

    def measure(self, iteration: int, batch: Batch, losses: Tensor) -> None:
        """Pass the losses of a training step to the sampler, see `Sampler.measure`."""
        if self._sampler is not None:
            self._sampler.measure(iteration, batch, losses)

    def gather_losses(self) -> None:
        """Exchange losses between replicas, before `sampler_state`; all replicas must call this."""
        if self._sampler is not None:
            self._sampler.gather_losses()

    def sampler_state(self) -> dict[str, Any] | None:
        """Return the state of the sampler for a checkpoint."""
        return None if self._sampler is None else self._sampler.to_state()

    def _epoch(self, number: int) -> Epoch:
        data = self._data(number)
        sentences: SentenceSet = data
        if self._sampler is not None:
            drawn = self._sampler.draw(number, len(data))
            self._logger.info(f" * sampled {len(drawn)} of {len(data)} sentences for epoch {number}")
            sentences = Selection(data, drawn)
        return Epoch(sentences, self._batches(sentences), self._output_words(sentences))

    def _batches(self, sentences: SentenceSet) -> _EpochBatches | _StepBatches:
        options = self._options
        passes = _EpochBatches(
            sentences,
            _plan(sentences, options),
            options.curriculum,
            options.accum_count,
            options.seed,
            self._replicas,
            self._device,
        )
        if not options.counts_steps:
            return passes
        return _StepBatches(passes, options.eval_every_n_steps or passes.iterations, options.train_steps)

    def _output_words(self, sentences: SentenceSet) -> Tensor | None:
        """Return the ids of the words that `-sample_vocab` restricts predictions to; None: all words."""
        if not self._options.sample_vocab:
            return None
        words = np.union1d([PAD], sentences.predicted_words())
        side = _WORDS_IN[sentences.tgt_lengths is not None]
        self._logger.info(f" * importance sampling: keeping {len(words)} {side} words")
        return to_device(torch.from_numpy(words), self._device)
