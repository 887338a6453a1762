"""Words that options or the source bring in: constraints, replacements of `<unk>`, copied source words.

A translation without such options, by a model that does not copy, calls nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import (
    BOS,
    EOS,
    PAD,
    PLACEHOLDER_CLOSE,
    PLACEHOLDER_OPEN,
    UNK,
    UNK_WORD,
)
from onmt.data.dataset import Batch, CopyIds, to_device
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.beam_search import Constraints
from onmt.decoding.inputs import Reference, Source, read_lines
from onmt.decoding.options import TranslatorOptions
from onmt.errors import DataError
from onmt.text.lines import PLACEHOLDER, has_placeholder, without_values

_SEPARATOR: Final = "|||"


class Lexicon:
    """The options about words: -phrase_table, -target_subdict, constraints, replacement of `<unk>`.

    A translator has one only where `TranslatorOptions.needs_lexicon`.
    """

    def __init__(self, options: TranslatorOptions, target: Vocabulary, device: torch.device) -> None:
        """Read the files that the options name. Raises DataError for unreadable ones."""
        self._options = options
        self._target = target
        self._device = device
        self._table = _read_phrase_table(options.phrase_table) if options.phrase_table else {}
        self.allowed: Tensor | None = None
        """Ids, ascending, of the target words that may be used; None: all."""
        if options.target_subdict:
            allowed = torch.tensor(_read_subdictionary(options.target_subdict, target))
            self.allowed = to_device(allowed, device)
        reserved = self.placeholders() if options.placeholder_constraints else []
        self._reserved = to_device(torch.tensor(reserved, dtype=torch.int64), device)

    def placeholders(self) -> list[int]:
        """Ids, ascending, of the target words with a placeholder in them."""
        return [index for index, word in enumerate(self._target.words) if has_placeholder(word)]

    def constraints(self, sources: Sequence[Source]) -> Constraints | None:
        """The words that the translation of each source must contain; None without constraints."""
        options = self._options
        if not options.constrains:
            return None
        required = [self.required_words(source.words) for source in sources]
        if options.ban_unk:
            required = [[word for word in words if word != UNK] for words in required]
        words = torch.full((len(sources), max(map(len, required))), PAD, dtype=torch.int64)
        for row, ids in zip(words, required, strict=True):
            row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
        return Constraints(to_device(words, self._device), options.limit_lexical_constraints, self._reserved)

    def required_words(self, words: Sequence[str]) -> list[int]:
        """Ids of the target words that the translation of source words must contain.

        -placeholder_constraints: each of the source's placeholders, once; where the target has it only with
        other joiners or letters around it, the most frequent such word. -lexical_constraints: the translation
        in the phrase table of every occurrence of a source word. Words that the target vocabulary lacks are
        left out.
        """
        required: list[str] = []
        if self._options.placeholder_constraints:
            wanted = dict.fromkeys(word for word in words if has_placeholder(word))
            required += [_in_target(word, self._target) for word in wanted]
        if self._options.lexical_constraints:
            required += [self._table[word] for word in words if word in self._table]
        return [self._target.id(word) for word in required if word in self._target]

    def replace_unknown(
        self, words: Sequence[str], source: Sequence[str], attention: npt.NDArray[np.floating]
    ) -> list[str]:
        """Replace each `<unk>` according to the source word with the most attention.

        attention: T S. The replacement is the source word's entry in the phrase table, or else the word
        itself, as `｟unk:word｠` with -replace_unk_tagged.
        """
        replaced = list(words)
        for place, word in enumerate(words):
            if word == UNK_WORD:
                attended = source[int(attention[place].argmax())]
                tagged = f"{PLACEHOLDER_OPEN}unk:{attended}{PLACEHOLDER_CLOSE}"
                kept = attended if self._options.replace_unk else tagged
                replaced[place] = self._table.get(attended, kept)
        return replaced


def _read_phrase_table(path: str) -> dict[str, str]:
    """Read translations of single words from `source ||| target` lines; the last line of a word counts.

    Lines of google/seq2seq's mappings have a tab instead and possibly more fields, which are ignored.
    Raises DataError, naming the line, where a line does not have exactly two fields.
    """
    table = {}
    for number, line in enumerate(read_lines(path), start=1):
        is_mapping = _SEPARATOR not in line and "\t" in line
        parts = line.split("\t")[:2] if is_mapping else line.split(_SEPARATOR)
        fields = [field.strip(" \t") for field in parts]
        if len(fields) != 2:
            raise DataError(
                f"{path}, line {number}: expected 'source word {_SEPARATOR} target word', found '{line[:80]}'"
            )
        table[fields[0]] = fields[1]
    return table


def _read_subdictionary(path: str, vocabulary: Vocabulary) -> list[int]:
    """Read the ids, ascending, of the allowed words, one per line; all special words but PAD are allowed."""
    words = {line.strip(" \t") for line in read_lines(path)}
    known = {vocabulary.id(word) for word in words if word in vocabulary}
    return sorted((known | {UNK, BOS, EOS}) - {PAD})


def _in_target(word: str, target: Vocabulary) -> str:
    """The target's word for a source word with placeholders."""
    if word in target:
        return word
    names = PLACEHOLDER.findall(word)
    return next((other for other in target.words if PLACEHOLDER.findall(other) == names), word)


@dataclass(frozen=True)
class ExtendedVocabulary:
    """The target vocabulary followed by the words of one source that it lacks, which a model can copy.

    The first of the words `extra` has the id len(target).
    """

    target: Vocabulary
    extra: tuple[str, ...]

    @classmethod
    def of(cls, target: Vocabulary, words: Sequence[str]) -> "ExtendedVocabulary":
        """The vocabulary for a source of these words."""
        unknown = (word for word, index in zip(words, target.ids(words), strict=True) if index == UNK)
        return cls(target, tuple(word for word in dict.fromkeys(unknown) if word != UNK_WORD))

    def __len__(self) -> int:
        return len(self.target) + len(self.extra)

    def word(self, index: int) -> str:
        """The word of an id."""
        known = len(self.target)
        return self.target.word(index) if index < known else self.extra[index - known]

    def ids(self, words: Sequence[str]) -> list[int]:
        """The ids of words, UNK where there is none."""
        places = {word: len(self.target) + place for place, word in enumerate(self.extra)}
        return [
            places.get(word, UNK) if index == UNK else index
            for word, index in zip(words, self.target.ids(words), strict=True)
        ]


def with_copies(
    batch: Batch, sources: Sequence[Source], gold: Sequence[Reference] | None, target: Vocabulary
) -> Batch:
    """Add the words that can be copied to a batch of these sources, none of them empty."""
    vocabularies = [ExtendedVocabulary.of(target, source.words) for source in sources]
    pairs = list(zip(vocabularies, sources, strict=True))
    source_ids = _padded([extended.ids(source.words) for extended, source in pairs], batch.src.shape[1])
    target_ids = None
    if gold is not None and batch.tgt_output is not None:
        rows = [
            [*extended.ids(tuple(map(without_values, reference.words))), EOS]
            for extended, reference in zip(vocabularies, gold, strict=True)
        ]
        target_ids = _padded(rows, batch.tgt_output.shape[1])
    return replace(batch, copies=CopyIds(source_ids, target_ids, max(map(len, vocabularies))))


def _padded(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Rows of ids as one tensor, B x length."""
    padded = np.zeros((len(rows), length), dtype=np.int64)
    for row, ids in enumerate(rows):
        padded[row, : len(ids)] = ids
    return torch.from_numpy(padded)
