"""The scripts for word vectors: `tools/embeddings.py`, `apply_embeddings.py`, `extract_embeddings.py`."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

from onmt.commandline.declare import (
    at_least,
    existing_file,
    existing_file_or_empty,
    existing_folder_or_empty,
    existing_model,
    not_empty,
    option,
)
from onmt.commandline.run import Command
from onmt.commandline.script import Parsed, Script
from onmt.constants import JOINER, SPECIAL_WORDS
from onmt.errors import DataError, OptionError
from onmt.logger import Logger, LoggerOptions
from onmt.text.lines import read_text_lines, split_features, split_words, without_values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from onmt.data.vocabulary import Vocabulary
    from onmt.text.word_vectors import VectorMatcher


# The standard deviation of random vectors, for words without a pretrained vector.
_NOISE: Final = 0.9

# Seed of the random vectors, so that the same files give the same vectors.
_SEED: Final = 3435


@dataclass(frozen=True, kw_only=True)
class EmbeddingDataOptions:
    """Data"""

    dict_file: str = option(
        "", "Vocabulary file that preprocess.py wrote.", required=True, valid=existing_file
    )
    embed_file: str = option("", "File of pretrained word vectors.", valid=existing_file_or_empty)
    save_data: str = option(
        "",
        "Prefix of the file to write: `PREFIX-embeddings-DIMENSION.pt`.",
        required=True,
        valid=not_empty,
        writes=("{}-embeddings-*.pt",),
    )
    save_unknown_dict: str = option(
        "", "File for the words without a pretrained vector, with their indices; empty: none.", writes=("{}",)
    )


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """Embedding"""

    lang: str = option(
        "",
        "No longer available: the service that offered vectors of a language for download is gone. Use "
        "-embed_file.",
    )
    embed_type: Literal["word2vec-bin", "word2vec-txt", "glove"] = option(
        "word2vec-bin", "Format of -embed_file."
    )
    normalize: bool = option(
        True,
        "Scale every pretrained vector to length 1; the random vectors of the other words are not scaled.",
    )
    approximate: bool = option(
        False,
        "If a word has no vector, take that of the word without joiners, in lower case, or in other case.",
    )
    report_every: int = option(
        100000, "Number of vectors between two log lines about the progress.", valid=at_least(1)
    )

    def check(self) -> None:
        """Refuse `-lang`, whose download service no longer exists."""
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


def _embeddings(parsed: Parsed[EmbeddingsOptions], logger: Logger) -> None:
    """Match words and vectors, fill the gaps with random vectors, and write the result."""
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


embeddings = Command(
    Script(
        name="tools/embeddings.py",
        summary="Selects the vectors of a vocabulary's words from a file of pretrained vectors, for "
        "train.py.",
        choose=lambda _: EmbeddingsOptions,
    ),
    _embeddings,
)


def match(options: EmbeddingsOptions, vocabulary: "Vocabulary", logger: Logger) -> "VectorMatcher":
    """Match the vocabulary's words with the vectors of the file, and log how many were found."""
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
    """Return the number of true entries in `words`; special words always count, as in the original."""
    return len(SPECIAL_WORDS) + int(words[len(SPECIAL_WORDS) :].sum())


def _fill_gaps(matcher: "VectorMatcher", normalize: bool) -> None:
    """Normalize the vectors found if `normalize` is set; draw all others, special words' too, at random."""
    import numpy as np

    from onmt.runtime.random import numpy_generator

    if normalize:
        lengths = np.linalg.norm(matcher.vectors, axis=1, keepdims=True)
        matcher.vectors /= np.where(lengths > 0, lengths, 1)
    noise = numpy_generator(_SEED, "word vectors").normal(0, _NOISE, matcher.vectors.shape)
    missing = ~matcher.matched
    matcher.vectors[missing] = noise[missing]


def _save_unmatched(path: str, vocabulary: "Vocabulary", matcher: "VectorMatcher") -> None:
    """Write the words without a vector as lines `word index`, indices from 1, without special words."""
    from onmt.files import replacing

    with replacing(path) as file:
        for index, (word, matched) in enumerate(zip(vocabulary.words, matcher.matched, strict=True)):
            if not matched and index >= len(SPECIAL_WORDS):
                file.write(f"{word} {index + 1}\n".encode())


@dataclass(frozen=True, kw_only=True)
class ApplyDataOptions:
    """Data"""

    txt_src: str = option("", "Tokenized text.", required=True, valid=existing_file)
    txt_tgt: str = option(
        "", "Target text, parallel to -txt_src line by line; empty: none.", valid=existing_file_or_empty
    )
    dict: str = option("", "Vocabulary file of -embed_data.", required=True, valid=existing_file)
    embed_data: str = option(
        "",
        "Word vectors: a `.pt` tensor of tools/embeddings.py, or a `.t7` tensor of OpenNMT Lua.",
        required=True,
        valid=existing_model,
    )
    save_prefix: str = option(
        "",
        "Prefix of the files to write: `PREFIX.src`, `PREFIX.tgt`.",
        required=True,
        valid=not_empty,
        writes=("{}.src", "{}.tgt"),
    )


@dataclass(frozen=True, kw_only=True)
class ApplyEmbeddingsOptions(ApplyDataOptions, LoggerOptions):
    """Apply embeddings"""


