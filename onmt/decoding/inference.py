"""Using language models and taggers: scores, samples and tags for sentences of any length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import EOS
from onmt.data.batch import make_batch, pad_sequences, to_device
from onmt.data.sentences import SentenceEncoder
from onmt.data.vocabulary import Vocabularies
from onmt.decoding.sentences import Reference, Source, batch_of, by_length, ids_of
from onmt.models.language_model import LanguageModel
from onmt.models.tagger import Tagger
from onmt.runtime.random import numpy_generator


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How to sample: longest output in words (what is given is never cut), softmax temperature, seed."""

    max_length: int = 100
    temperature: float = 1.0
    seed: int = 3435


class LanguageModelUser:
    """Scores and continues sentences with a language model (Lua: onmt/lm/LM.lua)."""

    def __init__(self, model: LanguageModel, vocabularies: Vocabularies) -> None:
        self._model = model
        self._vocabularies = vocabularies.src
        self._shifted = model.spec.policies.features_shifted
        self._device = next(model.parameters()).device

    def score(self, sources: Sequence[Source], batch_size: int) -> list[float]:
        """Negative log-likelihood of each sentence's words and features, divided by the number of words + 1.

        As in the original the end of the sentence is not scored, though the divisor seems to count it.
        An empty sentence scores 0.
        """
        scores = [0.0] * len(sources)
        for places in by_length(sources, batch_size):
            sequences = [self._begun(sources[place]) for place in places]
            lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
            batch = make_batch(pad_sequences(sequences), lengths, None, None, np.array(places))
            with torch.inference_mode():
                losses = self._model.loss(batch.to(self._device), None).per_sentence.double().cpu()
            for place, mean in zip(places, (losses / torch.from_numpy(lengths)).tolist(), strict=True):
                scores[place] = mean
        return scores

    def sample(
        self, sources: Sequence[Source], first: int, batch_size: int, settings: SamplingSettings
    ) -> list[Reference]:
        """Each sentence continued by words drawn from the model until `</s>`; features are the likeliest.

        `first`: the number of the first sentence. Together with the seed it decides what is drawn, so the
        samples do not depend on the batch.
        """
        samples = []
        for start in range(0, len(sources), batch_size):
            batch = sources[start : start + batch_size]
            draws = np.stack(
                [
                    numpy_generator(settings.seed, "language model sample", first + start + place).random(
                        max(settings.max_length, *(len(source) for source in batch)) + 1
                    )
                    for place in range(len(batch))
                ]
            )
            with torch.inference_mode():
                samples += self._sample(batch, to_device(torch.from_numpy(draws), self._device), settings)
        return samples

    def _sample(
        self, sources: Sequence[Source], draws: Tensor, settings: SamplingSettings
    ) -> list[Reference]:
        """draws: B T+1, uniform, for the words up to the longest output T."""
        steps = draws.shape[1]
        tokens, known = self._given(sources, steps)
        given = to_device(torch.tensor([len(source) for source in sources]), self._device)
        limits = given.clamp(min=settings.max_length)
        ends = limits + 1  # position of the end symbol
        state = self._model.start(len(sources))
        for position in range(steps):
            output = self._model.step(tokens[:, position], state)
            state = output.state
            words, *features = output.log_probs
            best = [_draw(words, settings.temperature, draws[:, position])]
            best += [scores.argmax(dim=1) for scores in features]
            following = torch.stack(best, dim=1)
            ended = (following[:, 0] == EOS) & ~known[:, position + 1, 0]
            ends = torch.where(ended, ends.clamp(max=position + 1), ends)
            tokens[:, position + 1] = torch.where(known[:, position + 1], tokens[:, position + 1], following)
            if bool((ends <= position + 1).all()):
                break
        return [
            self._reference(source, row, end - 1)
            for source, row, end in zip(sources, tokens.cpu().numpy(), ends.tolist(), strict=True)
        ]

    def _given(self, sources: Sequence[Source], steps: int) -> tuple[Tensor, Tensor]:
        """What is given to read at each position, `<s>` first: ids, and which of them are given, B T+2 F."""
        features = len(self._vocabularies) - 1
        tokens = torch.zeros(len(sources), steps + 1, 1 + features, dtype=torch.int64)
        known = torch.zeros_like(tokens, dtype=torch.bool)
        for row, source in enumerate(sources):
            sequence = torch.from_numpy(self._marked(source))
            count = len(sequence) - 1  # without the end symbol
            tokens[row, :count] = sequence[:count]
            known[row, :count] = True
            if self._shifted and count < steps + 1:
                tokens[row, count, 1:] = sequence[count, 1:]
                known[row, count, 1:] = True
        return to_device(tokens, self._device), to_device(known, self._device)

    def _reference(self, source: Source, row: npt.NDArray[np.int64], count: int) -> Reference:
        """The `count` words behind `<s>` and their labels; given ones as they were given."""
        delay = 1 if self._shifted else 0
        words, *labels = self._vocabularies
        drawn = [words.word(index) for index in row[1 : count + 1, 0]]
        features = []
        for column, vocabulary in enumerate(labels):
            found = [vocabulary.word(index) for index in row[1 + delay : count + 1 + delay, column + 1]]
            given = source.features[column] if source.features else ()
            features.append((*given, *found[len(given) :]))
        return Reference((*source.words, *drawn[len(source) :]), tuple(features))

    def _marked(self, source: Source) -> npt.NDArray[np.int64]:
        """`<s> w1..wn </s>` and features, n + 2 x F."""
        encoder = SentenceEncoder(self._vocabularies, marked=True, shifted=self._shifted)
        return ids_of(encoder, source.words, source.features)

    def _begun(self, source: Source) -> npt.NDArray[np.int64]:
        return np.ascontiguousarray(self._marked(source)[:-1])


