"""From source tokens to translations: what translate.py, validation by BLEU and servers call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import BOS, EOS, SPECIAL_WORDS, UNK
from onmt.data.dataset import to_device
from onmt.data.vocabulary import ImageSize, Vocabularies, Vocabulary
from onmt.decoding.beam_search import SearchBatch, beam_search
from onmt.decoding.ensemble import Ensemble, Member
from onmt.decoding.hypotheses import History, Path, Trace
from onmt.decoding.inputs import Reference, Source, by_length
from onmt.decoding.lexicon import ExtendedVocabulary, Lexicon
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.scoring import Average
from onmt.decoding.step import Sampling, SearchSettings
from onmt.errors import OptionError
from onmt.models.loading import LoadedModel
from onmt.models.networks import LanguageModel, Seq2Seq
from onmt.runtime.random import numpy_generator
from onmt.text.lines import has_placeholder, join_features, with_values
from onmt.text.words import CASE_FEATURES
from onmt.text.words import NONE as NO_CASE

_Vectors = npt.NDArray[np.float32]
_Progress = Callable[[int], object]  # called with the number of sources that are done since the last call


def _ignore(done: int) -> None:
    """Ignore the progress."""


@dataclass(frozen=True)
class Hypothesis:
    """A translation.

    features: per target feature the label of every word. score: sum of log-probabilities, `</s>` included,
    normalised if norms are on; -inf: nothing was found. attention: words x source positions, None without
    attention. copying: for each word the probability that the step copied from the source instead of
    generating, None where the model cannot.
    """

    words: list[str]
    features: list[list[str]]
    score: float
    attention: npt.NDArray[np.float32] | None
    copying: npt.NDArray[np.float32] | None = None

    @property
    def tokens(self) -> list[str]:
        """The words with their features."""
        return join_features(self.words, self.features)


@dataclass(frozen=True)
class Translation:
    """The result of translating one source.

    hypotheses: n_best of them, best first; none for an empty source. gold_score: log-probability of the
    reference's words and `</s>`. history: see `-save_beam_to`.
    """

    hypotheses: list[Hypothesis] = field(default_factory=list)
    gold_score: float | None = None
    history: History | None = None


class Translator:
    """Translates with one model or an ensemble, optionally with a language model."""

    def __init__(
        self,
        model: Seq2Seq,
        vocabularies: Vocabularies,
        options: TranslatorOptions,
        language_model: LoadedModel | None = None,
        batch_invariant: bool = False,
        others: Sequence[LoadedModel] = (),
        average: Average = "mean",
    ) -> None:
        """Read the files that the options name. The model computes where its parameters are.

        batch_invariant: scores and attention are the same to the last bit in whatever batch, see `Fillers`;
        the smaller the batch, the more it costs. others: the further models of an ensemble, whose predictions
        are averaged with the model's.
        Raises OptionError where models and options do not go together, DataError for unreadable files.
        """
        self._model = model
        self._vocabularies = vocabularies
        self._options = options
        self._device = next(model.parameters()).device
        target = vocabularies.tgt[0]
        self._settings = replace(
            _settings_of(options, model), repeatable=_repeatable(options.ignore_when_blocking, target)
        )
        self._lexicon = Lexicon(options, target, self._device) if options.needs_lexicon else None
        lm = None if language_model is None else _fitting_language_model(language_model, vocabularies)
        first = Member(model, vocabularies, self.allowed)
        members = [first, *map(first.partner, others)]
        self._ensemble = Ensemble(members, average, lm, options.lm_weight, batch_invariant)
        self._has_case = len(vocabularies.tgt) > 1 and _has_case_labels(vocabularies.tgt[1])
        _check_source_words(options, model, self._ensemble)
        if first.copies:
            options.check_copying()

    @property
    def allowed(self) -> Tensor | None:
        """Ids of the target words that may be used, None: all."""
        return None if self._lexicon is None else self._lexicon.allowed

    @property
    def reads_vectors(self) -> bool:
        """Sources are vectors, not words."""
        return not self._vocabularies.src and self.image_size is None

    @property
    def image_size(self) -> ImageSize | None:
        """Sources are images of this size, not words."""
        return self._vocabularies.src_image_size

    @property
    def image_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the grid that attention to an image is over."""
        return self._ensemble.image_grid

    @property
    def attends(self) -> bool:
        """Translations come with attention."""
        return self._ensemble.attends

    @property
    def target_vocabulary(self) -> Vocabulary:
        """The vocabulary of the target words."""
        return self._vocabularies.tgt[0]

    def unknown_words(self, source: Source) -> int:
        """The number of source words that the vocabulary does not have."""
        return self._vocabularies.src[0].ids(source.words).count(UNK) if self._vocabularies.src else 0

    def source(self, tokens: Sequence[str]) -> Source:
        """Tokens, with features attached, as a source.

        Raises DataError for other features than the model's.
        """
        return Source.of(tokens, self._vocabularies.src)

    def source_vectors(self, vectors: _Vectors) -> Source:
        """Frames x dimension as a source. Raises DataError for another dimension than the model's."""
        return Source.of_vectors(vectors, self._vocabularies.src_vector_size)

    def reference(self, tokens: Sequence[str]) -> Reference:
        """Tokens as a reference. Raises DataError for other features than the model's."""
        return Reference.of(tokens, self._vocabularies.tgt)

    def translate(
        self,
        sources: Sequence[Source],
        batch_size: int,
        references: Sequence[Reference] | None = None,
        progress: _Progress = _ignore,
    ) -> list[Translation]:
        """Translate the sources, `batch_size` at a time; the results are in the order of the sources."""
        results = [Translation()] * len(sources)
        progress(sum(len(source) == 0 for source in sources))
        for batch in by_length(sources, batch_size):
            gold = None if references is None else [references[place] for place in batch]
            translations = self._translate([sources[place] for place in batch], gold)
            for place, translation in zip(batch, translations, strict=True):
                results[place] = translation
            progress(len(batch))
        return results

    def score(
        self, sources: Sequence[Source], references: Sequence[Reference], batch_size: int
    ) -> list[float | None]:
        """Log-probability of each reference's words and `</s>`, None for an empty source."""
        results: list[float | None] = [None] * len(sources)
        for places in by_length(sources, batch_size):
            with torch.inference_mode():
                gold = [references[place] for place in places]
                batches = self._ensemble.batches([sources[place] for place in places], gold)
                scores = self._ensemble.gold_scores(batches)
            for place, score in zip(places, scores, strict=True):
                results[place] = score
        return results

    def encode(
        self, sources: Sequence[Source], batch_size: int, progress: _Progress = _ignore
    ) -> list[npt.NDArray[np.float32] | None]:
        """The last final state of the (first) model's encoder for each source, None for an empty one."""
        model = self._ensemble.first
        results: list[npt.NDArray[np.float32] | None] = [None] * len(sources)
        for places in by_length(sources, batch_size):
            with torch.inference_mode():
                states = model.encode(model.batch([sources[place] for place in places], None)).states[-1]
            for place, state in zip(places, states.cpu().numpy(), strict=True):
                results[place] = state
            progress(len(places))
        return results

    @torch.inference_mode()
    def _translate(self, sources: list[Source], gold: list[Reference] | None) -> list[Translation]:
        """Translate one batch of sources that are not empty."""
        batches = self._ensemble.batches(sources, gold)
        gold_scores = None if gold is None else self._ensemble.gold_scores(batches)
        first_label = EOS if self._model.spec.policies.features_shifted else BOS
        labels = (first_label,) * (len(self._vocabularies.tgt) - 1)
        constraints = None if self._lexicon is None else self._lexicon.constraints(sources)
        slots = self._settings.slots(1 if constraints is None else constraints.levels)
        scorer, attention_mask = self._ensemble.start(batches, sources, slots)
        result = beam_search(
            scorer,
            SearchBatch(batches[0].src_lengths, attention_mask, labels, self._draws(sources)),
            self._settings,
            constraints,
        )
        past: Sequence[History | None] = [None] * len(sources)
        if self._options.save_beam_to:
            past = self._histories(result.traces, sources)
        return [
            Translation(
                [self._hypothesis(path, source) for path in paths],
                None if gold_scores is None else gold_scores[place],
                past[place],
            )
            for place, (source, paths) in enumerate(zip(sources, result.paths, strict=True))
        ]

    def _draws(self, sources: list[Source]) -> Tensor | None:
        """Uniform numbers for sampling, B K T: a sentence's do not depend on the batch and `-n_best`."""
        if self._settings.sampling is None:
            return None
        samples, seed = range(self._settings.n_best), self._options.seed
        numbers = [
            [
                numpy_generator(seed, "translation sample", source.number, sample).random(
                    self._settings.max_length + 1
                )
                for sample in samples
            ]
            for source in sources
        ]
        return to_device(torch.from_numpy(np.array(numbers)), self._device)

    def _histories(self, traces: list[Trace], sources: list[Source]) -> list[History]:
        """The history of the search for each source, with the words that could be copied from it."""
        past = History.of_sentences(traces, len(sources))
        if not self._ensemble.first.copies:
            return past
        return [
            replace(one, extra_words=self._extended(source).extra)
            for one, source in zip(past, sources, strict=True)
        ]

    def _extended(self, source: Source) -> ExtendedVocabulary:
        return ExtendedVocabulary.of(self.target_vocabulary, source.words)

    def _hypothesis(self, path: Path, source: Source) -> Hypothesis:
        vocabulary = self._extended(source) if self._ensemble.first.copies else self.target_vocabulary
        words = [vocabulary.word(token) for token in path.tokens]
        if self._lexicon is not None and self._options.replaces_unknown_words and path.attention is not None:
            words = self._lexicon.replace_unknown(words, source.words, path.attention)
        untouched = [has_placeholder(word) for word in words]
        words = [with_values(word, source.placeholders) for word in words]
        delay = 1 if self._model.spec.policies.features_shifted else 0
        labels = path.features[delay : delay + len(words)]
        features = [
            [vocabulary.word(row[column]) for row in labels]
            for column, vocabulary in enumerate(self._vocabularies.tgt[1:])
        ]
        if self._has_case:
            # The value of a placeholder keeps its case, whatever label the model gives it.
            pairs = zip(features[0], untouched, strict=False)
            features[0] = [NO_CASE if kept else label for label, kept in pairs]
        return Hypothesis(words, features, path.score, path.attention, path.copying)


