"""The run of translate.py: reads windows of sentences, translates them, writes results and log in order."""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import torch
from tqdm import tqdm

from onmt.constants import UNK_WORD
from onmt.data.images import beside, read_image
from onmt.decoding.ensemble import with_search_of
from onmt.decoding.inputs import Input, Picture, Reference, Source, errors_at, read_windows
from onmt.decoding.options import TranslateOptions
from onmt.decoding.output import Results, Timer
from onmt.decoding.pictures import AttentionPlots
from onmt.decoding.translator import Hypothesis, Translation, Translator
from onmt.errors import CheckpointError, OptionError
from onmt.hooks import load_hook_module, tokenizer_hooks
from onmt.kernels.products import Products
from onmt.logger import Logger
from onmt.models.loading import LoadedModel, load_model
from onmt.models.networks import Seq2Seq
from onmt.runtime.device import products_of, select_device
from onmt.text.tokenizer import Detokenizer, Tokenizer


@dataclass
class _Scores:
    """The sum of log-probabilities, `</s>` included, and the number of words, without `</s>`."""

    total: float = 0.0
    words: int = 0

    def add(self, score: float, words: int) -> None:
        """Add one sentence."""
        self.total += score
        self.words += words

    def line(self, name: str) -> str:
        """Mean per word and perplexity, as Lua's translate.lua logs them."""
        mean = _ratio(self.total, self.words)
        return f"{name} AVG SCORE: {mean:.2f}, {name} PPL: {_exp(-mean):.2f}"


@dataclass
class _Coverage:
    """Numbers of words and of unknown words."""

    words: int = 0
    unknown: int = 0

    def add(self, words: int, unknown: int) -> None:
        """Add one sentence."""
        self.words += words
        self.unknown += unknown

    @property
    def percent(self) -> str:
        """The share of unknown words, rounded down to a tenth of a percent."""
        share = _ratio(self.unknown * 1000, self.words)
        return f"{share if math.isnan(share) else math.floor(share) / 10:.14g}%"


def _ratio(total: float, count: int) -> float:
    """total / count; nan where count is 0."""
    return total / count if count else math.nan


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


