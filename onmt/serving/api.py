"""The Python API: load a model, translate lines of text. See docs/python.md.

All functions may be called from several threads at once. They print nothing and never exit. An error that a
user can cause is raised as OnmtError or one of its subclasses.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Literal, TypeVar, Unpack

import numpy as np
import numpy.typing as npt

from onmt.commandline.run import failure_of
from onmt.commandline.values import check_options
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.ensemble import with_search_of
from onmt.decoding.inference import LanguageModelRunner, TaggerRunner
from onmt.decoding.inputs import Reference, Source, errors_at
from onmt.decoding.options import EnsembleOptions, TranslateDataOptions, TranslatorOptions
from onmt.decoding.scoring import Average
from onmt.decoding.translator import Hypothesis, Translation, Translator
from onmt.errors import CheckpointError, DataError, OnmtError, OptionError
from onmt.hooks import load_hook_module, tokenizer_hooks
from onmt.logger import Logger, LoggerOptions
from onmt.models.loading import LoadedModel, load_model
from onmt.models.networks import LanguageModel, Seq2Seq, Tagger
from onmt.runtime.device import Place, place_of
from onmt.runtime.options import DeviceOptions
from onmt.serving.options import TranslatorKeywords, options_from
from onmt.text.lines import join_features
from onmt.text.options import TokenizerOptions
from onmt.text.tokenizer import TOKENS, TextPipeline

Parsed = TypeVar("Parsed")
Path = str | PathLike[str]


@dataclass(frozen=True)
class LineHypothesis:
    """One translation of a line.

    text: the translation, detokenized. score: log-probability, normalised if norms are on; -inf if nothing
    was found. tokens: words before detokenization. features: for each target feature, the label of every
    word. attention: tokens x source positions; None without attention. copying: for each token, the
    probability that the step copied from the source instead of generating; None if the model cannot copy.
    """

    text: str
    score: float
    tokens: list[str]
    features: list[list[str]]
    attention: npt.NDArray[np.float32] | None
    copying: npt.NDArray[np.float32] | None = None

    @property
    def tokenized(self) -> str:
        """Tokens with their features, joined by blanks."""
        return " ".join(join_features(self.tokens, self.features))


@dataclass(frozen=True)
class TranslatedLine:
    """The translations of a line, best first; none for a line without words.

    source_tokens: the words that the model read. source_features: for each feature, the label of every word.
    """

    source_tokens: list[str]
    source_features: list[list[str]]
    hypotheses: list[LineHypothesis]

    @property
    def text(self) -> str:
        """The best translation, empty if there is none."""
        return self.hypotheses[0].text if self.hypotheses else ""

    @property
    def source(self) -> str:
        """The source's tokens with their features, joined by blanks."""
        return " ".join(join_features(self.source_tokens, self.source_features))


@dataclass(frozen=True)
class Models:
    """Model files of a translator, and how an ensemble of several is averaged."""

    paths: tuple[str, ...]
    average: Average = "mean"


class TextTranslator:
    """Translates lines with one model or an ensemble. Made by `load_translator`."""

    def __init__(self, translator: Translator, pipeline: TextPipeline, batch_size: int) -> None:
        self._translator = translator
        self._pipeline = pipeline
        self._batch_size = batch_size
        self._lock = threading.Lock()

    def translate(self, lines: Sequence[str]) -> list[TranslatedLine]:
        """Translate each line. Raises DataError, naming the line, if the model cannot read it."""
        return self.translate_sources(self._sources(lines))

    def score(self, lines: Sequence[str], translations: Sequence[str]) -> list[float | None]:
        """Return the log-probability of each given translation, end symbol included; None for an empty line.

        Raises DataError if the lists differ in length, or, naming the line, if the model cannot read a line.
        """
        if len(lines) != len(translations):
            raise DataError(f"{len(lines)} lines, but {len(translations)} translations")
        sources = self._sources(lines)
        with errors_of_users():
            references = _each("translation", translations, self._reference)
            with self._lock:
                return self._translator.score(sources, references, self._batch_size)

    def source(self, line: str, labels: Sequence[str] = ()) -> Source:
        """Tokenize a line for the model; `labels` are word features added to each of its tokens.

        With random sampling, the draws depend on the source's `number`.
        """
        with errors_of_users():
            return self._translator.source(self._pipeline.source_tokens(line, labels))

    def translate_sources(self, sources: Sequence[Source]) -> list[TranslatedLine]:
        """Translate sources made by `source`; the results come in the same order."""
        with errors_of_users():
            with self._lock:
                translations = self._translator.translate(sources, self._batch_size)
            return [
                self._line(source, translation)
                for source, translation in zip(sources, translations, strict=True)
            ]

    def _sources(self, lines: Sequence[str]) -> list[Source]:
        sources = _each("line", lines, self.source)
        return [replace(source, number=number) for number, source in enumerate(sources, start=1)]

    def _reference(self, line: str) -> Reference:
        return self._translator.reference(self._pipeline.target_tokens(line))

    def _line(self, source: Source, translation: Translation) -> TranslatedLine:
        return TranslatedLine(
            list(source.words),
            [list(labels) for labels in source.features],
            [self._hypothesis(hypothesis) for hypothesis in translation.hypotheses],
        )

    def _hypothesis(self, found: Hypothesis) -> LineHypothesis:
        text = self._pipeline.text(found.tokens)
        return LineHypothesis(text, found.score, found.words, found.features, found.attention, found.copying)


