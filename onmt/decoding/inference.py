"""Apply language models and taggers to text: batches of sentences, and whole files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from onmt.constants import EOS
from onmt.data.dataset import make_batch, pad_sequences, to_device
from onmt.data.sentences import SentenceEncoder
from onmt.data.vocabulary import Vocabularies
from onmt.decoding.inference_options import LmOptions, TagOptions
from onmt.decoding.inputs import (
    Input,
    Reference,
    Source,
    batch_of,
    by_length,
    errors_at,
    read_windows,
)
from onmt.decoding.output import ResultFile, Timer
from onmt.decoding.step import Sampling
from onmt.errors import CheckpointError, DataError
from onmt.logger import Logger
from onmt.models.loading import LoadedModel, load_model
from onmt.models.networks import LanguageModel, Tagger
from onmt.runtime.device import products_of, select_device
from onmt.runtime.random import numpy_generator
from onmt.text.lines import split_words


@dataclass(frozen=True, kw_only=True)
class _SamplingSettings:
    """Settings of sampling: longest output in words (given words are never cut), temperature, seed."""

    max_length: int = 100
    temperature: float = 1.0
    seed: int = 3435


class LanguageModelRunner:
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
        self, sources: Sequence[Source], first: int, batch_size: int, settings: _SamplingSettings
    ) -> list[Reference]:
        """Continue each sentence by words drawn from the model until `</s>`; features are the likeliest.

        first: the number of the first sentence. A sentence's number and the seed determine its draws, so that
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
        self, sources: Sequence[Source], draws: Tensor, settings: _SamplingSettings
    ) -> list[Reference]:
        """Continue one batch. draws: B T+1, uniform numbers for the words up to the longest output T."""
        steps = draws.shape[1]
        tokens, known = self._given(sources, steps)
        given = to_device(torch.tensor([len(source) for source in sources]), self._device)
        limits = given.clamp(min=settings.max_length)
        ends = limits + 1  # position of the end symbol
        state = self._model.start(len(sources))
        sampling = Sampling(temperature=settings.temperature)
        for position in range(steps):
            output = self._model.step(tokens[:, position], state)
            state = output.state
            words, *features = output.log_probs
            best = [sampling.draw(words, draws[:, position])]
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
        """Return the given ids at each position, `<s>` first, and which positions are given, B T+2 F."""
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
        """The first `count` words after `<s>` with their labels; given ones as they were given."""
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
        """The ids of `<s> w1..wn </s>` and their features, n + 2 x F."""
        encoder = SentenceEncoder(self._vocabularies, marked=True, shifted=self._shifted)
        return source.ids(encoder)

    def _begun(self, source: Source) -> npt.NDArray[np.int64]:
        return np.ascontiguousarray(self._marked(source)[:-1])


class TaggerRunner:
    """Tags sentences (Lua: onmt/tagger/Tagger.lua)."""

    def __init__(self, model: Tagger, vocabularies: Vocabularies) -> None:
        self._model = model
        self._vocabularies = vocabularies
        self._shifted = model.spec.policies.features_shifted
        self._device = next(model.parameters()).device

    def tag(self, sources: Sequence[Source], batch_size: int) -> list[Reference]:
        """Tag every source position, with features if the model has them."""
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
        """The summed negative log-likelihood of each sentence's given tags and features, one per position."""
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


