"""Source words that the target vocabulary lacks, with ids of their own in each sentence, so that they can be
copied.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from onmt.constants import EOS, UNK, UNK_WORD
from onmt.data.batch import Batch, Copies
from onmt.data.vocabulary import Vocabulary
from onmt.decoding.options import TranslatorOptions
from onmt.decoding.sentences import Reference, Source
from onmt.errors import OptionError
from onmt.models.seq2seq import Seq2Seq
from onmt.text.placeholders import named


def copies(model: Seq2Seq) -> bool:
    """Whether a model copies source words."""
    assert model.spec.decoder is not None
    return model.spec.decoder.copies


def check_copying(options: TranslatorOptions) -> None:
    """Raise OptionError for what knows no words beyond the target vocabulary, beside a model that copies."""
    for flag, given in (("lm_model", options.lm_model), ("target_subdict", options.target_subdict)):
        if given:
            raise OptionError(
                f"-{flag} knows the target vocabulary only, but this model (-copy_attn) writes other source "
                "words, too: leave it out"
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