def _apply_embeddings(parsed: Parsed[ApplyEmbeddingsOptions], logger: Logger) -> None:
    """Write a Kaldi text archive (`KEY [`, rows, `]`) and the target text with keys (`KEY words`)."""
    from onmt.data.vocabulary import Vocabulary
    from onmt.files import replacing
    from onmt.models.loading import read_tensor

    options = parsed.options
    vocabulary = Vocabulary.read(options.dict)
    vectors = read_tensor(options.embed_data)
    if vectors.dim() != 2 or vectors.shape[0] != len(vocabulary):
        shape = " x ".join(str(size) for size in vectors.shape)
        raise DataError(
            f"{options.embed_data}: {shape} numbers do not fit the {len(vocabulary)} words of {options.dict}"
        )
    rows = _Rows(vectors.numpy())
    with ExitStack() as stack:
        source = stack.enter_context(replacing(f"{options.save_prefix}.src"))
        target = stack.enter_context(replacing(f"{options.save_prefix}.tgt")) if options.txt_tgt else None
        count = 0
        for count, (line, translation) in enumerate(_pairs(options), start=1):
            key = f"IDX{count}"
            _write_matrix(source, key, [rows.text(index) for index in _ids(line, count, vocabulary, options)])
            if target is not None:
                target.write(f"{key} {translation}\n".encode())
    logger.info(f"Wrote {count} sequences to {options.save_prefix}.src")


apply_embeddings = Command(
    Script(
        name="tools/apply_embeddings.py",
        summary="Converts text into sequences of word vectors with keys, and adds keys to the target text, "
        "for -data_type feattext.",
        choose=lambda _: ApplyEmbeddingsOptions,
    ),
    _apply_embeddings,
)


class _Rows:
    """The rows of a matrix as text, each formatted once."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix
        self._texts: dict[int, str] = {}

    def text(self, index: int) -> str:
        if index not in self._texts:
            self._texts[index] = " ".join(f"{number:.4f}" for number in self._matrix[index])
        return self._texts[index]


def _pairs(options: ApplyEmbeddingsOptions) -> Iterator[tuple[str, str]]:
    """Yield the lines of source and target; targets are empty without a target file."""
    if not options.txt_tgt:
        for line in read_text_lines(options.txt_src):
            yield line, ""
        return
    both = zip_longest(read_text_lines(options.txt_src), read_text_lines(options.txt_tgt))
    for number, (source, target) in enumerate(both, start=1):
        if source is None or target is None:
            shorter = options.txt_src if source is None else options.txt_tgt
            raise DataError(f"{shorter}: this file has {number - 1} lines, the other side has more")
        yield source, " ".join(split_words(target))


def _ids(line: str, number: int, vocabulary: "Vocabulary", options: ApplyEmbeddingsOptions) -> list[int]:
    words, features = split_features(list(map(without_values, split_words(line))))
    if features:
        raise DataError(f"{options.txt_src}, line {number}: words with features have no vectors")
    return vocabulary.ids(words)


def _write_matrix(file: IO[bytes], key: str, rows: list[str]) -> None:
    file.write(f"{key} [\n".encode())
    file.write("\n".join(rows).encode())
    file.write(b" ]\n")


@dataclass(frozen=True, kw_only=True)
class ExtractEmbeddingsOptions:
    """Extract embeddings"""

    model: str = option(
        "",
        "Model to read: a `.pt` file, or a `.t7` file of OpenNMT Lua.",
        required=True,
        valid=existing_model,
    )
    output_dir: str = option(
        ".",
        "Folder for `src_embeddings.txt` and, if the model has target words, `tgt_embeddings.txt`.",
        valid=existing_folder_or_empty,
        writes=("{}/*_embeddings.txt",),
    )
    gpuid: int = option(
        0,
        "Accepted for compatibility; does nothing: vectors are read on the CPU, from models trained on a "
        "GPU too.",
    )


def _extract_embeddings(parsed: Parsed[ExtractEmbeddingsOptions], logger: Logger) -> None:
    """Write one file per table of word vectors."""
    from onmt.data.vocabulary import Vocabularies
    from onmt.models.loading import read_content

    options = parsed.options
    logger.info(f"Loading model '{options.model}'...")
    content = read_content(options.model)
    vocabularies = Vocabularies.from_state(content["vocabularies"])
    tables = (
        ("source", "source.words", vocabularies.src),
        ("target", "decoder.embeddings.words", vocabularies.tgt),
    )
    weights = content["weights"]
    if (content["spec"]["decoder"] or {}).get("shares_source_embedding"):
        weights = {**weights, "decoder.embeddings.words": weights["source.words"]}
    found = [(side, weights[name], words) for side, name, words in tables if name in weights]
    if not found:
        raise DataError(f"{options.model}: this model has no word vectors")
    for side, table, _ in found:
        logger.info(f"Found {side} embeddings of size {len(table)}")
    for side, table, words in found:
        logger.info(f"Writing {side} embeddings")
        prefix = "src" if side == "source" else "tgt"
        _write(Path(options.output_dir) / f"{prefix}_embeddings.txt", words[0], table)
    logger.info("... done.")


extract_embeddings = Command(
    Script(
        name="tools/extract_embeddings.py",
        summary="Writes the word vectors of a trained model as text, one word and its vector per line.",
        choose=lambda _: ExtractEmbeddingsOptions,
    ),
    _extract_embeddings,
)


def _write(path: Path, vocabulary: "Vocabulary", table: "Tensor") -> None:
    from onmt.files import replacing

    if table.shape[0] != len(vocabulary):
        raise DataError(f"{path}: the model has {table.shape[0]} vectors for {len(vocabulary)} words")
    with replacing(path) as file:
        for word, row in zip(vocabulary.words, table.tolist(), strict=True):
            numbers = " ".join(f"{number:5f}" for number in row)
            file.write(f"{word} {numbers}\n".encode())