def _settings_of(options: TranslatorOptions, model: Seq2Seq) -> SearchSettings:
    """The settings of a search, from the user's options and the model's dialect."""
    limit = options.max_num_unks
    return SearchSettings(
        beam_size=options.beam_size,
        n_best=options.n_best,
        max_length=options.max_sent_length,
        max_unknowns=int(limit) if np.isfinite(limit) else None,
        pre_filter_factor=options.pre_filter_factor,
        length_norm=options.length_norm,
        coverage_norm=options.coverage_norm,
        eos_norm=options.eos_norm,
        min_length=options.min_length,
        block_ngrams=options.block_ngram_repeat,
        ban_unknown=options.ban_unk,
        sampling=_sampling_of(options) if options.samples else None,
        finished=model.spec.policies.finished,
        length_penalty=model.spec.policies.length_penalty,
    )


def _sampling_of(options: TranslatorOptions) -> Sampling:
    return Sampling(
        top_k=max(0, options.random_sampling_topk),
        top_p=options.top_p,
        temperature=options.random_sampling_temp,
    )


def _check_source_words(options: TranslatorOptions, model: Seq2Seq, ensemble: Ensemble) -> None:
    """Raise OptionError for options that need source words or attention, where the model has none."""
    if options.replaces_unknown_words and not ensemble.attends:
        raise OptionError("-replace_unk needs a model with attention; this one has none")
    if (options.replaces_unknown_words or options.constrains) and model.spec.source.kind != "embeddings":
        raise OptionError(
            "-replace_unk and constraints need source words, but this model does not read words"
        )


