"""The runs of tools/lm.py and tools/tag.py: windows of lines in, results and log out, in order."""

from collections.abc import Iterator, Sequence

from tqdm import tqdm

from onmt.decoding.inference import LanguageModelUser, SamplingSettings, TaggerUser
from onmt.decoding.inputs import Input, ResultFile, read_inputs, require_same_length, windows
from onmt.decoding.options import LmOptions, TagOptions
from onmt.decoding.output import number, reference_text, source_text
from onmt.decoding.sentences import Reference, Source, make_reference, make_source, make_vector_source, placed
from onmt.decoding.summary import Timer
from onmt.errors import CheckpointError, DataError
from onmt.logger import Logger
from onmt.models.language_model import LanguageModel
from onmt.models.loading import LoadedModel, load_model
from onmt.models.tagger import Tagger
from onmt.runtime.device import products_of, select_device
from onmt.text.lines import split_words

WINDOW = 20  # batches read at a time from a file


def run_lm(options: LmOptions, logger: Logger) -> None:
    """Score or continue every line of `-src`."""
    logger.info(f"Loading '{options.model}'...")
    device = select_device(options, logger)
    loaded = load_model(options.model, device, products_of(options, device, logger, frozen=True))
    if not isinstance(loaded.model, LanguageModel):
        raise CheckpointError(
            f"{options.model}: this is a {loaded.spec.model_type} model, not a language model"
        )
    user = LanguageModelUser(loaded.model, loaded.vocabularies)
    settings = SamplingSettings(
        max_length=options.max_length, temperature=options.temperature, seed=options.seed
    )
    timer, count = Timer(), 0
    with ResultFile(options.output) as output, tqdm(unit="sentence", disable=None, leave=False) as bar:
        for window in _windows(options.src, "", False, False, options.batch_size):
            sources = [_word_source(one, loaded) for one in window]
            with timer.running():
                if options.mode == "score":
                    results = [number(score) for score in user.score(sources, options.batch_size)]
                else:
                    samples = user.sample(sources, count, options.batch_size, settings)
                    results = [reference_text(sample) for sample in samples]
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
        self._user = TaggerUser(self._loaded.model, self._loaded.vocabularies)
        self._timer = Timer()
        self._count = 0

    def run(self) -> None:
        """Tag every line of `-src`."""
        options = self._options
        vectors = not self._loaded.vocabularies.src
        if options.tgt and not options.idx_files and not vectors:
            require_same_length(options.src, options.tgt)
        with ResultFile(options.output) as output, tqdm(unit="sentence", disable=None, leave=False) as bar:
            for window in _windows(options.src, options.tgt, options.idx_files, vectors, options.batch_size):
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
                    self._logger.info(f"GOLD {self._count}: {reference_text(references[place])}")
                    self._logger.info(f"GOLD SCORE: {losses[place]:.2f}")
                self._logger.info(f"PRED {self._count}: {reference_text(tags[place])}")
            output.write(reference_text(tags[place]) + "\n")
            self._logger.info("")

    def _log_source(self, one: Input, source: Source) -> None:
        if source.vectors is None:
            self._logger.info(f"SENT {self._count}: {source_text(source)}")
        else:
            self._logger.info(f"FEATS {self._count}: IDX - {one.key} - SIZE {len(source)}")

    def _source(self, one: Input) -> Source:
        if one.vectors is None:
            return _word_source(one, self._loaded)
        size = self._loaded.vocabularies.src_vector_size
        vectors = one.vectors
        return placed(one.where, lambda: make_vector_source(vectors, size))

    def _reference(self, one: Input, length: int) -> Reference:
        assert one.gold is not None
        tokens = split_words(one.gold)
        reference = placed(one.gold_where, lambda: make_reference(tokens, self._loaded.vocabularies.tgt))
        if len(reference.words) != length:
            raise DataError(
                f"{one.gold_where}: {len(reference.words)} tags for the {length} positions of {one.where}"
            )
        return reference


def _word_source(one: Input, loaded: LoadedModel) -> Source:
    assert one.text is not None
    tokens = split_words(one.text)
    return placed(one.where, lambda: make_source(tokens, loaded.vocabularies.src))


def _windows(src: str, tgt: str, keyed: bool, vectors: bool, batch_size: int) -> Iterator[list[Input]]:
    """What is read at a time: a batch from standard input; more from a file, to be sorted by length."""
    size = batch_size * (1 if src == "-" else WINDOW)
    return windows(read_inputs(src, tgt, keyed, vectors), size)