class LineTagger:
    """Tags lines of tokens. Made by `load_tagger`."""

    def __init__(self, loaded: LoadedModel, batch_size: int) -> None:
        if not isinstance(loaded.model, Tagger):
            raise _wrong_kind(loaded, "a sequence tagger")
        self._vocabularies = loaded.vocabularies
        self._user = TaggerRunner(loaded.model, loaded.vocabularies)
        self._batch_size = batch_size
        self._lock = threading.Lock()

    def tag(self, lines: Sequence[str]) -> list[list[str]]:
        """Return a tag for every token of each line; features, if the model has them, are attached."""
        with errors_of_users(), self._lock:
            tags = self._user.tag(_token_sources(lines, self._vocabularies.src), self._batch_size)
        return [join_features(one.words, one.features) for one in tags]


class LineScorer:
    """Scores lines of tokens with a language model. Made by `load_language_model`."""

    def __init__(self, loaded: LoadedModel, batch_size: int) -> None:
        if not isinstance(loaded.model, LanguageModel):
            raise _wrong_kind(loaded, "a language model")
        self._vocabularies = loaded.vocabularies
        self._user = LanguageModelRunner(loaded.model, loaded.vocabularies)
        self._batch_size = batch_size
        self._lock = threading.Lock()

    def score(self, lines: Sequence[str]) -> list[float]:
        """Score lines as `tools/lm.py score` does: negative log-likelihood over number of tokens + 1."""
        with errors_of_users(), self._lock:
            return self._user.score(_token_sources(lines, self._vocabularies.src), self._batch_size)


def load_translator(
    model: Path | Sequence[Path],
    *,
    ensemble: Average = "mean",
    tokenizer: TokenizerOptions | None = None,
    target_tokenizer: TokenizerOptions | None = None,
    hook_file: str = "",
    gpuid: int = 0,
    precision: Literal["fp32", "tf32", "bf16"] = DeviceOptions.precision,
    batch_size: int = TranslateDataOptions.batch_size,
    **search: Unpack[TranslatorKeywords],
) -> TextTranslator:
    """Load a translation model (ours or Lua's), or an ensemble of several with the same target vocabulary.

    ensemble: average the models' probabilities (`"mean"`) or log-probabilities (`"log_mean"`).
    tokenizer: tokenizes lines and detokenizes translations; `target_tokenizer`, if given, replaces it for the
    target side. Without either, lines and translations are tokens separated by blanks.
    gpuid: number of the GPU from 1, 0 for the CPU. search: flags of translate.py, as in `beam_size=5`.

    Raises OptionError for options that do not exist or do not fit the model, CheckpointError for a file that
    is not a translation model, DataError for an unreadable file named by an option.
    """
    with errors_of_users():
        options = options_from(TranslatorOptions, dict(search))
        for side in (tokenizer, target_tokenizer):
            check_options(side or TOKENS)
        hooks = tokenizer_hooks(load_hook_module(hook_file), tokenizer or TOKENS)
        pipeline = TextPipeline(tokenizer or TOKENS, target_tokenizer or tokenizer, hooks)
        place = _silent_place(gpuid, precision)
        paths = [model] if isinstance(model, str | PathLike) else model
        if not paths:
            raise OptionError("invalid argument for option model: it must name at least one file")
        average = options_from(EnsembleOptions, {"ensemble": ensemble}).ensemble
        models = Models(tuple(fspath(path) for path in paths), average)
        return open_translator(models, options, frozenset(search), place, pipeline, _checked(batch_size))