def _has_case_labels(vocabulary: Vocabulary) -> bool:
    """Whether a feature's labels are those of `-case_feature`."""
    return set(vocabulary.words) - set(SPECIAL_WORDS) <= set(CASE_FEATURES)


def _repeatable(words: Sequence[str], vocabulary: Vocabulary) -> tuple[int, ...]:
    """Ids of words of `-ignore_when_blocking`. Raises OptionError for one that the vocabulary lacks."""
    for word in words:
        if word not in vocabulary:
            raise OptionError(
                f"-ignore_when_blocking {word}: the target vocabulary has no such word; give words as the "
                "model has them, with joiners"
            )
    return tuple(vocabulary.id(word) for word in words)


def _fitting_language_model(loaded: LoadedModel, vocabularies: Vocabularies) -> LanguageModel:
    """The language model. Raises OptionError unless its vocabulary is the target vocabulary."""
    if not isinstance(loaded.model, LanguageModel):
        raise OptionError(
            f"-lm_model {loaded.path}: this is a {loaded.spec.model_type} model, not a language model"
        )
    theirs = [vocabulary.words for vocabulary in loaded.vocabularies.src]
    if theirs != [vocabulary.words for vocabulary in vocabularies.tgt]:
        raise OptionError(
            f"-lm_model {loaded.path}: its vocabulary is not the target vocabulary of the translation model"
        )
    return loaded.model