def run_lm(options: LmOptions, logger: Logger) -> None:
    """Score or continue every line of `-src`."""
    logger.info(f"Loading '{options.model}'...")
    device = select_device(options, logger)
    loaded = load_model(options.model, device, products_of(options, device, logger, frozen=True))
    if not isinstance(loaded.model, LanguageModel):
        raise CheckpointError(
            f"{options.model}: this is a {loaded.spec.model_type} model, not a language model"
        )
    user = LanguageModelRunner(loaded.model, loaded.vocabularies)
    settings = _SamplingSettings(
        max_length=options.max_length, temperature=options.temperature, seed=options.seed
    )
    timer, count = Timer(), 0
    with ResultFile(options.output) as output, tqdm(unit="sentence", disable=None, leave=False) as bar:
        for window in read_windows(options.src, "", options.batch_size):
            sources = [_word_source(one, loaded) for one in window]
            with timer.running():
                if options.mode == "score":
                    # At most 14 significant digits, as Lua prints numbers.
                    results = [f"{score:.14g}" for score in user.score(sources, options.batch_size)]
                else:
                    samples = user.sample(sources, count, options.batch_size, settings)
                    results = [sample.text for sample in samples]
            for result in results:
                count += 1
                logger.info(f"SENT {count}: {result}")
                output.write(result + "\n")
            output.flush()
            bar.update(len(window))
    if options.time:
        timer.log(logger, "processing", count)


class TagRun:
    """One call of tools/tag.py."""

    def __init__(self, options: TagOptions, logger: Logger) -> None:
        self._options = options
        self._logger = logger
        logger.info(f"Loading '{options.model}'...")
        device = select_device(options, logger)
        self._loaded = load_model(options.model, device, products_of(options, device, logger, frozen=True))
        if not isinstance(self._loaded.model, Tagger):
            raise CheckpointError(
                f"{options.model}: this is a {self._loaded.spec.model_type} model, not a sequence tagger"
            )
        self._user = TaggerRunner(self._loaded.model, self._loaded.vocabularies)
        self._timer = Timer()
        self._count = 0

    def run(self) -> None:
        """Tag every line of `-src`."""
        options = self._options
        vectors = not self._loaded.vocabularies.src
        windows = read_windows(
            options.src, options.tgt, options.batch_size, keyed=options.idx_files, vectors=vectors
        )
        with ResultFile(options.output) as output, tqdm(unit="sentence", disable=None, leave=False) as bar:
            for window in windows:
                self._tag(window, output)
                output.flush()
                bar.update(len(window))
        if options.time:
            self._timer.log(self._logger, "tagging", self._count)

    def _tag(self, window: Sequence[Input], output: ResultFile) -> None:
        sources = [self._source(one) for one in window]
        references = None
        if self._options.tgt:
            references = [self._reference(one, len(sources[place])) for place, one in enumerate(window)]
        losses: list[float] = []
        with self._timer.running():
            tags = self._user.tag(sources, self._options.batch_size)
            if references is not None:
                losses = self._user.losses(sources, references, self._options.batch_size)
        for place, source in enumerate(sources):
            self._count += 1
            if len(source) == 0:
                self._logger.warning(f"Line {self._count} is empty.")
            else:
                self._log_source(window[place], source)
                if references is not None:
                    self._logger.info(f"GOLD {self._count}: {references[place].text}")
                    self._logger.info(f"GOLD SCORE: {losses[place]:.2f}")
                self._logger.info(f"PRED {self._count}: {tags[place].text}")
            output.write(tags[place].text + "\n")
            self._logger.info("")

    def _log_source(self, one: Input, source: Source) -> None:
        if source.vectors is None:
            self._logger.info(f"SENT {self._count}: {source.text}")
        else:
            self._logger.info(f"FEATS {self._count}: IDX - {one.key} - SIZE {len(source)}")

    def _source(self, one: Input) -> Source:
        if one.vectors is None:
            return _word_source(one, self._loaded)
        with errors_at(one.where):
            return Source.of_vectors(one.vectors, self._loaded.vocabularies.src_vector_size)

    def _reference(self, one: Input, length: int) -> Reference:
        assert one.gold is not None
        with errors_at(one.gold_where):
            reference = Reference.of(split_words(one.gold), self._loaded.vocabularies.tgt)
        if len(reference.words) != length:
            raise DataError(
                f"{one.gold_where}: {len(reference.words)} tags for the {length} positions of {one.where}"
            )
        return reference


def _word_source(one: Input, loaded: LoadedModel) -> Source:
    assert one.text is not None
    with errors_at(one.where):
        return Source.of(split_words(one.text), loaded.vocabularies.src)