def load_tagger(
    model: Path,
    *,
    gpuid: int = 0,
    precision: Literal["fp32", "tf32", "bf16"] = DeviceOptions.precision,
    batch_size: int = TranslateDataOptions.batch_size,
) -> LineTagger:
    """Load a sequence tagger; arguments and errors as for `load_translator`."""
    return LineTagger(_load(model, gpuid, precision), _checked(batch_size))


def load_language_model(
    model: Path,
    *,
    gpuid: int = 0,
    precision: Literal["fp32", "tf32", "bf16"] = DeviceOptions.precision,
    batch_size: int = TranslateDataOptions.batch_size,
) -> LineScorer:
    """Load a language model; arguments and errors as for `load_translator`."""
    return LineScorer(_load(model, gpuid, precision), _checked(batch_size))


def open_translator(
    models: Models,
    options: TranslatorOptions,
    given: frozenset[str],
    place: Place,
    pipeline: TextPipeline,
    batch_size: int,
) -> TextTranslator:
    """Create a translator from model files. given: flags that the user set; they override the first model's.

    On the CPU, results do not depend on the batch, to the last bit. Errors: see `load_translator`.
    """
    first, *others = (_load_text_model(path, place) for path in models.paths)
    assert isinstance(first.model, Seq2Seq)
    if pipeline.restores_case and len(first.vocabularies.tgt) == 1:
        raise OptionError(f"{first.path}: -case_feature needs a model whose translations have a word feature")
    language_model = load_model(options.lm_model, place.device, place.products) if options.lm_model else None
    translator = Translator(
        first.model,
        first.vocabularies,
        with_search_of(first, options, given),
        language_model,
        batch_invariant=True,
        others=others,
        average=models.average,
    )
    return TextTranslator(translator, pipeline, batch_size)


def _load_text_model(path: str, place: Place) -> LoadedModel:
    """Load a model that translates text. Raises CheckpointError for a model of another kind."""
    loaded = load_model(path, place.device, place.products)
    if not isinstance(loaded.model, Seq2Seq):
        raise _wrong_kind(loaded, "a translation model")
    if not loaded.vocabularies.src:
        raise CheckpointError(f"{path}: this model reads no text, but vectors or images")
    return loaded


@contextmanager
def errors_of_users() -> Iterator[None]:
    """Turn errors that a user can cause, such as out of memory or an unreadable file, into an OnmtError."""
    try:
        yield
    except OnmtError:
        raise
    except Exception as error:
        failure = failure_of(error)
        if failure is None or failure.message is None:
            raise
        raise OnmtError(failure.message) from error


def _load(model: Path, gpuid: int, precision: str) -> LoadedModel:
    with errors_of_users():
        place = _silent_place(gpuid, precision)
        return load_model(fspath(model), place.device, place.products)


def _silent_place(gpuid: int, precision: str) -> Place:
    options = options_from(DeviceOptions, {"gpuid": (gpuid,), "precision": precision})
    return place_of(options, Logger(LoggerOptions(disable_logs=True), None))


def _wrong_kind(loaded: LoadedModel, wanted: str) -> CheckpointError:
    return CheckpointError(f"{loaded.path}: this is a {loaded.spec.model_type} model, not {wanted}")


def _checked(batch_size: int) -> int:
    if batch_size < 1:
        raise OptionError("invalid argument for option batch_size: it must be at least 1")
    return batch_size


def _each(what: str, lines: Sequence[str], parse: Callable[[str], Parsed]) -> list[Parsed]:
    """Parse each line; a DataError names the line by `what` and its number."""
    if isinstance(lines, str):  # its characters would be taken for lines
        raise DataError("expected a list of lines, not one text: put it into a list")
    parsed = []
    for number, line in enumerate(lines, start=1):
        with errors_at(f"{what} {number}"):
            parsed.append(parse(line))
    return parsed


def _token_sources(lines: Sequence[str], vocabularies: Sequence[Vocabulary]) -> list[Source]:
    """Turn lines of tokens into sources. Raises DataError, naming the line, if one does not fit the model."""
    pipeline = TextPipeline()
    return _each("line", lines, lambda line: Source.of(pipeline.source_tokens(line), vocabularies))