def _draw(log_probs: Tensor, temperature: float, draws: Tensor) -> Tensor:
    """Words drawn from softmax(log_probs / temperature): R V and R uniform numbers -> R."""
    cumulated = torch.softmax(log_probs.double() / temperature, dim=1).cumsum(dim=1)
    # The last sum may fall short of 1 by rounding.
    return (
        torch.searchsorted(cumulated, draws[:, None].contiguous())
        .squeeze(1)
        .clamp(max=log_probs.shape[1] - 1)
    )


class TaggerUser:
    """Tags sentences (Lua: onmt/tagger/Tagger.lua)."""

    def __init__(self, model: Tagger, vocabularies: Vocabularies) -> None:
        self._model = model
        self._vocabularies = vocabularies
        self._shifted = model.spec.policies.features_shifted
        self._device = next(model.parameters()).device

    def tag(self, sources: Sequence[Source], batch_size: int) -> list[Reference]:
        """A tag, with features if the model has them, per source position."""
        tags = [Reference(())] * len(sources)
        for places in by_length(sources, batch_size):
            batch = batch_of([sources[place] for place in places], None, self._vocabularies, self._shifted)
            with torch.inference_mode():
                moved = batch.to(self._device)
                best = self._model.tag(moved.src, moved.src_lengths, moved.lengths_on_host)
            for place, row in zip(places, best.cpu().numpy(), strict=True):
                columns = [
                    tuple(vocabulary.word(index) for index in row[: len(sources[place]), column])
                    for column, vocabulary in enumerate(self._vocabularies.tgt)
                ]
                tags[place] = Reference(columns[0], tuple(columns[1:]))
        return tags

    def losses(
        self, sources: Sequence[Source], references: Sequence[Reference], batch_size: int
    ) -> list[float]:
        """Summed negative log-likelihood of each sentence's given tags and features, as many as positions."""
        losses = [0.0] * len(sources)
        for places in by_length(sources, batch_size):
            batch = batch_of(
                [sources[place] for place in places],
                [references[place] for place in places],
                self._vocabularies,
                self._shifted,
            )
            with torch.inference_mode():
                measured = self._model.loss(batch.to(self._device), None).per_sentence.tolist()
            for place, loss in zip(places, measured, strict=True):
                losses[place] = loss
        return losses
