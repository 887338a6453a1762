"""Words beyond the target vocabulary: copied, replaced, asked for, placeholders."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from onmt.constants import (
    BOS,
    EOS,
    PLACEHOLDER_CLOSE,
    PLACEHOLDER_OPEN,
    SPECIAL_WORDS,
    UNK,
    UNK_WORD,
)
from onmt.data.dataset import Batch, Copies
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.inputs import Reference, Source, opened, text_lines
from onmt.decoding.options import TranslatorOptions
from onmt.errors import DataError, OptionError
from onmt.models.networks import Seq2Seq
from onmt.text.characters import PLACEHOLDER, has_placeholder, named, with_values
from onmt.text.words import CASE_FEATURES

_SEPARATOR: Final = "|||"


def read_phrase_table(path: str) -> dict[str, str]:
    """Translations of single words from a file of `source ||| target` lines; the last line of a word counts.

    Lines of google/seq2seq's mappings have a tab instead, and more fields perhaps, which are passed over.
    Raises DataError, naming the line, where a line does not have exactly two fields.
    """
    table = {}
    for number, line in enumerate(_lines(path), start=1):
        is_mapping = _SEPARATOR not in line and "\t" in line
        parts = line.split("\t")[:2] if is_mapping else line.split(_SEPARATOR)
        fields = [field.strip(" \t") for field in parts]
        if len(fields) != 2:
            raise DataError(
                f"{path}, line {number}: expected 'source word {_SEPARATOR} target word', found '{line[:80]}'"
            )
        table[fields[0]] = fields[1]
    return table


def read_subdictionary(path: str, vocabulary: Vocabulary) -> list[int]:
    """Ids of the words a file allows, one per line, ascending; special words other than PAD always are."""
    words = {line.strip(" \t") for line in _lines(path)}
    known = {vocabulary.id(word) for word in words if word in vocabulary}
    return sorted((known | {UNK, BOS, EOS}) - {0})


def _lines(path: str) -> list[str]:
    with opened(path) as file:
        return list(text_lines(file, path))


def placeholder_ids(vocabulary: Vocabulary) -> list[int]:
    """Ids of all words of a vocabulary with a placeholder in them, ascending."""
    return [index for index, word in enumerate(vocabulary.words) if has_placeholder(word)]


def required_words(
    words: Sequence[str], target: Vocabulary, placeholders: bool, table: Mapping[str, str] | None
) -> list[int]:
    """Target ids that the translation of `words` must contain.

    `placeholders`: each of the source's placeholders, once; where other joiners or letters stand around it in
    the target, the most frequent such word. `table`: the translation of every occurrence of a word in it.
    Only words of the target vocabulary count.
    """
    required: list[str] = []
    if placeholders:
        wanted = dict.fromkeys(word for word in words if has_placeholder(word))
        required += [_in_target(word, target) for word in wanted]
    if table is not None:
        required += [table[word] for word in words if word in table]
    return [target.id(word) for word in required if word in target]


def _in_target(word: str, target: Vocabulary) -> str:
    """The target's word for a source word with placeholders."""
    if word in target:
        return word
    names = PLACEHOLDER.findall(word)
    return next((other for other in target.words if PLACEHOLDER.findall(other) == names), word)


def has_case_labels(vocabulary: Vocabulary) -> bool:
    """Whether a feature's labels are those of `-case_feature`."""
    return set(vocabulary.words) - set(SPECIAL_WORDS) <= set(CASE_FEATURES)


def replace_unknown(
    words: Sequence[str],
    source: Sequence[str],
    attention: npt.NDArray[np.floating],
    table: Mapping[str, str],
    tagged: bool,
) -> list[str]:
    """`words` with each `<unk>` replaced after the source word of greatest attention.

    attention: T S. The source word's entry in `table` is taken, or the word itself, as `｟unk:word｠` if
    `tagged`.
    """
    replaced = list(words)
    for place, word in enumerate(words):
        if word == UNK_WORD:
            attended = source[int(attention[place].argmax())]
            kept = f"{PLACEHOLDER_OPEN}unk:{attended}{PLACEHOLDER_CLOSE}" if tagged else attended
            replaced[place] = table.get(attended, kept)
    return replaced


def restore_placeholders(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """`words` with the names of placeholders replaced by the values that the source had for them."""
    return [with_values(word, values) for word in words]


def copies(model: Seq2Seq) -> bool:
    """Whether a model copies source words."""
    assert model.spec.decoder is not None
    return model.spec.decoder.copies


def check_copying(options: TranslatorOptions) -> None:
    """Raise OptionError for what knows no words beyond the target vocabulary, beside a model that copies."""
    for flag, given in (("lm_model", options.lm_model), ("target_subdict", options.target_subdict)):
        if given:
            raise OptionError(
                f"-{flag} is limited to the target vocabulary, but this model (-copy_attn) also copies other "
                "source words: leave it out"
            )


def extra_words(source: Source, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The words of a source that the target vocabulary lacks, in order: the first has id len(vocabulary)."""
    ids = vocabulary.ids(source.words)
    unknown = (word for word, index in zip(source.words, ids, strict=True) if index == UNK)
    return tuple(word for word in dict.fromkeys(unknown) if word != UNK_WORD)


def with_copies(
    batch: Batch, sources: Sequence[Source], gold: Sequence[Reference] | None, vocabulary: Vocabulary
) -> Batch:
    """The batch of these sentences, none of them empty, with the words that can be copied."""
    extra = [extra_words(source, vocabulary) for source in sources]
    source_words = [source.words for source in sources]
    target = None
    if gold is not None and batch.tgt_output is not None:
        target_words = [tuple(map(named, reference.words)) for reference in gold]
        target = _padded(target_words, extra, vocabulary, batch.tgt_output.shape[1], (EOS,))
    size = len(vocabulary) + max(map(len, extra))
    return replace(
        batch, copies=Copies(_padded(source_words, extra, vocabulary, batch.src.shape[1]), target, size)
    )


def word_of(index: int, vocabulary: Vocabulary, extra: Sequence[str]) -> str:
    """The word of an id of the vocabulary, or of one from `extra_words`."""
    return vocabulary.word(index) if index < len(vocabulary) else extra[index - len(vocabulary)]


def _padded(
    texts: Sequence[Sequence[str]],
    extra: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    length: int,
    end: tuple[int, ...] = (),
) -> Tensor:
    """The ids of every text's words, and of its end, B x length."""
    padded = np.zeros((len(texts), length), dtype=np.int64)
    for row, (words, own) in enumerate(zip(texts, extra, strict=True)):
        places = {word: len(vocabulary) + place for place, word in enumerate(own)}
        ids = [
            places.get(word, UNK) if index == UNK else index
            for word, index in zip(words, vocabulary.ids(words), strict=True)
        ]
        padded[row, : len(ids) + len(end)] = [*ids, *end]
    return torch.from_numpy(padded)
