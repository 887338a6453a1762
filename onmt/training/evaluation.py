"""Measure a model on the validation data."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import torch

from onmt.constants import PAD
from onmt.data.dataset import Batch, Dataset
from onmt.data.vocabulary import Vocabularies
from onmt.decoding.inputs import Picture, Source
from onmt.decoding.translator import Translator
from onmt.files import replacing
from onmt.models.base import Model
from onmt.models.loading import LoadedModel, load_model
from onmt.models.networks import Seq2Seq
from onmt.scorers import ROUGE_SCORERS, SCORERS, sentence_score
from onmt.training.data import StoredBatches
from onmt.training.options import AnyTrainOptions
from onmt.training.progress import perplexity
from onmt.training.trainer_options import Postprocess

_NAMES: Final[Mapping[str, str]] = {
    "bleu": "BLEU",
    "ter": "TER",
    "dlratio": "DLratio",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
}
_SCORERS: Final = {**SCORERS, **ROUGE_SCORERS}
_BATCH_SIZE: Final = 30  # sentences translated at a time
_CHUNK: Final = 10 * _BATCH_SIZE  # sentences between two checks for a signal


class _Part(Protocol):
    """Measures some of the metrics."""

    def scores(self, model: Model, epoch: int, between_batches: Callable[[], None]) -> dict[str, float]:
        """See `Evaluator.scores`."""


class Evaluator:
    """Measures a model on the validation data, by `-validation_metric` and `-log_metrics`."""

    def __init__(
        self, options: AnyTrainOptions, valid: Dataset, vocabularies: Vocabularies, device: torch.device
    ) -> None:
        metrics = tuple(dict.fromkeys((options.validation_metric, *options.log_metrics)))
        losses = [metric for metric in metrics if metric in ("perplexity", "loss")]
        others = [metric for metric in metrics if metric not in losses]
        parts: list[_Part] = []
        if losses:
            parts.append(_LossPart(StoredBatches.of(valid, options, device), losses))
        if others:
            # Batches on the CPU, where ids are turned back into words.
            batches = StoredBatches.of(valid, options, torch.device("cpu"))
            language_model = load_model(options.lm_model, device) if options.lm_model else None
            parts.append(_TranslationPart(others, batches, vocabularies, options, language_model))
        # The metric that decides comes first.
        self._parts = parts if options.validation_metric in losses else parts[::-1]

    def scores(self, model: Model, epoch: int, between_batches: Callable[[], None]) -> dict[str, float]:
        """Return scores by their names in the log; the first one is that of `-validation_metric`.

        `between_batches` is called often, and may raise to stop.
        """
        found: dict[str, float] = {}
        for part in self._parts:
            found |= part.scores(model, epoch, between_batches)
        return found


class _LossPart:
    """Measures perplexity, mean loss, or both, without dropout and scheduled sampling."""

    def __init__(self, batches: Iterable[Batch], names: Sequence[str]) -> None:
        """names: `perplexity`, `loss`, or both, in the order of the log."""
        self._batches = batches
        self._names = names

    def scores(self, model: Model, epoch: int, between_batches: Callable[[], None]) -> dict[str, float]:
        """See `Evaluator.scores`."""
        words = 0
        losses = []
        with torch.inference_mode():
            for batch in self._batches:
                measured = model.loss(batch, None)
                losses.append(measured.total.double())
                words += measured.words
                between_batches()
        total = float(torch.stack(losses).sum())
        return {name: total / words if name == "loss" else perplexity(total, words) for name in self._names}


def _joined(words: list[str], how: Postprocess) -> list[str]:
    """Join subwords of subword-nmt or of SentencePiece into words."""
    if how == "strip_bpe" and words:
        return " ".join(words).replace("@@ ", "").split(" ")
    if how == "decode_sentencepiece":
        return "".join(words).replace("\u2581", " ").split()
    return words


class _TranslationPart:
    """Translates the validation sources and compares the words with the references; scores are in percent.

    Sources and references are rebuilt from ids, so words outside the vocabulary are `<unk>`.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        batches: Iterable[Batch],
        vocabularies: Vocabularies,
        options: AnyTrainOptions,
        language_model: LoadedModel | None,
    ) -> None:
        """metrics: those that compare translations, by their names in the options."""
        self._scorers = {_NAMES[metric]: _SCORERS[metric] for metric in metrics}
        self._batches = batches
        self._vocabularies = vocabularies
        self._options = options
        self._language_model = language_model

    def scores(self, model: Model, epoch: int, between_batches: Callable[[], None]) -> dict[str, float]:
        """See `Evaluator.scores`."""
        assert isinstance(model, Seq2Seq)
        translator = Translator(model, self._vocabularies, self._options, self._language_model)
        hypotheses: list[list[str]] = []
        references: list[list[str]] = []
        pairs = self._pairs()
        while chunk := list(islice(pairs, _CHUNK)):
            sources = [replace(source, number=n) for n, (source, _) in enumerate(chunk, len(hypotheses) + 1)]
            translations = translator.translate(sources, _BATCH_SIZE)
            for (_, reference), translation in zip(chunk, translations, strict=True):
                hypotheses.append(translation.hypotheses[0].words if translation.hypotheses else [])
                references.append(reference)
            between_batches()
        hypotheses, references = (
            [_joined(words, self._options.metrics_postprocess) for words in texts]
            for texts in (hypotheses, references)
        )
        every = self._options.save_validation_translation_every
        if every and epoch % every == 0:
            self._write(epoch, hypotheses, references)
        return {name: 100 * scorer(hypotheses, [references]).value for name, scorer in self._scorers.items()}

    def _pairs(self) -> Iterator[tuple[Source, list[str]]]:
        for on_device in self._batches:
            batch = on_device.to("cpu")  # one transfer instead of a synchronisation per sentence
            assert batch.tgt_output is not None
            for row in range(batch.size):
                target = batch.tgt_output[row, :, 0]
                length = int((target != PAD).sum()) - 1  # without </s>
                words = [self._vocabularies.tgt[0].word(index) for index in target[:length].tolist()]
                yield self._source(batch, row), words

    def _source(self, batch: Batch, row: int) -> Source:
        """Rebuild a source of a batch from its ids, vectors or pixels."""
        if self._vocabularies.src_image_size is not None:
            return Source(picture=Picture("", batch.src[row].numpy()))
        positions = batch.src[row, : int(batch.src_lengths[row])]
        if not self._vocabularies.src:
            return Source(vectors=positions.numpy())
        columns = [
            tuple(map(vocabulary.word, column.tolist()))
            for vocabulary, column in zip(self._vocabularies.src, positions.unbind(1), strict=True)
        ]
        return Source(columns[0], tuple(columns[1:]))

    def _write(self, epoch: int, hypotheses: list[list[str]], references: list[list[str]]) -> None:
        path = Path(f"{self._options.save_model}_epoch{epoch}_validation_translation.txt")
        scorer = next(iter(self._scorers.values()))
        with replacing(path) as file:
            for hypothesis, reference in zip(hypotheses, references, strict=True):
                score = 100 * sentence_score(scorer, hypothesis, [reference]).value
                line = f"{score:.2f} ||| {' '.join(hypothesis)} ||| {' '.join(reference)}\n"
                file.write(line.encode("utf-8"))
