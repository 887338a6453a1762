"""The vocabularies of a data set: read where the user gives them, built from the training data where not."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from onmt.constants import SPECIAL_WORDS
from onmt.data.corpus import Block, LineBlock, grouped
from onmt.data.options import DataOptions, Side
from onmt.data.reading import CorpusHooks
from onmt.data.sentences import read_sentences
from onmt.data.vocabulary import Vocabulary
from onmt.data.vocabulary_building import (
    COUNTED_AT_A_TIME,
    Counts,
    build_vocabulary,
    count_blocks,
    limit,
    total_counts,
    with_frequencies,
    with_sentence_marks,
)
from onmt.data.word_lists import read_vocabulary
from onmt.errors import DataError
from onmt.logger import Logger
from onmt.runtime.parallel import map_in_order
from onmt.text.case import CASE_FEATURES
from onmt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class SideVocabularies:
    """The vocabularies of one side, words first, and which of them were built and are to be saved."""

    vocabularies: tuple[Vocabulary, ...]
    built: tuple[bool, ...]


class VocabularySetup:
    """Finds or builds the vocabularies of one side with text."""

    def __init__(
        self,
        options: DataOptions,
        side: Side,
        tokenizer: Tokenizer | None,
        hooks: CorpusHooks,
        logger: Logger,
    ) -> None:
        self._options = options
        self._side = side
        self._tokenizer = tokenizer
        self._hooks = hooks
        self._logger = logger

    def run(self, read: Callable[[], Iterable[Block]], workers: int) -> SideVocabularies:
        """The vocabularies. `read` starts reading the side's training data, once or more often.

        Raises DataError for a vocabulary file that is malformed, or vocabularies that do not fit the data.
        """
        number_of_features = self._number_of_features(read())
        words = self._given_words()
        features = self._given_features(number_of_features)
        missing = words is None or len(features) < number_of_features
        counts = Counts()
        if missing or self._options.keep_frequency:
            if missing:
                self._logger.info(f" * Building {self._side.name} vocabularies...")
            count_group = partial(
                count_blocks,
                tokenizer=self._tokenizer,
                max_length=self._side.max_length,
                hooks=self._hooks,
            )
            groups = grouped(read(), COUNTED_AT_A_TIME, lambda block: block.size())
            with closing(map_in_order(count_group, groups, workers)) as results:
                counts = total_counts(results)
        built = [words is None, *([not features] * number_of_features)]
        words = self._build_words(counts) if words is None else self._count_given(words, counts.words)
        features = features or [self._build_feature(counts, j) for j in range(number_of_features)]
        return SideVocabularies((words, *features), tuple(built))

    def _number_of_features(self, blocks: Iterable[Block]) -> int:
        """That of the first sentence that has words."""
        for one in blocks:
            for block in self._hooks.apply([one]):
                assert isinstance(block, LineBlock), "vectors have no vocabulary"
                sentences = read_sentences(block, self._tokenizer)
                for words, features in zip(sentences.words, sentences.features, strict=True):
                    if words:
                        return len(features)
        return 0

    def _given_words(self) -> Vocabulary | None:
        if not self._side.vocab:
            return None
        self._logger.info(f" * Reading {self._side.name} vocabulary from '{self._side.vocab}'...")
        vocabulary = read_vocabulary(self._side.vocab)
        self._logger.info(f" * Loaded {len(vocabulary)} {self._side.name} words")
        return vocabulary

    def _given_features(self, expected: int) -> list[Vocabulary]:
        """The feature vocabularies of `-features_vocabs_prefix`; none when there is no prefix."""
        prefix = self._options.features_vocabs_prefix
        if not prefix:
            return []
        paths = []
        for feature in count(1):
            # Lua looks for the first name only, but saves under the second where there is one text.
            candidates = [
                f"{prefix}.{self._side.name}_feature_{feature}.dict",
                f"{prefix}_feature_{feature}.dict",
            ]
            found = next((path for path in candidates if Path(path).is_file()), None)
            if found is None:
                break
            paths.append(found)
        if len(paths) != expected:
            raise DataError(
                f"-features_vocabs_prefix {prefix}: there are {len(paths)} vocabularies of {self._side.name} "
                f"features ('{candidates[0]}' is missing), but the data has {expected} features"
            )
        vocabularies = []
        for feature, path in enumerate(paths, start=1):
            self._logger.info(f" * Reading {self._side.name} feature {feature} vocabulary from '{path}'...")
            vocabularies.append(Vocabulary.read(path))
            self._logger.info(f" * Loaded {len(vocabularies[-1])} labels")
        return vocabularies

    def _build_words(self, counts: Counts) -> Vocabulary:
        side = self._side
        size, frequency = limit(side.vocab_size, 0), limit(side.words_min_frequency, 0)
        vocabulary = with_sentence_marks(build_vocabulary(counts.words, size, frequency), counts.lines)
        self._log_created("word", vocabulary, counts.words.keys())
        return vocabulary if self._options.keep_frequency else Vocabulary(vocabulary.words)

    def _build_feature(self, counts: Counts, feature: int) -> Vocabulary:
        side = self._side
        counter = counts.features[feature] if counts.features else Counter()
        if side.tokenizer is not None and side.tokenizer.case_feature and feature == 0:
            # Complete from the start: a text may lack words of some case that another text has.
            self._logger.info(" * Building default case feature vocabularies...")
            return with_frequencies(Vocabulary([*SPECIAL_WORDS, *CASE_FEATURES]), counter)
        size, frequency = (
            limit(side.vocab_size, feature + 1),
            limit(side.words_min_frequency, feature + 1),
        )
        vocabulary = build_vocabulary(counter, size, frequency)
        self._log_created(f"feature {feature + 1}", vocabulary, counter.keys())
        return vocabulary

    def _count_given(self, vocabulary: Vocabulary, counter: Counter[str]) -> Vocabulary:
        return with_frequencies(vocabulary, counter) if self._options.keep_frequency else vocabulary

    def _log_created(self, what: str, vocabulary: Vocabulary, found: Iterable[str]) -> None:
        everything = len({*SPECIAL_WORDS, *found})
        self._logger.info(
            f" * Created {what} dictionary of size {len(vocabulary)} (pruned from {everything})"
        )
