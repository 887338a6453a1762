"""`tools/embeddings.py`: picks the vectors of a vocabulary's words out of a file of pretrained vectors."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from onmt.commandline.declare import at_least, existing_file, existing_file_or_empty, not_empty, option
from onmt.commandline.run import run
from onmt.commandline.script import Parsed, Script
from onmt.constants import JOINER, SPECIAL_WORDS
from onmt.errors import OptionError
from onmt.logger import Logger, LoggerOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from onmt.data.vocabulary import Vocabulary
    from onmt.text.word_vectors import VectorMatcher

# The standard deviation of the numbers in the vectors of words that have none.
_NOISE: Final = 0.9

# Seeds these numbers, so that the same files give the same vectors.
_SEED: Final = 3435


@dataclass(frozen=True, kw_only=True)
class EmbeddingDataOptions:
    """Data"""

    dict_file: str = option("", "The vocabulary, from preprocess.py.", required=True, valid=existing_file)
    embed_file: str = option("", "The file of pretrained word vectors.", valid=existing_file_or_empty)
    save_data: str = option(
        "",
        "Beginning of the name of the file to write: `NAME-embeddings-DIMENSION.pt`.",
        required=True,
        valid=not_empty,
        writes=("{}-embeddings-*.pt",),
    )
    save_unknown_dict: str = option(
        "", "File for the words that have no vector, with their indices; empty: none.", writes=("{}",)
    )


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """Embedding"""

    lang: str = option("", "Was a language whose vectors to download; that service is gone. Use -embed_file.")
    embed_type: Literal["word2vec-bin", "word2vec-txt", "glove"] = option(
        "word2vec-bin", "The format of -embed_file."
    )
    normalize: bool = option(True, "Scale every vector to length 1.")
    approximate: bool = option(
        False,
        "Give a word without a vector of its own that of the word without joiners, in lower case, or in "
        "other case.",
    )
    report_every: int = option(100000, "Vectors between two log lines.", valid=at_least(1))

    def check(self) -> None:
        """Refuse what needs a service that is gone."""
        if self.lang:
            raise OptionError(
                "-lang: the vectors it downloaded are no longer offered; give a file with -embed_file"
            )


@dataclass(frozen=True, kw_only=True)
class EmbeddingsOptions(EmbeddingDataOptions, EmbeddingOptions, LoggerOptions):
    """Embeddings"""

    def check(self) -> None:
        """Require the file of vectors."""
        if not self.embed_file and not self.lang:
            raise OptionError("-embed_file: the file of pretrained word vectors is missing")


SCRIPT = Script(
    name="tools/embeddings.py",
    summary="Picks the vectors of a vocabulary's words out of a file of pretrained vectors, for train.py.",
    choose=lambda _: EmbeddingsOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; returns the exit code."""
    return run(SCRIPT, execute, argv)


def execute(parsed: Parsed[EmbeddingsOptions], logger: Logger) -> None:
    """Match, fill the gaps, write."""
    import torch

    from onmt.data.vocabulary import Vocabulary
    from onmt.files import replacing

    options, start = parsed.options, time.perf_counter()
    vocabulary = Vocabulary.read(options.dict_file)
    matcher = match(options, vocabulary, logger)
    _fill_gaps(matcher, options.normalize)
    if options.save_unknown_dict:
        _save_unmatched(options.save_unknown_dict, vocabulary, matcher)
    dimension = matcher.vectors.shape[1]
    path = f"{options.save_data}-embeddings-{dimension}.pt"
    logger.info(f"Saving embeddings to '{path}'...")
    with replacing(path) as file:
        torch.save(torch.from_numpy(matcher.vectors), file)
    logger.info(f"Completed in {time.perf_counter() - start:.3f} seconds. ")
    logger.info("")
    for side, flag, size in (("source", "enc", "src"), ("target", "dec", "tgt")):
        flags = f"-pre_word_vecs_{flag} {path} -{size}_word_vec_size {dimension}"
        logger.info(f"For {side} embeddings, set the options '{flags}' with train.py")


def match(options: EmbeddingsOptions, vocabulary: "Vocabulary", logger: Logger) -> "VectorMatcher":
    """Look for the vocabulary's words in the file of vectors."""
    from onmt.text.word_vectors import VectorMatcher, WordVectorFile

    logger.info(f"Processing embeddings file '{options.embed_file}'...")
    file = WordVectorFile(options.embed_file, options.embed_type)
    matcher = VectorMatcher(vocabulary.words, file.dimension, JOINER, options.approximate)
    for number, (word, vector) in enumerate(file.read(matcher.wants), start=1):
        if vector is not None:
            matcher.offer(word, vector)
            if matcher.complete:
                break
        if number % options.report_every == 0:
            logger.info(
                f"... {number} embeddings processed "
                f"({_count(matcher.exact)}/{len(vocabulary)} matched with the dictionary)"
            )
    logger.info("... done.")
    exact, found = _count(matcher.exact), _count(matcher.matched)
    logger.info(f" * {exact}/{len(vocabulary)} embeddings matched with dictionary tokens")
    if options.approximate:
        logger.info(f" * {found - exact} approximate lookup")
    if found < len(vocabulary):
        drawn = f"{len(vocabulary) - found}/{len(vocabulary)}"
        logger.info(f" * {drawn} vocabs randomly assigned with a normal distribution")
    return matcher


def _count(words: "npt.NDArray[np.bool_]") -> int:
    """How many of a vocabulary's words these are; as in the original, special words count in any case."""
    return len(SPECIAL_WORDS) + int(words[len(SPECIAL_WORDS) :].sum())


def _fill_gaps(matcher: "VectorMatcher", normalize: bool) -> None:
    """Scale the vectors that were found, and draw the others, the special words' too, at random."""
    import numpy as np

    from onmt.runtime.random import numpy_generator

    if normalize:
        lengths = np.linalg.norm(matcher.vectors, axis=1, keepdims=True)
        matcher.vectors /= np.where(lengths > 0, lengths, 1)
    noise = numpy_generator(_SEED, "word vectors").normal(0, _NOISE, matcher.vectors.shape)
    missing = ~matcher.matched
    matcher.vectors[missing] = noise[missing]


def _save_unmatched(path: str, vocabulary: "Vocabulary", matcher: "VectorMatcher") -> None:
    """Write `word index` lines, indices from 1, without the special words."""
    from onmt.files import replacing

    with replacing(path) as file:
        for index, (word, matched) in enumerate(zip(vocabulary.words, matcher.matched, strict=True)):
            if not matched and index >= len(SPECIAL_WORDS):
                file.write(f"{word} {index + 1}\n".encode())