class TranslationRun:
    """One call of translate.py."""

    def __init__(self, options: TranslateOptions, given: Set[str], logger: Logger) -> None:
        """`given`: the flags that the user set."""
        if options.plot_attention:
            AttentionPlots.require_matplotlib()
        self._options = options
        self._given = given
        self._logger = logger
        self._translator = self._load()
        self._hooks = tokenizer_hooks(load_hook_module(options.hook_file, logger), options)
        self._tokenizer = Tokenizer.of(options.tok_src, self._hooks)
        self._reference_tokenizer = Tokenizer.of(options.tok_tgt, self._hooks)
        self._detokenizer = Detokenizer.of(options.tok_tgt, self._hooks)
        for place, side in enumerate((options.tok_src, options.tok_tgt), start=1):
            logger.info(f"Using on-the-fly '{side.mode}' tokenization for input {place}")
        self._count = 0
        self._sources, self._targets = _Coverage(), _Coverage()
        self._predicted, self._gold = _Scores(), _Scores()
        self._timer = Timer()

    def run(self) -> None:
        """Translate everything."""
        options = self._options
        images = self._translator.image_size is not None
        if images and options.idx_files:
            raise OptionError("-idx_files has no meaning for a model that reads images: leave it out")
        windows = read_windows(
            options.src,
            options.tgt,
            options.batch_size,
            keyed=options.idx_files,
            vectors=self._translator.reads_vectors,
            ahead=not images,  # they all have one size: sorting gains nothing
        )
        with (
            Results(options, self._translator) as results,
            tqdm(unit="sentence", disable=None, leave=False) as bar,
        ):
            for window in windows:
                sources = [
                    replace(self._source(one), number=number)
                    for number, one in enumerate(window, start=self._count + 1)
                ]
                if options.dump_input_encoding:
                    self._encode(window, sources, results, bar.update)
                else:
                    self._translate(window, sources, results, bar.update)
                results.flush()
            results.finish()
        self._log_summary()

    def _load(self) -> Translator:
        options, logger = self._options, self._logger
        device = select_device(options, logger)
        products = products_of(options, device, logger, frozen=True)
        first, *others = (self._load_model(path, device, products) for path in options.model)
        assert isinstance(first.model, Seq2Seq)
        language_model = None
        if options.lm_model:
            logger.info(f"Loading '{options.lm_model}'...")
            language_model = load_model(options.lm_model, device, products)
        self._options = options = with_search_of(first, options, self._given)
        translator = Translator(
            first.model,
            first.vocabularies,
            options,
            language_model,
            others=others,
            average=options.ensemble,
        )
        if translator.allowed is not None:
            logger.info(
                f"Using target vocabulary from {options.target_subdict} ({len(translator.allowed)} vocabs)"
            )
        return translator

    def _load_model(self, path: str, device: torch.device, products: Products) -> LoadedModel:
        """A translation model. Raises CheckpointError for one of another kind."""
        self._logger.info(f"Loading '{path}'...")
        loaded = load_model(path, device, products)
        self._logger.info(f"Model {loaded.spec.model_type} trained on {loaded.data_type}")
        if not isinstance(loaded.model, Seq2Seq):
            raise CheckpointError(
                f"{path}: this is a {loaded.spec.model_type} model; only seq2seq models translate "
                "(tools/tag.py and tools/lm.py are for the others)"
            )
        return loaded

    def _source(self, one: Input) -> Source:
        vectors, text, image_size = one.vectors, one.text, self._translator.image_size
        if vectors is not None:
            with errors_at(one.where):
                return self._translator.source_vectors(vectors)
        assert text is not None
        if image_size is not None:
            name = text.partition("\t")[0].strip()
            if not name:
                return Source()
            colours = read_image(beside(self._options.src, name), image_size, one.where)
            return Source(picture=Picture(name, colours))
        with errors_at(one.where):
            return self._translator.source(self._tokens(text, self._tokenizer))

    def _reference(self, one: Input) -> Reference:
        assert one.gold is not None
        tokens = self._tokens(one.gold, self._reference_tokenizer)
        with errors_at(one.gold_where):
            return self._translator.reference(tokens)

    def _tokens(self, line: str, tokenizer: Tokenizer) -> list[str]:
        return tokenizer.tokenize(self._hooks.preprocessed([line])[0])

    def _translate(
        self,
        window: Sequence[Input],
        sources: Sequence[Source],
        results: Results,
        progress: Callable[[int], object],
    ) -> None:
        references = [self._reference(one) for one in window] if self._options.tgt else None
        with self._timer.running():
            translations = self._translator.translate(sources, self._options.batch_size, references, progress)
        for place, translation in enumerate(translations):
            source = sources[place]
            if self._begin(window[place], source, results):
                if references is not None:
                    self._report_gold(references[place], translation)
                self._report(source, translation, results)
            self._logger.info("")

    def _encode(
        self,
        window: Sequence[Input],
        sources: Sequence[Source],
        results: Results,
        progress: Callable[[int], object],
    ) -> None:
        with self._timer.running():
            encodings = self._translator.encode(sources, self._options.batch_size, progress)
        for one, source, encoding in zip(window, sources, encodings, strict=True):
            if self._begin(one, source, results) and encoding is not None:
                self._sources.add(len(source), self._translator.unknown_words(source))
                results.encoding(self._count, encoding)
            self._logger.info("")

    def _begin(self, one: Input, source: Source, results: Results) -> bool:
        """Log the next source; return False, after writing empty results, if it has no tokens."""
        self._count += 1
        if len(source) == 0:
            self._logger.warning(f"Line {self._count} is empty.")
            results.empty()
            return False
        if source.picture is not None:
            self._logger.info(f"IMG {self._count}: {source.picture.name}")
        elif source.vectors is None:
            self._logger.info(f"SENT {self._count}: {source.text}")
        else:
            self._logger.info(f"FEATS {self._count}: IDX - {one.key} - SIZE {len(source)}")
        return True

    def _report_gold(self, reference: Reference, translation: Translation) -> None:
        assert translation.gold_score is not None
        self._logger.info(f"GOLD {self._count}: {reference.text}")
        self._logger.info(f"GOLD SCORE: {translation.gold_score:.2f}")
        self._gold.add(translation.gold_score, len(reference.words))

    def _report(self, source: Source, translation: Translation, results: Results) -> None:
        """Write and log the translations of one source."""
        best, several = translation.hypotheses[0], len(translation.hypotheses) > 1
        self._sources.add(len(source), self._translator.unknown_words(source))
        self._targets.add(len(best.words), best.words.count(UNK_WORD))
        self._predicted.add(best.score, len(best.words))
        texts = [self._text(hypothesis) for hypothesis in translation.hypotheses]
        results.translation(self._count, source, translation, texts)
        if several:
            self._logger.info("")
            self._logger.info("BEST HYP:")
        for text, hypothesis in zip(texts, translation.hypotheses, strict=True):
            if several:
                self._logger.info(f"[{hypothesis.score:.2f}] {text}")
            else:
                self._logger.info(f"PRED {self._count}: {text}")
                self._logger.info(f"PRED SCORE: {hypothesis.score:.2f}")

    def _text(self, hypothesis: Hypothesis) -> str:
        tokens = hypothesis.tokens
        return self._detokenizer.detokenize(tokens) if self._options.detokenize_output else " ".join(tokens)

    def _log_summary(self) -> None:
        src, tgt, logger = self._sources, self._targets, self._logger
        logger.info(
            f"Translated {src.words} words, src unk count: {src.unknown}, coverage: {src.percent}, "
            f"tgt words: {tgt.words} words, tgt unk count: {tgt.unknown}, coverage: {tgt.percent}, "
        )
        if self._options.time:
            self._timer.log(logger, "translation", self._count)
        if not self._options.dump_input_encoding:
            logger.info(self._predicted.line("PRED"))
            if self._options.tgt:
                logger.info(self._gold.line("GOLD"))
